"""Runs launches as processes of this machine, which survive whoever started them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError
from lowtide_core.launches import AttemptKey, EngineRef, EngineReport
from lowtide_core.spans import from_epoch_s
from lowtide_providers.engines.kept import disk, load_object
from lowtide_providers.engines.local_child import keep_names, write_whole
from lowtide_providers.engines.local_family import Family, everybody, identity, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide_core.launches import Launch
    from lowtide_providers.engines.local_family import Process

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """One folder per attempt below ``root``; see ``local_child`` for the files in it."""

    root: Path

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        folder = self._folder(key)
        _check(launch)
        with disk("local", key, "submit", self.root):
            self._make(folder)
            content: dict[str, object] = {
                "job_id": launch.job_id,
                "argv": list(launch.argv),
                "working_dir": launch.working_dir,
                "environment": dict(launch.environment),
                "stop_grace_s": launch.stop_grace_s,
                "wrapped": launch.wrapped,
            }
            write_whole(str(folder / "launch.json"), content, exclusive=True)
            if not (folder / "claim.json").exists():
                _spawn(folder)
        return EngineRef(str(folder))

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        processes = cache(everybody)  # looked at once, and only where something is to be held
        return tuple(self._report(key, processes) for key in keys)

    def cancel(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        with disk("local", key, "cancel", self.root):
            self._make(folder)  # also for the absent: a submit that comes later finds it cancelled
            if write_whole(str(folder / "claim.json"), {"cancelled": True}, exclusive=True):
                return  # nobody had begun, and now nobody can
            if (folder / "exit.json").exists():
                return
            wished = folder / "cancel"
            first = not wished.exists()
            if first:
                wished.touch()
            held = (folder / "suspend").exists()
            (folder / "suspend").unlink(missing_ok=True)
            family = _family(folder)
            if family.supervisor is not None:
                _signal(family.supervisor, signal.SIGUSR1)  # it looks at the wish at once
            elif family.command is not None:
                # Its supervisor was killed: TERM now, and KILL by whoever asks again after the grace.
                patient = first or time.time() < wished.stat().st_mtime + _grace_s(folder)
                _signal(-family.command, signal.SIGTERM if patient else signal.SIGKILL)
            if held:
                family.release()  # what is held takes no signal but KILL

    def suspend(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        with disk("local", key, "suspend", self.root):
            if self._report(key).state != "running" or (folder / "cancel").exists():
                return
            wish = folder / "suspend"
            if not wish.exists():  # its time is that of the first wish
                wish.touch()
            self._follow(folder)

    def resume(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        with disk("local", key, "resume", self.root):
            (folder / "suspend").unlink(missing_ok=True)
            if self._report(key).state == "running":
                self._follow(folder)

    def log_path(self, key: AttemptKey) -> str:
        return str(self._folder(key) / "output.log")

    def _folder(self, key: AttemptKey) -> Path:
        if not _KEY.fullmatch(key):
            raise InputError(
                f"{key!r} is not the key of an attempt.",
                hint="Keys are letters, digits, dots and dashes, at most 100.",
                key=key,
            )
        return self.root.absolute() / key

    def _make(self, folder: Path) -> None:
        """The attempt's folder, for its owner alone: the environment and the output may hold secrets."""
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            keep_names(str(folder.parent))

    def _follow(self, folder: Path) -> None:
        """Brings the processes to where the wish is, and has the supervisor keep them there."""
        family = _family(folder)
        if (folder / "child.json").exists():  # before it there is nobody to hold yet, and the supervisor will do it
            family.follow(str(folder / "suspend"))
        if family.supervisor is not None:
            _signal(family.supervisor, signal.SIGUSR1)

    def _report(self, key: AttemptKey, processes: Callable[[], tuple[Process, ...]] = everybody) -> EngineReport:
        folder = self._folder(key)
        ref = EngineRef(str(folder))
        with disk("local", key, "observe", self.root):
            if (ended := _ended(key, ref)) is not None:
                return ended
            claim = load_object(folder / "claim.json")
            if claim is None:
                known = (folder / "launch.json").exists()
                return EngineReport(key, "accepted", ref) if known else EngineReport(key, "absent")
            if claim.get("cancelled"):
                return EngineReport(key, "ended", ref, why="cancelled before it started")
            started_utc = _instant(claim.get("claimed_s"))
            if is_alive(claim) or is_alive(load_object(folder / "child.json") or {}):
                since_utc = _suspended_utc(folder, processes)
                held = since_utc is not None
                return EngineReport(
                    key, "running", ref, started_utc=started_utc, suspended=held, suspended_utc=since_utc
                )
            vanished = EngineReport(key, "vanished", ref, started_utc=started_utc, why="its supervisor is gone")
            return _ended(key, ref) or vanished  # it may have ended between the two looks


def _check(launch: Launch) -> None:
    """Refuses what no system can start, and systems on which the engine cannot tell processes apart."""
    texts = (*launch.argv, launch.working_dir, *launch.environment, *launch.environment.values())
    if not launch.argv or any("\0" in text for text in texts) or any("=" in name for name in launch.environment):
        raise InputError(
            f"Job {launch.job_id} has no command that can be started: {launch.argv!r}.",
            hint="Give a command; no text of it may hold a NUL, and no name of its environment a '='.",
            job_id=launch.job_id,
        )
    if identity(os.getpid()) is None:
        raise InputError("The local engine needs Linux with /proc mounted.", hint="Mount it or use another engine.")


def _spawn(folder: Path) -> None:
    """A supervisor in a session of its own; a second one finds the claim and leaves."""
    with (folder / "output.log").open("ab") as output:
        supervisor = subprocess.Popen(
            # -P: no file in the user's folder is taken for a module of ours
            [sys.executable, "-P", "-m", "lowtide_providers.engines.local_child", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # It may outlive us; while we live, a thread takes note of its end, so that no zombie stays behind.
    threading.Thread(target=supervisor.wait, daemon=True).start()


def _ended(key: AttemptKey, ref: EngineRef) -> EngineReport | None:
    """The report that ``exit.json`` makes; None where there is none that can be read."""
    end = load_object(Path(ref) / "exit.json")
    status = None if end is None else end.get("exit_status")
    if end is None or not isinstance(status, int):
        return None
    return EngineReport(
        key,
        "ended",
        ref,
        started_utc=_instant(end.get("started_s")),
        ended_utc=_instant(end.get("ended_s")),
        exit_status=status,
        why=str(end.get("why", "")),
    )


def _instant(epoch_s: object) -> datetime | None:
    return from_epoch_s(epoch_s) if isinstance(epoch_s, float) else None


def _grace_s(folder: Path) -> float:
    grace_s = (load_object(folder / "launch.json") or {}).get("stop_grace_s")
    return float(grace_s) if isinstance(grace_s, int | float) else 0.0


def _family(folder: Path) -> Family:
    """The launch's processes, by what its files say of those that still live."""
    claim, child = load_object(folder / "claim.json") or {}, load_object(folder / "child.json") or {}
    wrapped = bool((load_object(folder / "launch.json") or {}).get("wrapped"))
    return Family(claim["pid"] if is_alive(claim) else None, child["pid"] if is_alive(child) else None, wrapped)


def _suspended_utc(folder: Path, processes: Callable[[], tuple[Process, ...]]) -> datetime | None:
    """Since when it is to be held; None where it is not, or where somebody is still awake."""
    try:
        wished_s = (folder / "suspend").stat().st_mtime
    except FileNotFoundError:
        return None
    return from_epoch_s(wished_s) if _family(folder).is_held(processes()) else None


def _signal(who: int, number: signal.Signals) -> None:
    """To a process, or with a negative number to its group; one that has just ended needs none."""
    with suppress(ProcessLookupError):
        os.kill(who, number)

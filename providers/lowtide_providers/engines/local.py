"""Runs launches as processes of this machine, which survive whoever started them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError, Unavailable
from lowtide_core.launches import AttemptKey, EngineRef, EngineReport
from lowtide_core.spans import from_epoch_s
from lowtide_providers.engines.local_child import identity, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lowtide_core.launches import Launch

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """One folder per attempt below ``root``; see ``local_child`` for the files in it."""

    root: Path

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        folder = self._folder(key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            content: dict[str, object] = {
                "job_id": launch.job_id,
                "argv": list(launch.argv),
                "working_dir": launch.working_dir,
                "environment": dict(launch.environment),
                "stop_grace_s": launch.stop_grace_s,
            }
            write_whole(str(folder / "launch.json"), content, exclusive=True)
            if not (folder / "claim.json").exists():
                self._spawn(folder)
        except OSError as error:
            raise Unavailable(
                f"The local engine cannot start {key}: {error.strerror} ({error.filename}).",
                provider="local",
                operation="submit",
                hint=f"Make {self.root} writable, with some space left.",
            ) from error
        return EngineRef(str(folder))

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        return tuple(self._report(key) for key in keys)

    def cancel(self, key: AttemptKey) -> None:
        folder = self._folder(key)
        folder.mkdir(parents=True, exist_ok=True)  # also for the absent: a submit that comes later finds it cancelled
        if write_whole(str(folder / "claim.json"), {"cancelled": True}, exclusive=True):
            return  # nobody had begun, and now nobody can
        (folder / "cancel").touch()
        child = _load(folder / "child.json")
        claim = _load(folder / "claim.json")
        if child and _alive(child) and not (claim and _alive(claim)):
            self._end_orphan(int(child["pid"]))

    def log_path(self, key: AttemptKey) -> str:
        return str(self._folder(key) / "output.log")

    def _folder(self, key: AttemptKey) -> Path:
        if not _KEY.fullmatch(key):
            raise InputError(
                f"{key!r} is not the key of an attempt.", hint="Keys are letters, digits, dots and dashes."
            )
        return self.root / key

    def _spawn(self, folder: Path) -> None:
        """A supervisor of its own session; a second one finds the claim and leaves."""
        with (folder / "output.log").open("ab") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "lowtide_providers.engines.local_child", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                close_fds=True,
            )
        # It may outlive us; while we live, a thread takes note of its end, so that no zombie stays behind.
        threading.Thread(target=supervisor.wait, daemon=True).start()

    def _end_orphan(self, group: int) -> None:
        """The supervisor is dead and its command lives: nobody else can end it."""
        try:
            os.killpg(group, signal.SIGTERM)
        except ProcessLookupError:
            return

    def _report(self, key: AttemptKey) -> EngineReport:
        folder = self._folder(key)
        claim, ended = _load(folder / "claim.json"), _load(folder / "exit.json")
        ref = EngineRef(str(folder))
        if ended is not None:
            return EngineReport(
                key,
                "ended",
                ref,
                started_utc=from_epoch_s(ended["started_s"]),
                ended_utc=from_epoch_s(ended["ended_s"]),
                exit_status=int(ended["exit_status"]),
                why=str(ended["why"]),
            )
        if claim is None:
            known = (folder / "launch.json").exists()
            return EngineReport(key, "accepted", ref) if known else EngineReport(key, "absent")
        if claim.get("cancelled"):
            return EngineReport(key, "ended", ref, why="cancelled before it started")
        started_utc = from_epoch_s(claim["claimed_s"])
        child = _load(folder / "child.json")
        if _alive(claim) or (child is not None and _alive(child)):
            return EngineReport(key, "running", ref, started_utc=started_utc)
        if _load(folder / "exit.json") is not None:  # it ended between the two looks
            return self._report(key)
        return EngineReport(key, "vanished", ref, started_utc=started_utc, why="its supervisor is gone")


def _load(path: Path) -> dict[str, Any] | None:
    """The file's content; None where it is not there, or not whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _alive(who: dict[str, Any]) -> bool:
    """Whether that very process still runs: its number, its start and the machine's boot are the same."""
    found = identity(int(who.get("pid", -1)))
    return found is not None and all(found[name] == who.get(name) for name in found)

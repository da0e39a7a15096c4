"""The processes of one local launch, and how they are held: by signals that nobody can ignore, to every one of them.

Held is what the file ``suspend`` in the launch's folder wishes. Whoever changes it brings the processes there, and the
supervisor keeps them there.
"""

# Every running job has a process that imports this: few imports, so no pathlib.
# ruff: noqa: PTH110, PTH123, PTH208

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_STOPPED = ("T", "t")
_ENDED = ("Z", "X")
_ROUNDS = 12
_FIRST_NAP_S = 0.0005
"""Doubled from round to round: two seconds in all for a process that sleeps in the kernel."""


class Process(NamedTuple):
    """One line of ``/proc/PID/stat``, as far as it matters here."""

    pid: int
    parent: int
    session: int
    state: str
    start_ticks: int


def look(pid: int | str) -> Process | None:
    """The process of that number; None where it does not exist, or not any more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(int(pid), int(fields[1]), int(fields[3]), fields[0].decode(), int(fields[19])) if fields else None


def everybody() -> tuple[Process, ...]:
    """All processes of the machine."""
    return tuple(filter(None, map(look, filter(str.isdigit, os.listdir("/proc")))))


def identity(pid: int) -> dict[str, object] | None:
    """What tells this process from any other that has, or will have, its number; None where it does not exist."""
    process = look(pid)
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
    except OSError:
        return None
    if process is None or process.state in _ENDED:
        return None
    return {"pid": pid, "start_ticks": process.start_ticks, "boot_id": boot_id}


def is_alive(who: dict[str, object]) -> bool:
    """Whether that very process still runs: its number, its start and the machine's boot are the same."""
    pid = who.get("pid")
    found = identity(pid) if isinstance(pid, int) else None
    return found is not None and all(found[name] == who.get(name) for name in found)


class Family(NamedTuple):
    """What a launch has started, and all that this has started in its turn.

    Attributes:
        supervisor, command: Their numbers while they live. To the supervisor come all orphans; without it those that
            stayed in the command's session are found, and those below them.
        wrapped: The command only watches the real one and is never held.
    """

    supervisor: int | None
    command: int | None
    wrapped: bool

    def members(self, processes: Iterable[Process]) -> list[Process]:
        """Those among these processes who can be held, parents before children."""
        children: dict[int, list[Process]] = {}
        heads = []
        for process in processes:
            children.setdefault(process.parent, []).append(process)
            if process.parent == self.supervisor or self.command in (process.pid, process.session):
                heads.append(process)
        found: dict[int, Process] = {}
        while heads:
            process = heads.pop(0)
            if process.pid not in found and process.pid != self.supervisor:
                found[process.pid] = process
                heads += children.get(process.pid, [])
        return [p for p in found.values() if p.state not in _ENDED and not (self.wrapped and p.pid == self.command)]

    def is_held(self, processes: Iterable[Process]) -> bool:
        """Whether there is somebody, and nobody is awake."""
        members = self.members(processes)
        return bool(members) and not _awake(members)

    def hold(self) -> bool:
        """STOP to everybody, again until nobody who was forked meanwhile is awake; whether that was reached."""
        for turn in range(_ROUNDS):
            members = self.members(everybody())
            awake = _awake(members)
            if not awake:
                return bool(members)
            for process in awake:
                _signal(process.pid, signal.SIGSTOP)
            time.sleep(_FIRST_NAP_S * 2**turn)
        return False

    def release(self) -> None:
        """CONT to everybody, also to those whom a STOP has not reached yet."""
        for process in self.members(everybody()):
            _signal(process.pid, signal.SIGCONT)

    def follow(self, wish: str) -> bool:
        """Holds them where the file ``wish`` is there, releases them where not; whether they are held now.

        The wish is looked at again afterwards: of two who act at once on different wishes, the later one wins.
        """
        while True:
            wanted, held = os.path.exists(wish), False
            if wanted:
                held = self.hold()
            else:
                self.release()
            if os.path.exists(wish) == wanted:
                return held


def _awake(members: list[Process]) -> list[Process]:
    """Those who run and whom we may signal: what became another user's is not ours to hold."""
    return [process for process in members if process.state not in _STOPPED and _signal(process.pid, 0)]


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True

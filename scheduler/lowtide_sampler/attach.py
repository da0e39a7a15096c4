"""What runs already as a thing to wait for: its end, a signal to stop measuring, and the marks of a program.

Nothing is done to what is measured. Its end is seen at once through a descriptor of the process (Linux 5.3) or the
events of the control group, else within a quarter of a second.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time

from lowtide_sampler import cgroups
from lowtide_sampler.child import Ending
from lowtide_sampler.machine import GONE, is_running, process_start, read_text
from lowtide_sampler.standins import TYPE_CHECKING
from lowtide_sampler.workload import Cgroup, ProcessTree

if TYPE_CHECKING:
    from typing import Any

    from lowtide_sampler.options import RunOptions
    from lowtide_sampler.workload import Workload

_LOOK_EVERY_S = 0.25
_MARKS_APART_S = 0.05
"""A mark makes a reading at once; a program that marks oftener has them so far apart, and its marks between them."""
STOP = "stop"


class NotThere(Exception):
    """The process or the group that was named is not there."""


class Attached:
    """A process or a control group that ran before us.

    Raises:
        NotThere: Neither is there.
    """

    def __init__(self, options: RunOptions) -> None:
        self._pid = options.pid
        self._group = cgroups.find_group(options.cgroup, options.sysroot) if options.cgroup else ""
        self._start_ticks, state = process_start(self._pid) if self._pid else (0, "")
        if options.cgroup and not self._group:
            raise NotThere(f"there is no control group {options.cgroup}; name its folder, or its path below the mount")
        if self._pid and state in GONE and options.marks_fd < 0:  # a caller's marks tell of it when it is gone
            raise NotThere(f"there is no process {self._pid}: it has ended, or the number is a container's own")
        self._marks_fd = options.marks_fd
        self._marks: list[dict[str, Any]] = []
        self._rest = b""
        self._taken_s = 0.0
        self._was_told_to_stop = self._caller_is_gone = False
        self._poll = select.poll()
        self._end_fd = self._watch_end()
        self._wake_fd = -1
        self._begun_cpu_s = options.begun.cpu_s if options.begun else None
        self._tree = ProcessTree(self._pid, self._begun_cpu_s)
        self.workload: Workload = Cgroup(self._group) if self._group else self._tree

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line of what is measured, as far as it can be read."""
        if self._group:
            return ("cgroup", self._group)
        return tuple(read_text(f"/proc/{self._pid}/cmdline", 1 << 17).split("\0")[:-1])

    def described(self) -> dict[str, Any]:
        """What the journal's first line says of it."""
        if self._group:
            return {"attached": {"cgroup": self._group}}
        return {"attached": {"pid": self._pid, "start_ticks": self._start_ticks}}

    def prepare(self) -> None:
        """From here on signals end the measurement; those of a terminal do not, where a program asked for it."""
        self._wake_fd, writing = os.pipe()
        for fd in (self._wake_fd, writing):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writing)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            is_the_callers = self._marks_fd >= 0 and number == signal.SIGINT
            signal.signal(number, signal.SIG_IGN if is_the_callers else _note)
        self._poll.register(self._wake_fd, select.POLLIN)
        if self._marks_fd >= 0:
            os.set_blocking(self._marks_fd, False)
            self._poll.register(self._marks_fd, select.POLLIN)

    def start(self) -> Ending | None:
        """It runs already."""
        return None

    def wait(self, timeout_s: float) -> Ending | None:
        """Sleeps until it ends, marks come, a signal says to stop, or the time is over."""
        deadline_s = time.monotonic() + max(timeout_s, 0.0)
        while True:
            self._read_marks()
            if self._was_told_to_stop:
                return Ending(None)
            if self._caller_is_gone:
                return Ending(None, how="caller-died")
            due_s = self._taken_s + _MARKS_APART_S if self._marks else deadline_s
            left_s = min(due_s, deadline_s) - time.monotonic()
            if left_s <= 0:
                return None
            look_s = left_s if self._end_fd >= 0 else min(left_s, _LOOK_EVERY_S)
            ready = [fd for fd, _ in self._poll.poll(1000 * look_s)]
            if self._wake_fd in ready:
                return Ending(None, how="detached")
            if self._marks_fd not in ready and self._is_over():
                return Ending(None, how="ok" if self._marks_fd < 0 else "caller-died")

    def take_marks(self) -> list[dict[str, Any]]:
        """The marks that came since the last call: ``mark``, ``event``, ``mono`` (s)."""
        self._read_marks()
        marks, self._marks = self._marks, []
        if marks:
            self._taken_s = time.monotonic()
        return marks

    def answer(self, text: bytes) -> None:
        """Sends the result back to the program that asked; a pipe leads one way, and is left alone."""
        if self._marks_fd < 0:
            return
        try:
            os.set_blocking(self._marks_fd, True)
            for at in range(0, len(text), 1 << 15):
                os.write(self._marks_fd, text[at : at + (1 << 15)])
        except OSError:
            return

    def _watch_end(self) -> int:
        """A descriptor that tells of the end; -1: it has to be looked for."""
        try:
            if self._group:
                fd = os.open(f"{self._group}/cgroup.events", os.O_RDONLY)
                os.read(fd, 256)
                self._poll.register(fd, select.POLLPRI | select.POLLERR)
            else:
                fd = os.pidfd_open(self._pid)
                self._poll.register(fd, select.POLLIN)
        except (OSError, AttributeError):
            return -1
        return fd

    def _is_over(self) -> bool:
        if self._group:
            if self._end_fd >= 0:
                os.pread(self._end_fd, 256, 0)
            return not cgroups.is_populated(self._group)
        return not is_running(self._pid, self._start_ticks)

    def _read_marks(self) -> None:
        while self._marks_fd >= 0 and not self._caller_is_gone:
            try:
                read = os.read(self._marks_fd, 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                read = b""
            if not read:
                self._caller_is_gone = True
                return
            *lines, self._rest = (self._rest + read).split(b"\n")
            for line in lines:
                self._note_mark(line)

    def _note_mark(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            mark = {"mark": str(said["mark"]), "event": str(said["event"]), "mono": float(said["mono"])}
        except (ValueError, TypeError, KeyError):
            return
        if mark["event"] != STOP:
            self._marks.append(mark)
            return
        self._was_told_to_stop = True
        if self._begun_cpu_s is not None and isinstance(said.get("cpu"), float):
            self._tree.has_used(said["cpu"] - self._begun_cpu_s)


def _note(_number: int, _frame: object) -> None:
    """The wake-up descriptor has it."""

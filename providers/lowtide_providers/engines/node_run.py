"""Runs a command under the sampler on a node that has nothing of ours, and prints the journal into the job's log.

    python3 node.pyz KEY FLUSH_S GRACE_S WORDS WORD... COMMAND...

WORDS is how many of the following words are the sampler's own. The sampler lies beside this module in the archive. A
TERM is passed on; who does not follow within the grace is killed, so that time is left to print the journal. Exit
status and output are the command's own. The standard library alone, and any Python from 3.8 on; before 3.9
the command runs unmeasured.
"""

# ruff: noqa: T201, PTH118, PTH123, PTH208  light: no pathlib on the node

from __future__ import annotations

import contextlib
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

from . import journal_log

if TYPE_CHECKING:
    from types import FrameType

SAMPLER = "sampler.pyz"
_SPOOL_WORD = "{spool}"  # as in lowtide_core.launches, which is not on the node


class Carrier:
    """Prints what has grown of a journal, from time to time, and all of it at the end."""

    def __init__(self, key: str, spool: str) -> None:
        self._key = key
        self._path = os.path.join(spool, key + ".jsonl")
        self._offset = 0
        self._ended = threading.Event()

    def print_often(self, every_s: float) -> threading.Thread:
        """A thread that prints until ``print_rest``."""

        def keep_printing() -> None:
            while not self._ended.wait(every_s):
                self._print_new()

        thread = threading.Thread(target=keep_printing, daemon=True)
        thread.start()
        return thread

    def print_rest(self, printer: threading.Thread) -> None:
        self._ended.set()
        printer.join()
        whole = self._print_new()
        _say(journal_log.closing(self._key, whole) if whole else journal_log.absence(self._key, "none was written"))

    def _print_new(self) -> bytes:
        try:
            with open(self._path, "rb") as file:
                whole = file.read()
        except OSError:
            return b""
        _say(journal_log.pieces(self._key, whole[self._offset :], self._offset))
        self._offset = len(whole)
        return whole


def main(argv: list[str]) -> int:
    """Runs the command; its exit status, as a shell gives it."""
    key, flush_s, grace_s, count = argv[0], float(argv[1]), float(argv[2]), int(argv[3])
    words, command = argv[4 : 4 + count], argv[4 + count :]
    spool = tempfile.mkdtemp(prefix="lowtide-")
    carrier = None
    is_old = sys.version_info < (3, 9)
    if words and is_old:
        _say(journal_log.absence(key, "the sampler needs Python 3.9, and the node has " + sys.version.split()[0]))
    try:
        program = pkgutil.get_data(__package__ or "", SAMPLER) if words and not is_old else None
        if program is not None:
            path = os.path.join(spool, SAMPLER)
            with open(path, "wb") as file:
                file.write(program)
            words = [word.replace(_SPOOL_WORD, spool) for word in words]
            command = [sys.executable, path, *words, *command]
            carrier = Carrier(key, spool)
    except OSError as error:
        _say(journal_log.absence(key, "the sampler cannot be unpacked: " + str(error.strerror)))
    printer = carrier.print_often(flush_s) if carrier else None
    status = _run(command, grace_s)
    if carrier is not None and printer is not None:
        carrier.print_rest(printer)
    shutil.rmtree(spool, ignore_errors=True)
    return status


def _run(command: list[str], grace_s: float) -> int:
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        print("lowtide: " + command[0] + " cannot be started: " + str(error.strerror), file=sys.stderr, flush=True)
        return 127 if isinstance(error, FileNotFoundError) else 126

    def pass_on(number: int, _: FrameType | None) -> None:
        _signal(child.pid, number)
        if number == signal.SIGTERM:
            timer = threading.Timer(grace_s, _kill_family, (child.pid,))
            timer.daemon = True
            timer.start()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, pass_on)
    while True:
        pid, status = os.waitpid(-1, 0)  # as the first process of a container we are everybody's parent
        if pid == child.pid:
            break
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _kill_family(head: int) -> None:
    """KILL to a process and to all that it has started, so that nothing outlives a sampler that must go."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/" + name + "/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
    family = [head]
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    for pid in family:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _say(lines: bytes) -> None:
    """With few writes: the job's own output may come at the same time."""
    rest = memoryview(lines)
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except OSError:  # nobody reads any more
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

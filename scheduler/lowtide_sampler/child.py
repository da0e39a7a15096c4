"""The command as a child that notices nothing: its start, the signals passed on to it, its end.

The sampler blocks the signals it passes on and waits for them, so that no handler ever runs. What Python changes on its
own start (ignored signals, the locale's variable) is put back for the command.
"""

from __future__ import annotations

import errno
import os

from lowtide_sampler.files import write_whole
from lowtide_sampler.machine import boot_id, process_start, read_text
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple, signal, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

FORWARDED = frozenset(
    {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGTSTP,
        signal.SIGCONT,
    }
)
_WAITED = FORWARDED | {signal.SIGCHLD}
_TERMINAL_STOPS = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_SENT_BY_KERNEL = 0x80
_SET_CHILD_SUBREAPER = 36
_FOR_LONG_S = 3600.0
NOT_EXECUTABLE, NOT_FOUND = 126, 127


class Ending(NamedTuple):
    """How what was measured ended: its exit status (128 + signal where one ended it, as a shell says) and that signal.

    Attributes:
        exit_status: None where nobody told us: it was not our child.
        why: Set where the command never began: what the kernel said.
        how: ``ok``; ``detached``: the measurement was ended and the job was not; ``caller-died``: the program that
            asked to be measured was gone before it said that it was done.
    """

    exit_status: int | None
    signal: int | None = None
    why: str = ""
    how: str = "ok"


class Child:
    """One command, started once by ``start``."""

    def __init__(self, argv: Sequence[str], child_file: str = "") -> None:
        self.trouble = ""
        self._argv = list(argv)
        self._child_file = child_file
        self._pid = 0
        self._is_prepared = False
        self._ending: Ending | None = None
        self._mask: set[int] = set()
        self._sigchld = signal.getsignal(signal.SIGCHLD)
        self._environ = original_environ()

    def prepare(self) -> None:
        """Blocks the signals that will be passed on, and adopts the orphans that the command leaves."""
        if self._is_prepared:
            return
        self._is_prepared = True
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would reap the command before its status is read
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED))
        become_subreaper()

    def start(self) -> Ending | None:
        """Starts the command; an ``Ending`` where it cannot be executed."""
        early = _signals_so_far()
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._become_command(writing)
        os.close(writing)
        said = os.read(reading, 16)
        os.close(reading)
        if said:
            os.waitpid(self._pid, 0)
            code = int(said)
            self._ending = Ending(NOT_FOUND if code == errno.ENOENT else NOT_EXECUTABLE, why=os.strerror(code))
        else:
            for number in early:
                self._send(number)
        return self._ending

    def finish(self) -> Ending:
        """Sees the command to its end from wherever it stands, without anything else.

        Raises:
            OSError: It was not started yet, and cannot be.
        """
        if not self._pid:
            self.prepare()
            self.start()
        while self._ending is None:
            self._ending = self.wait(_FOR_LONG_S)
        return self._ending

    def wait(self, timeout_s: float) -> Ending | None:
        """Sleeps until the command ends or the time is over; passes signals on meanwhile.

        May return early, with None, after any signal.
        """
        info = signal.sigtimedwait(_WAITED, max(timeout_s, 0.0))
        # Stopped and continued past the time-out, Python 3.11 answers with whatever lay in memory.
        if info is None or info.si_signo not in _WAITED:
            return None
        if info.si_signo == signal.SIGCHLD:
            self._ending = self._reap() or self._ending
            return self._ending
        # What the terminal sends, it sends to the whole foreground group: the command has it already.
        if info.si_code != _SENT_BY_KERNEL:
            self._send(info.si_signo)
        return None

    def _send(self, number: int) -> None:
        try:
            os.kill(self._pid, number)
        except OSError:  # it has gone, or became another user's
            return

    def _reap(self) -> Ending | None:
        """Takes every child that ended, also adopted ones: their CPU seconds count from then on."""
        ending = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return ending
            if pid == 0:
                return ending
            if pid != self._pid:
                continue
            if os.WIFSTOPPED(status):
                if os.WSTOPSIG(status) in _TERMINAL_STOPS:
                    os.kill(os.getpid(), signal.SIGSTOP)  # the shell waits to see its job stop
            elif os.WIFSIGNALED(status):
                ending = Ending(128 + os.WTERMSIG(status), os.WTERMSIG(status))
            else:
                ending = Ending(os.WEXITSTATUS(status))

    def _become_command(self, writing: int) -> None:
        """In the forked process: never returns."""
        code = errno.ENOEXEC
        try:
            if self._child_file:
                self._write_child_file()
            for number in _IGNORED_BY_PYTHON:
                signal.signal(number, signal.SIG_DFL)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            if self._sigchld == signal.SIG_IGN:
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            execute(self._argv, self._environ)
        except OSError as error:
            code = error.errno or code
        finally:
            os.write(writing, str(code).encode())
            os._exit(NOT_FOUND)

    def _write_child_file(self) -> None:
        try:
            write_whole(self._child_file, to_json(identity(os.getpid())) + "\n")
        except OSError:
            return  # the command starts all the same


def _signals_so_far() -> list[int]:
    """Signals that came while there was no command yet, the terminal's too: it is to have them all."""
    numbers: list[int] = []
    while True:
        info = signal.sigtimedwait(FORWARDED, 0)
        if info is None or info.si_signo not in FORWARDED:
            return numbers
        numbers.append(info.si_signo)


def identity(pid: int) -> dict[str, object]:
    """What tells a process from every other, also from a later one with its number or of another boot."""
    return {"pid": pid, "start_ticks": process_start(pid)[0], "boot_id": boot_id()}


def become_subreaper() -> None:
    """Makes this process the parent of orphaned descendants; without it their CPU seconds would be lost."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def original_environ() -> dict[str, str]:
    """The environment without the LC_CTYPE that Python sets for itself in the C locale."""
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") == "C.UTF-8" and "\0LC_CTYPE=" not in "\0" + read_text("/proc/self/environ", 1 << 22):
        del environ["LC_CTYPE"]
    return environ


def execute(argv: Sequence[str], environ: dict[str, str]) -> None:
    """Replaces this process by the command, searched on the PATH, as a shell or ``env`` would.

    Raises:
        OSError: It is not there (ENOENT), or cannot be executed.
    """
    name = argv[0]
    if not name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    folders = [""] if "/" in name else environ.get("PATH", os.defpath).split(":")
    refused: OSError | None = None
    for folder in folders:
        path = name if "/" in name else os.path.join(folder or ".", name)
        try:
            os.execve(path, list(argv), environ)  # noqa: S606  no shell is wanted
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # a script without a first line: the shell's, by old custom
                os.execve("/bin/sh", ["/bin/sh", path, *argv[1:]], environ)  # noqa: S606
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                refused = error
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def die_of(number: int) -> None:
    """Ends this process by the signal that ended the command, leaving no core of the sampler's own."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)

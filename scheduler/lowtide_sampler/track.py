"""Measures a part of a program from within it: ``with track("train"):``, ``@track``, and sections of it.

The measuring is done by a helper process, the same program as ``lowtide attach``, which reads the marks of this one
from a socket and sends the result back over it. It ends with its caller, however that ends. Nothing here raises into
the program that is measured, or lets it wait, save where it asks for the result: what goes wrong is said once, and in
the result.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

TYPE_CHECKING = False  # the module typing alone would take half of the time that there is
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar, overload

    _F = TypeVar("_F", bound=Callable[..., Any])

_ANSWER_WITHIN_S = 5.0
_LAST_ONE_ENDS_WITHIN_S = 0.5
_LONGEST_NAME = 200
_LONGEST_PACKET = 1 << 16
_MARKS_IN_A_PACKET = 50
_MOST_UNSENT = 10_000
_LAST_MARKS_WITHIN_S = 0.2
_LOOK_AGAIN_S = 0.002
_HELPERS_FD = 3
_IS_COROUTINE = 0x80
_START = """\
import sys
home = sys.argv.pop(1)
sys.path.insert(0, home)
import lowtide_sampler
if lowtide_sampler.__path__[0] != home + "/lowtide_sampler":  # another one that is installed here
    sys.exit(f"lowtide: no lowtide_sampler in {home}")
from lowtide_sampler.main import main
sys.exit(main(sys.argv[1:]))
"""
_IN_BACKGROUND = '"$@" &'

_FILE = os.path.abspath(__file__)
"""Found out at once: the program may go to another folder."""

_active: Run | None = None
_open: list[_Helper] = []


if TYPE_CHECKING:

    @overload
    def track(name: _F) -> _F: ...

    @overload
    def track(
        name: str = ..., *, interval: str = ..., journal: str = ..., tags: dict[str, str] | None = ...
    ) -> Run: ...


def track(  # type: ignore[no-redef,unused-ignore]
    name: Any = "", *, interval: str = "5s", journal: str = "", tags: dict[str, str] | None = None
) -> Any:
    """A part of a program whose energy is measured: a context manager, and a decorator with or without a name.

    Within another one it is a section of that one: it costs a mark, not a helper.

    Args:
        name: What the result calls it (a tag ``name``), or the function to measure.
        interval: Time between two readings, with its unit.
        journal: Folder of the journal; empty: as for ``lowtide run``.
        tags: Kept with the result.
    """
    if callable(name):
        return Run(name.__name__, interval, journal, {})(name)
    return Run(str(name), interval, journal, dict(tags or {}))


class Run:
    """One measurement: begun by ``with`` (or ``start``), ended with the block (or by ``stop``)."""

    def __init__(self, name: str, interval: str, journal: str, tags: dict[str, str]) -> None:
        self.name = name[:_LONGEST_NAME]
        self._interval, self._journal, self._tags = interval, journal, tags
        self._helper: _Helper | None = None
        self._outer: Run | None = None
        self._is_open = False
        self._marked = ""
        self._result: dict[str, Any] | None = None

    def __enter__(self) -> Run:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __call__(self, function: _F) -> _F:
        """Measures each call of a function; a coroutine function until it has been awaited."""
        from functools import wraps

        def anew() -> Run:
            return Run(self.name or function.__name__, self._interval, self._journal, self._tags)

        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _IS_COROUTINE:

            @wraps(function)
            async def measured_later(*args: Any, **named: Any) -> Any:
                with anew():
                    return await function(*args, **named)

            return measured_later  # type: ignore[return-value]

        @wraps(function)
        def measured(*args: Any, **named: Any) -> Any:
            with anew():
                return function(*args, **named)

        return measured  # type: ignore[return-value]

    def start(self) -> None:
        """Begins to measure; nothing more happens where it has begun."""
        global _active
        if self._is_open:
            return
        self._is_open, self._result = True, None
        outer = _active
        if outer is not None and outer._is_live():
            self._outer = outer
            outer._send(self.name, "begin")
            return
        self._outer = None
        for helper in list(_open):  # one at a time reads the counters: the last one is about to end
            if helper.is_stopped:
                helper.finish(_LAST_ONE_ENDS_WITHIN_S)
        options = ["--interval", self._interval, *(["--journal", self._journal] if self._journal else [])]
        self._helper = _Helper(options, {"name": self.name, **self._tags} if self.name else self._tags)
        _active = self

    def stop(self) -> None:
        """Ends the measurement; its result is there a moment later."""
        global _active
        if not self._is_open:
            return
        self._is_open = False
        if self._outer is not None:
            self._outer._send(self.name, "end")
            return
        if _active is self:
            _active = None
        if self._helper is not None:
            self._helper.stop()

    def section(self, name: str) -> Section:
        """A part of this run, as a context manager: ``with run.section("epoch 1"):``."""
        return Section(self, str(name)[:_LONGEST_NAME])

    def mark(self, name: str = "") -> None:
        """Begins a section that lasts until the next mark, or until the run's end; without a name the last one ends."""
        if self._marked:
            self._send(self._marked, "end")
        self._marked = str(name)[:_LONGEST_NAME]
        if self._marked:
            self._send(self._marked, "begin")

    @property
    def result(self) -> dict[str, Any] | None:
        """The result, as ``lowtide run --json`` gives it, with ``sections``; None while it is being measured.

        Of a run inside of another one it is that one's section, which is known when the outer one has ended.
        """
        if self._is_open:
            return None
        if self._outer is not None:
            whole = self._outer.result
            sections = whole["sections"] if whole else []
            return next((part for part in sections if part["name"] == self.name), None)
        if self._result is None and self._helper is not None:
            self._result = self._helper.result()
        return self._result

    def _is_live(self) -> bool:
        return self._helper is not None and self._helper.is_live()

    def _send(self, name: str, event: str) -> None:
        target = self
        while target._outer is not None:
            target = target._outer
        if target._helper is not None:
            target._helper.send(name, event)


class Section:
    """A named part of a run; may be entered again, and inside of itself."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self.name = name

    def __enter__(self) -> Section:
        self._run._send(self.name, "begin")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run._send(self.name, "end")


class _Helper:
    """The helper process, seen from its caller: a socket. A forked child of the caller has no helper."""

    def __init__(self, options: list[str], tags: dict[str, str]) -> None:
        self._owner = os.getpid()
        self._begun = (time.monotonic(), time.time(), _cpu_s())
        self._ended: tuple[float, float] | None = None
        self._tags = tags
        self._socket: Any = None
        self._inode = 0
        self._unsent: list[bytes] = []
        self._lock = _thread.allocate_lock()
        self._lost_marks = 0
        self._answer = b""
        self._why = ""
        try:
            self._socket = _spawn(self._begun, options, tags)
            self._inode = os.fstat(self._socket.fileno()).st_ino
            _open.append(self)
        except Exception as error:  # noqa: BLE001  whatever it is, the program that is measured goes on
            self._fail(f"the helper that measures could not be started: {error}")

    def is_live(self) -> bool:
        return self._socket is not None and os.getpid() == self._owner

    @property
    def is_stopped(self) -> bool:
        return self._ended is not None

    def send(self, name: str, event: str) -> None:
        """Sends one mark, with the instant at which it was made; those that do not fit go with a later one."""
        if not self.is_live():
            return
        from _json import encode_basestring_ascii as quoted  # the whole of json is slower to load than to be measured

        if len(self._unsent) >= _MOST_UNSENT and event != "stop":
            self._lost_marks += 1
            return
        used = f',"cpu":{_cpu_s():.6f}' if event == "stop" else ""
        mark = f'{{"mark":{quoted(name)},"event":"{event}","mono":{time.monotonic():.6f}{used}}}\n'
        self._unsent.append(mark.encode())
        self._flush()

    def stop(self) -> None:
        if os.getpid() != self._owner:
            return
        self._ended = (time.monotonic(), _cpu_s())
        self.send("", "stop")
        if self._unsent:
            self._flush(_LAST_MARKS_WITHIN_S)

    def _flush(self, within_s: float = 0.0) -> None:
        """Sends what is unsent, as far as the helper takes it within the time; another thread may be at it already."""
        if self._socket is None or not self._lock.acquire(False):
            return
        try:
            deadline_s = time.monotonic() + within_s
            while self._unsent:
                count = min(len(self._unsent), _MARKS_IN_A_PACKET)
                if self._sent(b"".join(self._unsent[:count])):
                    del self._unsent[:count]
                elif time.monotonic() >= deadline_s:
                    return
                else:
                    time.sleep(_LOOK_AGAIN_S)
        finally:
            self._lock.release()

    def _sent(self, packet: bytes) -> bool:
        """Whether it is off our hands: a helper that is gone takes everything."""
        import _socket

        if not self._is_ours():
            return True
        try:
            self._socket.send(packet, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _is_ours(self) -> bool:
        """Whether the descriptor still is the helper's: a program that closes all may give its number to another."""
        try:
            return os.fstat(self._socket.fileno()).st_ino == self._inode
        except OSError:
            return False

    def result(self) -> dict[str, Any] | None:
        """The result; None in a forked child, whose caller's it is not."""
        if os.getpid() != self._owner:
            return None
        if self._socket is not None:
            self._flush(_LAST_MARKS_WITHIN_S)
            self.finish(_ANSWER_WITHIN_S)
        if self._answer:
            import json

            try:
                found: dict[str, Any] = json.loads(self._answer)
            except ValueError:
                self._why = "the helper's answer is cut off"
            else:
                if self._lost_marks:
                    found["flags"].append("marks_lost")
                    found["notes"].append(f"{self._lost_marks} marks came faster than they could be taken")
                found.setdefault("sections", [])
                return found
        from lowtide_sampler.unknown import not_measured

        ended_s, cpu_s = self._ended or (time.monotonic(), _cpu_s())
        why = self._why or f"the helper that measures has not answered within {_ANSWER_WITHIN_S:g} s"
        return not_measured(why, max(cpu_s - self._begun[2], 0.0), max(ended_s - self._begun[0], 0.0), self._tags)

    def finish(self, within_s: float) -> None:
        """Reads the answer until the helper closes its end, for as long as is borne."""
        import select

        if not self._is_ours():
            self._fail("the program closed the descriptor of the helper that measures")
            self._forget()
            return
        deadline_s = time.monotonic() + within_s
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
            while poll.poll(1000 * max(deadline_s - time.monotonic(), 0.0)):
                part = self._socket.recv(_LONGEST_PACKET)
                if not part:
                    if not self._answer:
                        self._fail("the helper that measures ended without a result")
                    self._forget()
                    return
                self._answer += part
        except OSError as error:
            self._fail(f"the helper that measures cannot be heard: {error}")
            self._forget()

    def _forget(self) -> None:
        is_ours = self._socket is not None and self._is_ours()
        held, self._socket = self._socket, None
        if held is not None:
            _open.remove(self)
            if is_ours:
                held.close()
            else:
                held.detach()

    def _fail(self, why: str) -> None:
        if not self._why:
            self._why = why
            _warn(f"lowtide: not measured: {why}")


def _forget_all() -> None:
    """In a forked child: the sockets are its parent's."""
    for helper in list(_open):
        helper._forget()


os.register_at_fork(after_in_child=_forget_all)


def _spawn(begun: tuple[float, float, float], options: list[str], tags: dict[str, str]) -> Any:
    """Starts the helper in a session of its own, and not as a child of ours: nobody here has to wait for it.

    Raises:
        OSError: It cannot be started.
    """
    import _socket

    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    if ours.fileno() < _HELPERS_FD:  # the program has closed its standard streams: that is no place for a socket
        import fcntl

        ours = _socket.socket(fileno=fcntl.fcntl(ours.detach(), fcntl.F_DUPFD_CLOEXEC, _HELPERS_FD))
    argv = [_python(), "-I", "-c", _START, _home(), "attach", "--quiet", "--marks-fd", str(_HELPERS_FD)]
    argv += ["--begun", ",".join(f"{number:.6f}" for number in begun), *options]
    for key, value in tags.items():
        argv += ["--tag", f"{key}={value}"]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    kept = null[:2] if os.environ.get("LOWTIDE_DEBUG") else null
    actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), _HELPERS_FD), *kept]
    shell = ["/bin/sh", "-c", _IN_BACKGROUND, "sh", *argv, str(os.getpid())]
    try:
        pid = os.posix_spawn(shell[0], shell, dict(os.environ), file_actions=actions, setsid=True)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:  # somebody here waits for every child
            return ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def _python() -> str:
    """This interpreter; of a program that has Python built in, the one that it was built from.

    Raises:
        FileNotFoundError: There is none.
    """
    named = [sys.executable or "", os.path.join(sys.exec_prefix, "bin", "python3")]
    for path in named:
        if os.path.basename(path).startswith(("python", "pypy")) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(2, "no Python interpreter to run it with", named[0])


def _home() -> str:
    """The folder or the zip file in which this package lies."""
    return os.path.dirname(os.path.dirname(_FILE))


def _cpu_s() -> float:
    return sum(os.times()[:4])


def _warn(text: str) -> None:
    import warnings

    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except Exception:  # noqa: BLE001  a program that turns warnings into errors is not to end by ours
        return

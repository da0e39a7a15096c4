"""The supervisor of one local launch: claims it, runs it, keeps how it ended. Started detached by ``LocalEngine``.

    python -m lowtide_providers.engines.local_child FOLDER

Everything that it knows stands in the folder, one file each, written whole or not at all:
    launch.json   what to run (by the engine)
    claim.json    who supervises it: only one can, ever; or that it was cancelled before anybody did
    child.json    the command's process (by that process itself, before it becomes the command)
    cancel        the wish to end it (by the engine)
    suspend       the wish to hold it, while it is there (by the engine); see ``local_family``
    exit.json     how it ended
    output.log    what it printed
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from lowtide_providers.engines.local_family import Family, identity

_WAKERS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1)
_LOOK_S = 2.0
_LOOK_SOON_S = 0.1
_KEEP_TRYING_S = 600.0


def write_whole(path: str, content: dict[str, object], *, exclusive: bool = False) -> bool:
    """Writes JSON so that a reader sees all of it or nothing, also after a power cut.

    Returns:
        False where it was to be exclusive and the file was there before.
    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)  # fails where the name is taken: the one step that cannot be done twice
        else:
            os.rename(temporary, path)
    except FileExistsError:
        return False
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    keep_names(os.path.dirname(path))
    return True


def keep_names(folder: str) -> None:
    """Makes the names in a folder survive a power cut: a claim that is forgotten would be run twice."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(folder: str) -> int:
    """Claims the folder's launch and sees it through; does nothing where somebody has claimed it before."""
    folder = os.path.abspath(folder)
    os.chdir("/")  # no file system is kept from being unmounted
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by some starters: then no status would reach us
    # Blocked before the claim names us, for whoever reads it may wake us. They are taken one by one in _see_through.
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, [*_WAKERS, signal.SIGHUP])
    claim = {**(identity(os.getpid()) or {}), "claimed_s": time.time()}
    try:
        if not write_whole(f"{folder}/claim.json", claim, exclusive=True):
            return 0
    except OSError as error:  # nothing was started and nothing is claimed: the engine may be asked again
        print(f"lowtide: {folder} cannot be claimed: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    _adopt_orphans()
    started_s = time.time()
    exit_status, why = _run(folder, mask_before)
    _keep(
        f"{folder}/exit.json",
        {"exit_status": exit_status, "started_s": started_s, "ended_s": time.time(), "why": why},
    )
    return 0


def _run(folder: str, mask_before: set[signal.Signals | int]) -> tuple[int, str]:
    """Runs the launch to its end; exit status as a shell gives it, and what there is to say about it."""
    supervisor = os.getpid()

    def announce() -> None:
        """In the command's own process: while it runs it can be found, even if its supervisor dies later."""
        try:
            write_whole(f"{folder}/child.json", identity(os.getpid()) or {})
        except OSError:  # a full disk: the supervisor alone knows it then
            pass
        if os.getppid() != supervisor:  # it died before the line above: somebody may have been told "vanished"
            os._exit(125)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)

    try:
        with open(f"{folder}/launch.json", encoding="utf-8") as file:
            launch = json.load(file)
        argv, working_dir = launch["argv"], launch["working_dir"]
        environment, grace_s = launch["environment"], float(launch["stop_grace_s"])
        wrapped = bool(launch.get("wrapped"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _refuse(125, f"what to run cannot be read from {folder}/launch.json: {error}")
    if not os.path.isdir(working_dir):
        return _refuse(125, f"the working folder {working_dir} is not there")
    try:
        child = subprocess.Popen(
            argv,
            cwd=working_dir,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=announce,
        )
    except OSError as error:
        status = 127 if isinstance(error, FileNotFoundError) else 126
        return _refuse(status, f"{argv[0]} cannot be started: {error.strerror}")
    status, stopped = _see_through(child, folder, grace_s, Keeper(Family(supervisor, child.pid, wrapped), folder))
    said = ["told to stop"] if stopped else []
    if status < 0:
        said.append(f"ended by {_signal_name(-status)}")
    return (128 - status if status < 0 else status), "; ".join(said)


def _refuse(status: int, why: str) -> tuple[int, str]:
    print(f"lowtide: {why}", file=sys.stderr, flush=True)
    return status, why


class Keeper:
    """Keeps the command's processes held while the file ``suspend`` is there: those too that begin meanwhile."""

    def __init__(self, family: Family, folder: str) -> None:
        self._family = family
        self._wish = f"{folder}/suspend"
        self._wished = self._held = False

    def look(self, *, woken: bool) -> float:
        """Acts where something may have changed; returns when to look again, s."""
        before, self._wished = self._wished, os.path.exists(self._wish)
        if self._wished != before or (self._wished and (woken or not self._held)):
            self._held = self._family.follow(self._wish)
        return _LOOK_SOON_S if self._wished and not self._held else _LOOK_S

    def let_go(self) -> None:
        """What is held takes no signal but KILL."""
        self._family.release()


def _see_through(child: subprocess.Popen[bytes], folder: str, grace_s: float, keeper: Keeper) -> tuple[int, bool]:
    """Waits for the command; when it is to stop, TERM to its whole group, and KILL to what is left after the grace.

    The wish to stop is the file ``cancel``, or a TERM to the supervisor itself (a machine that shuts down sends one).

    Returns:
        The status as ``Popen`` gives it, and whether it was told to stop.
    """
    kill_at_s: float | None = None
    woken_by: int | None = None
    while True:
        look_s = _LOOK_S
        status = child.poll()
        if kill_at_s is None:
            # A command that was killed may have left its own children running: a wrapper's job outlives the wrapper.
            if status is not None and (status >= 0 or not _anybody_left(child.pid)):
                return status, False
            if woken_by == signal.SIGTERM or os.path.exists(f"{folder}/cancel"):
                _signal_group(child.pid, signal.SIGTERM)
                keeper.let_go()
                kill_at_s = time.monotonic() + grace_s
            else:
                look_s = keeper.look(woken=woken_by is not None)
        elif status is not None and not _anybody_left(child.pid):
            return status, True
        elif time.monotonic() >= kill_at_s:
            _signal_group(child.pid, signal.SIGKILL)
            return child.wait(), True
        left_s = look_s if kill_at_s is None else max(0.0, kill_at_s - time.monotonic())
        woken = signal.sigtimedwait(_WAKERS, left_s if status is None else min(left_s, 0.1))
        woken_by = None if woken is None else woken.si_signo


def _anybody_left(group: int) -> bool:
    """Whether the group of a command that has ended still has somebody who lives."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # orphans come to us, and would stay as zombies
            pass
    return _signal_group(group, 0)


def _adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave behind (``PR_SET_CHILD_SUBREAPER``)."""
    import ctypes

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anybody in the group to send it to."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _keep(path: str, content: dict[str, object]) -> None:
    """Writes the file, again and again while the disk is full: how a job ended must not be lost for want of space."""
    give_up_s = time.monotonic() + _KEEP_TRYING_S
    while True:
        try:
            write_whole(path, content)
        except OSError as error:
            if time.monotonic() > give_up_s:
                print(f"lowtide: {path} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
                return
            time.sleep(1.0)
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

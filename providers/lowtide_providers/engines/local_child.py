"""The supervisor of one local launch: claims it, runs it, keeps how it ended. Started detached by ``LocalEngine``.

    python -m lowtide_providers.engines.local_child FOLDER

Everything that it knows stands in the folder, one file each, written whole or not at all:
    launch.json   what to run (by the engine)
    claim.json    who supervises it: only one can, ever; or that it was cancelled before anybody did
    child.json    the command's process
    cancel        the wish to end it (by the engine)
    exit.json     how it ended
    output.log    what it printed
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

_POLL_S = 0.2
_KEEP_TRYING_S = 600.0


def identity(pid: int) -> dict[str, object] | None:
    """What tells this process from any other that has, or will have, its number; None where it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return {"pid": pid, "start_ticks": int(fields[19]), "boot_id": boot_id}


def write_whole(path: str, content: dict[str, object], *, exclusive: bool = False) -> bool:
    """Writes JSON so that a reader sees all of it or nothing; exclusively: False where the file was there before."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        if exclusive:
            os.link(temporary, path)  # fails where the name is taken: the one step that cannot be done twice
        else:
            os.rename(temporary, path)
            return True
    except FileExistsError:
        return False
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return True


def main(folder: str) -> int:
    """Claims the folder's launch and sees it through; does nothing where somebody has claimed it before."""
    os.chdir(folder)
    with open("launch.json", encoding="utf-8") as file:
        launch = json.load(file)
    me = identity(os.getpid())
    if me is None or not write_whole("claim.json", {**me, "claimed_s": time.time()}, exclusive=True):
        return 0
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    started_s = time.time()
    try:
        child = subprocess.Popen(
            launch["argv"],
            cwd=launch["working_dir"],
            env={**os.environ, **launch["environment"]},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        status = 127 if isinstance(error, FileNotFoundError) else 126
        said = f"lowtide: cannot start {launch['argv'][0]!r} in {launch['working_dir']!r}: {error.strerror}"
        print(said, file=sys.stderr, flush=True)
        _keep({"exit_status": status, "started_s": started_s, "ended_s": time.time(), "why": said})
        return 0
    _keep({**(identity(child.pid) or {"pid": child.pid})}, "child.json")
    status = _wait(child, float(launch["stop_grace_s"]))
    why = f"ended by signal {signal.Signals(-status).name}" if status < 0 else ""
    code = 128 - status if status < 0 else status
    _keep({"exit_status": code, "started_s": started_s, "ended_s": time.time(), "why": why})
    return 0


def _wait(child: subprocess.Popen[bytes], grace_s: float) -> int:
    """The child's status; on a wish to cancel TERM to its whole session, and KILL after the grace."""
    kill_at_s: float | None = None
    while True:
        try:
            return child.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            pass
        if kill_at_s is None and os.path.exists("cancel"):
            kill_at_s = time.monotonic() + grace_s
            _signal_group(child.pid, signal.SIGTERM)
        elif kill_at_s is not None and time.monotonic() >= kill_at_s:
            _signal_group(child.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _keep(content: dict[str, object], name: str = "exit.json") -> None:
    """Writes the file, again and again while the disk is full: how a job ended must not be lost for want of space."""
    give_up_s = time.monotonic() + _KEEP_TRYING_S
    while True:
        try:
            write_whole(name, content)
        except OSError as error:
            if time.monotonic() > give_up_s:
                print(f"lowtide: {name} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
                return
            time.sleep(1.0)
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

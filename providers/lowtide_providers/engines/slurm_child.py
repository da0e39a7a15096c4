"""Looks after one launch on a node of a Slurm cluster: runs it once, and keeps how it ended.

    python -I THIS_FILE FOLDER

``SlurmEngine`` copies this file to the shared file system: a node needs nothing but Python, so nothing of ours is
imported. Everything that it knows stands in the folder, one file each, written whole or not at all; of a task of an
array each name carries the task (``exit.t3.json``):
    launch.json   what to run (by the engine)
    cancel        the wish to end it (by the engine)
    again         leave to be interrupted and started anew, once (by the engine, before it requeues the job)
    claim.json    which Slurm job runs it: only one can, ever
    exit.json     how it ended
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""Slurm sends these to the batch shell alone where it is asked to, and that is us; TERM it sends to everybody."""
_CANNOT = 125
_ENVIRONMENT = {
    "slurm_job": "SLURM_JOB_ID",
    "cluster": "SLURM_CLUSTER_NAME",
    "partition": "SLURM_JOB_PARTITION",
    "account": "SLURM_JOB_ACCOUNT",
    "node": "SLURM_JOB_NODELIST",
}


def main(folder: str) -> int:
    """Runs the folder's launch, unless somebody has, or it is cancelled; returns its status as a shell gives it."""
    listened = signal.pthread_sigmask(signal.SIG_BLOCK, [*_PASSED_ON, signal.SIGTERM, signal.SIGCHLD])
    task = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    part = f".t{task}" if task else ""
    identity = {name: os.environ[variable] for name, variable in _ENVIRONMENT.items() if os.environ.get(variable)}
    if task:
        identity["slurm_job"] = os.environ.get("SLURM_ARRAY_JOB_ID", identity.get("slurm_job", ""))
    claim: dict[str, Any] = {"identity": identity, "claimed_s": time.time(), "output": _output(), "restart": 0}
    if os.path.exists(f"{folder}/cancel"):
        return _keep(folder, part, None, "cancelled before it started", None)
    if not _write_once(f"{folder}/claim{part}.json", claim):
        before = _load(f"{folder}/claim{part}.json")
        if before.get("identity", {}).get("slurm_job") != identity.get("slurm_job"):
            print(f"lowtide: this launch runs as Slurm job {before.get('identity', {}).get('slurm_job')}, not here")
            return 0
        if not _take(f"{folder}/again{part}"):
            why = "Slurm started it a second time; it is run only once"
            _keep(folder, part, None, why, before.get("claimed_s"))
            return _CANNOT
        claim["restart"] = before.get("restart", 0) + 1
        claim["claimed_s"] = before.get("claimed_s", claim["claimed_s"])
        _write(f"{folder}/claim{part}.json", claim)
    started_s = float(claim["claimed_s"])
    launch = _load(f"{folder}/launch.json")
    try:
        status, stopped = _run(launch, part, int(claim["restart"]), listened)
    except (OSError, KeyError, TypeError, IndexError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else f"launch.json lacks {error}"
        print(f"lowtide: it cannot be started: {said}", file=sys.stderr, flush=True)
        status = 127 if isinstance(error, FileNotFoundError) else 126 if isinstance(error, OSError) else _CANNOT
        return _keep(folder, part, status, "it could not be started", started_s)
    if stopped and os.path.exists(f"{folder}/again{part}"):
        return 128 + signal.SIGTERM  # interrupted at our own wish: it goes on later, as the same Slurm job
    words = ["told to stop"] if stopped else []
    if status < 0:
        words.append(f"ended by {_signal_name(-status)}")
    return _keep(folder, part, 128 - status if status < 0 else status, "; ".join(words), started_s)


def _run(launch: dict[str, Any], part: str, restart: int, listened: set[int]) -> tuple[int, bool]:
    """Starts the command and waits for it; its status as ``Popen`` gives it, and whether it was told to stop."""
    argv = list(launch["argv"])
    at = launch.get("run_id_at")
    if at is not None:
        argv[at] += part + (f".r{restart}" if restart else "")
    passed_on = (*_PASSED_ON, *((signal.SIGTERM,) if launch.get("term_to_batch") else ()))
    child = subprocess.Popen(
        argv,
        cwd=launch["working_dir"],
        env={**os.environ, **launch["environment"]},
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, listened),
    )
    stopped = False
    while (status := child.poll()) is None:
        woken = signal.sigtimedwait([*_PASSED_ON, signal.SIGTERM, signal.SIGCHLD], 5.0)
        if woken is None:
            continue
        stopped = stopped or woken.si_signo == signal.SIGTERM
        if woken.si_signo in passed_on:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(woken.si_signo)
    return status, stopped or signal.SIGTERM in signal.sigpending()


def _keep(folder: str, part: str, status: int | None, why: str, started_s: float | None) -> int:
    """Writes down how it ended; returns the status for Slurm."""
    ended = {"exit_status": status, "why": why, "started_s": started_s, "ended_s": time.time()}
    give_up_s = time.monotonic() + 60.0
    while True:
        try:
            _write(f"{folder}/exit{part}.json", ended)
        except OSError as error:  # a full disk: Slurm kills us when its patience is over
            if time.monotonic() > give_up_s:
                print(f"lowtide: {folder} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
                break
            time.sleep(1.0)
        else:
            break
    return 0 if status is None else status


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _output() -> str:
    """The file that Slurm writes the output to."""
    try:
        return os.readlink("/proc/self/fd/1")
    except OSError:
        return ""


def _take(path: str) -> bool:
    """Removes the file; whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: str, content: dict[str, Any]) -> None:
    os.replace(_temporary(path, content), path)


def _write_once(path: str, content: dict[str, Any]) -> bool:
    """Whether the name was free. A link, for that is the one step that a network file system does for one only."""
    temporary = _temporary(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


def _temporary(path: str, content: dict[str, Any]) -> str:
    temporary = f"{path}.{os.uname().nodename}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    return temporary


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""What Slurm knows of a job: what it gave it on this node, and, asked once at the end, what it measured itself."""

from __future__ import annotations

import os
import select
import time

from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ASK_AT_MOST_S = 2.0
_ASK_AFTER_S = 10.0


def is_exclusive(environ: Mapping[str, str], threads: int) -> bool:
    """Whether Slurm gave the job every CPU of this node; without Slurm nobody says that a node is one job's."""
    cpus = environ.get("SLURM_CPUS_ON_NODE", "")
    return "SLURM_JOB_ID" in environ and cpus.isdecimal() and int(cpus) >= threads


def consumed_energy_j(environ: Mapping[str, str], ran_for_s: float, within_s: float = _ASK_AT_MOST_S) -> float | None:
    """Slurm's own figure of the step, over all its nodes; J. To be shown beside ours, never added.

    None where there is no Slurm, no ``sacct``, no plugin that measures, no answer in time; and for runs of a few
    seconds, which the question would lengthen.
    """
    step = step_of(environ)
    if not step or ran_for_s < _ASK_AFTER_S:
        return None
    text = _output(["sacct", "-j", step, "-n", "-P", "-o", "ConsumedEnergyRaw"], environ, within_s)
    numbers = [int(word) for word in text.split() if word.isdecimal()]
    return float(numbers[0]) if numbers and numbers[0] > 0 else None


def step_of(environ: Mapping[str, str]) -> str:
    """``JOB.STEP``, or ``JOB`` outside of a step; "" without Slurm."""
    job, step = environ.get("SLURM_JOB_ID", ""), environ.get("SLURM_STEP_ID", "")
    return f"{job}.{step}" if job and step else job


def _output(argv: list[str], environ: Mapping[str, str], within_s: float) -> str:
    """What a program prints, or "" where it fails or takes longer; it is ended then."""
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    try:
        pid = os.posix_spawnp(argv[0], argv, dict(environ), file_actions=actions)
    except OSError:
        os.close(reading)
        return ""
    finally:
        os.close(writing)
    said = b""
    deadline_s = time.monotonic() + within_s
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    try:
        while poll.poll(1000 * max(deadline_s - time.monotonic(), 0.0)):
            part = os.read(reading, 4096)
            if not part:
                break
            said += part
        else:
            os.kill(pid, 9)
            said = b""
    finally:
        os.close(reading)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return ""
    return said.decode(errors="replace") if status == 0 else ""

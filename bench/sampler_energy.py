"""A1: a known energy, and A2: a known attribution, in full length; reported / true."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import opponent
from sampler_table import Line

from fakes import cpu_account, known_power, powercap_world

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH_S = float(os.environ.get("LOWTIDE_LENGTH_S", "16"))
LONG_S = float(os.environ.get("LOWTIDE_LONG_S", "60"))
SEEDS = int(os.environ.get("LOWTIDE_SEEDS", "10"))
AT_ONCE = 4
_BARS = {"exact": (0.995, 1.005), "estimated": (0.9, 1.1), "modelled": (None, None)}


def known_counters() -> Iterator[Line]:
    """S1 to S11: each tool alone in a node of known power."""
    if powercap_world.why_not():
        yield Line("A1", "known counters", None, note=f"not run: {powercap_world.why_not()}")
        return
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as threads:
        rows = list(known_power.situations(LENGTH_S).values())
        ours = [threads.submit(known_power.measure, Path(folder, row.name), row, LENGTH_S) for row in rows]
        theirs = [threads.submit(_their_share, Path(folder, row.name + "-other"), row) for row in rows]
        for row, mine, other in zip(rows, ours, theirs, strict=True):
            measured = mine.result()
            wrong = known_power.verdict(row, measured)
            low, high = _BARS[row.kind]
            ratio = measured.ratio
            if row.kind == "modelled":  # the model knows nothing of the counters: its share is what is held
                yield Line("A1", f"{row.name} {row.title}: modelled_share", measured.result["modelled_share"], 1, 1,
                           note=wrong)  # fmt: skip
                yield Line("A1", f"{row.name} {row.title}: ratio", ratio, theirs=other.result())
                continue
            yield Line("A1", f"{row.name} {row.title}", ratio, low, high, other.result(), wrong)
            if row.kind == "estimated":
                inside = float(measured.low_j <= measured.true_j <= measured.high_j)
                yield Line("A1", f"{row.name} {row.title}: truth in the band", inside, 1, 1)


def _their_share(folder: Path, row: known_power.Situation) -> float | None:
    folder.mkdir()
    world = powercap_world.World(folder, row.zones)
    try:
        argv = world.argv(opponent.tracker_argv(LENGTH_S))
    except opponent.Unavailable:
        return None
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    if ran.returncode != 0:
        return None
    found = opponent.tracked(ran.stdout)
    return found["cpu_j"] / world.true_j(found["first_s"], found["last_s"])


def known_devices() -> Iterator[Line]:
    """N1 to N7, through a driver's library of known power."""
    try:
        from fakes import known_gpus
    except ImportError as error:
        yield Line("A1", "known devices", None, note=f"not run: {error}")
        return
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(AT_ONCE) as threads:
        folder = Path(name)
        known_gpus.fake_nvml.build(folder)  # once, before the threads want it
        rows = known_gpus.situations(LENGTH_S)
        ours = [threads.submit(known_gpus.measure, folder / row.name, row, LENGTH_S) for row in rows]
        theirs = [threads.submit(_their_device_share, folder / f"{row.name}-other", row) for row in rows]
        for row, mine, other in zip(rows, ours, theirs, strict=True):
            measured = mine.result()
            yield Line("A1", f"{row.name} {row.title}", measured.ratio, row.low, row.high, other.result(),
                       known_gpus.verdict(row, measured))  # fmt: skip
        row = known_gpus.power_only()
        runs = [threads.submit(known_gpus.measure, folder / f"N3-{seed}", row, LONG_S, seed) for seed in range(SEEDS)]
        other = threads.submit(_their_device_share, folder / "N3-other", row)
        ratios = [run.result().ratio for run in runs]
        worst = max(ratios, key=lambda ratio: abs(ratio - 1))
        title = f"{row.name} {row.title}, {LONG_S:g} s x {SEEDS}"
        yield Line("A1", f"{title}: worst", worst, row.low, row.high, other.result())
        # No bias: the mean lies within twice its own error of 1, or within 1 %.
        error = 2 * statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.05
        slack = max(error, 0.01)
        yield Line("A1", f"{title}: mean", statistics.mean(ratios), 1 - slack, 1 + slack)


def _their_device_share(folder: Path, row: known_gpus.Situation) -> float | None:  # noqa: F821
    from fakes import known_gpus

    folder.mkdir()
    try:
        argv = opponent.tracker_argv(LENGTH_S)
    except opponent.Unavailable:
        return None
    environment, true_j = known_gpus.lay_out(folder, row, LENGTH_S)
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    if ran.returncode != 0:
        return None
    found = opponent.tracked(ran.stdout)
    return found["gpu_j"] / true_j(found["first_s"], found["last_s"])


def attribution() -> Iterator[Line]:
    """The seven jobs: CPU seconds counted / those of a control group around the job."""
    if cpu_account.why_not():
        yield Line("A2", "attribution", None, note=f"not run: {cpu_account.why_not()}")
        return
    for number, job in enumerate(cpu_account.jobs()):
        with tempfile.TemporaryDirectory() as folder:
            account = cpu_account.CpuAccount(f"bench{number}")
            try:
                answer = f"{folder}/run.json"
                argv = [*known_power.LOWTIDE, "run", "--quiet", "--json", answer, "--journal", folder, "--"]
                status = subprocess.run([*argv, *account.argv(job.argv)], check=False).returncode
                true_s = account.cpu_s()
            finally:
                account.close()
            share = json.loads(Path(answer).read_text())["cpu_seconds"] / true_s
        note = "" if status == job.status else f"exit status {status}"
        yield Line("A2", f"{job.title} ({true_s:.2f} CPU s)", share, 0.99, 1.01, _their_cpu_share(job), note)


def _their_cpu_share(job: cpu_account.Job) -> float | None:
    """CPU seconds that the other's wrapper counts / true: its energy over the watts it gives to one busy CPU."""
    account = cpu_account.CpuAccount("other")
    try:
        with tempfile.TemporaryDirectory() as folder:
            try:
                argv = opponent.monitor_argv(account.argv(job.argv))
            except opponent.Unavailable:
                return None
            subprocess.run(argv, cwd=folder, capture_output=True, check=False)
            return opponent.cpu_seconds(Path(folder)) / account.cpu_s()
    except (OSError, LookupError, ValueError, subprocess.CalledProcessError):
        return None
    finally:
        account.close()


def main() -> None:
    sys.exit(not all([*(line.holds for part in (known_counters, known_devices, attribution) for line in part())]))


if __name__ == "__main__":
    main()

"""codecarbon, unmodified, in an environment of its own: what the sampler's table shows beside our figures.

It is installed from the package index into the cache folder at first use, and is a dependency of nothing. Where that
fails the table says so and goes on.
"""

from __future__ import annotations

import csv
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

VERSION = "3.3.2"

# A process that tracks itself while it sleeps, and tells when that was and what was counted.
TRACK = """
import json, sys, time
before_s, cpu_before_s = time.monotonic(), time.process_time()
from codecarbon import OfflineEmissionsTracker
seconds, options = float(sys.argv[1]), json.loads(sys.argv[2])
tracker = OfflineEmissionsTracker(country_iso_code="DEU", save_to_file=False, log_level="error",
                                  allow_multiple_runs=True, **options)
tracker.start()
first_s, cpu_first_s = time.monotonic(), time.process_time()
time.sleep(seconds)
last_s, cpu_last_s = time.monotonic(), time.process_time()
tracker.stop()
data = tracker.final_emissions_data
print(json.dumps({"before_s": first_s - before_s, "first_s": first_s, "last_s": last_s,
                  "running_cpu_s": cpu_last_s - cpu_first_s,
                  "cpu_j": 3.6e6 * data.cpu_energy, "gpu_j": 3.6e6 * data.gpu_energy}))
"""


class Unavailable(Exception):
    """It cannot be installed here; says why."""


@functools.cache
def folder() -> Path:
    """Its environment's folder of programs, made at first use.

    Raises:
        Unavailable: The environment cannot be made, or the package index not reached.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "lowtide" / "bench" / f"codecarbon-{VERSION}"
    programs = home / "bin"
    if not (programs / "codecarbon").exists():
        print(f"installing codecarbon {VERSION} into {home}", file=sys.stderr)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", f"codecarbon=={VERSION}"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Unavailable(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given")
    return programs


def tracker_argv(seconds: float, **options: Any) -> list[str]:
    """A process that tracks itself while it sleeps."""
    return [str(folder() / "python"), "-c", TRACK, str(seconds), json.dumps(options)]


def monitor_argv(command: list[str]) -> list[str]:
    """Its own wrapper around a command."""
    return [
        str(folder() / "codecarbon"),
        "monitor",
        "--offline",
        "--country-iso-code",
        "DEU",
        "--no-api",
        "--",
        *command,
    ]


@functools.cache
def watts_per_thread() -> float:
    """What it takes a busy CPU of this machine to draw; W."""
    ask = "import os; from codecarbon.core.cpu import TDP; print(TDP().tdp / os.cpu_count())"
    done = subprocess.run([str(folder() / "python"), "-c", ask], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def cpu_seconds(place: Path) -> float:
    """CPU seconds that its wrapper counted for a command: the energy in its CSV over that of a busy second."""
    with (place / "emissions.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    return 3.6e6 * float(last["cpu_energy"]) / watts_per_thread()


def tracked(stdout: str) -> dict[str, float]:
    """What the tracker's process printed."""
    found: dict[str, float] = json.loads(stdout.strip().splitlines()[-1])
    return found

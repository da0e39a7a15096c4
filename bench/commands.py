"""What the fast commands cost, as whole processes, beside the import of the libraries that they cannot do without.

The runs of a command and of its reference alternate, so that a machine that slows down slows both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOWTIDE = str(Path(sys.executable).with_name("lowtide"))
ROUNDS = int(os.environ.get("LOWTIDE_ROUNDS", "31"))

CASES = [
    ("lowtide --help", [LOWTIDE, "--help"], [sys.executable, "-c", "import click"], 1.3),
    (
        "lowtide plan, embedded data",
        [LOWTIDE, "plan", "--duration", "4h", "--deadline", "24h", "--zone", "DE", "--signal", "climatology"],
        [sys.executable, "-c", "import click, numpy"],
        1.4,
    ),
    (
        "lowtide regions --gpu H100",
        [LOWTIDE, "regions", "--gpu", "H100"],
        [sys.executable, "-c", "import click, numpy"],
        None,
    ),
    ("lowtide run -- true", [LOWTIDE, "run", "--quiet", "--", "true"], [sys.executable, "-c", "pass"], None),
]


def wall_s(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "LOWTIDE_STATE": home, "LOWTIDE_CONFIG": f"{home}/none"}
        print(f"{'command':<32}{'median':>10}{'reference':>12}{'ratio':>8}{'bar':>8}")
        for name, command, reference, bar in CASES:
            wall_s(command, environment), wall_s(reference, environment)
            pairs = [(wall_s(command, environment), wall_s(reference, environment)) for _ in range(ROUNDS)]
            mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            shown = "" if bar is None else f"{bar:.1f}"
            print(f"{name:<32}{mine * 1000:>7.0f} ms{theirs * 1000:>9.0f} ms{mine / theirs:>8.2f}{shown:>8}")


if __name__ == "__main__":
    main()

"""A5 and A6: kills under known counters, and statuses and output beside a bare run's, in full number."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sampler_table import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("LOWTIDE_KILLS", "200"))


def crashes() -> Iterator[Line]:
    """The tests themselves, at full count: what they hold is what the specification says."""
    for case, title, files, chosen in (
        ("A5", f"{KILLS} kills: journal, joules, tail or status wrong", "test_sampler_killed_with_counters.py", ""),
        ("A6", "statuses 0-255, streams, bad nodes: not as bare", "test_sampler_transparent.py", ""),
        ("A6", "15 signals, streams, environment: not as bare", "../unit/sampler/test_sampler_run.py", ""),
        ("A5", "no room, no rights, no streams: disturbed", "test_sampler_faults.py", "not killed_at_any_time"),
    ):
        ran, failed, skipped = outcomes(ROOT / "tests" / "faults" / files, chosen)
        note = f"of {ran}" + (f", {skipped} skipped" if skipped else "")
        yield Line(case, title, float(failed) if ran else None, None, 0, note=note)


def outcomes(file: Path, chosen: str = "") -> tuple[int, int, int]:
    """(tests run, failed, skipped) of one file at full count."""
    environment = {**os.environ, "LOWTIDE_KILLS": str(KILLS), "LOWTIDE_EXAMPLES": "256"}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=0", "-k", chosen, str(file)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, cwd=ROOT).stdout
    last = shown.strip().splitlines()[-1] if shown.strip() else ""
    counts = {
        word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|xfailed|xpassed|error)", last)
    }
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("xfailed", 0)
    return counts.get("passed", 0) + counts.get("xpassed", 0) + failed, failed, counts.get("skipped", 0)

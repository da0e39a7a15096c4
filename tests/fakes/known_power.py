"""The situations of the specification's table of known energy, and what a sampler says about each."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from fakes.powercap_world import World, Zone, constant, square
from lowtide_sampler.journal import read_journal

if TYPE_CHECKING:
    from pathlib import Path

LOWTIDE = [sys.executable, "-m", "lowtide.entry"]
_PACKAGE = "intel-rapl:0"
_OTHER = "intel-rapl:1"


class Situation(NamedTuple):
    """One row: its zones for a run of that many seconds, and how it is judged."""

    name: str
    title: str
    zones: tuple[Zone, ...]
    kind: str = "exact"
    """``exact`` (within 0.5 %), ``estimated`` (inside the band, within 10 %, flagged) or ``modelled``."""


def situations(length_s: float) -> dict[str, Situation]:
    """S1 to S10, and a recorded power, for runs of ``length_s``."""
    chance = random.Random(11)
    recorded = tuple((chance.uniform(0.01, 0.9), chance.uniform(5, 240)) for _ in range(41))
    half_j = 0.5 * 100 * length_s
    small_j = max(0.41 * 100 * length_s, 260.0)  # of shorter ranges one reading in half a second cannot be sure
    rows = [
        Situation("S1", "one package, 100 W", (Zone(_PACKAGE, "package-0", constant(100)),)),
        Situation(
            "S2",
            "two packages with memory",
            (
                Zone(_PACKAGE, "package-0", constant(90)),
                Zone(f"{_PACKAGE}:0", "core", constant(70), is_counted=False),
                Zone(f"{_PACKAGE}:1", "dram", constant(12)),
                Zone(_OTHER, "package-1", constant(61)),
                Zone(f"{_OTHER}:0", "dram", constant(8)),
            ),
        ),
        Situation(
            "S3",
            "one wrap",
            (Zone(_PACKAGE, "package-0", constant(100), start_uj=262143328850 - round(1e6 * half_j)),),
        ),
        Situation(
            "S4",
            "package 30 W and psys 55 W",
            (Zone(_PACKAGE, "package-0", constant(30)), Zone(_OTHER, "psys", constant(55), is_counted=False)),
        ),
        Situation(
            "S5",
            "register and memory-mapped twins",
            (
                Zone(_PACKAGE, "package-0", constant(45)),
                Zone("intel-rapl-mmio:0", "package-0", constant(45), is_counted=False),
            ),
        ),
        Situation(
            "S6",
            "two dies mirror one counter",
            (
                Zone(_PACKAGE, "package-0-die-0", constant(80)),
                Zone(_OTHER, "package-0-die-1", constant(80), is_counted=False),
            ),
        ),
        Situation(
            "S7", "no right to read", (Zone(_PACKAGE, "package-0", constant(100), readable=False),), kind="modelled"
        ),
        Situation(
            "S8",
            "one of two packages vanishes half-way",
            (
                Zone(_PACKAGE, "package-0", constant(50)),
                Zone(_OTHER, "package-1", constant(50), vanishes_s=0.5 * length_s),
            ),
            kind="estimated",
        ),
        Situation("S9", "bursts 200/20 W", (Zone(_PACKAGE, "package-0", square(200, 20)),)),
        Situation(
            "S10",
            "so small a range that it wraps every 7 s",
            (Zone(_PACKAGE, "package-0", constant(100), range_uj=round(1e6 * small_j),
                  start_uj=round(1e6 * small_j - 0.5e6 * half_j), limit_w=125),),
        ),
        Situation("S11", "a recorded power", (Zone(_PACKAGE, "package-0", recorded),)),
    ]  # fmt: skip
    return {row.name: row for row in rows}


class Measured(NamedTuple):
    """What ``lowtide run`` said of a sleeping command, beside the truth; J.

    ``true_j`` is of the sampler's own window, from its first record to its last. The command's window lies inside it,
    ``inner_j``; it lies inside that of the whole process, ``outer_j``.
    """

    status: int
    result: dict[str, Any]
    errors: str
    reported_j: float
    low_j: float
    high_j: float
    true_j: float
    inner_j: float
    outer_j: float

    @property
    def ratio(self) -> float:
        return self.reported_j / self.true_j


def measure(folder: Path, situation: Situation, length_s: float, *options: str) -> Measured:
    """Runs ``lowtide run`` in the situation's world and reads its result."""
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, situation.zones)
    answer = folder / "run.json"
    command = [*LOWTIDE, "run", "--json", str(answer), "--journal", str(folder / "spool"), "--attribution", "node",
               *options, "--", *world.sleeper(length_s)]  # fmt: skip
    ran = subprocess.run(world.argv(command), capture_output=True, text=True, check=False, env=dict(os.environ))
    ended_s = time.monotonic()
    result = json.loads(answer.read_text())
    parts = [part for name, part in result["components"].items() if name in ("cpu", "dram")]
    sums = [
        sum(part[key] or 0.0 for part in parts if _is_counter(part) or situation.kind == "modelled")
        for key in ("energy_j", "energy_low_j", "energy_high_j")
    ]
    return Measured(
        ran.returncode,
        result,
        ran.stderr,
        *sums,
        true_j=world.true_j(*own_window_s(folder / "spool")),
        inner_j=world.true_j(*world.window_s()),
        outer_j=world.true_j(world.began_s(), ended_s),
    )


def own_window_s(spool: Path) -> tuple[float, float]:
    """First and last instant of the only journal of a folder; s of CLOCK_MONOTONIC, to its records' milliseconds."""
    (journal,) = spool.glob("*.jsonl")
    ticks = read_journal(journal).ticks
    offset_s = time.time() - time.monotonic()
    return ticks[0]["utc"] - offset_s, ticks[-1]["utc"] - offset_s


def _is_counter(part: dict[str, Any]) -> bool:
    """Whether the figures of a component come from a counter: memory is modelled where it has none."""
    return any(label.startswith("RAPL") for label in part["sources"])


def verdict(situation: Situation, measured: Measured) -> str:
    """What is wrong with a full-length run; "" where it meets the bar."""
    if measured.status != 0:
        return f"exit status {measured.status}"
    if not 0.999 * measured.inner_j <= measured.true_j <= measured.outer_j:
        return "its window is not around the command's"
    if situation.kind == "modelled":
        if measured.result["modelled_share"] != 1:
            return f"modelled_share {measured.result['modelled_share']}"
        return "" if "to mend it" in measured.errors else "no message with a remedy"
    if situation.kind == "estimated":
        if not measured.low_j <= measured.true_j <= measured.high_j:
            return "the truth is outside the band"
        if "filled" not in measured.result["components"]["cpu"]["flags"]:
            return "not flagged"
        return "" if abs(measured.ratio - 1) <= 0.10 else "more than 10 % off"
    return "" if abs(measured.ratio - 1) <= 0.005 else "more than 0.5 % off"

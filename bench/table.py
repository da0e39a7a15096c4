"""A figure beside its bar, and how a rate is measured: the median of five rounds, in processor time of this process."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = int(os.environ.get("LOWTIDE_ROUNDS", "5"))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``bar`` None is a figure for orientation, which nothing depends on."""

    case: str
    figure: str
    value: float
    unit: str = ""
    bar: float | None = None
    better: Literal["more", "less"] = "more"

    @property
    def holds(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.better == "more" else self.value <= self.bar

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{'>=' if self.better == 'more' else '<='} {_short(self.bar)}"
        mark = "" if self.bar is None else "holds" if self.holds else "MISSED"
        return f"{self.case:<7}{self.figure:<58}{_short(self.value):>12} {self.unit:<9}{bar:>13}  {mark}".rstrip()


def per_second(call: Callable[[], object], *, items: int = 1, calls: int = 1) -> float:
    """Items that one core does in a second: the median of the rounds, each of ``calls`` calls of ``items`` items."""
    return items * calls / seconds(call, calls=calls)


def seconds(call: Callable[[], object], *, calls: int = 1) -> float:
    """Processor time of ``calls`` calls; s, the median of the rounds."""
    call()  # what is made once is made before
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(calls):
            call()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def data_folder() -> Path:
    """The folder of measured series; the benchmarks of published cases need it."""
    folder = os.environ.get("LOWTIDE_TEST_DATA")
    if not folder:
        raise SystemExit("LOWTIDE_TEST_DATA is not set: it names the folder of measured series")
    return Path(folder)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

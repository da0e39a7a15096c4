"""A line of the sampler's table: a figure, its bar, what lowtide reaches, and what codecarbon does in the same run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Line:
    """``low`` and ``high`` are the bar; a line without either is for orientation; ``theirs`` None: not measured."""

    case: str
    figure: str
    ours: float | None
    low: float | None = None
    high: float | None = None
    theirs: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure is there and within its bar."""
        if self.low is None and self.high is None:
            return True
        if self.ours is None:
            return False
        return (self.low is None or self.ours >= self.low) and (self.high is None or self.ours <= self.high)

    @property
    def bar(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{_short(self.low)}-{_short(self.high)}"
        if self.low is not None:
            return f">= {_short(self.low)}"
        return f"<= {_short(self.high)}" if self.high is not None else ""

    def __str__(self) -> str:
        mark = "" if not self.bar else "holds" if self.holds else "MISSED"
        cells = f"{self.case:<5}{self.figure:<52}{self.bar:>15}{_short(self.ours):>10}{_short(self.theirs):>12}"
        return f"{cells}  {mark:<7}{self.note}".rstrip()


HEADING = f"{'':<5}{'figure':<52}{'bar':>15}{'lowtide':>10}{'codecarbon':>12}"


def show(lines: Iterable[Line]) -> bool:
    """Prints each line as it comes; whether all of them hold."""
    missed = False
    for line in lines:
        print(line, flush=True)
        missed |= not line.holds
    return not missed


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

"""What a job does and draws at each width that it can run at."""

from __future__ import annotations

from dataclasses import dataclass

from lowtide_core.errors import InputError


@dataclass(frozen=True, slots=True)
class WidthTable:
    """What the job does and draws at each width (servers, accelerators); width 0, a pause, is always allowed.

    Attributes:
        width, throughput, power_w: One entry per width, ascending; throughput in any unit of work per second.
        base: The width for which the job's duration is given.
        whole_steps: One width per step of the intensity, instead of changing at any time.
        switch_kwh: IT energy of each change of width; needs whole steps.
        excluded: Widths that were left out, and why ("8: needs 96 GB, there are 80").
        fixed: One width for the whole run, because what runs it cannot change it.
    """

    width: tuple[int, ...]
    throughput: tuple[float, ...]
    power_w: tuple[float, ...]
    base: int
    whole_steps: bool = False
    switch_kwh: float = 0.0
    excluded: tuple[str, ...] = ()
    fixed: bool = False

    def __post_init__(self) -> None:
        sound = len(self.width) == len(self.throughput) == len(self.power_w) > 0
        if not sound or self.base not in self.width or sorted(set(self.width)) != list(self.width):
            raise InputError(
                f"The widths {self.width} with base {self.base} cannot be used.",
                hint="List each width once, ascending, with its throughput and power, the base among them.",
            )

    def at(self, width: int) -> tuple[float, float]:
        """Throughput and power of a width."""
        place = self.width.index(width)
        return self.throughput[place], self.power_w[place]

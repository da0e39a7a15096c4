"""How a job runs, and what its user calls better: what every plan of it must know. Plain values, kept with the job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.jobs.durations import DurationGuess
    from lowtide.jobs.widths import WidthTable

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Pausing:
    """The job may be paused and resumed.

    Attributes:
        restart_kwh: IT energy that each resuming costs, beside the run; >= 0.
        max_pauses: None is no limit.
        min_run_s: Shortest run between two pauses; s, >= 0.
    """

    restart_kwh: float = 0.0
    max_pauses: int | None = None
    min_run_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.restart_kwh < float("inf"):
            raise InputError(f"The energy of a restart is {self.restart_kwh} kWh.", hint="Give 0 or more: 0.2kWh.")
        if self.max_pauses is not None and self.max_pauses < 0:
            raise InputError(f"At most {self.max_pauses} pauses cannot be.", hint="Give 0 or more.")
        if not 0 <= self.min_run_s < float("inf"):
            raise InputError(f"The shortest run is {self.min_run_s} s.", hint="Give 0 or more: 30m.")

    @property
    def is_free(self) -> bool:
        """Whether pauses cost nothing and are not limited."""
        return not self.restart_kwh and self.max_pauses is None and not self.min_run_s


@dataclass(frozen=True, slots=True)
class Manner:
    """How the job runs; the default is one uninterrupted run at constant power.

    Attributes:
        pausing: None where it may not be paused.
        setup_kwh, teardown_kwh: IT energy of its start and its end, beside the run; >= 0.
        course: Power over the run: pairs of a share of the duration and the power over the mean one. Empty: constant.
        guess: None where the duration is known.
        widths: None where it has one width.
    """

    pausing: Pausing | None = None
    setup_kwh: float = 0.0
    teardown_kwh: float = 0.0
    course: tuple[tuple[float, float], ...] = ()
    guess: DurationGuess | None = None
    widths: WidthTable | None = None

    def __post_init__(self) -> None:
        for name, energy_kwh in (("set-up", self.setup_kwh), ("tear-down", self.teardown_kwh)):
            if not 0 <= energy_kwh < float("inf"):
                raise InputError(f"The energy of the {name} is {energy_kwh} kWh.", hint="Give 0 or more: 0.2kWh.")
        if self.course:
            _require_course(self.course)
        _require_combinable(self)


def _require_course(course: tuple[tuple[float, float], ...]) -> None:
    whole = sum(share for share, _ in course)
    mean = sum(share * relative for share, relative in course)
    positive = all(share > 0 and 0 <= relative < float("inf") for share, relative in course)
    if not positive or abs(whole - 1) > _SAME or abs(mean - 1) > _SAME:
        raise InputError(
            "The course of the power is no division of the run: shares must be positive and add up to 1.",
            hint="Give each stretch its length and its power; at least one must draw some.",
        )


def _require_combinable(manner: Manner) -> None:
    widths, guessed = manner.widths is not None, manner.guess is not None
    pausing = manner.pausing
    asked = {
        "a power that varies over the run": bool(manner.course),
        "a tear-down": manner.teardown_kwh > 0,
        "a set-up": manner.setup_kwh > 0 and widths,
        "a duration that is not known": guessed and widths,
        "pauses that cost something or are limited": widths and pausing is not None and not pausing.is_free,
    }
    clash = next((what for what, is_so in asked.items() if is_so and (widths or guessed)), None)
    if clash is not None:
        other = "several widths" if widths else "a duration that is not known"
        raise InputError(
            f"{clash[0].upper()}{clash[1:]} and {other} cannot be planned together.", hint="Leave one out."
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What counts as better, and how much better it must be.

    Attributes:
        carbon_price_usd_per_t: Money and emissions are added at this price; None: emissions alone.
        robust: Judge places and times by the upper end of the forecast's band, not by its middle.
        least_errors: A job is shifted only where the expected gain is so many mean absolute errors of the forecast in
            the planned hours (fewer of a climatology's); 0 shifts for any gain. Where the forecast has no band nothing
            is known of its error.
    """

    carbon_price_usd_per_t: float | None = None
    robust: bool = False
    least_errors: float = 0.0


PLAIN = Manner()
"""One uninterrupted run at constant power."""

EXPECTED = Judgement()
"""What emits least, as far as is expected."""

"""A duration that is not known, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from lowtide_core.errors import InputError

KEEP_SHARE = 0.95
"""How surely the deadline is kept where the duration is not known and nobody said how surely."""


@dataclass(frozen=True, slots=True)
class DurationGuess:
    """The duration is not known: anything between two, or like one of those seen before.

    Attributes:
        low_s, high_s: Shortest and longest; evenly between them where there is no sample.
        sample_s: Durations of like jobs; each as likely as the others.
        keep_share: Probability with which the deadline is to be kept; 0-1.
    """

    low_s: float
    high_s: float
    sample_s: tuple[float, ...] = ()
    keep_share: float = KEEP_SHARE

    def __post_init__(self) -> None:
        if not 0 < self.low_s <= self.high_s < float("inf"):
            raise InputError(
                f"A duration between {self.low_s:g} s and {self.high_s:g} s cannot be.",
                hint="Give the shorter one first, as in 3h..5h.",
            )
        if not 0 < self.keep_share <= 1:
            raise InputError(
                f"A deadline kept with probability {self.keep_share:g} cannot be planned for.",
                hint="Give more than 0 % and at most 100 %, such as 95%.",
            )

    @property
    def mean_s(self) -> float:
        """The expected duration."""
        return sum(self.sample_s) / len(self.sample_s) if self.sample_s else (self.low_s + self.high_s) / 2

"""Why realised emissions differ from planned ones: four causes, each with its share, adding up exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CAUSES = ("energy", "timing", "place", "forecast")


@dataclass(frozen=True, slots=True)
class Difference:
    """Grams of realised minus planned that each cause explains.

    Attributes:
        energy_g: More or less energy. timing_g: at other times. place_g: elsewhere.
        forecast_g: The grid was other than forecast; None where no actual exists, and so nothing is known of it.
    """

    energy_g: float
    timing_g: float
    place_g: float
    forecast_g: float | None

    @property
    def total_g(self) -> float:
        return self.energy_g + self.timing_g + self.place_g + (self.forecast_g or 0.0)


def shapley(value: Callable[[frozenset[str]], float], changed: frozenset[str]) -> dict[str, float]:
    """Each cause's mean contribution over all orders in which the changes could have come.

    Args:
        value: Emissions, g, when exactly these causes have taken their realised value and the others their planned one.
        changed: Causes whose realised value is not the planned one; the others contribute exactly zero.
    Returns:
        Cause -> g. The sum is ``value(changed) - value({})``, up to rounding.
    Source:
        L. S. Shapley, A Value for n-Person Games, 1953.
    """
    known = {
        some: value(some)
        for size in range(len(changed) + 1)
        for some in map(frozenset, combinations(sorted(changed), size))
    }
    shares = dict.fromkeys(CAUSES, 0.0)
    count = len(changed)
    for cause in changed:
        for some, before in known.items():
            if cause not in some:
                weight = factorial(len(some)) * factorial(count - len(some) - 1) / factorial(count)
                shares[cause] += weight * (known[some | {cause}] - before)
    return shares

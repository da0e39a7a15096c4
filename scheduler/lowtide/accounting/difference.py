"""Why realised emissions differ from planned ones: four causes, each with its share, adding up exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide.planning.shares import shapley as shares_of

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
    """What each cause contributes, in grams; a cause whose realised value is the planned one contributes exactly zero.

    Args:
        value: Emissions, g, when exactly these causes have taken their realised value and the others their planned one.
        changed: Causes whose realised value is not the planned one.
    """
    return dict.fromkeys(CAUSES, 0.0) | shares_of(value, sorted(changed))

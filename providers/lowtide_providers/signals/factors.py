"""Emission factors by fuel, and the intensity of a mix.

Source:
    Life-cycle: IPCC, Fifth Assessment Report, Working Group III (2014), Annex III, Table A.III.2, medians: coal 820,
    gas 490, biomass 230 (dedicated), geothermal 38, hydro 24, ocean 17, nuclear 12, onshore wind 11; solar 45 lies
    between its 41 (roofs) and 48 (utilities), as Electricity Maps sets it. The table has no oil: 650 is the figure of
    UK POST (2014) that Electricity Maps uses. What is not named is taken for fossil: 700, Electricity Maps' convention.
    Direct: the same table's direct emissions for coal 760 and gas 370; oil 406 and 575 for what is not named are
    Electricity Maps' defaults; biomass is counted as none, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowtide_core.series import FloatArray, Scope

Fuel = Literal[
    "coal", "gas", "oil", "nuclear", "hydro", "solar", "wind", "biomass", "geothermal", "ocean", "other", "unknown"
]

LIFECYCLE_G_PER_KWH: Mapping[Fuel, float] = {
    "coal": 820,
    "gas": 490,
    "oil": 650,
    "nuclear": 12,
    "hydro": 24,
    "solar": 45,
    "wind": 11,
    "biomass": 230,
    "geothermal": 38,
    "ocean": 17,
    "other": 700,
    "unknown": 700,
}
DIRECT_G_PER_KWH: Mapping[Fuel, float] = {
    **dict.fromkeys(LIFECYCLE_G_PER_KWH, 0),
    "coal": 760,
    "gas": 370,
    "oil": 406,
    "other": 575,
    "unknown": 575,
}
FACTORS_G_PER_KWH: Mapping[Scope, Mapping[Fuel, float]] = {"lifecycle": LIFECYCLE_G_PER_KWH, "direct": DIRECT_G_PER_KWH}


def intensity_g_per_kwh(mix: Sequence[tuple[Fuel, FloatArray]], scope: Scope) -> FloatArray:
    """Mean intensity of what a mix generates, step by step.

    Args:
        mix: At least one fuel, each as often as it occurs, with its power or energy in any one unit; (n,) each, NaN
            where unknown. Negative is a plant's own use and counts as nothing generated.
    Returns:
        (n,), g CO2eq/kWh; NaN where one fuel is unknown, or nothing is generated.
    Notes:
        sum(factor x generation) / sum(generation): of production alone, what flows in from neighbours is not in it.
    """
    generated = np.maximum(np.array([values for _, values in mix]), 0.0)
    factors = np.array([FACTORS_G_PER_KWH[scope][fuel] for fuel, _ in mix], dtype=np.float64)
    total = generated.sum(axis=0)
    # NaN > 0 is false: what is unknown stays NaN
    mean: FloatArray = np.divide(factors @ generated, total, out=np.full(total.shape, np.nan), where=total > 0)
    return mean

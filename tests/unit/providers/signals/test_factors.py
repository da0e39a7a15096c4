"""Mix -> intensity: by hand, with what is unknown, and against the measured mixes of ten grids."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from lowtide_providers.signals.factors import DIRECT_G_PER_KWH, LIFECYCLE_G_PER_KWH, Fuel, intensity_g_per_kwh

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray


def _a(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float64)


def test_every_fuel_has_both_factors_and_burns_no_more_directly_than_in_its_life() -> None:
    assert set(LIFECYCLE_G_PER_KWH) == set(DIRECT_G_PER_KWH) == set(get_args(Fuel))
    assert all(0 <= DIRECT_G_PER_KWH[fuel] < LIFECYCLE_G_PER_KWH[fuel] for fuel in LIFECYCLE_G_PER_KWH)
    assert [fuel for fuel, grams in DIRECT_G_PER_KWH.items() if grams] == ["coal", "gas", "oil", "other", "unknown"]


@pytest.mark.parametrize("fuel", get_args(Fuel))
def test_one_fuel_alone_has_its_factor(fuel: Fuel) -> None:
    assert intensity_g_per_kwh([(fuel, _a(3.0))], "lifecycle")[0] == LIFECYCLE_G_PER_KWH[fuel]
    assert intensity_g_per_kwh([(fuel, _a(3.0))], "direct")[0] == DIRECT_G_PER_KWH[fuel]


def test_a_mix_is_the_mean_by_generation_in_either_scope_and_any_unit() -> None:
    mix: list[tuple[Fuel, FloatArray]] = [("coal", _a(1, 0)), ("wind", _a(3, 2)), ("wind", _a(0, 2))]
    np.testing.assert_allclose(intensity_g_per_kwh(mix, "lifecycle"), [(820 + 3 * 11) / 4, 11])
    np.testing.assert_allclose(intensity_g_per_kwh(mix, "direct"), [760 / 4, 0])
    thousandfold: list[tuple[Fuel, FloatArray]] = [(fuel, 1000 * values) for fuel, values in mix]
    np.testing.assert_allclose(intensity_g_per_kwh(thousandfold, "direct"), [760 / 4, 0])


def test_a_plant_s_own_use_is_no_generation() -> None:
    mix: list[tuple[Fuel, FloatArray]] = [("solar", _a(-5)), ("gas", _a(10))]
    np.testing.assert_array_equal(intensity_g_per_kwh(mix, "lifecycle"), [490])


def test_what_is_unknown_stays_so_and_nothing_has_no_intensity() -> None:
    mix: list[tuple[Fuel, FloatArray]] = [("gas", _a(10, np.nan, 0, -1)), ("hydro", _a(10, 10, 0, 0))]
    np.testing.assert_array_equal(intensity_g_per_kwh(mix, "lifecycle"), [257, np.nan, np.nan, np.nan])

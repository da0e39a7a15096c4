"""What is learned of issued forecasts, of what it is learned, and that it is used only where it paid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowtide.backtest.correction import (
    AS_ISSUED,
    LEAST_GAIN_PCT,
    PRIOR_ERRORS,
    Bias,
    Blend,
    Candidate,
    blended,
    candidates,
    chosen,
    learn_bias,
    learn_blend,
    without_bias,
)
from lowtide.backtest.issued import Issued
from lowtide.backtest.made import perfect

from .cases import HOUR_S, NAN, came, issued

DAYS = 40
RNG = np.random.default_rng(2)
REAL = 300 + 100 * np.sin(np.arange(24 * DAYS) / 24 * 2 * np.pi) + RNG.normal(0, 20, 24 * DAYS)
PAST = came(REAL)
DAY_S = 24 * HOUR_S


def daily(values: np.ndarray) -> Issued:
    """48 hours of these values at each midnight."""
    hours = np.arange(0, values.size - 47, 24)
    return Issued(hours * HOUR_S, hours, np.array([values[hour : hour + 48] for hour in hours]))


def test_the_mean_error_is_shrunk_and_belongs_to_its_hour_and_day_ahead() -> None:
    past = came([100.0] * 24 * 14)
    said = np.full((14, 48), 100.0)
    said[:, 3], said[:, 27] = 90.0, 130.0
    forecasts = Issued(np.arange(14) * DAY_S, np.arange(14) * 24, said)
    bias = learn_bias(past, forecasts, 0.0, 14 * DAY_S).mean_g_per_kwh
    assert bias.shape == (24, 2)
    assert bias[3, 0] == pytest.approx(14 * 10 / (14 + PRIOR_ERRORS))
    assert bias[3, 1] == pytest.approx(13 * -30 / (13 + PRIOR_ERRORS)), "of the last one, the second day never came"
    assert np.count_nonzero(bias) == 2


def test_nothing_is_learned_of_what_had_not_come() -> None:
    forecasts = daily(REAL + RNG.normal(0, 50, REAL.size))
    until_s = 20 * DAY_S
    later = PAST.values.copy()
    later[20 * 24 :] = 9999.0
    other_future = replace(PAST, values=later)
    learned = [learn_bias(past, forecasts, 0.0, until_s).mean_g_per_kwh for past in (PAST, other_future)]
    assert (learned[0] == learned[1]).all()
    assert learned[0].any()
    shares = [learn_blend(past, forecasts, daily(REAL * 0.9), 0.0, until_s) for past in (PAST, other_future)]
    assert (shares[0].share == shares[1].share).all()


def test_a_forecast_less_its_bias_is_not_below_zero() -> None:
    bias = Bias(np.full((24, 1), -30.0))
    assert without_bias(came([1.0] * 4), issued((0, [20, 50, NAN])), bias).values[0, :2].tolist() == [0, 20]


def test_the_blend_is_the_share_with_the_least_squared_error() -> None:
    mine, other = daily(REAL + 40), daily(REAL - 60)
    blend = learn_blend(PAST, mine, other, 0.0, DAYS * DAY_S)
    assert blend.share == pytest.approx([0.6, 0.6])
    assert blended(PAST, mine, other, blend).values == pytest.approx(daily(REAL).values)
    assert learn_blend(PAST, mine, daily(REAL + 80), 0.0, DAYS * DAY_S).share.tolist() == [1, 1]
    assert learn_blend(PAST, mine, mine, 0.0, DAYS * DAY_S).share.tolist() == [1, 1]


def test_where_the_other_says_nothing_the_issued_holds() -> None:
    mine, other = issued((0, [10, 20, 30]), (24, [40, 50, 60])), issued((24, [0, NAN]))
    found = blended(came([1.0] * 48), mine, other, Blend(np.array([0.5])))
    assert found.values.tolist() == [[10, 20, 30], [20, 50, 60]]


def test_a_forecast_with_a_fixed_error_is_mended_and_the_mended_one_taken() -> None:
    wrong = REAL.reshape(-1, 24) + np.linspace(-150, 150, 24)
    found = candidates(
        PAST, daily(wrong.reshape(-1)), daily(np.full(REAL.size, 300.0)), past_s=28 * DAY_S, run_s=4 * HOUR_S
    )
    taken = chosen(found)
    assert taken.name == "less its bias"
    assert taken.captured_pct is not None
    assert taken.captured_pct > 60


def test_a_good_forecast_is_left_alone() -> None:
    best = perfect(PAST, 48, every=24)
    found = candidates(PAST, best, daily(np.full(REAL.size, 300.0)), past_s=28 * DAY_S, run_s=4 * HOUR_S)
    assert chosen(found).name == AS_ISSUED
    assert chosen(found).issued is best


def test_a_little_more_is_chance() -> None:
    forecast = issued((0, [1.0]))

    def pair(more: float | None) -> tuple[Candidate, ...]:
        return (Candidate(AS_ISSUED, forecast, None, 80.0), Candidate("mended", forecast, None, more))

    assert chosen(pair(80.0 + LEAST_GAIN_PCT / 2)).name == AS_ISSUED
    assert chosen(pair(80.0 + LEAST_GAIN_PCT)).name == "mended"
    assert chosen(pair(None)).name == AS_ISSUED

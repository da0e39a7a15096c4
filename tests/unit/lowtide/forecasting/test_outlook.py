"""What an outlook of wind, sun and load adds to the forecast of a history, and that none of it is known too early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from lowtide.forecasting.expected import Expected, expected_of
from lowtide.forecasting.names import auto
from lowtide.forecasting.outlook import LEAST_KNOWN_H, OutlookWeights, WithOutlook, learn_outlook
from lowtide.forecasting.rolling import require_no_foresight
from lowtide.forecasting.types import History
from lowtide.testing.grids import START_S, MadeGrid, as_outlook, made_grid
from lowtide_core.errors import InputError
from lowtide_core.outlooks import Outlook
from lowtide_core.series import LIFECYCLE_CONSUMPTION, FloatArray

WEEKS, HORIZON = 22, 30
HOURS = 168 * WEEKS
LEARNED_H = 168 * 14


@cache
def grid(seed: int = 1) -> MadeGrid:
    return made_grid(np.random.default_rng(seed), 7 * WEEKS + 3)


def outlook(seed: int = 1, error_share: float = 0.2) -> Outlook:
    return grid(seed).outlook(np.random.default_rng(seed + 50), error_share)


def history(seen: Outlook | None = None, hours: int = HOURS) -> History:
    values = grid().intensity_g_per_kwh[None, :hours]
    past = History(("DE",), START_S, values, LIFECYCLE_CONSUMPTION)
    return past if seen is None else replace(past, expected=expected_of([seen], START_S, hours))


def captured(said: FloatArray, issue: Any) -> float:
    """Of a 4 h job with a day of slack, counted job by job; nothing is shared with the forecaster."""
    came = grid().intensity_g_per_kwh
    now = got = best = 0.0
    for row, hour in enumerate(issue.tolist()):
        runs = [came[start : start + 4].sum() for start in range(hour, hour + 25)]
        planned = min(range(25), key=lambda start, row=row: said[row, start : start + 4].sum())
        now, got, best = now + runs[0], got + runs[planned], best + min(runs)
    return (now - got) / (now - best)


@pytest.fixture(scope="module")
def issue() -> Any:
    return np.arange(LEARNED_H, HOURS - HORIZON)


@pytest.fixture(scope="module")
def plain(issue: Any) -> Any:
    past = history()
    return auto().fit(past.until(LEARNED_H), HORIZON).issued(past, issue, HORIZON)[0]


def moved(seen: Outlook, issue: Any) -> Any:
    past = history(seen)
    return WithOutlook(auto()).fit(past.until(LEARNED_H), HORIZON).issued(past, issue, HORIZON)[0]


def test_two_unseen_months_are_planned_clearly_better(plain: Any, issue: Any) -> None:
    better = captured(moved(outlook(), issue), issue)
    assert better > captured(plain, issue) + 0.05
    assert better > captured(moved(outlook(error_share=1.0), issue), issue), "worse outlooks are worth less"


def test_one_that_says_nothing_of_this_grid_costs_little(plain: Any, issue: Any) -> None:
    assert captured(moved(outlook(seed=7), issue), issue) > captured(plain, issue) - 0.015


def test_hours_of_which_nothing_is_out_keep_the_plain_forecast(plain: Any, issue: Any) -> None:
    said = moved(outlook(), issue)
    hour = round(START_S / 3600) + issue
    out_until = np.where(hour % 24 < 17, 22 - hour % 24, 46 - hour % 24)  # by the rule that the made outlook states
    known = np.arange(HORIZON) < out_until[:, None]
    np.testing.assert_array_equal(said[~known], plain[~known])
    assert (said[known] != plain[known]).mean() > 0.99


def test_a_history_without_an_outlook_is_forecast_as_ever(issue: Any) -> None:
    past = history()
    seen = history(outlook())
    np.testing.assert_array_equal(
        auto().fit(seen.until(LEARNED_H), HORIZON).issued(seen, issue[:50], HORIZON),
        auto().fit(past.until(LEARNED_H), HORIZON).issued(past, issue[:50], HORIZON),
    )
    with pytest.raises(InputError, match="no outlook"):
        WithOutlook(auto()).fit(past, HORIZON)


def test_no_outlook_is_used_before_it_is_out() -> None:
    require_no_foresight(WithOutlook(auto()), history(outlook()), np.arange(LEARNED_H, HOURS), HORIZON)


def test_nor_one_that_came_after_its_hour() -> None:
    late = outlook()
    late = replace(late, published_s=late.published_s + 30 * 3600 * (np.arange(late.published_s.size) % 3 == 0))
    past = history(late)
    assert past.expected is not None
    assert np.isnan(past.expected.megawatt[0, 0, ::3]).mean() > 0.9
    require_no_foresight(WithOutlook(auto()), past, np.arange(LEARNED_H, HOURS), HORIZON)


@dataclass(frozen=True)
class Leaking:
    """Reads the wind that is not yet out."""

    name: str = "early-bird"

    def fit(self, past: History, horizon: int) -> Leaking:
        return self

    def issued(self, past: History, issue: Any, horizon: int) -> Any:
        assert past.expected is not None
        wind = np.nan_to_num(past.expected.megawatt[:, 0])
        return wind[:, issue[:, None] + np.arange(horizon)]


def test_a_forecaster_that_reads_it_too_early_is_caught() -> None:
    with pytest.raises(InputError, match="early-bird") as caught:
        require_no_foresight(Leaking(), history(outlook(), HOURS), np.arange(LEARNED_H, HOURS - HORIZON), HORIZON)
    assert caught.value.facts["forecaster"] == "early-bird"


def test_what_is_out_later_changes_nothing_now() -> None:
    first = outlook()
    fit = WithOutlook(auto()).fit(history(first).until(LEARNED_H), HORIZON)
    for hour in (LEARNED_H + 3, LEARNED_H + 18):
        unknown = first.published_s > START_S + 3600 * hour
        other = replace(first, wind_megawatt=np.where(unknown, 1e5, first.wind_megawatt))
        at = np.array([hour])
        np.testing.assert_array_equal(fit.issued(history(first), at, HORIZON), fit.issued(history(other), at, HORIZON))


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_unit_of_the_power_does_not_matter(issue: Any, factor: float) -> None:
    ours = outlook()
    there = as_outlook(factor * ours.megawatt)
    np.testing.assert_allclose(moved(there, issue[:100]), moved(ours, issue[:100]), rtol=1e-6)


@pytest.mark.parametrize("silent", ["wind_megawatt", "solar_megawatt", "load_megawatt"])
def test_a_quantity_that_nobody_tells_is_done_without(issue: Any, silent: str) -> None:
    ours = replace(outlook(), **{silent: np.full(outlook().published_s.size, np.nan)})  # type: ignore[arg-type]
    fit = WithOutlook(auto()).fit(history(ours).until(LEARNED_H), HORIZON)
    assert fit.moves[0] is not None
    assert silent.partition("_")[0] not in fit.moves[0].quantities
    assert len(fit.moves[0].quantities) == 2
    assert np.isfinite(fit.issued(history(ours), issue[:50], HORIZON)).all()


def test_a_gap_in_an_outlook_is_no_number(plain: Any, issue: Any) -> None:
    ours = outlook()
    there = (np.arange(ours.published_s.size) - LEARNED_H) % 24 == 12
    gaps = replace(ours, load_megawatt=np.where(there, np.nan, ours.load_megawatt))
    said = moved(gaps, issue)
    assert np.isfinite(said).all()
    in_gap = there[issue[:, None] + np.arange(HORIZON)]
    np.testing.assert_array_equal(said[in_gap], plain[in_gap])


def test_too_short_an_outlook_teaches_nothing() -> None:
    ours = outlook()
    first = LEARNED_H - LEAST_KNOWN_H
    for missing, learned in ((first + 24, False), (first - 24, True)):
        seen = replace(
            ours, wind_megawatt=np.where(np.arange(ours.published_s.size) < missing, np.nan, ours.wind_megawatt)
        )
        past = history(seen).until(LEARNED_H)
        # without wind the others alone would do: they are known less often than not
        past = replace(past, expected=only_wind(past.expected))
        fit = auto().fit(past, HORIZON)
        assert (learn_outlook(past, 0, fit, HORIZON) is not None) is learned


def only_wind(expected: Expected | None) -> Expected:
    assert expected is not None
    megawatt = expected.megawatt.copy()
    megawatt[:, 1:] = np.nan
    return Expected(megawatt, expected.known_h)


def test_a_flat_outlook_is_not_looked_at() -> None:
    flat = as_outlook(np.ones((3, HOURS)))
    past = history(flat).until(LEARNED_H)
    assert learn_outlook(past, 0, auto().fit(past, HORIZON), HORIZON) is None


def test_what_was_learned_is_kept_as_arrays(issue: Any) -> None:
    past = history(outlook())
    fit = auto().fit(past.until(LEARNED_H), HORIZON)
    weights = learn_outlook(past.until(LEARNED_H), 0, fit, HORIZON)
    assert weights is not None
    again = OutlookWeights.from_arrays(weights.to_arrays())
    base = fit.issued(past, issue[:30], HORIZON)[0]
    np.testing.assert_array_equal(again.moved(past, 0, issue[:30], base), weights.moved(past, 0, issue[:30], base))


def test_each_zone_has_its_own_and_one_without_keeps_the_plain_forecast(issue: Any) -> None:
    values = np.stack([grid().intensity_g_per_kwh[:HOURS], grid(2).intensity_g_per_kwh[:HOURS]])
    past = History(("DE", "NL"), START_S, values, LIFECYCLE_CONSUMPTION)
    seen = replace(past, expected=expected_of([None, outlook(2)], START_S, HOURS))
    said = WithOutlook(auto()).fit(seen.until(LEARNED_H), HORIZON).issued(seen, issue[:50], HORIZON)
    base = auto().fit(past.until(LEARNED_H), HORIZON).issued(past, issue[:50], HORIZON)
    np.testing.assert_array_equal(said[0], base[0])
    assert (said[1] != base[1]).any()


def test_a_forecast_made_after_the_history_ended_knows_what_was_out_by_then() -> None:
    ours = outlook()
    end_s = START_S + 3600 * HOURS  # a midnight
    for late_h, until_h in ((0, 22), (16, 22), (17, 46)):
        expected = expected_of([ours], START_S, HOURS, by_s=end_s + 3600 * late_h)
        known = ~np.isnan(expected.ahead(0, np.array([HOURS]), 48)[0, 0])
        assert known.nonzero()[0].tolist() == list(range(until_h))


def test_an_outlook_that_begins_before_or_after_the_history_finds_its_place() -> None:
    ours = outlook()
    for shift in (-30, 30):
        expected = expected_of([ours], START_S + 3600 * shift, 100)
        hour = np.arange(40, 60)
        np.testing.assert_array_equal(expected.megawatt[0][:, hour], ours.megawatt[:, hour + shift])

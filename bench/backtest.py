"""What a backtest costs, and B9: forecasts as issued by others, planned on as they are and mended by their own past.

B9: one 4 h job a day inside the 24 h that DACF issued at 00 UTC (direct, production), July to September 2021; savings
against a uniformly random start, as the published table has them. What is captured must equal an independent search of
every start of every day. CarbonCast's forecasts of 96 h (life-cycle): a job every hour with a day of slack, against at
once. Corrections are learned on the first four weeks and shown on the rest, beside the forecast as issued there.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from table import Row, data_folder, seconds

from lowtide.backtest.correction import candidates, chosen
from lowtide.backtest.forecasts import forecasts_by
from lowtide.backtest.issued import Came, Issued
from lowtide.backtest.jobs import alike_jobs, whole_windows
from lowtide.backtest.made import made_forecasts
from lowtide.backtest.replay import Rules, mean_over_runs, plannable, replay
from lowtide.forecasting.names import forecaster as named_forecaster
from lowtide.forecasting.types import History
from lowtide.testing.measured import HOUR_S, hourly
from lowtide_core.series import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide.backtest.jobs import ReplayJobs

FORECASTER = "auto"
RUN_S, DAY_S = 4 * HOUR_S, 24 * HOUR_S
PAST_S = 28 * DAY_S
DACF = ("US-CAL-CISO", "DE", "US-NE-ISNE", "US-MIDA-PJM", "US-TEX-ERCO", "SE")
CARBONCAST = ("NL", "AU-QLD")
FREE = Rules(guard=None)


def issued_by_others(zone: str, signal: str) -> tuple[Came, Issued]:
    """The producers' own actuals and their forecasts, issued at 00 UTC."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(data_folder() / "intensity/forecasts_issued.parquet")
    table = table.filter(pc.and_(pc.equal(table["zone"], zone), pc.equal(table["signal"], signal)))
    issue, target = (
        table[name].to_numpy(zero_copy_only=False).astype("datetime64[h]").astype(np.int64)
        for name in ("issued_utc", "target_utc")
    )
    said, real = (table[name].to_numpy(zero_copy_only=False).astype(float) for name in ("forecast", "actual"))
    start = int(issue.min())
    values = np.full(int(target.max()) - start + 1, np.nan)
    values[target - start] = real
    hours, row = np.unique(issue - start, return_inverse=True)
    forecasts = np.full((hours.size, int((target - issue).max()) + 1), np.nan)
    forecasts[row, target - issue] = said
    scope = "direct" if signal.startswith("direct") else "lifecycle"
    came = Came(zone, start * HOUR_S, HOUR_S, values, Frame("average", scope, "production"), "as issued")
    return came, Issued(hours * HOUR_S, hours, forecasts)


def of_the_past(came: Came, issued: Issued) -> Issued:
    """What the forecaster would have said at the same issues, from the second day on."""
    history = History((came.zone,), came.start_s, came.values[None], came.frame)
    issue = (issued.issued_s[2:] / HOUR_S).astype(np.int64)
    return made_forecasts(named_forecaster(FORECASTER), history, [came], issue, issued.horizon)[0]


def daily(came: Came, issued: Issued, from_s: float) -> ReplayJobs:
    """A job for each issue, inside its 24 hours."""
    jobs = alike_jobs(issued.issued_s[issued.issued_s >= from_s], duration_s=RUN_S, slack_s=DAY_S - RUN_S)
    return jobs.some(whole_windows(jobs, came) & plannable(issued, jobs, came.step_s))


def every_hour(came: Came, issued: Issued, from_s: float) -> ReplayJobs:
    end_s = came.values.size * HOUR_S - RUN_S - DAY_S
    jobs = alike_jobs(np.arange(from_s, end_s, HOUR_S), duration_s=RUN_S, slack_s=DAY_S)
    return jobs.some(whole_windows(jobs, came) & plannable(issued, jobs, came.step_s))


def captured_pct(came: Came, issued: Issued, jobs: ReplayJobs, *, at_random: bool) -> float:
    """Of the oracle's saving, against at once or the mean of all starts."""
    found = replay(came, issued, jobs, FREE)
    before = found.now_g_per_kwh
    if at_random:
        starts = np.arange(0.0, DAY_S - RUN_S + 1, HOUR_S)
        before = np.mean([mean_over_runs(came, jobs.earliest_s + at_s, jobs.duration_s) for at_s in starts], axis=0)
    return 100 * float((before - found.planned_g_per_kwh).sum() / (before - found.oracle_g_per_kwh).sum())


def searched_pct(came: Came, issued: Issued, jobs: ReplayJobs) -> float:
    """The same of one job a day against the mean start, by trying every start of every day."""
    before = planned = best = 0.0
    for at_s in jobs.earliest_s:
        day = int(at_s / HOUR_S)
        row = int(np.flatnonzero(issued.issued_s == at_s)[0])
        real = [sum(came.values[day + hour : day + hour + 4]) for hour in range(21)]
        said = [round(sum(issued.values[row, hour : hour + 4]), 9) for hour in range(21)]
        before, planned, best = before + sum(real) / 21, planned + real[said.index(min(said))], best + min(real)
    return 100 * (before - planned) / (before - best)


def as_issued() -> Iterator[Row]:
    for zone in (*DACF, *CARBONCAST):
        theirs = zone in DACF
        came, issued = issued_by_others(zone, "direct-production" if theirs else "lifecycle-production")
        jobs_from = daily if theirs else every_hour
        jobs = jobs_from(came, issued, 0.0)
        found = captured_pct(came, issued, jobs, at_random=theirs)
        yield Row("B9", f"{zone}: captured, as issued", found, "%")
        if theirs:
            off = abs(found - searched_pct(came, issued, jobs))
            yield Row("B9", f"{zone}: off from trying every start", off, "points", 1e-9, "less")
        other = of_the_past(came, issued)
        tried = candidates(came, issued, other, past_s=PAST_S, run_s=RUN_S)
        later = jobs_from(came, issued, PAST_S)
        for candidate in tried:
            figure = captured_pct(came, candidate.issued, later, at_random=theirs)
            mark = " (chosen)" if candidate == chosen(tried) else ""
            yield Row("B9", f"{zone}: after four weeks, {candidate.name}{mark}", figure, "%")
        alone = captured_pct(came, other, later, at_random=theirs)
        yield Row("B9", f"{zone}: after four weeks, of the past alone", alone, "%")


def noisy(came: Came, issued: Issued, error_share: float, seed: int = 12) -> Issued:
    """What came, with Gaussian errors of that share, independent from hour to hour, at the issues of ``issued``."""
    rng = np.random.default_rng(seed)
    at = issued.first_step[:, None] + np.arange(issued.values.shape[1])
    real = np.where(at < came.values.size, came.values[np.minimum(at, came.values.size - 1)], np.nan)
    return Issued(issued.issued_s, issued.first_step, real * (1 + error_share * rng.standard_normal(real.shape)))


def noise_that_misleads() -> Iterator[Row]:
    """B12: one planner on made-up noise and on what real forecasters said: it flatters here and slanders there."""
    for zone in (*DACF, *CARBONCAST):
        theirs = zone in DACF
        came, issued = issued_by_others(zone, "direct-production" if theirs else "lifecycle-production")
        jobs = (daily if theirs else every_hour)(came, issued, 0.0)
        for error_share in (0.05, 0.10):
            figure = captured_pct(came, noisy(came, issued, error_share), jobs, at_random=theirs)
            yield Row("B12", f"{zone}: captured on {100 * error_share:.0f} % of Gaussian noise", figure, "%")
        yield Row("B12", f"{zone}: captured as issued", captured_pct(came, issued, jobs, at_random=theirs), "%")


def speed() -> Iterator[Row]:
    """A year of hourly arrivals of one zone, forecasts and checks included."""
    years = [hourly(data_folder(), "DE", year) for year in (2022, 2023)]
    values = np.concatenate([year.values for year in years])
    came = Came("DE", years[0].start_s, HOUR_S, values, Frame("average", "lifecycle", "consumption"), "measured")
    first_s = years[0].values.size * HOUR_S
    arrival_s = np.arange(first_s, values.size * HOUR_S - RUN_S - DAY_S + 1, HOUR_S)
    jobs = alike_jobs(arrival_s, duration_s=RUN_S, slack_s=DAY_S)
    forecaster = named_forecaster(FORECASTER)

    def made() -> Issued:
        return forecasts_by(forecaster, [came], [jobs], daily=False, window_s=RUN_S + DAY_S)[0]

    began_s = time.process_time()  # once: it takes a hundred times as long as the planning
    issued = made()
    made_s = time.process_time() - began_s
    yield Row("year", f"hourly forecasts by {FORECASTER}", made_s, "s")
    for name, rules, bar in (
        ("planned once", Rules(), 10.0),
        ("again every hour", Rules(HOUR_S), 60.0),
        ("pausable, again every hour", Rules(HOUR_S, pausable=True, restart_s=900.0), 60.0),
    ):
        taken_s = seconds(lambda rules=rules: replay(came, issued, jobs, rules))
        yield Row("year", f"{jobs.count:,} jobs, {name}, with forecasts", made_s + taken_s, "s", bar, "less")
        plans = int(replay(came, issued, jobs, rules).plans.sum())
        yield Row("year", f"{name}: plans a second", plans / taken_s, "1/s")


def rows() -> Iterator[Row]:
    yield from speed()
    yield from as_issued()
    yield from noise_that_misleads()


def main() -> int:
    found = []
    for row in rows():
        print(row, flush=True)
        found.append(row)
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())

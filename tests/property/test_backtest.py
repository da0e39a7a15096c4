"""The replay against plain loops that see each forecast only when it has been issued, and try every way to run."""

from __future__ import annotations

import os
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.backtest.issued import Came, Issued, past_errors
from lowtide.backtest.jobs import ReplayJobs, whole_windows
from lowtide.backtest.replay import Rules, plannable, replay
from lowtide_core.series import LIFECYCLE_CONSUMPTION

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "60"))
HOUR_S = 3600
LEAST = 0.5


class Case(NamedTuple):
    """All in hours."""

    actual: list[float]
    issues: list[tuple[int, list[float]]]
    jobs: list[tuple[int, int, int]]
    """Arrival, length, slack."""
    every: int | None
    guarded: bool

    def came(self) -> Came:
        return Came("XX", 0.0, float(HOUR_S), np.array(self.actual), LIFECYCLE_CONSUMPTION, "made up")

    def issued(self) -> Issued:
        horizon = max(len(values) for _, values in self.issues)
        table = [[*values, *[np.nan] * (horizon - len(values))] for _, values in self.issues]
        hours = np.array([hour for hour, _ in self.issues])
        return Issued(hours * float(HOUR_S), hours, np.array(table))

    def replayed(self) -> ReplayJobs:
        at, run, slack = (np.array(column, dtype=float) * HOUR_S for column in zip(*self.jobs, strict=True))
        one = np.ones(at.size)
        jobs = ReplayJobs(at, at + run + slack, run, one, one)
        return jobs.some(whole_windows(jobs, self.came()) & plannable(self.issued(), jobs, float(HOUR_S)))

    def rules(self, **more: object) -> Rules:
        guard = (lambda gain, error: gain > LEAST * error) if self.guarded else None
        return Rules(replan_s=np.inf if self.every is None else self.every * float(HOUR_S), guard=guard, **more)


@st.composite
def cases(draw: st.DrawFn, *, distinct: bool = False) -> Case:
    hours = draw(st.integers(6, 16))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)

    def values(count: int) -> list[float]:
        some = rng.uniform(1, 100, count) if distinct else rng.integers(1, 5, count)
        return [float(value) for value in some]

    starts = sorted(draw(st.sets(st.integers(0, hours - 1), min_size=1, max_size=8)))
    issues = [(hour, values(draw(st.integers(1, hours)))) for hour in starts]
    if draw(st.booleans()):
        _, row = issues[draw(st.integers(0, len(issues) - 1))]
        row[draw(st.integers(0, len(row) - 1))] = np.nan
    job = st.tuples(st.integers(0, hours - 1), st.integers(1, 4), st.integers(0, 6))
    jobs = sorted(draw(st.lists(job, min_size=1, max_size=6)))
    return Case(values(hours), issues, jobs, draw(st.sampled_from([None, 1, 2])), draw(st.booleans()))


def forecast_at(case: Case, hour: int) -> tuple[int, list[float]]:
    """Which forecast was the newest, and what it said from that hour on, up to its first gap."""
    number = max(i for i, (issue, _) in enumerate(case.issues) if issue <= hour)
    issue, values = case.issues[number]
    ahead: list[float] = []
    for value in values[hour - issue :]:
        if np.isnan(value):
            break
        ahead.append(value)
    return number, ahead


def error_at(case: Case, hour: int, ahead: range) -> float:
    """Mean over these hours of the past error as the newest forecast has it."""
    number, _ = forecast_at(case, hour)
    errors = np.nan_to_num(past_errors(case.issued(), case.came())[number])
    return float(np.mean([errors[step - case.issues[number][0]] for step in ahead]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_jobs_in_one_piece(case: Case) -> None:
    jobs = case.replayed()
    if not jobs.count:
        return
    found = replay(case.came(), case.issued(), jobs, case.rules())
    for job in range(jobs.count):
        arrival, run = int(jobs.earliest_s[job]) // HOUR_S, int(jobs.duration_s[job]) // HOUR_S
        due = int(jobs.end_by_s[job]) // HOUR_S
        start = played_in_one_piece(case, arrival, run, due)
        means = [sum(case.actual[at : at + run]) / run for at in range(arrival, due - run + 1)]
        assert found.start_s[job] == start * HOUR_S
        assert found.planned_g_per_kwh[job] == pytest.approx(means[start - arrival])
        assert found.now_g_per_kwh[job] == pytest.approx(means[0])
        assert found.oracle_g_per_kwh[job] == pytest.approx(min(means))


def played_in_one_piece(case: Case, arrival: int, run: int, due: int) -> int:
    """Hour by hour: plan, and start if the plan begins before the next planning."""
    now, start = arrival, arrival
    while True:
        _, ahead = forecast_at(case, now)
        last = min(due - now, len(ahead)) - run
        if last >= 0:
            costs = [sum(ahead[at : at + run]) / run for at in range(last + 1)]
            best = costs.index(min(costs))
            gain = costs[0] - costs[best]
            if (
                case.guarded
                and now == arrival
                and not gain > LEAST * error_at(case, now, range(now + best, now + best + run))
            ):
                best = 0
            start = now + best
        if case.every is None or start < now + case.every or now + case.every > due - run:
            return start
        now += case.every


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(distinct=True), st.sampled_from([0.0, 0.5, 2.0]))
def test_jobs_that_may_pause(case: Case, restart_h: float) -> None:
    jobs = case.replayed()
    if not jobs.count:
        return
    rules = case.rules(pausable=True, restart_s=restart_h * HOUR_S)
    found = replay(case.came(), case.issued(), jobs, rules)
    for job in range(jobs.count):
        arrival, run = int(jobs.earliest_s[job]) // HOUR_S, int(jobs.duration_s[job]) // HOUR_S
        due = int(jobs.end_by_s[job]) // HOUR_S
        hours = played_with_pauses(case, arrival, run, due, restart_h)
        window = case.actual[arrival:due]
        best = min(cost_of(window, some, restart_h) for some in combinations(range(len(window)), run))
        assert found.planned_g_per_kwh[job] * run == pytest.approx(cost_of(case.actual, hours, restart_h))
        assert found.oracle_g_per_kwh[job] * run == pytest.approx(best)
        assert found.now_g_per_kwh[job] * run == pytest.approx(sum(window[:run]))


def cost_of(
    values: list[float],
    hours: tuple[int, ...] | list[int],
    restart_h: float,
    *,
    last: int | None = None,
    begun: bool = False,
) -> float:
    """Of running in these hours, resumings included; ``last`` is the hour in which it ran before them."""
    total = 0.0
    for hour in hours:
        resumed = begun and hour - 1 != last
        total += values[hour] * (1 + restart_h * resumed)
        last, begun = hour, True
    return total


def _cost_ahead(ahead: list[float], restart_h: float, last: int | None, some: tuple[int, ...]) -> float:
    return cost_of(ahead, some, restart_h, last=last, begun=last is not None)


def played_with_pauses(case: Case, arrival: int, run: int, due: int, restart_h: float) -> list[int]:
    """Of every set of hours the cheapest, looked for anew with each planning; follow it until the next."""
    ran: list[int] = []
    planned: list[int] = []
    every = case.every or due - arrival
    for now in range(arrival, due, every):
        left = run - len(ran)
        if not left:
            break
        _, ahead = forecast_at(case, now)
        reach = min(due - now, len(ahead))
        if reach >= left:
            cost = partial(_cost_ahead, ahead, restart_h, ran[-1] - now if ran else None)
            best = min(combinations(range(reach), left), key=cost)
            at_once = tuple(range(left))
            gain = (cost(at_once) - cost(best)) / left
            steps = [now + hour for hour in best]
            waits = now > arrival and (not ran or ran[-1] != now - 1)
            if case.guarded and not waits:
                number, _ = forecast_at(case, now)
                errors = np.nan_to_num(past_errors(case.issued(), case.came())[number])
                error = float(np.mean([errors[step - case.issues[number][0]] for step in steps]))
                best = best if gain > LEAST * error else at_once
            planned = [now + hour for hour in best]
        ran += [hour for hour in planned if now <= hour < now + every]
    return ran


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 3))
def test_past_errors_know_nothing_of_later(case: Case, least: int) -> None:
    issued = case.issued()
    errors = past_errors(issued, case.came(), least=least)
    for row, (issue, _) in enumerate(case.issues):
        for column in range(issued.horizon):
            known = [
                abs(values[column] - case.actual[before + column])
                for before, values in case.issues
                if before % 24 == issue % 24
                and before + column + 1 <= issue
                and column < len(values)
                and before + column < len(case.actual)
                and not np.isnan(values[column])
            ]
            if len(known) < least:
                assert np.isnan(errors[row, column])
            else:
                assert errors[row, column] == pytest.approx(np.mean(known))

"""What WattTime's optimiser promises of every schedule, on invented series.

Source:
    WattTime, watttime-python-client, branch ``optimizer``: ``tests/test_optimizer.py``, ``tests/test_recalculator.py``.
    Its data need an account; the properties do not. It plans in steps of 5 minutes, on the values of the steps.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lowtide.planning.solvers.pauses import PausedRun, PauseRules, ProgressWeight, paused_cost, plan_pauses
from lowtide.planning.solvers.windows import Piece, StepSeries

MINUTE_S = 60.0
STEP_S = 5 * MINUTE_S
WINDOW_MIN = 12 * 60
START_S = 1_730_000_100.0
SEEDS = range(6)


def invented(seed: int, minutes: int = WINDOW_MIN) -> StepSeries:
    """Marginal intensity of a few hundred to a thousand, which swings and jumps."""
    dice = np.random.default_rng(seed)
    steps = np.arange(minutes // 5)
    swing = (
        700 + 250 * np.sin(steps / 30 + seed) + dice.choice([0.0, 120.0], steps.size) + dice.normal(0, 40, steps.size)
    )
    return StepSeries(START_S, STEP_S, np.maximum(swing, 0.0).round(1))


def plan(series: StepSeries, minutes: float, rules: PauseRules, weight: ProgressWeight | None = None) -> PausedRun:
    return plan_pauses(series, START_S, START_S + WINDOW_MIN * MINUTE_S, minutes * MINUTE_S, rules, weight=weight)


def minutes_of(pieces: tuple[Piece, ...]) -> float:
    return sum(piece.end_s - piece.start_s for piece in pieces) / MINUTE_S


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("restart_min", [0, 2, 30])
def test_exactly_so_many_minutes_are_used(seed: int, restart_min: int) -> None:
    found = plan(invented(seed), 240, PauseRules(restart_s=restart_min * MINUTE_S))
    assert minutes_of(found.pieces) == 240
    assert 12 * minutes_of(found.pieces) / 60 == 48  # kWh, of 12 kW
    assert all(earlier.end_s < later.start_s for earlier, later in pairwise(found.pieces))


@pytest.mark.parametrize("seed", SEEDS)
def test_without_pauses_there_is_one_block(seed: int) -> None:
    found = plan(invented(seed), 240, PauseRules(max_pauses=0))
    assert len(found.pieces) == 1
    assert minutes_of(found.pieces) == 240


@pytest.mark.parametrize("seed", SEEDS)
def test_seven_minutes_stay_seven(seed: int) -> None:
    series = invented(seed)
    found = plan(series, 7, PauseRules(restart_s=MINUTE_S))
    assert minutes_of(found.pieces) == pytest.approx(7, abs=1e-6)
    two_steps = 7 * MINUTE_S * series.values.max()
    cheapest = float(5 * series.values.min() + 2 * np.sort(series.values)[1]) * MINUTE_S
    assert cheapest <= found.cost <= two_steps


@pytest.mark.parametrize("seed", SEEDS)
def test_energy_of_a_power_that_varies(seed: int) -> None:
    """12 kW for 220 minutes, then 2.4 kW for 100."""
    weight = ProgressWeight((220 * MINUTE_S, 320 * MINUTE_S), (12.0, 2.4))
    series = invented(seed)
    found = plan(series, 320, PauseRules(), weight)
    assert found.exact
    power_kw = [12.0] * 44 + [2.4] * 20
    used = [
        step
        for piece in found.pieces
        for step in range(round((piece.start_s - START_S) / STEP_S), round((piece.end_s - START_S) / STEP_S))
    ]
    assert sum(power_kw[: len(used)]) * 5 / 60 == pytest.approx(48)
    emitted = sum(kw * series.values[step] for kw, step in zip(power_kw, used, strict=True))
    assert found.cost == pytest.approx(emitted * STEP_S)
    least = np.full(len(power_kw) + 1, np.inf)  # of having done so many steps, over the steps of time
    least[0] = 0.0
    for value in series.values:
        least[1:] = np.minimum(least[1:], least[:-1] + np.array(power_kw) * value)
    assert found.cost == pytest.approx(least[-1] * STEP_S)


@pytest.mark.parametrize("seed", SEEDS)
def test_at_most_two_blocks_within_their_bounds(seed: int) -> None:
    """Two blocks of 60 to 100 minutes that make 160."""
    series = invented(seed)
    found = plan(series, 160, PauseRules(max_pauses=1, min_run_s=60 * MINUTE_S))
    lengths = [minutes_of((piece,)) for piece in found.pieces]
    assert len(lengths) <= 2
    assert sum(lengths) == 160
    assert len(lengths) == 1 or all(60 <= length <= 100 for length in lengths)
    sums = np.concatenate(([0.0], np.cumsum(series.values)))
    least = min(
        sums[first + length] - sums[first] + sums[second + 32 - length] - sums[second]
        for length in range(12, 21)
        for first in range(series.values.size - 31)
        for second in range(first + length, series.values.size - 31 + length)
    )
    assert found.cost == pytest.approx(least * STEP_S)


@pytest.mark.parametrize("seed", SEEDS)
def test_planning_again_keeps_what_is_done_and_the_total(seed: int) -> None:
    rules = PauseRules(first_start_s=2 * MINUTE_S, restart_s=2 * MINUTE_S)
    old = plan(invented(seed), 240, rules)
    now_s = START_S + 60 * MINUTE_S
    done = tuple(Piece(p.start_s, min(p.end_s, now_s)) for p in old.pieces if p.start_s < now_s)
    ahead = tuple(Piece(max(p.start_s, now_s), p.end_s) for p in old.pieces if p.end_s > now_s)
    running = bool(done) and done[-1].end_s == now_s
    left = rules.after_pauses(0) if done else rules
    news = invented(seed + 100)
    end_by_s = START_S + WINDOW_MIN * MINUTE_S

    new = plan_pauses(news, now_s, end_by_s, (240 - minutes_of(done)) * MINUTE_S, left, running=running)

    assert minutes_of(done) + minutes_of(new.pieces) == 240
    assert new.pieces[0].start_s >= now_s
    assert new.cost <= paused_cost(news, ahead, left, running_at_s=now_s if running else None) * (1 + 1e-12)
    again = plan_pauses(invented(seed), now_s, end_by_s, minutes_of(ahead) * MINUTE_S, left, running=running)
    assert again.cost == pytest.approx(
        paused_cost(invented(seed), ahead, left, running_at_s=now_s if running else None)
    ), "without news, the old plan is still the cheapest"

"""Jobs on reserved CPUs, against an enumeration on whole grains of time that shares no code with the planner."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.solvers.reserved import Prices, plan_reserved, replay_reserved, reserved_bound
from lowtide.planning.solvers.windows import StepSeries

EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "100"))
START_S = 1_700_000_000 // 3600 * 3600
GRAIN_S = 600


@dataclass(frozen=True)
class Case:
    """A few jobs; whole grains from the start of the series, money in whole cents."""

    values: list[int]
    step: int
    arrival: list[int]
    length: list[int]
    max_wait: list[int]
    cpus: list[int]
    reserved: int
    on_demand_cents: int
    carbon_cents: int
    wait_cents: int

    def call(self) -> dict[str, Any]:
        return {
            "series": StepSeries(float(START_S), float(self.step * GRAIN_S), np.array(self.values, dtype=float)),
            "arrival_s": START_S + GRAIN_S * np.array(self.arrival, dtype=float),
            "length_s": GRAIN_S * np.array(self.length, dtype=float),
            "max_wait_s": GRAIN_S * np.array(self.max_wait, dtype=float),
            "cpus": np.array(self.cpus, dtype=float),
            "reserved_cpus": float(self.reserved),
            "prices": Prices(
                self.on_demand_cents / 100 * 3600 / GRAIN_S,
                self.carbon_cents / 100 / GRAIN_S,
                self.wait_cents / 100 * 3600 / GRAIN_S,
            ),
        }

    def cents(self, job: int, wait: int, on_reserved: bool) -> int:
        start, cpus = self.arrival[job] + wait, self.cpus[job]
        carbon = sum(self.values[grain // self.step] for grain in range(start, start + self.length[job]))
        money = 0 if on_reserved else self.on_demand_cents * cpus * self.length[job]
        return money + self.carbon_cents * cpus * carbon + self.wait_cents * wait

    def order(self) -> list[int]:
        return sorted(range(len(self.arrival)), key=lambda job: self.arrival[job])


@st.composite
def cases(draw: st.DrawFn, *, jobs: int = 4) -> Case:
    step = draw(st.integers(1, 3))
    values = draw(st.lists(st.integers(0, 9), min_size=6, max_size=9))
    count = draw(st.integers(1, jobs))
    arrival, length, max_wait = [], [], []
    for _ in range(count):
        arrival.append(draw(st.integers(0, step * len(values) // 2)))
        length.append(draw(st.integers(1, step * len(values) - arrival[-1])))
        max_wait.append(draw(st.integers(0, min(7, step * len(values) - arrival[-1] - length[-1]))))
    cpus = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    cents = [draw(st.integers(0, 9)) for _ in range(3)]
    return Case(values, step, arrival, length, max_wait, cpus, draw(st.integers(0, 4)), *cents)


def waits_of(case: Case, start_s: np.ndarray[Any, Any]) -> list[int]:
    grains = (start_s - START_S) / GRAIN_S - case.arrival
    assert np.allclose(grains, grains.round(), atol=1e-6)
    return [int(wait) for wait in grains.round()]


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(jobs=6))
def test_each_job_takes_its_cheapest_start_given_the_promises_before_it(case: Case) -> None:
    plan = plan_reserved(**case.call())
    waits = waits_of(case, plan.start_s)
    room = [case.reserved] * (case.step * len(case.values))
    total = 0
    for job in case.order():
        options = []
        for wait in range(case.max_wait[job] + 1):
            run = range(case.arrival[job] + wait, case.arrival[job] + wait + case.length[job])
            fits = all(room[grain] >= case.cpus[job] for grain in run)
            options += [case.cents(job, wait, on_reserved=False)] + fits * [case.cents(job, wait, on_reserved=True)]
        assert 0 <= waits[job] <= case.max_wait[job]
        chosen = case.cents(job, waits[job], bool(plan.on_reserved[job]))
        assert chosen == min(options)
        total += chosen
        if plan.on_reserved[job]:
            for grain in range(case.arrival[job] + waits[job], case.arrival[job] + waits[job] + case.length[job]):
                room[grain] -= case.cpus[job]
    assert min(room) >= 0, "never more than there is"
    assert np.isclose(100 * plan.weighed_usd, total, atol=1e-6)
    assert np.isclose(
        100 * plan.on_demand_usd.sum(),
        sum(
            case.on_demand_cents * case.cpus[job] * case.length[job] * (not plan.on_reserved[job])
            for job in case.order()
        ),
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(jobs=2))
def test_no_combination_of_starts_undercuts_the_bound(case: Case) -> None:
    choices = [list(product(range(case.max_wait[job] + 1), (False, True))) for job in range(len(case.arrival))]
    least = None
    for combination in product(*choices):
        used = [0] * (case.step * len(case.values))
        for job, (wait, on_reserved) in enumerate(combination):
            for grain in range(case.arrival[job] + wait, case.arrival[job] + wait + case.length[job]):
                used[grain] += case.cpus[job] * on_reserved
        if max(used) <= case.reserved:
            cents = sum(case.cents(job, *choice) for job, choice in enumerate(combination))
            least = cents if least is None else min(least, cents)
    assert least is not None
    bound = 100 * reserved_bound(**case.call())
    assert bound <= least + 1e-6
    assert least <= 100 * plan_reserved(**case.call()).weighed_usd + 1e-6
    if case.reserved == 0 or case.on_demand_cents == 0:
        assert np.isclose(bound, least, atol=1e-6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.integers(1, 30), st.integers(1, 40))
def test_a_replay_keeps_every_wait_and_the_capacity(case: Case, believed: int, room_after: int) -> None:
    call = case.call()
    long = np.full(len(case.arrival), min(believed, case.step * len(case.values) // 2 - 10))
    believed_s = GRAIN_S * np.clip(long, 1, None).astype(float)
    until = case.step * len(case.values) - np.array(case.arrival) - np.array(case.max_wait)
    believed_s = np.minimum(believed_s, GRAIN_S * until)
    replay = replay_reserved(**call, believed_length_s=believed_s, room_after_s=float(room_after * GRAIN_S))
    waits_s = replay.start_s - call["arrival_s"]
    assert (waits_s >= 0).all()
    assert (waits_s <= call["max_wait_s"] + 1e-6).all()
    events = []
    for start_s, length_s, cpus, on_reserved in zip(
        replay.start_s, call["length_s"], case.cpus, replay.on_reserved, strict=True
    ):
        events += bool(on_reserved) * [(start_s + 1e-3, cpus), (start_s + length_s, -cpus)]
    used = 0
    for _, change in sorted(events):
        used += change
        assert used <= case.reserved
    widest = max(case.cpus)
    plenty = replay_reserved(
        **{**call, "reserved_cpus": float(widest * len(case.cpus))}, believed_length_s=believed_s, room_after_s=1.0
    )
    assert plenty.on_reserved.all()


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(jobs=3))
def test_where_room_never_comes_a_replay_takes_the_best_part_of_the_wait(case: Case) -> None:
    call = {**case.call(), "reserved_cpus": 0.0}
    replay = replay_reserved(**call, believed_length_s=call["length_s"], room_after_s=float(GRAIN_S))
    parts = [np.linspace(0.0, case.max_wait[job], 97) for job in range(len(case.arrival))]
    for job, waits in enumerate(parts):

        def cents(wait: float, job: int = job) -> float:
            start, end = case.arrival[job] + wait, case.arrival[job] + wait + case.length[job]
            carbon = sum(
                value * max(0.0, min(end, (k + 1) * case.step) - max(start, k * case.step))
                for k, value in enumerate(case.values)
            )
            money = case.on_demand_cents * case.length[job]
            return case.cpus[job] * (money + case.carbon_cents * carbon) + case.wait_cents * wait

        own = cents(float(replay.start_s[job] - START_S) / GRAIN_S - case.arrival[job])
        assert np.isclose(own, min(cents(float(wait)) for wait in waits), atol=1e-5)
    assert not replay.on_reserved.any()

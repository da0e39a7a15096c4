"""Reserved CPUs first: what is easy to see, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lowtide.planning.solvers.reserved import Prices, plan_reserved, replay_reserved, reserved_bound
from lowtide.planning.solvers.windows import StepSeries
from lowtide_core.errors import InputError

HOUR_S = 3600.0
START_S = 1_700_000_000 // 3600 * 3600.0
SERIES = StepSeries(START_S, HOUR_S, np.array([300.0, 200.0, 100.0, 100.0, 400.0, 400.0, 400.0, 400.0]))
MONEY = Prices(on_demand_usd_per_cpu_h=1.0, carbon_usd_per_unit=0.0, wait_usd_per_h=0.1)
CARBON = MONEY._replace(carbon_usd_per_unit=0.01 / HOUR_S)  # 1 USD for an hour at 100


def jobs(**changes: Any) -> dict[str, Any]:
    columns = {
        "series": SERIES,
        "arrival_s": [START_S, START_S],
        "length_s": HOUR_S,
        "max_wait_s": 3 * HOUR_S,
        "cpus": 1.0,
        "reserved_cpus": 1.0,
        "prices": MONEY,
    }
    return {**columns, **changes}


def hours(start_s: np.ndarray[Any, Any]) -> list[float]:
    return ((start_s - START_S) / HOUR_S).round(9).tolist()


def test_the_second_job_waits_until_the_first_has_left_the_reserved_cpu() -> None:
    plan = plan_reserved(**jobs())
    assert hours(plan.start_s) == [0.0, 1.0]
    assert plan.on_reserved.all()
    assert plan.on_demand_usd.sum() == 0.0
    assert plan.weighed_usd == pytest.approx(0.1)
    assert plan.mean_wait_s == 0.5 * HOUR_S
    assert plan.emissions == pytest.approx([300 * HOUR_S, 200 * HOUR_S])


def test_where_waiting_costs_more_than_the_machine_it_goes_on_demand() -> None:
    plan = plan_reserved(**jobs(prices=MONEY._replace(wait_usd_per_h=1.1)))
    assert hours(plan.start_s) == [0.0, 0.0]
    assert plan.on_reserved.tolist() == [True, False]
    assert plan.on_demand_usd == pytest.approx([0.0, 1.0])


def test_carbon_moves_the_start_and_the_promise_stays() -> None:
    plan = plan_reserved(**jobs(prices=CARBON))
    assert hours(plan.start_s) == [2.0, 3.0]
    assert plan.on_reserved.all()


def test_a_job_fits_before_a_promise_and_a_wide_one_never() -> None:
    later = {"arrival_s": [START_S, START_S + 600], "prices": CARBON}
    plan = plan_reserved(**jobs(**later, max_wait_s=[3 * HOUR_S, HOUR_S], length_s=[HOUR_S, 1.5 * HOUR_S]))
    assert hours(plan.start_s) == [2.0, 0.5]  # ends just where the first begins
    assert plan.on_reserved.all()
    wide = plan_reserved(**jobs(cpus=[1.0, 2.0]))
    assert wide.on_reserved.tolist() == [True, False]
    assert hours(wide.start_s) == [0.0, 0.0]


def test_promises_are_made_in_the_order_of_arrival() -> None:
    plan = plan_reserved(**jobs(arrival_s=[START_S + 60, START_S]))
    assert (plan.start_s - START_S).tolist() == [HOUR_S, 0.0]


def test_the_bound_counts_the_cpus_that_are_there() -> None:
    nothing = reserved_bound(**jobs(max_wait_s=0.0, reserved_cpus=0.0))
    assert nothing == pytest.approx(2.0)
    assert reserved_bound(**jobs(max_wait_s=0.0)) == pytest.approx(1.0)
    assert reserved_bound(**jobs()) <= plan_reserved(**jobs()).weighed_usd


def test_a_replay_gives_a_cpu_that_falls_free_to_the_first_that_waits() -> None:
    replay = replay_reserved(
        **jobs(arrival_s=[START_S, START_S + 60, START_S + 120], length_s=[1000.0, 500.0, 100.0]),
        believed_length_s=HOUR_S,
        room_after_s=HOUR_S / 2,
    )
    assert (replay.start_s - START_S).tolist() == [0.0, 1000.0, 1500.0]
    assert replay.on_reserved.all()


def test_a_replay_without_hope_of_room_goes_on_demand_at_once() -> None:
    replay = replay_reserved(**jobs(), believed_length_s=HOUR_S, room_after_s=1e9)
    assert hours(replay.start_s) == [0.0, 0.0]
    assert replay.on_reserved.tolist() == [True, False]


def test_a_replay_lets_a_free_cpu_be_while_cleaner_hours_are_near() -> None:
    replay = replay_reserved(
        **jobs(arrival_s=[START_S], prices=CARBON), believed_length_s=HOUR_S, room_after_s=HOUR_S / 10
    )
    assert hours(replay.start_s) == [2.0]
    assert replay.on_reserved.all()


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"reserved_cpus": -1.0}, "reserved_cpus"),
        ({"reserved_cpus": np.nan}, "reserved_cpus"),
        ({"prices": MONEY._replace(wait_usd_per_h=-1.0)}, "wait_usd_per_h"),
        ({"prices": MONEY._replace(carbon_usd_per_unit=np.nan)}, "carbon_usd_per_unit"),
        ({"prices": MONEY._replace(on_demand_usd_per_cpu_h=np.inf)}, "on_demand_usd_per_cpu_h"),
        ({"cpus": -1.0}, "cpus"),
        ({"length_s": [HOUR_S, 0.0]}, "length_s"),
    ],
)
def test_what_is_out_of_range_is_refused(changes: dict[str, Any], column: str) -> None:
    for call in (plan_reserved, reserved_bound):
        with pytest.raises(InputError) as refused:
            call(**jobs(**changes))
        assert refused.value.facts["column"] == column


@pytest.mark.parametrize("room_after_s", [0.0, -1.0, np.nan])
def test_a_replay_needs_a_time_until_room(room_after_s: float) -> None:
    with pytest.raises(InputError) as refused:
        replay_reserved(**jobs(), believed_length_s=HOUR_S, room_after_s=room_after_s)
    assert refused.value.facts["column"] == "room_after_s"

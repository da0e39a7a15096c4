"""B6, a stream of jobs: carbon against waiting and money, in the world of the GAIA paper (ASPLOS 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from table import Row, data_folder, seconds

from lowtide.planning.solvers.reserved import Prices, plan_reserved, replay_reserved, reserved_bound
from lowtide.planning.solvers.waiting import plan_waits, wait_frontier
from lowtide.planning.solvers.windows import StepSeries, best_pieces, seconds_in_steps
from lowtide.testing.measured import hourly, trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide.planning.solvers.reserved import ReservedPlan
    from lowtide.planning.solvers.waiting import WaitPlan

HOUR_S = 3600.0
RESERVED_CPUS = 9
ON_DEMAND_USD_PER_CPU_H = 0.0624
CARBON_TIME_WAIT_S = 4.73 * HOUR_S


def rows() -> Iterator[Row]:
    """1,000 jobs of the Alibaba PAI trace in South Australia from hour 7000 of 2022; carbon relative to all at once."""
    jobs = trace(data_folder(), "alibaba-pai-1k")
    series = StepSeries(0.0, HOUR_S, hourly(data_folder(), "AU-SA", 2022).values[7000:7720])
    short = jobs.duration_s <= 2 * HOUR_S
    average_s = np.where(short, jobs.duration_s[short].mean(), jobs.duration_s[~short].mean())
    max_wait_s = np.where(short, 6 * HOUR_S, 24 * HOUR_S)
    columns = (series, jobs.submit_s, jobs.duration_s, max_wait_s, jobs.cpus)

    def at_wait(believed_s: np.ndarray | None) -> WaitPlan:
        return plan_waits(*columns, believed_length_s=believed_s, mean_wait_limit_s=CARBON_TIME_WAIT_S)

    blind, knowing = at_wait(average_s), at_wait(None)
    yield Row("B6", "carbon at <= 4.73 h mean wait, lengths unknown", relative(blind), "of now", 0.711, "less")
    yield Row("B6", "carbon at <= 4.73 h mean wait, lengths known", relative(knowing), "of now", 0.622, "less")
    yield Row("B6", "mean wait of the two, the longer", max(blind.mean_wait_s, knowing.mean_wait_s) / HOUR_S, "h")
    yield Row("B6", "gap to the bound, lengths known", 100 * (knowing.believed_emissions / knowing.bound - 1), "%")
    yield Row("B6", "carbon, any wait, lengths known (limit .611964)", relative(plan_waits(*columns)), "of now")
    yield Row(
        "B6", "carbon, any wait, hourly starts (limit .614376)", relative(plan_waits(*columns, start_grid_s=HOUR_S))
    )
    free = plan_waits(*columns, believed_length_s=average_s)
    yield Row("B6", "carbon, any wait, lengths unknown (limit .683704)", relative(free), "of now")
    yield Row("B6", "carbon, pausing at no cost (limit .546196)", pausing(*columns) / free.at_once_emissions.sum())
    yield Row("B6", "1,000 jobs under a limit", seconds(lambda: at_wait(average_s)), "s", 0.5, "less")
    yield Row("B6", "1,000 jobs, the whole frontier", seconds(lambda: wait_frontier(*columns)), "s", 0.5, "less")
    yield from reserved(columns, average_s)
    yield from scale(columns)


def relative(plan: WaitPlan) -> float:
    return float(plan.emissions.sum() / plan.at_once_emissions.sum())


def pausing(series: StepSeries, *jobs: np.ndarray) -> float:
    total = 0.0
    for arrival_s, length_s, wait_s, cpus in zip(*jobs, strict=True):
        pieces = best_pieces(series, arrival_s, arrival_s + length_s + wait_s, length_s)
        total += cpus * float(seconds_in_steps(series, pieces) @ series.values)
    return total


def reserved(columns: tuple[StepSeries, *tuple[np.ndarray, ...]], average_s: np.ndarray) -> Iterator[Row]:
    """9 CPUs reserved at 40 % of the price on demand; bars are those of Carbon-Time with reserved CPUs first."""
    _, _, length_s, _, cpus = columns
    at_once = plan_waits(*columns).at_once_emissions.sum()
    all_usd = ON_DEMAND_USD_PER_CPU_H * float(cpus @ length_s) / HOUR_S
    prices = Prices(ON_DEMAND_USD_PER_CPU_H, 2.0 * all_usd / at_once, wait_usd_per_h=0.03)
    given = {"reserved_cpus": RESERVED_CPUS, "prices": prices}

    def known() -> ReservedPlan:
        return plan_reserved(*columns, **given)

    def unknown() -> ReservedPlan:
        return replay_reserved(*columns, **given, believed_length_s=average_s, room_after_s=12 * HOUR_S)

    for name, call in (("unknown", unknown), ("known", known)):
        plan = call()
        paid_usd = 0.4 * RESERVED_CPUS * plan.start_s.max() / HOUR_S * ON_DEMAND_USD_PER_CPU_H
        yield Row("B6", f"9 reserved: cost, lengths {name}", plan.on_demand_usd.sum() + paid_usd, "USD", 142.15, "less")
        yield Row("B6", f"9 reserved: carbon, lengths {name}", plan.emissions.sum() / at_once, "of now", 0.854, "less")
        yield Row("B6", f"9 reserved: mean wait, lengths {name}", plan.mean_wait_s / HOUR_S, "h", 2.64, "less")
        yield Row("B6", f"9 reserved: 1,000 jobs, lengths {name}", seconds(call), "s", 0.5, "less")
    bound_usd = reserved_bound(*columns, **given)
    yield Row("B6", "9 reserved: weighed sum over its bound", 100 * (known().weighed_usd / bound_usd - 1), "%")


def scale(columns: tuple[StepSeries, *tuple[np.ndarray, ...]]) -> Iterator[Row]:
    """The trace over and over: microseconds a job, which stay the same where time is linear."""
    series, *jobs = columns
    for times in (1, 10, 100, 1000):
        many = [np.tile(column, times) for column in jobs]
        taken_s = seconds(lambda many=many: plan_waits(series, *many, mean_wait_limit_s=CARBON_TIME_WAIT_S))
        yield Row("B6", f"{1000 * times:,} jobs under a limit", 1e6 * taken_s / (1000 * times), "us/job")


def main() -> None:
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()

"""B5: elastic jobs of 24 h on one server, eight measured profiles, five zones of 2022, 24 to 48 hours of time."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import highspy
import numpy as np
from highspy._core import _Highs
from table import ROUNDS, Row, data_folder, per_second

from lowtide.planning.solvers.widths import Widths, best_fixed_width, plan_widths, work_of
from lowtide.planning.solvers.windows import StepSeries
from lowtide.testing.measured import hourly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lowtide.planning.solvers.widths import WidthPlan

HOUR_S = 3600.0
ZONES = ("CA-ON", "AU-SA", "US-CAL-CISO", "DE", "GB")
STARTS = tuple(range(0, 60 * 145, 145))
WINDOWS_H = (24, 36, 48)
LP_EVERY, MILP_EVERY, RATE_EVERY = 61, 1009, 29
SWITCH_KWH = 0.02


KINDS: dict[str, Callable[[Job], WidthPlan]] = {
    "part slots": lambda job: plan_widths(*job),
    "whole slots": lambda job: plan_widths(*job, whole_slots=True),
    "one width, pausable": lambda job: best_fixed_width(*job, pausable=True),
}


class Job(NamedTuple):
    series: StepSeries
    earliest_s: float
    end_by_s: float
    work: float
    widths: Widths

    def values(self) -> list[float]:
        first = int((self.earliest_s - self.series.start_s) / HOUR_S)
        return self.series.values[first : first + int((self.end_by_s - self.earliest_s) / HOUR_S)].tolist()

    def now(self) -> float:
        """At once on one server; g."""
        return sum(self.values()[:24]) * float(self.widths.power_w[0]) / 1000


def profiles(folder: Path) -> dict[str, Widths]:
    rows: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    with (folder / "golden/elastic_profiles.csv").open() as file:
        for row in csv.DictReader(file):
            if int(row["width"]):
                rate_per_h = HOUR_S * float(row["throughput_per_s"])
                rows[row["profile"]].append((int(row["width"]), rate_per_h, float(row["power_w"])))
    return {
        name: Widths(tuple(r[0] for r in table), np.array([r[1] for r in table]), np.array([r[2] for r in table]))
        for name, table in rows.items()
    }


def jobs(folder: Path) -> dict[tuple[str, int], list[Job]]:
    """By profile and window in hours."""
    by_case = defaultdict(list)
    for zone in ZONES:
        year = hourly(folder, zone, 2022)
        series = StepSeries(year.start_s, HOUR_S, year.values)
        for name, widths in profiles(folder).items():
            for window_h in WINDOWS_H:
                for start in STARTS:
                    if not np.isnan(year.values[start : start + window_h]).any():
                        at_s = year.start_s + HOUR_S * start
                        work = work_of(widths, 1, 24 * HOUR_S)
                        by_case[name, window_h].append(Job(series, at_s, at_s + HOUR_S * window_h, work, widths))
    return by_case


def highs(job: Job, *, whole: bool) -> float:
    """Least cost by HiGHS, the integer programme to 0.01 % or as far as it comes in 20 s."""
    values, rate = job.values(), job.widths.throughput_per_h / job.widths.throughput_per_h[0]
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(values) * rate.size, len(values) + 1
    lp.col_cost_ = np.outer(values, job.widths.power_w / 1000).ravel()
    lp.col_lower_, lp.col_upper_ = np.zeros(lp.num_col_), np.ones(lp.num_col_)
    lp.row_lower_ = np.append(np.full(len(values), -math.inf), job.work / job.widths.throughput_per_h[0])
    lp.row_upper_ = np.append(np.ones(len(values)), math.inf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(0, 2 * lp.num_col_ + 1, 2)
    rows = np.repeat(np.arange(len(values)), rate.size)
    lp.a_matrix_.index_ = np.column_stack((rows, np.full(rows.size, len(values)))).ravel()
    lp.a_matrix_.value_ = np.column_stack((np.ones(rows.size), np.tile(rate, len(values)))).ravel()
    if whole:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * lp.num_col_
    solver = _Highs()
    for option, value in {"output_flag": False, "parallel": "off", "mip_rel_gap": 1e-4, "time_limit": 20.0}.items():
        solver.setOptionValue(option, value)
    solver.passModel(lp)
    solver.run()
    return float(solver.getInfo().objective_function_value)


def rows() -> Iterator[Row]:
    by_case = jobs(data_folder())
    every = [job for case in by_case.values() for job in case]
    excess = [plan_widths(*job).cost / highs(job, whole=False) - 1 for job in every[::LP_EVERY]]
    yield Row("B5", "part slots over HiGHS' LP, most", 100 * max(excess), "%", 0.1, "less")
    excess = [plan_widths(*job, whole_slots=True).cost / highs(job, whole=True) - 1 for job in every[7::MILP_EVERY]]
    yield Row("B5", "whole slots over HiGHS' MILP, most", 100 * max(excess), "%", 0.5, "less")
    whole = [plan_widths(*job, whole_slots=True) for job in every]
    yield Row("B5", "whole slots proven optimal", 100 * sum(plan.exact for plan in whole) / len(whole), "%", 100.0)
    part = [plan_widths(*job) for job in every]
    over = [w.cost / p.cost - 1 for w, p in zip(whole, part, strict=True)]
    yield Row("B5", "whole slots over part slots, mean", 100 * float(np.mean(over)), "%")
    some = every[::RATE_EVERY]
    yield _rate("part slots, single plans", some, 1000.0)
    yield _rate("whole slots, single plans", some, 500.0, whole_slots=True)
    few = some[::10]
    yield _rate("whole slots that stop when done, single plans", few, None, whole_slots=True, stop_when_done=True)
    yield _rate("whole slots with switching energy, single plans", few, None, whole_slots=True, switch_kwh=SWITCH_KWH)
    yield from _savings(by_case)


def _rate(figure: str, some: list[Job], bar: float | None, **rules: object) -> Row:
    def call() -> None:
        for job in some:
            plan_widths(*job, **rules)  # type: ignore[arg-type]

    return Row("B5", figure, per_second(call, items=len(some)), "plans/s", bar)


def _savings(by_case: dict[tuple[str, int], list[Job]]) -> Iterator[Row]:
    """Of the emissions of all jobs, against one server at once: the mean over the profiles."""
    for kind, plan in KINDS.items():
        for window_h in WINDOWS_H:
            saved = [_saved_pct(case, plan) for (_, window), case in by_case.items() if window == window_h]
            yield Row("B5", f"saved by {kind}, {window_h} h, mean of profiles", float(np.mean(saved)), "%")


def _saved_pct(case: list[Job], plan: Callable[[Job], WidthPlan]) -> float:
    return 100 * (1 - sum(plan(job).cost for job in case) / sum(job.now() for job in case))


def table() -> Iterator[str]:
    """Every profile by itself, in the form of the published table."""
    by_case = jobs(data_folder())
    yield f"{'saved, %':<18}" + "".join(f"{kind + f', {hours} h':>26}" for hours in WINDOWS_H for kind in KINDS)
    for name in profiles(data_folder()):
        cells = [_saved_pct(by_case[name, hours], plan) for hours in WINDOWS_H for plan in KINDS.values()]
        yield f"{name:<18}" + "".join(f"{cell:>26.1f}" for cell in cells)


def main() -> None:
    for row in rows():
        print(row, flush=True)
    for line in table():
        print(line, flush=True)
    print(f"({ROUNDS} rounds; 24 h of work at one server; 5 zones x {len(STARTS)} starts of 2022 for each profile)")


if __name__ == "__main__":
    main()

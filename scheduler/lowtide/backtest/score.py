"""What the replayed jobs saved, could have saved, and how well the forecast ranked the hours of their windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.issued import step_at, steps_until
from lowtide.planning.solvers.job_times import blocks

if TYPE_CHECKING:
    from lowtide.backtest.issued import BoolArray, Came, IntArray, Issued
    from lowtide.backtest.jobs import ReplayJobs
    from lowtide.backtest.replay import Outcomes
    from lowtide_core.series import FloatArray

_SAME_SHARE = 1e-9


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over jobs, and what follows from them.

    Attributes:
        now_g, planned_g, oracle_g: Emissions at once, as planned, and as planned by one who knew the future.
        worse: How many turned out worse than at once.
        rank_sum, ranked: Sum of the rank correlations in the windows, and how many have one.
        plans: How often anything was planned.
    """

    jobs: int = 0
    now_g: float = 0.0
    planned_g: float = 0.0
    oracle_g: float = 0.0
    worse: int = 0
    rank_sum: float = 0.0
    ranked: int = 0
    plans: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def oracle_saved_pct(self) -> float | None:
        return _share_pct(self.now_g - self.oracle_g, self.now_g)

    @property
    def saved_pct(self) -> float | None:
        return _share_pct(self.now_g - self.planned_g, self.now_g)

    @property
    def captured_pct(self) -> float | None:
        """Share of the oracle's saving; None where nothing could be saved."""
        possible = self.now_g - self.oracle_g
        return None if possible <= _SAME_SHARE * self.now_g else 100 * (self.now_g - self.planned_g) / possible

    @property
    def regret_pct(self) -> float | None:
        return _share_pct(self.planned_g - self.oracle_g, self.oracle_g)

    @property
    def worse_than_now_pct(self) -> float | None:
        return _share_pct(self.worse, self.jobs)

    @property
    def rank_correlation(self) -> float | None:
        """Mean over the windows; None where all are flat."""
        return self.rank_sum / self.ranked if self.ranked else None

    def to_json(self) -> dict[str, object]:
        names = ("oracle_saved_pct", "saved_pct", "captured_pct", "regret_pct", "worse_than_now_pct")
        return {"jobs": self.jobs} | {name: getattr(self, name) for name in (*names, "rank_correlation")}


def score(jobs: ReplayJobs, outcomes: Outcomes, rank: FloatArray) -> Score:
    """The sums over the jobs; each weighs what it uses.

    Args:
        rank: Rank correlation in each window; (m,), NaN where there is none.
    """
    energy_kwh = jobs.power_kw * jobs.duration_s / 3600
    known = ~np.isnan(rank)
    return Score(
        jobs=jobs.count,
        now_g=float(energy_kwh @ outcomes.now_g_per_kwh),
        planned_g=float(energy_kwh @ outcomes.planned_g_per_kwh),
        oracle_g=float(energy_kwh @ outcomes.oracle_g_per_kwh),
        worse=int((outcomes.planned_g_per_kwh > outcomes.now_g_per_kwh * (1 + _SAME_SHARE)).sum()),
        rank_sum=float(rank[known].sum()),
        ranked=int(known.sum()),
        plans=int(outcomes.plans.sum()),
    )


def window_ranks(came: Came, issued: Issued, jobs: ReplayJobs) -> FloatArray:
    """Spearman's correlation of forecast and actual over the steps that touch each window; (m,).

    NaN where one of the two is flat, or fewer than two steps were forecast. Where the forecast ends early, so do both.
    """
    first, end = step_at(jobs.earliest_s, came.step_s), steps_until(jobs.end_by_s, came.step_s)
    row = np.maximum(issued.newest(jobs.earliest_s), 0)
    column = first - issued.first_step[row]
    steps = np.minimum(end - first, issued.horizon - column)
    found = np.full(jobs.count, np.nan)
    for length in np.unique(steps[steps >= 2]).tolist():
        ahead = np.arange(length)
        for some in blocks(np.flatnonzero(steps == length)):
            seen = issued.values[row[some, None], column[some, None] + ahead]
            real = came.values[np.minimum(first[some, None] + ahead, came.values.size - 1)]
            whole = ~np.isnan(seen).any(axis=1)
            found[some[whole]] = spearman(seen[whole], real[whole])
    return found


def spearman(left: FloatArray, right: FloatArray) -> FloatArray:
    """Rank correlation of each row with the same row of the other; (m,), NaN where a row is flat.

    Args:
        left, right: (m, n), no NaN. Equal values share the mean of their ranks.
    """
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (_ranks(left), _ranks(right)))
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    found: FloatArray = np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)
    return found


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 0 within each row, of equals their mean; (m, n)."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    place = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    new: BoolArray = np.ones(values.shape, dtype=np.bool_)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    last: BoolArray = np.ones(values.shape, dtype=np.bool_)
    last[:, :-1] = new[:, 1:]
    first_of: IntArray = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    last_of = np.minimum.accumulate(np.where(last, place, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first_of + last_of) / 2, axis=1)
    return ranks


def _share_pct(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None

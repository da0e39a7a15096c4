"""What the planner of many jobs is given and what it answers; frozen, columns in the place of objects per job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

UNPLACED = -1
"""``start_step`` and ``pool`` of a job that does not fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One place with capacity.

    Attributes:
        label: Carried through, never interpreted.
        intensity_g_per_kwh: Expected mean of each step; (T,), g CO2e/kWh, finite.
        pue: Facility energy over IT energy; >= 1.
        capacity: What is left of each resource in each step; (K, T), in its unit, >= 0; inf is no limit.
    """

    label: str
    intensity_g_per_kwh: FloatArray
    pue: float
    capacity: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FleetJobs:
    """The jobs as columns: row ``j`` of each array is job ``j``.

    Attributes:
        release_step: First step in which it may start; (n,), >= 0.
        due_step: Finished by the end of step ``due_step - 1``: start + ``run_steps`` <= ``due_step``; (n,), <= T.
        run_steps: Length of the run, uninterrupted; (n,), >= 1.
        demand: What it takes of each resource while it runs; (n, K), >= 0.
        power_kw: IT power while it runs; (n,), or (n, P) where it depends on the pool; kW, >= 0.
        allowed: Pools where it may run; (n, P).
        fixed_g: Emissions of running it there at all (moving its data); (n, P), g.
        priority: The higher goes first when not all fit; (n,).
        share: The group (user, account) to which it is counted for fair shares; (n,), any integers.
        unused: Part of its last step in which it no longer runs, though it keeps its place; (n,), 0 <= part < 1.
        home: The pool in which it would run without a plan; (n,), an allowed one.
    """

    release_step: IntArray
    due_step: IntArray
    run_steps: IntArray
    demand: FloatArray
    power_kw: FloatArray
    allowed: BoolArray
    fixed_g: FloatArray
    priority: FloatArray
    share: IntArray
    unused: FloatArray
    home: IntArray

    @property
    def count(self) -> int:
        return int(self.run_steps.size)


@dataclass(frozen=True, slots=True, eq=False)
class FleetProblem:
    """Jobs, pools and the grid of time that they share.

    Attributes:
        resources: Names of the K resources, in the order of ``Pool.capacity`` and ``FleetJobs.demand``.
        step_s: Length of a step; s, > 0.
    """

    pools: tuple[Pool, ...]
    jobs: FleetJobs
    resources: tuple[str, ...]
    step_s: float

    @property
    def steps(self) -> int:
        """T, the number of steps; 0 without a pool."""
        return int(self.pools[0].intensity_g_per_kwh.size) if self.pools else 0


@dataclass(frozen=True, slots=True)
class FleetMisfit:
    """A job that has no place in the plan.

    Attributes:
        job: Its row.
        limit: ``deadline`` where its own window is too short; ``capacity`` where what it needs is not free.
        resource: The resource that is short; empty for a deadline.
        short_by: Steps for a deadline; else how much of the resource is missing at the place that lacks least.
    """

    job: int
    why: str
    limit: Literal["deadline", "capacity"]
    resource: str = ""
    short_by: float = 0.0


@dataclass(frozen=True, slots=True)
class Relax:
    """One limit to relax. Relaxing all of one kind, capacity or deadline, is enough for every misfit.

    Attributes:
        kind: ``capacity``: raise ``resource`` of ``pool`` in the steps [``from_step``, ``to_step``) by ``raise_by``.
            ``deadline``: move ``due_step`` of ``job`` later by ``later_steps``.
    """

    kind: Literal["capacity", "deadline"]
    pool: str = ""
    resource: str = ""
    from_step: int = 0
    to_step: int = 0
    raise_by: float = 0.0
    job: int = -1
    later_steps: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FleetPlan:
    """Where and when each job runs. All emissions are sums over the jobs that are placed; g CO2e.

    Attributes:
        start_step: (n,), -1 for a job that does not fit.
        pool: (n,), index of the pool; -1 likewise.
        at_once_g: The same jobs, each at its release at home, as if there were no capacity.
        bound_g: No plan that places the same jobs within the capacity emits less (proven).
        uncapped_g: The best without capacity.
        misfits: The jobs that are not placed, with the reason.
        relax: What to relax so that all fit; empty where all do.
        exact: The plan is optimal: no other placement of as good a set of jobs emits less.
    """

    start_step: IntArray
    pool: IntArray
    emissions_g: float
    at_once_g: float
    bound_g: float
    uncapped_g: float
    misfits: tuple[FleetMisfit, ...] = ()
    relax: tuple[Relax, ...] = ()
    exact: bool = False

    @property
    def placed(self) -> BoolArray:
        """Which jobs have a place; (n,)."""
        return np.asarray(self.start_step != UNPLACED)

    @property
    def gap_pct(self) -> float:
        """How far the plan may at most be from the best; percent of the bound."""
        over_g = max(0.0, self.emissions_g - self.bound_g)
        if over_g == 0.0:
            return 0.0
        return 100.0 * over_g / self.bound_g if self.bound_g > 0 else float("inf")

    @property
    def saved_pct(self) -> float | None:
        """Saving against everything at once; None where that emits nothing."""
        return 100.0 * (self.at_once_g - self.emissions_g) / self.at_once_g if self.at_once_g > 0 else None

    @property
    def bound_saving_share(self) -> float | None:
        """The saving as a share of the bound's saving; None where the bound saves nothing."""
        possible_g = self.at_once_g - self.bound_g
        return (self.at_once_g - self.emissions_g) / possible_g if possible_g > 0 else None

"""Jobs and plans to fill a store with: small, valid, and changed by naming what matters to the test."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide.jobs.spec import JobSpec
from lowtide.planning.types import ForecastUsed, Plan, Segment
from lowtide.store.jobs import NewPlan
from lowtide_core.places import LOCAL, Place, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord

ZONE = ZoneId("DE")


def job_spec(now_utc: datetime, **changes: Any) -> JobSpec:
    """One hour of work on this machine, to be done within ten."""
    spec = JobSpec(
        argv=("true",),
        working_dir="/",
        duration_s=3600.0,
        earliest_utc=now_utc,
        deadline_utc=now_utc + timedelta(hours=10),
        places=(Place(LOCAL, ZONE),),
        home=Place(LOCAL, ZONE),
        power_w=100.0,
        power_basis="given",
    )
    return replace(spec, **changes)


def plan_at(start_utc: datetime, *, issued_utc: datetime | None = None, **changes: Any) -> NewPlan:
    """One hour from then on; on a forecast where it has been issued, on a climatology where not."""
    plan = Plan(
        segments=(Segment(start_utc, start_utc + timedelta(hours=1), LOCAL, ZONE),),
        energy_kwh=0.1,
        emissions_g=30.0,
        emissions_low_g=None,
        emissions_high_g=None,
        at_once_g=40.0,
        baseline_g=40.0,
        no_baseline_why="",
        bound_g=30.0,
        exact=True,
        chance_worse=None,
        price_usd=None,
        forecast=ForecastUsed(
            source="invented",
            kind="climatology" if issued_utc is None else "forecast",
            issued_at=issued_utc,
            frame=LIFECYCLE_CONSUMPTION,
            known_until_utc=start_utc + timedelta(days=2),
        ),
        forecast_edge=False,
        pue=1.0,
        transfer_g=0.0,
        baseline_pue=None,
        baseline_transfer_g=None,
    )
    return NewPlan(replace(plan, **changes), {})


def flat_series(start_utc: datetime, *, hours: int = 48, **changes: Any) -> SignalSeries:
    """300 g/kWh, hour after hour."""
    values = np.full(hours, 300.0)
    plain = SignalSeries(ZONE, start_utc, 3600.0, values, LIFECYCLE_CONSUMPTION, "climatology", "invented")
    return replace(plain, **changes)


def add_job(store: Store, spec: JobSpec, planned: NewPlan, *, at_utc: datetime, key: str = "key") -> JobRecord:
    """Puts the job, and a series for its plan to rest on, into the store; gives it back as it stands there."""
    planned = replace(planned, vintages=store.signals.add_all({ZONE: flat_series(spec.earliest_utc)}))
    return store.jobs.get(store.jobs.add(spec, planned, key, at_utc, "test", "quoted"))

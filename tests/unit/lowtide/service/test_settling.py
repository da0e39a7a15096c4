"""Settling over days: modelled, provisional, settled; each source asked as rarely as its figures change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.service.settling import ASK_AGAIN, FINAL_AFTER, GIVE_UP_AFTER, Settling
from lowtide.store import Store, open_store
from lowtide.store.jobs import Attempt, AttemptEnd, NewPlan
from lowtide.testing.jobs import ZONE, job_spec, plan_at
from lowtide_core.errors import NoData
from lowtide_core.launches import AttemptKey
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.spans import Span

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Grid:
    """A source of actuals that lags by an hour, revises, and counts how often it is asked."""

    now: datetime = T0
    level: float = 200.0
    asked: list[datetime] = field(default_factory=list)
    name: str = "grid"
    frame: Frame = LIFECYCLE_CONSUMPTION

    def covers(self, zone: ZoneId) -> bool:
        return True

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        self.asked.append(self.now)
        until = min(span.end_utc, self.now - timedelta(hours=1))
        hours = int((until - span.start_utc) / timedelta(hours=1))
        if wanted != "actual" or hours < 1:
            raise NoData("nothing yet", provider=self.name, operation=wanted)
        values = np.full(hours, self.level)
        return SignalSeries(zone, span.start_utc, 3600.0, values, self.frame, "actual", self.name, None, self.now)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def ended_job(store: Store, key: str = "k", **plan_changes: object) -> str:
    """A job of one hour, quoted at once, that ran from T0 to T0 + 1 h and used 0.1 kWh."""
    forecast = SignalSeries(
        ZONE, T0, 3600.0, np.full(24, 300.0), LIFECYCLE_CONSUMPTION, "forecast", "grid", T0, T0, None, None, key
    )
    vintage = store.signals.add(forecast)
    figures = {"emissions_g": 30.0, "baseline_g": 30.0, "baseline_pue": 1.0, "baseline_transfer_g": 0.0}
    planned = plan_at(T0, issued_utc=T0, **{**figures, **plan_changes})
    job_id = store.jobs.add(job_spec(T0), NewPlan(planned.plan, {ZONE: vintage}), key, T0, "test", "quoted")
    record = store.jobs.get(job_id)
    run_id = AttemptKey(f"{job_id}.1")
    attempt = Attempt(1, run_id, "local", None, T0, None, None, None, "")
    claimed = store.jobs.move(record, "claim", at_utc=T0, who="t", why="due", attempt=attempt)
    end = AttemptEnd(T0, T0 + timedelta(hours=1), 0)
    store.jobs.move(claimed, "finish", at_utc=T0 + timedelta(hours=1), who="t", why="exit 0", end=end)
    component = {"energy_j": 360000.0, "energy_low_j": 350000.0, "energy_high_j": 370000.0, "sources": [], "flags": []}
    result = {
        "run_id": run_id, "start_utc": "2026-03-01T12:00:00Z", "duration_s": 3600.0, "exit_status": 0, "end": "ok",
        "energy_j": 360000.0, "energy_low_j": 350000.0, "energy_high_j": 370000.0, "cpu_seconds": 1.0,
        "measured_share": 1.0, "modelled_share": 0.0, "filled_share": 0.0, "components": {"cpu": component},
        "buckets": [
            {"start_utc": (T0 + timedelta(minutes=5 * i)).isoformat(), "energy_j": 30000.0} for i in range(12)
        ],
    }  # fmt: skip
    store.readings.add(run_id, job_id, 1, result, T0 + timedelta(hours=1))
    return job_id


def settling(store: Store, grid: Grid, tmp_path: Path) -> Settling:
    return Settling(store, lambda _: (grid,), grid, tmp_path)


def a_round(room: Settling, grid: Grid, now: datetime) -> None:
    grid.now = now
    for step in (room.fetch, room.collect, room.settle):
        step(now)


def realised(store: Store, job_id: str) -> tuple[str, float]:
    found = store.settlements.latest(job_id)
    assert found is not None
    return found["realised"]["state"], found["realised"]["emissions_g"]


def test_from_modelled_over_provisional_to_settled(store: Store, tmp_path: Path) -> None:
    job_id, grid = ended_job(store), Grid()
    room = settling(store, grid, tmp_path)
    a_round(room, grid, T0 + timedelta(hours=1))
    assert realised(store, job_id) == ("modelled", pytest.approx(30.0))
    a_round(room, grid, T0 + timedelta(hours=3))
    assert realised(store, job_id) == ("provisional", pytest.approx(20.0))
    grid.level = 210.0
    deadline = T0 + timedelta(hours=10)
    a_round(room, grid, deadline + FINAL_AFTER + timedelta(hours=1))
    assert realised(store, job_id) == ("settled", pytest.approx(21.0)), "the revised figures are what is final"
    asked = len(grid.asked)
    a_round(room, grid, deadline + FINAL_AFTER + timedelta(hours=9))
    assert len(grid.asked) == asked, "nothing is asked about what is settled"


def test_first_figures_never_become_final_by_age_alone(store: Store, tmp_path: Path) -> None:
    job_id, grid = ended_job(store), Grid()
    room = settling(store, grid, tmp_path)
    a_round(room, grid, T0 + timedelta(hours=12))
    assert realised(store, job_id)[0] == "provisional"
    room = settling(store, grid, tmp_path)
    late = T0 + timedelta(hours=10) + FINAL_AFTER + timedelta(hours=1)
    room.settle(late)
    assert realised(store, job_id)[0] == "provisional", "no fresh answer, no final state"


def test_a_source_is_not_hammered(store: Store, tmp_path: Path) -> None:
    ended_job(store)
    grid = Grid()
    room = settling(store, grid, tmp_path)
    for second in range(0, int(2 * ASK_AGAIN.total_seconds()), 10):
        a_round(room, grid, T0 + timedelta(hours=1, seconds=second))
    assert len(grid.asked) == 2


def test_after_two_weeks_nobody_looks_again(store: Store, tmp_path: Path) -> None:
    ended_job(store)
    grid = Grid()
    a_round(settling(store, grid, tmp_path), grid, T0 + GIVE_UP_AFTER + timedelta(hours=2))
    assert grid.asked == []


def test_what_was_planned_is_not_priced_anew(store: Store, tmp_path: Path) -> None:
    """PUE and transfer come from the archived plan, whatever the settings say today."""
    job_id = ended_job(store, pue=1.5, transfer_g=7.0, emissions_g=52.0, baseline_pue=1.2, baseline_g=36.0)
    grid = Grid()
    a_round(settling(store, grid, tmp_path), grid, T0 + timedelta(hours=1))
    found = store.settlements.latest(job_id)
    assert found is not None
    assert found["planned"]["pue"] == 1.5
    assert found["realised"]["emissions_g"] == pytest.approx(0.1 * 1.5 * 300 + 7)
    assert found["baseline_g"] == pytest.approx(0.1 * 1.2 * 300)
    assert sum(value or 0.0 for value in found["difference"].values()) == pytest.approx(0.0, abs=1e-9)


def test_one_damaged_job_stops_no_other(store: Store, tmp_path: Path) -> None:
    damaged, whole = ended_job(store, "a"), ended_job(store, "b")
    record = store.jobs.get(damaged)
    with store.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM vintages WHERE vintage_id = ?", (record.vintages[ZONE],))
    grid = Grid(now=T0 + timedelta(hours=1))
    told = settling(store, grid, tmp_path).settle(T0 + timedelta(hours=1))
    assert any(f"job {damaged} cannot be settled" in line for line in told)
    assert realised(store, whole)[0] == "modelled"


def test_the_same_figures_are_not_written_twice(store: Store, tmp_path: Path) -> None:
    ended_job(store)
    grid = Grid(now=T0 + timedelta(hours=1))
    room = settling(store, grid, tmp_path)
    assert len(room.settle(T0 + timedelta(hours=1))) == 1
    assert room.settle(T0 + timedelta(hours=2)) == ()
    assert replace(room, looked={}).settle(T0 + timedelta(hours=2)) == ()

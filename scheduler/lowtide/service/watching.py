"""What is being measured now, from the journals that the samplers are writing; nothing is asked of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowtide.service.collect import journals_in, runs_of
from lowtide_core.quantities import JOULES_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from lowtide.store.jobs import JobRecord

_NOW_S = 10.0
_SILENT_FOR_INTERVALS = 3.0
_SILENT_FOR_AT_LEAST_S = 120.0
_SILENT_FOR_AT_MOST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Grid:
    """What a kilowatt hour of IT energy emits where the run is, its overhead included; ``source`` says who says so."""

    g_per_kwh: float
    source: str


@dataclass(frozen=True, slots=True)
class Watched:
    """One run as it stands.

    Attributes:
        power_w: Mean of the last ten seconds; None before there are two readings.
        measured_share: Of the energy: what counters said; the rest is modelled or filled. None where energy is zero.
        left_s: Until its planned end; None without a plan.
        grid: None where nobody knows the grid.
    """

    run_id: str
    job_id: str
    end: str
    host: str
    duration_s: float
    power_w: float | None
    energy_kwh: float
    measured_share: float | None
    left_s: float | None
    grid: Grid | None

    @property
    def emissions_g(self) -> float | None:
        return None if self.grid is None else self.energy_kwh * self.grid.g_per_kwh

    @property
    def expected_energy_kwh(self) -> float | None:
        """At the planned end, if it goes on as now."""
        if self.left_s is None or self.power_w is None:
            return None
        return self.energy_kwh + self.power_w * self.left_s / JOULES_PER_KWH

    @property
    def expected_emissions_g(self) -> float | None:
        expected_kwh = self.expected_energy_kwh
        return None if expected_kwh is None or self.grid is None else expected_kwh * self.grid.g_per_kwh

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "job_id": self.job_id or None,
            "end": self.end,
            "host": self.host,
            "duration_s": self.duration_s,
            "power_w": self.power_w,
            "energy_kwh": self.energy_kwh,
            "measured_share": self.measured_share,
            "emissions_g": self.emissions_g,
            "expected_energy_kwh": self.expected_energy_kwh,
            "expected_emissions_g": self.expected_emissions_g,
            "intensity_g_per_kwh": self.grid.g_per_kwh if self.grid else None,
            "intensity_source": self.grid.source if self.grid else None,
        }


def running(spool: Path) -> tuple[str, ...]:
    """The runs that are being measured, by this host or by others that share the spool."""
    from lowtide_sampler.journal import read_journal

    found = []
    for path in sorted(spool.glob("*.jsonl")):
        try:
            age_s = time.time() - path.stat().st_mtime
            if age_s > _SILENT_FOR_AT_MOST_S:
                continue
            records = read_journal(path)
        except OSError:
            continue
        if records.header is not None and records.end is None and _writes(records.header, age_s):
            found.append(path.stem)
    return tuple(found)


def watch(
    spool: Path, run_ids: Iterable[str], job: Callable[[str], JobRecord | None], home: Grid | None
) -> tuple[Watched, ...]:
    """How the named runs stand; those whose energy another rank counts, and those without a journal, are left out.

    Args:
        job: The job of a plan's id; None where there is none.
        home: The grid of runs without a job.
    """
    found = [_look(spool, run_id, job, home) for run_id in run_ids]
    return tuple(watched for watched in found if watched is not None)


def runs_of_job(spool: Path, record: JobRecord) -> tuple[str, ...]:
    """The runs of a job that have a journal, those of its newest attempt first."""
    journals = journals_in(spool)
    return tuple(run for attempt in reversed(record.attempts) for run in runs_of(journals, attempt.key))


def home_intensity_g_per_kwh(home: str, now_utc: datetime) -> float | None:
    """What the climatology of home's zone says of now; None without a home, or where it has no shape."""
    from lowtide.assembly.request import home_place
    from lowtide_facts.climatology import has_shape, series

    place = home_place(home)
    if place is None or not has_shape(place.zone):
        return None
    from datetime import timedelta

    from lowtide_core.spans import Span

    found = series(place.zone, Span(now_utc, now_utc + timedelta(hours=1)))
    return float(found.intensity_g_per_kwh[0])


def _look(spool: Path, run_id: str, job: Callable[[str], JobRecord | None], home: Grid | None) -> Watched | None:
    from lowtide_sampler.journal import JournalError, read_journal, replay
    from lowtide_sampler.ranks import replay_with_ranks
    from lowtide_sampler.sections import last_stretch

    try:
        records = read_journal(spool / f"{run_id}.jsonl")
        result = replay_with_ranks(spool, records)
        newest = replay(last_stretch(records, _NOW_S))
    except (OSError, JournalError):
        return None
    if result["energy_j"] is None:
        return None
    record = job(str(result["plan_id"])) if result["plan_id"] else None
    power_w = newest["energy_j"] / newest["duration_s"] if newest["duration_s"] > 0 else None
    return Watched(
        run_id=run_id,
        job_id="" if record is None else str(record.job_id),
        end=str(result["end"]),
        host=str(result["host"]),
        duration_s=float(result["duration_s"]),
        power_w=power_w if result["end"] == "open" else None,
        energy_kwh=float(result["energy_j"]) / JOULES_PER_KWH,
        measured_share=result["measured_share"],
        left_s=None if record is None else _left_s(record, float(result["duration_s"])),
        grid=home if record is None else _planned_grid(record) or home,
    )


def _left_s(record: JobRecord, ran_for_s: float) -> float:
    planned_s = sum((segment.end_utc - segment.start_utc).total_seconds() for segment in record.plan.segments)
    return max(planned_s - ran_for_s, 0.0)


def _planned_grid(record: JobRecord) -> Grid | None:
    plan = record.plan
    return Grid(plan.emissions_g / plan.energy_kwh, "plan") if plan.energy_kwh > 0 else None


def _writes(header: dict[str, Any], age_s: float) -> bool:
    from lowtide_sampler.journal import is_alive, longest_interval_s

    if header["host"] == os.uname().nodename:
        return is_alive(header)
    return age_s <= max(_SILENT_FOR_INTERVALS * longest_interval_s(header), _SILENT_FOR_AT_LEAST_S)

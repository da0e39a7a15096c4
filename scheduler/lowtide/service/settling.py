"""Brings readings and actual intensities into the store, and settles ended jobs from the store alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.accounting.profiles import measured_profile
from lowtide.accounting.settle import Settlement, SettlementInputs, SitedPlace, settle
from lowtide.service.collect import MEASURED, collect_readings, journals_in
from lowtide_core.errors import LowtideError
from lowtide_core.places import Place
from lowtide_core.ports import Metered
from lowtide_core.spans import Span, from_epoch_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from lowtide.accounting.profiles import Profile
    from lowtide.store import Store
    from lowtide.store.jobs import Attempt, JobRecord
    from lowtide_core.launches import AttemptKey
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Engine, SignalSource
    from lowtide_core.series import SignalSeries

FINAL_AFTER = timedelta(days=2)
"""Sources revise their figures for about a day after the hour: what is fetched two days later is taken as final."""

ASK_AGAIN = timedelta(minutes=30)
"""How long an answer stands, and a failure too, before a source is asked again for the same zone."""

GIVE_UP_AFTER = timedelta(days=14)
"""A job whose actuals have not come by then stays as it was settled last: modelled, or provisional."""


@dataclass(frozen=True, slots=True)
class Settling:
    """The three last steps of a round, for the jobs that are open.

    Attributes:
        sources: Sources that could have actuals, for a job's own demanded source (empty: none demanded).
        model: What stands in for a forecast that does not reach as far as the run did.
        engine: Engine of that name: some measure energy themselves. None: they are not asked.
        looked, asked: When a job was last settled, and a source last asked, by this process: a round comes every few
            seconds, and neither figures nor grids change so fast.
    """

    store: Store
    sources: Callable[[str], Sequence[SignalSource]]
    model: SignalSource
    spool: Path
    engine: Callable[[str], Engine] | None = None
    looked: dict[str, datetime] = field(default_factory=dict)
    asked: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def fetch(self, now_utc: datetime, only: Sequence[str] = ()) -> tuple[str, ...]:
        """Brings actual intensities that open settlements need into the store; says what failed and why."""
        told: list[str] = []
        for record in self._open(now_utc, only):
            results = self.store.readings.of_job(record.job_id)
            if not any(result["buckets"] for result in results):
                continue
            span = needed_span(record, measured_profile(results))
            wanted = _past(span, now_utc)
            for zone in _zones(record) if wanted else ():
                if wanted and not self._is_final(record, zone, span):
                    told += self._fetch(record, zone, wanted, now_utc)
        return tuple(told)

    def collect(self, now_utc: datetime, only: Sequence[str] = ()) -> tuple[str, ...]:
        """Brings what the sampler wrote for open jobs into the store."""
        told: list[str] = []
        journals: list[str] | None = None
        for record in self._open(now_utc, only):
            try:
                journals = journals_in(self.spool) if journals is None else journals
                told += collect_readings(self.store, self.spool, record, now_utc, journals)
            except LowtideError as error:
                told.append(f"job {record.job_id}: {error}")
        try:
            return (*told, *self._ask_engines(now_utc, only))
        except LowtideError as error:
            return (*told, f"what engines measured is not known yet: {error.message}")

    def _ask_engines(self, now_utc: datetime, only: Sequence[str]) -> tuple[str, ...]:
        """Keeps what engines measured beside what we did; one question for each engine."""
        unknown: dict[str, dict[AttemptKey, tuple[JobRecord, Attempt]]] = {}
        if self.engine is None:
            return ()
        for record in self._open(now_utc, only):
            for attempt in record.attempts:
                if attempt.engine_energy_j is None and attempt.started_utc is not None:
                    unknown.setdefault(attempt.engine, {})[attempt.key] = (record, attempt)
        told: list[str] = []
        for name, attempts in unknown.items():
            engine = self.engine(name)
            if not isinstance(engine, Metered):
                continue
            for key, energy_j in engine.energies_j(list(attempts)).items():
                record, attempt = attempts[key]
                self.store.jobs.set_engine_energy(record, attempt.number, energy_j)
                told.append(f"job {record.job_id}: {name} itself measured {energy_j:.0f} J")
        return tuple(told)

    def settle(self, now_utc: datetime, only: Sequence[str] = ()) -> tuple[str, ...]:
        """Settles open jobs from what the store holds; the same figures again are not written again."""
        told = []
        for record in self._open(now_utc, only):
            try:
                state = self._settle(record, now_utc)
            except LowtideError as error:  # one damaged job stops no other
                told.append(f"job {record.job_id} cannot be settled: {error}")
                state = None
            else:
                if state:
                    told.append(f"job {record.job_id}: {state}")
            if self.store.readings.of_job(record.job_id):
                self.looked[record.job_id] = now_utc
        return tuple(told)

    def _open(self, now_utc: datetime, only: Sequence[str]) -> tuple[JobRecord, ...]:
        ids = self.store.settlements.open_jobs(MEASURED, now_utc - GIVE_UP_AFTER)
        due = [
            job_id
            for job_id in ids
            if (job_id in only if only else now_utc - self.looked.get(job_id, now_utc - ASK_AGAIN) >= ASK_AGAIN)
        ]
        return tuple(self.store.jobs.get(job_id) for job_id in due)

    def _fetch(self, record: JobRecord, zone: ZoneId, wanted: Span, now_utc: datetime) -> list[str]:
        told = []
        frame = record.plan.forecast.frame
        for source in self.sources(record.spec.signal):
            if source.frame != frame or not source.covers(zone):
                continue
            last = self.asked.get((source.name, zone))
            if last is not None and now_utc - last < ASK_AGAIN:
                continue
            self.asked[source.name, zone] = now_utc
            try:
                series = source.fetch(zone, wanted, "actual")
            except LowtideError as error:
                told.append(f"job {record.job_id}: no actual intensity from {source.name}: {error.message}")
                continue
            if series.kind in ("actual", "estimated"):
                self.store.signals.add(series)
                return [*told, f"job {record.job_id}: actual intensity of {zone} from {source.name}"]
        return told

    def _settle(self, record: JobRecord, now_utc: datetime) -> str | None:
        """The state of a new settlement; None where nothing new can be said."""
        inputs = self._inputs(record)
        answer = None if inputs is None else settle(inputs)
        if not isinstance(answer, Settlement):
            return None
        found = answer.to_json()
        if found == self.store.settlements.latest(record.job_id):
            return None
        self.store.settlements.add(record.job_id, answer.state, found, now_utc)
        return answer.state

    def _inputs(self, record: JobRecord) -> SettlementInputs | None:
        from lowtide_facts.climatology import facts_version

        results = self.store.readings.of_job(record.job_id)
        if not any(result["buckets"] for result in results):
            return None
        profile, plan = measured_profile(results), record.plan
        span = needed_span(record, profile)
        run = Span(from_epoch_s(profile.start_s[0]), from_epoch_s(profile.end_s[-1]))
        forecast = {zone: self._forecast(record, zone, span) for zone in _zones(record)}
        actual = {zone: self._actual(record, zone, span, run) for zone in _zones(record)}
        site = SitedPlace(Place(plan.segments[0].region, plan.segments[0].zone), plan.pue, plan.transfer_g)
        home = None
        if record.spec.home is not None and plan.baseline_pue is not None:
            home = SitedPlace(record.spec.home, plan.baseline_pue, plan.baseline_transfer_g or 0.0)
        return SettlementInputs(
            job_id=record.job_id,
            plan=plan,
            results=results,
            planned=site,
            realised=site,  # the local engine runs where it was told to; engines that may not will say so in a report
            home=home,
            no_home_why=plan.no_baseline_why,
            earliest_utc=record.spec.earliest_utc,
            deadline_utc=record.spec.deadline_utc,
            forecast={zone: series for zone, series in forecast.items() if series is not None},
            actual={zone: series for zone, series in actual.items() if series is not None},
            final=self._is_final(record, site.place.zone, span),
            facts_version=facts_version(),
            embodied_g_per_h=_embodied_g_per_h(record),
            pausing=record.spec.manner.pausing,
        )

    def _forecast(self, record: JobRecord, zone: ZoneId, span: Span) -> SignalSeries | None:
        """What the plan was made on; a model, which does not age, is asked again where the run left its time."""
        vintage = record.vintages.get(zone)
        series = None if vintage is None else self.store.signals.get(vintage)
        if series is not None and series.kind == "climatology" and not series.covers(span) and self.model.covers(zone):
            return self.model.fetch(zone, span, "forecast")
        return series

    def _actual(self, record: JobRecord, zone: ZoneId, span: Span, least: Span) -> SignalSeries | None:
        """The last received actual that covers the whole span, else the last that covers the least."""
        found = self.store.signals.overlapping(zone, record.plan.forecast.frame, span, ("actual", "estimated"))[::-1]
        whole = next((series for series in found if series.covers(span)), None)
        return whole or next((series for series in found if series.covers(least)), None)

    def _is_final(self, record: JobRecord, zone: ZoneId, span: Span) -> bool:
        """Whether the store holds actuals of the whole span that were fetched when they were final."""
        series = self._actual(record, zone, span, span)
        return series is not None and (series.fetched_at is None or series.fetched_at >= span.end_utc + FINAL_AFTER)


def needed_span(record: JobRecord, profile: Profile) -> Span:
    """All of the time over which the planned run, the real one, the one at once and the best one can lie."""
    length = timedelta(seconds=profile.length_s)
    ends = (record.spec.deadline_utc, from_epoch_s(profile.end_s[-1]), record.spec.earliest_utc + length)
    return Span(min(record.spec.earliest_utc, from_epoch_s(profile.start_s[0])), max(*ends, record.plan.end_utc))


def _zones(record: JobRecord) -> tuple[ZoneId, ...]:
    places = (record.plan.segments[0].zone, *((record.spec.home.zone,) if record.spec.home else ()))
    return tuple(dict.fromkeys(places))


def _past(span: Span, now_utc: datetime) -> Span | None:
    return None if now_utc <= span.start_utc else Span(span.start_utc, min(span.end_utc, now_utc))


def _embodied_g_per_h(record: JobRecord) -> float | None:
    """Of the machine behind the job's accelerators; of a machine without any nothing is known."""
    if not record.spec.gpu:
        return None
    from lowtide_facts.accelerators import usual_host
    from lowtide_facts.embodied import machine_embodied_g_per_h

    count = record.spec.gpu_count
    return machine_embodied_g_per_h(record.spec.gpu, count, usual_host(record.spec.gpu)[0] * count)

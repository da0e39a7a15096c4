"""Gathers what settlements rest on: fetches actuals into the store, and settles from the store alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.accounting.profiles import measured_profile
from lowtide.accounting.settle import Settlement, SettlementInputs, SitedPlace, settle
from lowtide.service.collect import MEASURED
from lowtide_core.errors import InputError, ProviderError
from lowtide_core.places import LOCAL, Place
from lowtide_core.spans import Span, from_epoch_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from lowtide.accounting.profiles import Profile
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource
    from lowtide_core.series import SignalSeries

FINAL_AFTER = timedelta(days=2)
"""Sources revise their figures for about a day after the hour; two days later they are taken as final."""

ASK_AGAIN = timedelta(minutes=30)
"""How long a provisional settlement stands before its source is asked again."""


def open_jobs(store: Store, only: Sequence[str]) -> Iterator[JobRecord]:
    """Jobs that have ended, have used energy, and are not settled."""
    settled = store.settlements.states()
    for record in store.jobs.find(states=MEASURED):
        if record.attempts and settled.get(record.job_id) != "settled" and (not only or record.job_id in only):
            yield record


def needed_span(record: JobRecord, profile: Profile) -> Span:
    """All of the time over which the planned run, the real one, the one at once and the best one can lie."""
    length = timedelta(seconds=profile.length_s)
    ends = (record.spec.deadline_utc, from_epoch_s(profile.end_s[-1]), record.spec.earliest_utc + length)
    return Span(min(record.spec.earliest_utc, from_epoch_s(profile.start_s[0])), max(*ends, record.plan.end_utc))


def fetch_actuals(
    store: Store, sources: Callable[[], Sequence[SignalSource]], now_utc: datetime, only: Sequence[str] = ()
) -> tuple[str, ...]:
    """Brings the actual intensities that open settlements need into the store; a source that fails is asked again."""
    told = []
    for record in open_jobs(store, only):
        results = store.readings.of_job(record.job_id)
        frame = record.plan.forecast.frame
        mine = [source for source in sources() if source.frame == frame] if results else []
        for zone in _zones(record) if mine else ():
            wanted = _past(needed_span(record, measured_profile(results)), now_utc)
            if wanted is None or _actual(store, record, zone, wanted, wanted) is not None:
                continue
            for source in mine:
                try:
                    series = source.fetch(zone, wanted, "actual") if source.covers(zone) else None
                except (ProviderError, InputError):
                    continue
                if series is not None and series.kind in ("actual", "estimated"):
                    store.signals.add(series)
                    told.append(f"job {record.job_id}: actual intensity of {zone} from {source.name}")
                    break
    return tuple(told)


def settle_open(
    store: Store,
    model: SignalSource,
    now_utc: datetime,
    only: Sequence[str] = (),
    *,
    pue_at_home: float,
) -> tuple[str, ...]:
    """Settles every open job from what the store holds; the same figures again are not written again."""
    told = []
    for record in open_jobs(store, only):
        inputs = _inputs(store, model, record, now_utc, pue_at_home)
        answer = None if inputs is None else settle(inputs)
        if not isinstance(answer, Settlement):
            continue
        found = answer.to_json()
        if found != store.settlements.latest(record.job_id):
            store.settlements.add(record.job_id, answer.state, found, now_utc)
            told.append(f"job {record.job_id}: {answer.state}")
    return tuple(told)


def _inputs(
    store: Store, model: SignalSource, record: JobRecord, now_utc: datetime, pue_at_home: float
) -> SettlementInputs | None:
    from lowtide_facts.climatology import facts_version

    results = store.readings.of_job(record.job_id)
    if not any(result["buckets"] for result in results):
        return None
    profile = measured_profile(results)
    span = needed_span(record, profile)
    run = Span(from_epoch_s(profile.start_s[0]), from_epoch_s(profile.end_s[-1]))
    forecast = {zone: _forecast(store, model, record, zone, span) for zone in _zones(record)}
    actual = {zone: _actual(store, record, zone, span, run) for zone in _zones(record)}
    ran_at = Place(record.plan.segments[0].region, record.plan.segments[0].zone)
    home = record.spec.home
    return SettlementInputs(
        job_id=record.job_id,
        plan=store.jobs.plan(record.job_id, record.plan_number).plan,
        results=results,
        planned=_sited(ran_at, pue_at_home),
        realised=_sited(ran_at, pue_at_home),
        home=None if home is None or record.plan.baseline_g is None else _sited(home, pue_at_home),
        no_home_why=record.plan.no_baseline_why,
        earliest_utc=record.spec.earliest_utc,
        deadline_utc=record.spec.deadline_utc,
        forecast={zone: series for zone, series in forecast.items() if series is not None},
        actual={zone: series for zone, series in actual.items() if series is not None},
        final=now_utc >= span.end_utc + FINAL_AFTER,
        facts_version=facts_version(),
    )


def _zones(record: JobRecord) -> tuple[ZoneId, ...]:
    places = (record.plan.segments[0].zone, *((record.spec.home.zone,) if record.spec.home else ()))
    return tuple(dict.fromkeys(places))


def _sited(place: Place, pue_at_home: float) -> SitedPlace:
    from lowtide_facts.pue import pue_of

    return SitedPlace(place, pue_at_home if place.region == LOCAL else pue_of(place.region).pue)


def _past(span: Span, now_utc: datetime) -> Span | None:
    return None if now_utc <= span.start_utc else Span(span.start_utc, min(span.end_utc, now_utc))


def _forecast(store: Store, model: SignalSource, record: JobRecord, zone: ZoneId, span: Span) -> SignalSeries | None:
    """What the plan was made on; a model, which does not age, is asked again where the run left the archived time."""
    vintage = record.vintages.get(zone)
    series = None if vintage is None else store.signals.get(vintage)
    if series is not None and series.kind == "climatology" and not series.covers(span) and model.covers(zone):
        return model.fetch(zone, span, "forecast")
    return series


def _actual(store: Store, record: JobRecord, zone: ZoneId, span: Span, least: Span) -> SignalSeries | None:
    """The last received actual that covers the whole span, else the last that covers the least; None without one."""
    found = store.signals.overlapping(zone, record.plan.forecast.frame, span, ("actual", "estimated"))[::-1]
    whole = (series for series in found if series.covers(span))
    return next(whole, None) or next((series for series in found if series.covers(least)), None)

"""Makes a waiting job's next plan from what is known now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lowtide.assembly.quote import requote
from lowtide.assembly.request import PlanRequest
from lowtide.service.promises import with_promises
from lowtide.store.archive import Question, question_to_text
from lowtide.store.jobs import NewPlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lowtide.jobs.spec import JobSpec
    from lowtide.settings import Settings
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide_providers.signals.chain import Chain


class ChainFor(Protocol):
    """Makes the chain of sources for a job."""

    def __call__(self, signal: str = "", *, as_of_utc: datetime | None = None) -> Chain: ...


def replanner(store: Store, chain: ChainFor, settings: Settings) -> Callable[[JobRecord, datetime], NewPlan]:
    """A function that plans a job anew and archives what the plan rests on."""

    def make_plan(record: JobRecord, now_utc: datetime) -> NewPlan:
        request = request_of(record.spec, settings, max(record.spec.earliest_utc, now_utc))
        request = with_promises(request, settings, store, now_utc, without_key=record.key)
        found = requote(request, chain(record.spec.signal, as_of_utc=now_utc), record.plan.segments)
        question = Question(found.gathered.problem, record.plan.segments, found.gathered.excluded)
        return NewPlan(found.plan, store.signals.add_all(found.gathered.series), question_to_text(question))

    return make_plan


def request_of(spec: JobSpec, settings: Settings, earliest_utc: datetime) -> PlanRequest:
    """The planning question of a job that was submitted before; its power stays as it was quoted."""
    return PlanRequest(
        duration_s=spec.duration_s,
        earliest_utc=earliest_utc,
        deadline_utc=spec.deadline_utc,
        places=spec.places,
        home=spec.home,
        home_gpus=settings.home_gpus,
        gpu=spec.gpu,
        gpu_count=spec.gpu_count or 1,
        power_w=spec.power_w,
        manner=spec.manner,
        judgement=spec.judgement,
        bandwidth_gb_per_s=spec.bandwidth_gb_per_s,
        max_price_usd=spec.max_price_usd,
        data_gb=spec.data_gb,
        data_from=spec.data_from,
        local_pue=settings.home_pue,
    )

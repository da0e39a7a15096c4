"""Brings jobs up to date before they are reported on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide.jobs.states import IN_FLIGHT
from lowtide.service.ticks import run_tick

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lowtide.service.ticks import TickContext
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord


def refreshed(
    context: TickContext, store: Store, records: Sequence[JobRecord], now_utc: datetime
) -> tuple[JobRecord, ...]:
    """The jobs as they stand after a round over those of them that may have news.

    That is: what an engine has, and what has ended and was never settled. ``serve`` and ``tick`` look at the others in
    their own time.
    """
    news = [record.job_id for record in records if _may_have_news(store, record)]
    if news:
        run_tick(context, now_utc, only=news)
    return tuple(store.jobs.get(record.job_id) if record.job_id in news else record for record in records)


def _may_have_news(store: Store, record: JobRecord) -> bool:
    return record.state in IN_FLIGHT or (bool(record.attempts) and store.settlements.latest(record.job_id) is None)

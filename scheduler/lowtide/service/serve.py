"""Keeps ticking until it is told to stop. APScheduler only wakes it; the truth is in the store."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from lowtide.service.ticks import TickContext, run_tick

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from lowtide.service.ticks import TickReport
    from lowtide.store import Store


def serve(
    context: TickContext,
    store: Store,
    *,
    interval_s: float,
    stop: threading.Event,
    tell: Callable[[TickReport], None],
) -> None:
    """Ticks every ``interval_s``, and exactly when the next waiting job is due, until ``stop`` is set."""
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})

    def tick() -> None:
        now_utc = datetime.now(UTC)
        beat(store, "serve", now_utc, timedelta(seconds=3 * interval_s))
        tell(run_tick(context, now_utc))
        due_utc = store.jobs.next_start_utc()
        if due_utc is not None and now_utc < due_utc < now_utc + timedelta(seconds=interval_s):
            scheduler.add_job(wake, "date", run_date=due_utc, id="due", replace_existing=True, misfire_grace_time=None)

    def wake() -> None:  # the rhythmic tick itself, brought forward: it never runs beside itself
        scheduler.modify_job("tick", next_run_time=datetime.now(UTC))

    scheduler.add_job(
        tick, "interval", seconds=interval_s, id="tick", next_run_time=datetime.now(UTC), misfire_grace_time=None
    )
    scheduler.start()
    try:
        stop.wait()
    finally:
        scheduler.shutdown(wait=True)
        store.services.leave("serve", socket.gethostname(), os.getpid())


def beat(store: Store, kind: str, now_utc: datetime, lasts: timedelta) -> None:
    """Tells the store that this process is here, and for how long it may be counted on."""
    store.services.beat(kind, socket.gethostname(), os.getpid(), now_utc, now_utc + lasts)

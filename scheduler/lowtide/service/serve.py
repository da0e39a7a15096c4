"""Keeps ticking until it is told to stop. APScheduler only wakes it; the truth is in the store."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from lowtide.service.ticks import TickContext, TickReport, run_tick
from lowtide_core.errors import LowtideError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from lowtide.store import Store

_BREATH = timedelta(seconds=0.1)
"""A round never runs beside itself: the next one waits until this one has surely returned."""

_RECORD_EVERY_S = 600.0
"""How often it is looked whether a source is due."""


def serve(
    context: TickContext,
    store: Store,
    *,
    interval_s: float,
    stop: threading.Event,
    tell: Callable[[TickReport], None],
    record: Callable[[datetime], TickReport] | None = None,
) -> None:
    """Ticks every ``interval_s``, and exactly when a job is to start, to pause or to go on, until ``stop`` is set.

    Args:
        record: Keeps what the sources of intensities say; asked beside the rounds, so that a slow source holds up no
            job. None records nothing.
    """
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})

    def tick() -> None:
        now_utc = datetime.now(UTC)
        try:
            beat(store, "serve", now_utc, timedelta(seconds=3 * interval_s))
            report = run_tick(context, now_utc)
            tell(report)
            turns = (store.jobs.next_start_utc(now_utc), report.turn_utc)
        except LowtideError as error:  # the store itself cannot be used: it may be at the next round
            tell(TickReport(did=(), failed=(f"store: {error}",)))
            return
        soon_utc = now_utc + timedelta(seconds=interval_s)
        due = [turn_utc for turn_utc in turns if turn_utc is not None and now_utc < turn_utc < soon_utc]
        if due:
            scheduler.modify_job("tick", next_run_time=max(min(due), datetime.now(UTC) + _BREATH))

    scheduler.add_job(
        tick, "interval", seconds=interval_s, id="tick", next_run_time=datetime.now(UTC), misfire_grace_time=None
    )
    if record is not None:
        scheduler.add_job(
            lambda: tell(record(datetime.now(UTC))),
            "interval",
            seconds=_RECORD_EVERY_S,
            id="record",
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
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

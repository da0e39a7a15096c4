"""One round: fetch -> re-plan -> dispatch -> poll -> settle. Each step stands alone; a failing one stops no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide.dispatch.pausing import next_turn_utc
from lowtide.dispatch.reconcile import reconcile
from lowtide.dispatch.replan import replan_stale
from lowtide.dispatch.start import start_due
from lowtide_core.errors import LowtideError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lowtide.dispatch.actor import Actor
    from lowtide.store.jobs import JobRecord, NewPlan


@dataclass(frozen=True, slots=True)
class TickContext:
    """What a tick works with.

    Attributes:
        actor: The store's jobs, and the engines.
        make_plan: A new plan for a waiting job, from what is known now.
        fetch: Brings the actual intensities that open settlements need into the store.
        collect: Brings the readings of ended attempts into the store.
        settle: Settles what can be settled. These three return what they did, a line each.
    """

    actor: Actor
    make_plan: Callable[[JobRecord, datetime], NewPlan]
    fetch: Callable[[datetime, Sequence[str]], tuple[str, ...]]
    collect: Callable[[datetime, Sequence[str]], tuple[str, ...]]
    settle: Callable[[datetime, Sequence[str]], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TickReport:
    """What one round did, which of its steps failed and why, and when the next job in flight is to pause or go on."""

    did: tuple[str, ...]
    failed: tuple[str, ...]
    turn_utc: datetime | None = None


def run_tick(context: TickContext, now_utc: datetime, only: Sequence[str] = ()) -> TickReport:
    """One round over every job, or over ``only`` these."""

    def told(records: tuple[JobRecord, ...]) -> tuple[str, ...]:
        return tuple(f"job {record.job_id} {record.state}: {record.why}" for record in records)

    turn_utc: datetime | None = None

    def poll() -> tuple[str, ...]:
        nonlocal turn_utc
        flying = context.actor.jobs.in_flight()
        turn_utc = next_turn_utc(flying, now_utc)
        return told(reconcile(context.actor, now_utc, only, flying))

    steps: tuple[tuple[str, Callable[[], tuple[str, ...]]], ...] = (
        ("fetch", lambda: context.fetch(now_utc, only)),
        ("re-plan", lambda: told(replan_stale(context.actor, context.make_plan, now_utc, only))),
        ("dispatch", lambda: told(start_due(context.actor, now_utc, only))),
        ("poll", poll),
        ("collect", lambda: context.collect(now_utc, only)),
        ("settle", lambda: context.settle(now_utc, only)),
    )
    did: list[str] = []
    failed: list[str] = []
    for name, step in steps:
        try:
            did.extend(step())
        except LowtideError as error:
            failed.append(f"{name}: {error}")
    return TickReport(tuple(did), tuple(failed), turn_utc)

"""The library: what the commands of these names do, from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowtide.asking import Asked, plan_request
from lowtide.assembly.quote import quote
from lowtide.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide.assembly.quote import Quote


def plan(*, duration: str, deadline: str, now_utc: datetime | None = None, signal: str = "", **asked: Any) -> Quote:
    """The quote for a job: ``plan(duration="4h", deadline="24h", zone="DE", power="300W").plan.start_utc``.

    Args:
        duration, deadline: As on the command line, with their units. asked: more of its options, by name: ``zone``,
            ``region``, ``regions``, ``power``, ``gpu``, ``count``, ``cpus``, ``pausable``, ``earliest``, ...
        signal: A source or a file; empty follows the chain. now_utc: plan as if it were this time.
    Raises:
        LowtideError: Its kinds are those of the command's exit codes.
    """
    wiring = Wiring()
    return _quote(wiring, Asked(duration=duration, deadline=deadline, **asked), now_utc or wiring.now_utc(), signal)


def _quote(wiring: Wiring, asked: Asked, now_utc: datetime, signal: str, *, key: str = "") -> Quote:
    request = plan_request(wiring.with_history(asked), wiring.settings, now_utc=now_utc)
    return quote(wiring.with_promises(request, now_utc, key=key), wiring.chain(signal, as_of_utc=now_utc))


def submit(
    argv: Sequence[str],
    *,
    duration: str,
    deadline: str,
    working_dir: str = ".",
    environment: Mapping[str, str] | None = None,
    retries: int = 0,
    name: str = "",
    key: str = "",
    signal: str = "",
    **asked: Any,
) -> str:
    """Plans a job and keeps it; returns its id. ``lowtide serve`` or ``lowtide tick`` starts it at its time.

    Args:
        argv: Program and arguments. key: the same key again is the same job. The others as in ``plan``.
    Raises:
        LowtideError: Its kinds are those of the command's exit codes.
    """
    from pathlib import Path

    from lowtide.service.submitting import Order
    from lowtide.service.submitting import submit as submit_order

    wiring = Wiring()
    now_utc = wiring.now_utc()
    question = Asked(duration=duration, deadline=deadline, fixed_width=True, **asked)
    found = _quote(wiring, question, now_utc, signal, key=key)
    order = Order(
        argv=tuple(argv),
        working_dir=str(Path(working_dir).resolve()),
        environment=dict(environment or {}),
        retries=retries,
        name=name,
        signal=signal,
        key=key,
    )
    with wiring.store() as store:
        return submit_order(store, found, order, environ=wiring.environ, now_utc=now_utc, who="library").job_id


def report(job_id: str) -> dict[str, Any]:
    """One job's receipt: the contract of ``lowtide report JOB --json``."""
    from lowtide.reports.build import build
    from lowtide.service.refresh import refreshed

    wiring = Wiring()
    now_utc = wiring.now_utc()
    with wiring.store() as store:
        records = refreshed(wiring.tick_context(store, "library"), store, (store.jobs.get(job_id),), now_utc)
        return build(store, records, now_utc).rows[0].to_json()

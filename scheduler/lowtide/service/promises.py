"""Asks the store what this machine has promised, where a setting limits what it may run at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lowtide.jobs.promises import HomeLimits
from lowtide_core.places import LOCAL

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.assembly.request import PlanRequest
    from lowtide.settings import Settings
    from lowtide.store import Store


def limited(request: PlanRequest, settings: Settings) -> PlanRequest:
    """The request with the limits of home, where it may run there; nothing is asked of the store."""
    limits = HomeLimits(settings.home_jobs, settings.home_power)
    at_home = any(place.region == LOCAL for place in request.places)
    return replace(request, limits=limits) if limits and at_home else request


def with_promises(
    request: PlanRequest, settings: Settings, store: Store, now_utc: datetime, *, without_key: str = ""
) -> PlanRequest:
    """The request with what is promised at home to other jobs than the one of the key.

    Nothing is locked: of two jobs that are submitted in the same instant, neither sees the other's promise.
    """
    request = limited(request, settings)
    if not request.limits:
        return request
    return replace(request, promised=store.jobs.promised(LOCAL, now_utc, without_key=without_key))

"""What a person asks for, in their own words, and its one translation into a ``PlanRequest``: for CLI and library."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.assembly.request import PlanRequest, home_place, region_place, requested_places
from lowtide.jobs.window import require_time
from lowtide_core.errors import InputError
from lowtide_core.quantities import parse_duration_s, parse_instant_utc, parse_power_w, parse_size_gb

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.settings import Settings
    from lowtide_core.places import Place


MOST_AHEAD = timedelta(days=400)
MOST_GPUS = 100_000
MOST_CPUS = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The options of ``lowtide plan``, as typed; an empty text is "not given"."""

    duration: str
    deadline: str = ""
    earliest: str = ""
    zone: str = ""
    region: str = ""
    regions: str = ""
    power: str = ""
    gpu: str = ""
    count: int = 1
    cpus: float = 4
    pausable: bool = False
    max_price_usd: float | None = None
    data: str = ""
    data_from: str = ""


def plan_request(asked: Asked, settings: Settings, *, now_utc: datetime) -> PlanRequest:
    """Everything typed, understood and checked.

    Raises:
        InputError: Something typed is not understood, or contradicts something else.
        InfeasibleError: The deadline leaves less time than the job takes.
    """
    home = home_place(settings.home)
    places = requested_places(zone=asked.zone, region=asked.region, regions=_listed(asked.regions), home=home)
    if not asked.deadline:
        raise InputError("No deadline is given.", hint="Say by when it must have finished: --deadline 24h.")
    duration_s = parse_duration_s(asked.duration)
    earliest_utc = parse_instant_utc(asked.earliest or "now", now_utc=now_utc)
    deadline_utc = parse_instant_utc(asked.deadline, now_utc=now_utc)
    if deadline_utc <= now_utc:
        raise InputError(
            f"The deadline {asked.deadline!r} is in the past: it is {now_utc:%Y-%m-%dT%H:%MZ} now.",
            hint="Give one that lies ahead, such as --deadline 24h.",
            deadline_utc=deadline_utc,
        )
    require_horizon(now_utc, deadline_utc)
    require_time(max(earliest_utc, now_utc), deadline_utc, duration_s)
    data_gb, data_from = data_lies(asked.data, asked.data_from, home)
    return PlanRequest(
        duration_s=duration_s,
        earliest_utc=max(earliest_utc, now_utc),
        deadline_utc=deadline_utc,
        places=places,
        home=places[0] if asked.zone else home,
        home_gpus=settings.home_gpus,
        gpu=gpu_name(asked.gpu),
        gpu_count=gpu_count(asked.count),
        cpus=cpus(asked.cpus),
        power_w=parse_power_w(asked.power) if asked.power else None,
        pausable=asked.pausable,
        max_price_usd=max_price_usd(asked.max_price_usd),
        local_pue=settings.home_pue,
        data_gb=data_gb,
        data_from=data_from,
    )


def regions_request(
    asked: Asked, settings: Settings, *, providers: str, residency: str, now_utc: datetime
) -> PlanRequest:
    """Every region that offers the accelerator, within the limits on provider and residency.

    Raises:
        InputError: Something typed is not understood.
        InfeasibleError: No region is left; the message says which limit removed them.
    """
    from lowtide.assembly.offers import offering_places

    duration_s = parse_duration_s(asked.duration)
    deadline = asked.deadline or f"{duration_s + 86400:.0f}s"
    gpu, count = gpu_name(asked.gpu), gpu_count(asked.count)
    home = home_place(settings.home)
    data_gb, data_from = data_lies(asked.data, asked.data_from, home)
    deadline_utc = parse_instant_utc(deadline, now_utc=now_utc)
    require_horizon(now_utc, deadline_utc)
    require_time(now_utc, deadline_utc, duration_s)
    return PlanRequest(
        duration_s=duration_s,
        earliest_utc=now_utc,
        deadline_utc=deadline_utc,
        places=offering_places(gpu, count, providers=_listed(providers), residency=residency),
        home=home or data_from,
        home_gpus=settings.home_gpus,
        gpu=gpu,
        gpu_count=count,
        max_price_usd=max_price_usd(asked.max_price_usd),
        local_pue=settings.home_pue,
        data_gb=data_gb,
        data_from=data_from,
    )


def gpu_name(typed: str) -> str:
    """The accelerator's name in the facts; empty stays empty."""
    if not typed:
        return ""
    from lowtide_facts.accelerators import find_accelerator

    return find_accelerator(typed).name


def gpu_count(typed: int) -> int:
    """At least one, and no more than a job can have."""
    if not 1 <= typed <= MOST_GPUS:
        raise InputError(f"--count is {typed}.", hint=f"Give the number of accelerators, 1 to {MOST_GPUS:,}.")
    return typed


def cpus(typed: float) -> float:
    """More than none, and no more than a job can have."""
    if not 0 < typed <= MOST_CPUS:
        raise InputError(
            f"--cpus is {typed}.", hint=f"Give the number of busy threads, such as 4; at most {MOST_CPUS:,}."
        )
    return typed


def max_price_usd(typed: float | None) -> float | None:
    """A price that limits something."""
    if typed is not None and not 0 < typed < float("inf"):
        raise InputError(f"--max-price is {typed}.", hint="Give a positive number of US dollars for the whole run.")
    return typed


def require_horizon(now_utc: datetime, deadline_utc: datetime) -> None:
    """Refuses a deadline so far away that nothing can be known of it."""
    if deadline_utc - now_utc > MOST_AHEAD:
        raise InputError(
            f"The deadline {deadline_utc:%Y-%m-%d} is more than {MOST_AHEAD.days} days away.",
            hint="Give one that is nearer: nothing is known of the grid so far ahead.",
            deadline_utc=deadline_utc,
        )


def data_lies(size: str, where: str, home: Place | None) -> tuple[float, Place | None]:
    """How much data is to be brought along, GB, and from where; it lies at home where nothing else is said.

    Raises:
        InputError: A place without a size, or a size without a place and without a home.
    """
    if not size:
        if where:
            raise InputError(f"--from {where} is given, but not how much data lies there.", hint="Add --data 50GB.")
        return 0.0, None
    size_gb = parse_size_gb(size)
    place = region_place(where) if where else home
    if place is None:
        raise InputError(f"--data {size} is given, but not where it lies.", hint="Add --from aws:us-east-1.")
    return size_gb, place


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())

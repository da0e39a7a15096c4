"""What a person asks for, in their own words, and its one translation into a ``PlanRequest``: for CLI and library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lowtide.assembly.request import PlanRequest, home_place, region_place, requested_places
from lowtide.jobs.guard import LEAST_ERRORS
from lowtide.jobs.manner import Judgement, Manner, Pausing
from lowtide.jobs.window import require_time
from lowtide.planning.energy import booked_s
from lowtide_core.errors import InputError
from lowtide_core.quantities import (
    parse_duration_s,
    parse_energy_kwh,
    parse_instant_utc,
    parse_power_w,
    parse_rate_gb_per_s,
    parse_share,
    parse_size_gb,
)

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.jobs.durations import DurationGuess
    from lowtide.jobs.widths import WidthTable
    from lowtide.settings import Settings
    from lowtide_core.places import Place


MOST_AHEAD = timedelta(days=400)
MOST_GPUS = 100_000
MOST_CPUS = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The options of ``lowtide plan``, as typed; an empty text is "not given".

    Not typed are ``seen_s``, durations of like jobs, looked up for ``--duration like:NAME``, and ``fixed_width``: what
    runs the job cannot change its width.
    """

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
    max_pauses: int | None = None
    restart_energy: str = ""
    min_run: str = ""
    setup_energy: str = ""
    teardown_energy: str = ""
    power_profile: str = ""
    widths: str = ""
    whole_steps: bool = False
    switch_energy: str = ""
    memory: str = ""
    fixed_width: bool = False
    keep_deadline: str = ""
    max_price_usd: float | None = None
    carbon_price_usd_per_t: float | None = None
    robust: bool = False
    guard: bool = True
    data: str = ""
    data_from: str = ""
    bandwidth: str = ""
    checkpoint: str = ""
    residency: str = ""
    max_latency: str = ""
    seen_s: tuple[float, ...] = ()


def plan_request(asked: Asked, settings: Settings, *, now_utc: datetime) -> PlanRequest:
    """Everything typed, understood and checked.

    Raises:
        InputError: Something typed is not understood, or contradicts something else.
        InfeasibleError: The deadline leaves less time than the job takes.
    """
    home = home_place(settings.home)
    places = places_of(asked, home)
    if not asked.deadline:
        raise InputError("No deadline is given.", hint="Say by when it must have finished: --deadline 24h.")
    manner, profile_w = manner_of(asked)
    duration_s = manner.guess.mean_s if manner.guess else parse_duration_s(asked.duration)
    earliest_utc = max(now_utc, parse_instant_utc(asked.earliest or "now", now_utc=now_utc))
    deadline_utc = parse_instant_utc(asked.deadline, now_utc=now_utc)
    minutes = _whole_minute(earliest_utc, up=True), _whole_minute(deadline_utc, up=False)
    if _on_minutes(manner) and (minutes[1] - minutes[0]).total_seconds() >= booked_s(manner, duration_s):
        earliest_utc, deadline_utc = minutes  # such plans are exact on a common grain of their times
    if deadline_utc <= now_utc:
        raise InputError(
            f"The deadline {asked.deadline!r} is in the past: it is {now_utc:%Y-%m-%dT%H:%MZ} now.",
            hint="Give one that lies ahead, such as --deadline 24h.",
            deadline_utc=deadline_utc,
        )
    require_horizon(now_utc, deadline_utc)
    # with widths the planner itself says how long the widest would take
    require_time(earliest_utc, deadline_utc, 0.0 if manner.widths else booked_s(manner, duration_s))
    data_gb, data_from = data_lies(asked.data, asked.data_from, home)
    if asked.bandwidth and not (asked.data or asked.checkpoint):
        raise InputError("--bandwidth is for data that has to be brought.", hint="Add --data, or leave it out.")
    return PlanRequest(
        duration_s=duration_s,
        earliest_utc=earliest_utc,
        deadline_utc=deadline_utc,
        places=places,
        home=places[0] if asked.zone else home,
        home_gpus=settings.home_gpus,
        gpu=gpu_name(asked.gpu),
        gpu_count=gpu_count(asked.count),
        cpus=cpus(asked.cpus),
        power_w=power_of(asked, manner, profile_w),
        power_basis=_power_basis(asked, duration_s),
        manner=manner,
        judgement=judgement_of(asked),
        max_price_usd=max_price_usd(asked.max_price_usd),
        local_pue=settings.home_pue,
        data_gb=data_gb,
        data_from=data_from,
        bandwidth_gb_per_s=parse_rate_gb_per_s(asked.bandwidth) if asked.bandwidth else None,
        checkpoint_gb=checkpoint_gb(asked),
        residency=asked.residency,
        max_latency_ms=1e3 * parse_latency_s(asked.max_latency) if asked.max_latency else None,
        latency_from=data_from or home,
    )


def _on_minutes(manner: Manner) -> bool:
    """Whether the job pauses in a manner that is planned on a grid of time."""
    pausing = manner.pausing
    return pausing is not None and (bool(pausing.min_run_s or manner.course) or manner.guess is not None)


def _whole_minute(instant: datetime, *, up: bool) -> datetime:
    whole = instant.replace(second=0, microsecond=0)
    return whole + timedelta(minutes=1) if up and whole < instant else whole


def places_of(asked: Asked, home: Place | None) -> tuple[Place, ...]:
    """The places that are named; ``--regions all`` is every region that has the accelerator, or every one."""
    if asked.regions.strip().lower() != "all":
        return requested_places(zone=asked.zone, region=asked.region, regions=_listed(asked.regions), home=home)
    if asked.zone or asked.region:
        raise InputError("--zone, --region and --regions exclude each other.", hint="Give one of them.")
    if asked.gpu:
        from lowtide.assembly.offers import offering_places

        return offering_places(gpu_name(asked.gpu), gpu_count(asked.count), providers=(), residency=asked.residency)
    from lowtide_core.places import Place
    from lowtide_facts.regions import all_regions

    return tuple(Place(region.region, region.zone) for region in all_regions() if region.status == "available")


def manner_of(asked: Asked) -> tuple[Manner, float | None]:
    """How the job runs, and its mean power where a profile of it is given; W.

    Raises:
        InputError: Something typed is not understood, or cannot be planned together.
    """
    if not asked.pausable:
        for given, name in (
            (asked.max_pauses, "--max-pauses"),
            (asked.restart_energy, "--restart-energy"),
            (asked.min_run, "--min-run"),
            (asked.checkpoint, "--checkpoint"),
        ):
            if given not in (None, ""):
                raise InputError(f"{name} is for a job that may be paused.", hint="Add --pausable.")
    course: tuple[tuple[float, float], ...] = ()
    profile_w = None
    if asked.power_profile:
        from lowtide.sheets import read_course

        if asked.power:
            raise InputError("--power and --power-profile exclude each other.", hint="Give one of them.")
        course, profile_w = read_course(asked.power_profile)
    pausing = Pausing(
        restart_kwh=_energy_kwh(asked.restart_energy),
        max_pauses=asked.max_pauses,
        min_run_s=parse_duration_s(asked.min_run) if asked.min_run else 0.0,
    )
    manner = Manner(
        pausing=pausing if asked.pausable else None,
        setup_kwh=_energy_kwh(asked.setup_energy),
        teardown_kwh=_energy_kwh(asked.teardown_energy),
        course=course,
        guess=duration_guess(asked),
        widths=_widths(asked),
    )
    return manner, profile_w


def _energy_kwh(text: str) -> float:
    return parse_energy_kwh(text) if text else 0.0


def duration_guess(asked: Asked) -> DurationGuess | None:
    """What is known of a duration that is not known: ``3h..5h``, or what like jobs took; None of a plain one.

    Raises:
        InputError: A range that is none, or a probability without one.
    """
    low, dots, high = asked.duration.partition("..")
    if not (asked.seen_s or dots):
        if asked.keep_deadline:
            raise InputError(
                f"--keep-deadline is for a duration that is not known; {asked.duration} is.",
                hint="Give a range, such as --duration 3h..5h.",
            )
        return None
    from lowtide.jobs.durations import KEEP_SHARE, DurationGuess

    share = parse_share(asked.keep_deadline) if asked.keep_deadline else KEEP_SHARE
    if dots and parse_duration_s(low) > parse_duration_s(high):
        raise InputError(f"{low} is longer than {high}.", hint=f"Give the shorter one first: --duration {high}..{low}.")
    if asked.seen_s:
        return DurationGuess(min(asked.seen_s), max(asked.seen_s), tuple(sorted(asked.seen_s)), share)
    return DurationGuess(parse_duration_s(low), parse_duration_s(high), keep_share=share)


def _widths(asked: Asked) -> WidthTable | None:
    if not asked.widths:
        for given, name in (
            (asked.whole_steps, "--whole-steps"),
            (asked.switch_energy, "--switch-energy"),
            (asked.memory, "--memory"),
        ):
            if given:
                raise InputError(f"{name} is for a job of several widths.", hint="Add --widths FILE.")
        return None
    from lowtide.sheets import read_widths

    if asked.power or asked.power_profile:
        raise InputError("--power and --widths exclude each other.", hint="The table of widths has the power of each.")
    switch_kwh = _energy_kwh(asked.switch_energy)
    memory_gb = parse_size_gb(asked.memory) if asked.memory else None
    # a change that costs something is planned on whole steps
    table = read_widths(
        asked.widths, whole_steps=asked.whole_steps or switch_kwh > 0, switch_kwh=switch_kwh, memory_limit_gb=memory_gb
    )
    return replace(table, fixed=asked.fixed_width)


def power_of(asked: Asked, manner: Manner, profile_w: float | None) -> float | None:
    """The power that the user knows, W: given, the mean of a profile, or that of the base width."""
    if manner.widths is not None:
        return manner.widths.at(manner.widths.base)[1]
    return profile_w if profile_w is not None else parse_power_w(asked.power) if asked.power else None


def _power_basis(asked: Asked, duration_s: float) -> str:
    """How the user told the power."""
    if asked.widths:
        return f"that of its width in {asked.widths}"
    if not asked.power_profile:
        return "given by the user"
    from lowtide.sheets import profile_length_s

    long_s = profile_length_s(asked.power_profile)
    stretched = "" if abs(long_s - duration_s) < 1 else f", whose {long_s / 3600:.3g} h are stretched to the duration"
    return f"mean of {asked.power_profile}{stretched}"


def judgement_of(asked: Asked) -> Judgement:
    """What counts as better.

    Raises:
        InputError: A carbon price that is none.
    """
    price = asked.carbon_price_usd_per_t
    if price is not None and not 0 < price < float("inf"):
        raise InputError(f"--carbon-price is {price}.", hint="Give a positive number of US dollars per tonne: 100.")
    return Judgement(
        carbon_price_usd_per_t=price,
        robust=asked.robust,
        least_errors=LEAST_ERRORS if asked.guard and not asked.robust else 0.0,
    )


def checkpoint_gb(asked: Asked) -> float | None:
    """What moves along when the job goes on elsewhere; None: it stays where it began."""
    if not asked.checkpoint:
        return None
    if not asked.regions:
        raise InputError("--checkpoint lets the job move, but there is one place.", hint="Name several with --regions.")
    return parse_size_gb(asked.checkpoint)


def parse_latency_s(text: str) -> float:
    """Seconds of ``50ms`` or ``0.1s``; > 0.

    Raises:
        InputError: Neither.
    """
    plain = text.strip().lower()
    digits = plain.removesuffix("ms").strip() if plain.endswith("ms") else ""
    if digits.replace(".", "", 1).isdigit() and float(digits) > 0:
        return float(digits) / 1e3
    if plain.endswith("s") and not digits:
        return parse_duration_s(plain)
    raise InputError(f"{text!r} is not a latency.", hint="Write it as 50ms.", text=text)


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

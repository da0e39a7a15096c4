"""The files of ``lowtide plan-fleet`` in people's words, and their one translation into jobs and capacities."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lowtide.asking import cpus, gpu_name, require_horizon
from lowtide.assembly.fleet import Capacity, FleetJob, label_of
from lowtide.assembly.request import home_place, local_place, region_place, requested_places
from lowtide.sheets import number_in, read_sheet
from lowtide_core.errors import InfeasibleError, InputError
from lowtide_core.quantities import duration_text, parse_duration_s, parse_instant_utc, parse_power_w
from lowtide_core.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from lowtide.settings import Settings
    from lowtide.sheets import Row
    from lowtide_core.places import Place

NEEDED = ("name", "duration")
KNOWN = (
    "deadline",
    "earliest",
    "power",
    "cpus",
    "gpu",
    "gpus",
    "zone",
    "region",
    "regions",
    "priority",
    "user",
    "after",
    "every",
    "times",
)
MOST_TIMES = 1000
_LINES_TOLD = 6


@dataclass(frozen=True, slots=True)
class FleetDefaults:
    """What holds for every line that does not say otherwise; an empty text is "not given"."""

    deadline: str = ""
    zone: str = ""
    regions: str = ""


def read_jobs(path: str, defaults: FleetDefaults, settings: Settings, *, now_utc: datetime) -> tuple[FleetJob, ...]:
    """The jobs of a file, recurring ones written out.

    Raises:
        InputError: Something in the file is not understood; names the line.
        InfeasibleError: A deadline leaves less time than its job takes; names the line.
    """
    jobs: list[FleetJob] = []
    wrong: list[tuple[int, InputError | InfeasibleError]] = []
    for line, row in read_sheet(path, needed=NEEDED, known=KNOWN):
        try:
            jobs.extend(_jobs(row, defaults, settings, now_utc))
        except (InputError, InfeasibleError) as error:
            wrong.append((line, error))
    if wrong:
        line, first = wrong[0]
        others = "".join(
            f"\n  line {number}: {'the same' if str(error) == str(first) else error}"
            for number, error in wrong[1:_LINES_TOLD]
        )
        left = f"\n  and {len(wrong) - _LINES_TOLD} lines more" if len(wrong) > _LINES_TOLD else ""
        kind = InputError if any(isinstance(error, InputError) for _, error in wrong) else InfeasibleError
        raise kind(
            f"{path}, line {line}: {first.message}", hint=f"{first.hint}{others}{left}", lines=[n for n, _ in wrong]
        )
    return tuple(jobs)


def _jobs(row: Row, defaults: FleetDefaults, settings: Settings, now_utc: datetime) -> Iterator[FleetJob]:
    if ".." in row["duration"]:
        raise InputError(
            f"The duration {row['duration']} is a range.",
            hint="In a fleet each job has one: give what suffices, or plan it alone.",
        )
    duration_s = parse_duration_s(row["duration"])
    deadline = row.get("deadline") or defaults.deadline
    if not row["name"] or not deadline:
        lacks = "name" if not row["name"] else "deadline"
        hint = f"Fill the column {lacks}{', or give one for all with --deadline' if lacks == 'deadline' else ''}."
        raise InputError(f"The job has no {lacks}.", hint=hint)
    earliest_utc = max(now_utc, parse_instant_utc(row.get("earliest") or "now", now_utc=now_utc))
    deadline_utc = parse_instant_utc(deadline, now_utc=now_utc)
    if deadline_utc <= earliest_utc:
        raise InputError(
            f"The deadline {deadline!r} is not after the earliest start, {row.get('earliest') or 'now'!r}.",
            hint="Name the day of the deadline too, such as 'tomorrow 06:00'.",
        )
    gpus = _amount(row, "gpus", default=1.0 if row.get("gpu") else 0.0)
    threads = cpus(_amount(row, "cpus", default=1.0))
    demand = {"cpus": threads}
    if gpus:
        demand["gpus"] = gpus
        if row.get("gpu"):
            demand[f"gpus:{gpu_name(row['gpu'])}"] = gpus
    power_w = _power_w(row, threads, gpus)
    demand["power"] = power_w / 1e3
    after = tuple(part.strip() for part in row.get("after", "").replace(";", " ").split() if part.strip())
    for number, (from_utc, until_utc) in enumerate(_times(row, earliest_utc, deadline_utc), start=1):
        require_horizon(now_utc, until_utc)
        left_s = (until_utc - from_utc).total_seconds()
        if left_s < duration_s:
            raise InfeasibleError(
                f"{row['name']} takes {duration_text(duration_s)}, and its deadline leaves {duration_text(left_s)}.",
                hint=f"Move the deadline by at least {duration_text(duration_s - left_s)}.",
                short_by_s=duration_s - left_s,
            )
        yield FleetJob(
            name=row["name"] if not row.get("every") else f"{row['name']}#{number}",
            duration_s=duration_s,
            earliest_utc=from_utc,
            deadline_utc=until_utc,
            power_w=power_w,
            places=_places(row, defaults, settings),
            demand=demand,
            priority=number_in(row, "priority", where=row["name"], default=0.0),
            share=row.get("user", ""),
            after=after,
        )


def _times(row: Row, earliest_utc: datetime, deadline_utc: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each time that the job comes: once, or every so often."""
    every = row.get("every", "")
    if not every:
        if row.get("times"):
            raise InputError("times is given without every.", hint="Fill the column every, such as 1d.")
        yield earliest_utc, deadline_utc
        return
    from lowtide.planning.recurring import occurrences

    times = _amount(row, "times", default=0.0)
    if not 1 <= times <= MOST_TIMES or times != int(times):
        raise InputError(
            f"A job that comes every {every} says {times:g} times.", hint=f"Fill the column times: 1 to {MOST_TIMES}."
        )
    spans = occurrences(
        Span(earliest_utc, deadline_utc),
        timedelta(seconds=parse_duration_s(every)),
        count=int(times),
        zone=local_zone(),
    )
    for span in spans:
        yield span.start_utc, span.end_utc


def local_zone() -> tzinfo:
    """The zone of this machine's clock, with its summer time where that can be found out."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        link = os.path.realpath("/etc/localtime")
        name = link.partition("/zoneinfo/")[2]
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.now(UTC).astimezone().tzinfo or UTC


def _amount(row: Row, column: str, *, default: float) -> float:
    value = number_in(row, column, where=row["name"], default=default)
    if value < 0:
        raise InputError(f"{column} is {value:g}.", hint="Give 0 or more.")
    return value


def _power_w(row: Row, threads: float, gpus: float) -> float:
    if row.get("power"):
        return parse_power_w(row["power"])
    from lowtide_facts.power import cpu_job_power_w, machine_power_w

    if row.get("gpu"):
        return machine_power_w(gpu_name(row["gpu"]), gpus, gpus, None, None).power_w
    return cpu_job_power_w(threads).power_w


def _places(row: Row, defaults: FleetDefaults, settings: Settings) -> tuple[Place, ...]:
    named = any(row.get(column) for column in ("zone", "region", "regions"))
    zone = row.get("zone", "") if named else defaults.zone
    regions = row.get("regions", "") if named else defaults.regions
    listed = tuple(part for part in regions.replace(";", " ").replace(",", " ").split() if part)
    return requested_places(zone=zone, region=row.get("region", ""), regions=listed, home=home_place(settings.home))


def read_capacities(given: tuple[str, ...], path: str, *, now_utc: datetime) -> tuple[Capacity, ...]:
    """Capacities of ``--capacity [PLACE/]RESOURCE=AMOUNT`` and of a file with the columns ``resource, capacity`` and,
    optionally, ``place, from, until``.

    Raises:
        InputError: One is not understood.
    """
    capacities = [_capacity(text) for text in given]
    if path:
        for line, row in read_sheet(path, needed=("resource", "capacity"), known=("place", "from", "until")):
            resource = _resource(row["resource"])
            amount = _amount_of(resource, row["capacity"])
            if amount is None:
                raise InputError(
                    f"{path}, line {line}: the capacity is {row['capacity']!r}.", hint="Give 0 or more; power as 2kW."
                )
            ends = [_instant(row, key, path, line, now_utc) for key in ("from", "until")]
            if ends[0] is not None and ends[1] is not None and ends[1] <= ends[0]:
                raise InputError(
                    f"{path}, line {line}: it ends at {row['until']!r}, before it begins at {row['from']!r}.",
                    hint="Give the earlier time in the column from.",
                )
            capacities.append(Capacity(resource, amount, _label(row.get("place", "")), *ends))
    return tuple(capacities)


def _capacity(text: str) -> Capacity:
    name, equals, amount_text = text.partition("=")
    place, slash, resource = name.rpartition("/")
    amount = None
    if equals:
        resource = _resource(resource if slash else name)
        amount = _amount_of(resource, amount_text)
    if amount is None:
        raise InputError(
            f"{text!r} is not a capacity.", hint="Write it as cpus=168, DE/power=2kW or aws:eu-west-1/gpus:H100=8."
        )
    return Capacity(resource, amount, _label(place))


def _instant(row: Row, key: str, path: str, line: int, now_utc: datetime) -> datetime | None:
    if not row.get(key):
        return None
    try:
        return parse_instant_utc(row[key], now_utc=now_utc)
    except InputError as error:
        raise InputError(f"{path}, line {line}: {error.message}", hint=error.hint) from None


def _amount_of(resource: str, text: str) -> float | None:
    """The amount in the resource's unit (kW of power, else a count); None where it is none."""
    plain = text.strip()
    if resource == "power" and plain not in ("0", "0W", "0kW"):
        return parse_power_w(plain) / 1e3
    try:
        amount = 0.0 if resource == "power" else float(plain)
    except ValueError:
        return None
    return amount if 0 <= amount < float("inf") else None


def _resource(text: str) -> str:
    kind, colon, model = text.strip().partition(":")
    if not text.strip():
        raise InputError("A capacity names no resource.", hint="Write it as cpus=168.")
    if kind not in ("cpus", "gpus", "power") or (colon and kind != "gpus"):
        raise InputError(f"{text!r} is not a resource.", hint="Known are cpus, gpus, gpus:MODEL and power (kW).")
    return f"gpus:{gpu_name(model)}" if colon else kind


def _label(text: str) -> str:
    """The label of the place that a person means; empty is every place."""
    if not text.strip():
        return ""
    try:
        return label_of(region_place(text))
    except InputError:
        return label_of(local_place(text))

"""``lowtide plan-fleet``: the jobs of a file, planned together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option, now_option, signal_option
from lowtide.cli.text import table
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.quantities import parse_duration_s, parse_instant_utc

if TYPE_CHECKING:
    from lowtide.assembly.fleet_plan import FleetQuote, Way

_SHOWN = 20
_HEADS = ("job", "starts", "finish", "place", "emissions", "at once")


@click.command(help=VERBS["plan-fleet"])
@click.argument("jobs_file", metavar="JOBS.csv")
@click.option(
    "--capacity", "given", multiple=True, metavar="[PLACE/]WHAT=N", help="cpus=168, DE/power=2kW, REGION/gpus:H100=8."
)
@click.option("--capacities", default="", metavar="FILE", help="CSV of resource, capacity[, place, from, until].")
@click.option("--deadline", default="", metavar="TIME", help="For jobs whose line has none: 24h, 'tomorrow 09:00'.")
@click.option("--zone", default="", metavar="ZONE", help="Where they run, if their line does not say. Default: home.")
@click.option("--regions", default="", metavar="A,B,...", help="Regions to choose from, if their line does not say.")
@click.option("--step", default="", metavar="TIME", help="Jobs start on whole steps. Default: the intensity's own.")
@click.option("--all", "show_all", is_flag=True, help=f"Show every job, not only the first {_SHOWN}.")
@signal_option()
@now_option()
@json_option()
def command(
    jobs_file: str,
    given: tuple[str, ...],
    capacities: str,
    deadline: str,
    zone: str,
    regions: str,
    step: str,
    show_all: bool,
    signal: str,
    now_text: str,
    as_json: bool,
) -> int:
    """A line of the file is a job; its first line names the columns.

    name, duration are needed; deadline, earliest, power, cpus, gpu, gpus, zone, region, regions, priority, user (for
    fair shares), after (jobs that must have finished), every and times (a recurring job) may be there.
    """
    from lowtide.asking_fleet import FleetDefaults, read_capacities, read_jobs
    from lowtide.assembly.fleet import build_fleet
    from lowtide.assembly.fleet_plan import plan_gathered

    wiring = Wiring()
    now_utc = parse_instant_utc(now_text, now_utc=wiring.now_utc()) if now_text else wiring.now_utc()
    defaults = FleetDefaults(deadline, zone, regions)
    jobs = read_jobs(jobs_file, defaults, wiring.settings, now_utc=now_utc)
    limits = read_capacities(given, capacities, now_utc=now_utc)
    gathered = build_fleet(
        jobs,
        limits,
        wiring.chain(signal, as_of_utc=now_utc),
        now_utc=now_utc,
        step_s=parse_duration_s(step) if step else None,
        local_pue=wiring.settings.home_pue,
    )
    found = plan_gathered(gathered)
    if as_json:
        import json

        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        click.echo("\n".join(lines(found, show_all=show_all)))
    return 3 if found.misfits else 0


def lines(found: FleetQuote, *, show_all: bool) -> list[str]:
    """The fleet for a person: who starts when, what it saves, how far from the best that may be, what does not fit."""
    placed = sorted(found.placed, key=lambda row: (row.start_utc, row.name))
    shown = placed if show_all else placed[:_SHOWN]
    rows = [
        (
            row.name,
            figures.clock(row.start_utc),
            figures.clock(row.end_utc),
            row.label,
            figures.grams(row.emissions_g),
            figures.grams(row.at_once_g),
        )
        for row in shown
    ]
    below = [f"{len(placed) - len(shown)} more: --all"] if len(shown) < len(placed) else []
    return (
        [*table(_HEADS, rows, left={0, 1, 2, 3}), *below, *_sums(found), *_misfits(found)] if rows else _misfits(found)
    )


def _sums(found: FleetQuote) -> list[str]:
    saved = figures.percent(found.saved_pct)
    count = len(found.placed)
    emit, they = ("job emits", "it") if count == 1 else ("jobs emit", "they")
    first = (
        f"{count} {emit} {figures.grams(found.emissions_g)}; at once and without limits {they} would emit "
        f"{figures.grams(found.at_once_g)}: saved {saved}"
    )
    if found.exact:
        sure = "no plan within the limits emits less"
    else:
        sure = (
            f"no plan within the limits emits less than {figures.grams(found.bound_g)}: "
            f"at most {figures.significant(found.gap_pct, 2)} % above the best"
        )
    frame = found.gathered.frame
    step = figures.duration(found.gathered.problem.step_s)
    return [
        first,
        f"{sure} · without limits {figures.grams(found.uncapped_g)}",
        f"{found.gathered.sources} · {frame} · starts on whole steps of {step} (--step)",
    ]


def _misfits(found: FleetQuote) -> list[str]:
    told = [f"does not fit: {row.name}, {row.why}" for row in found.misfits[:_SHOWN]]
    if len(found.misfits) > _SHOWN:
        told.append(f"{len(found.misfits) - _SHOWN} more do not fit: --json lists them")
    return [*told, *(f"to relax: {_way(way)}" for way in found.ways[:_SHOWN])]


def _way(way: Way) -> str:
    if way.from_utc is None or way.until_utc is None:
        return f"move the deadline of {way.name} by {figures.duration(way.later_s)}"
    ends = f"from {figures.clock(way.from_utc)} to {figures.clock(way.until_utc)}"
    return f"raise {way.resource} in {way.place} by {figures.significant(way.raise_by)} {ends}"

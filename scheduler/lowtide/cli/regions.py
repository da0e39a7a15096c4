"""``lowtide regions``: the greenest place for this accelerator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lowtide.asking import Asked, regions_request
from lowtide.assembly.ranking import rank
from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option, now_option, signal_option
from lowtide.cli.text import table
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.errors import InfeasibleError
from lowtide_core.quantities import SECONDS_PER_HOUR, parse_instant_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.assembly.ranking import RankedRegion, Ranking
    from lowtide.assembly.request import PlanRequest

_SHOWN = 10
_HEADS = ("region", "g/kWh", "best start", "emissions", "transfer", "in all", "saved", "cost", "machine")
_TEXTS = ("region", "best start", "machine")


@click.command(help=VERBS["regions"])
@click.option("--gpu", required=True, metavar="MODEL", help="Accelerator: H100, 'A100 80GB', T4.")
@click.option("--count", default=1, show_default=True, metavar="N", help="How many of them, in one machine.")
@click.option("--duration", default="1h", show_default=True, metavar="TIME", help="How long it runs: 90m, 4h, 1d12h.")
@click.option("--deadline", default="", metavar="TIME", help="When it must have finished. Default: a day of slack.")
@click.option("--provider", "providers", default="", metavar="A,B", help="Only these: aws, gcp, azure.")
@click.option("--data", default="", metavar="SIZE", help="Data to bring there: 50GB.")
@click.option("--from", "data_from", default="", metavar="REGION", help="Where that data lies. Default: home.")
@click.option("--residency", default="", metavar="GROUP", help="Only where data may lie: EU, EEA, UK, US, DE, ...")
@click.option("--max-price", "max_price_usd", type=float, metavar="USD", help="Limit for the whole run.")
@click.option("--all", "show_all", is_flag=True, help=f"Show every region, not only the first {_SHOWN}.")
@signal_option()
@now_option()
@json_option()
def command(
    gpu: str,
    count: int,
    duration: str,
    deadline: str,
    providers: str,
    data: str,
    data_from: str,
    residency: str,
    max_price_usd: float | None,
    show_all: bool,
    signal: str,
    now_text: str,
    as_json: bool,
) -> None:
    wiring = Wiring()
    now_utc = parse_instant_utc(now_text, now_utc=wiring.now_utc()) if now_text else wiring.now_utc()
    asked = Asked(
        duration=duration,
        deadline=deadline,
        gpu=gpu,
        count=count,
        data=data,
        data_from=data_from,
        max_price_usd=max_price_usd,
    )
    request = regions_request(asked, wiring.settings, providers=providers, residency=residency, now_utc=now_utc)
    # Fifty zones are compared in one frame, which only the embedded facts cover: nobody is asked fifty times.
    ranking = rank(request, wiring.chain(signal, embedded=True, as_of_utc=now_utc))
    if as_json:
        import json

        if not ranking.regions:
            raise _nothing_fits(ranking, request)
        click.echo(json.dumps([region.to_json() for region in ranking.regions], indent=2))
    else:
        click.echo("\n".join(lines(ranking, request, now_utc, show_all=show_all)))


def lines(ranking: Ranking, request: PlanRequest, now_utc: datetime, *, show_all: bool) -> list[str]:
    """The ranking for a person; columns that say nothing here are left out.

    Raises:
        InfeasibleError: No region fits; names the limit and the nearest that there is.
    """
    if not ranking.regions:
        raise _nothing_fits(ranking, request)
    shown = ranking.regions if show_all else ranking.regions[:_SHOWN]
    rows = [_row(region, now_utc) for region in shown]
    unneeded = {"emissions"} if request.data_gb else {"transfer", "in all"}
    if ranking.baseline_g is None:
        unneeded.add("saved")
    columns = [number for number, head in enumerate(_HEADS) if head not in unneeded]
    cells = [[row[number] for number in columns] for row in rows]
    left = [columns.index(_HEADS.index(head)) for head in _TEXTS]
    return [*table([_HEADS[number] for number in columns], cells, left=left), *_below(ranking, request, len(shown))]


def _row(region: RankedRegion, now_utc: datetime) -> tuple[str, ...]:
    candidate, offer = region.option.candidate, region.offer
    start = region.best_start_utc
    machine = offer.machine.removeprefix("Standard_")
    return (
        candidate.region,
        f"{region.intensity_g_per_kwh:.0f}",
        "place only" if start is None else "at once" if start <= now_utc else _short(start, now_utc),
        figures.grams(region.emissions_g),
        figures.grams(candidate.transfer_g),
        figures.grams(region.total_g),
        figures.percent(region.saved_pct),
        _cost(region),
        machine if offer.gpu_count == region.gpu_count else f"{machine} {region.gpu_count}/{offer.gpu_count}",
    )


def _cost(region: RankedRegion) -> str:
    """Of the whole run; ``>`` where letting the data out has a price that is not known."""
    cost, hourly, out = region.option.price_usd, region.offer.price_usd_per_h, ""
    if cost is None and hourly is not None:
        cost, out = hourly * region.duration_s / SECONDS_PER_HOUR, ">"
    if cost is None:
        return "-"
    return f"{out}${cost:,.0f}" if cost >= 100 else f"{out}${cost:.2f}"


def _short(instant: datetime, now_utc: datetime) -> str:
    here = instant.astimezone()
    return f"{here:%H:%M}" if here.date() == now_utc.astimezone().date() else f"{here:%a %H:%M}"


def _below(ranking: Ranking, request: PlanRequest, shown: int) -> list[str]:
    said = []
    hidden = len(ranking.regions) - shown
    flat = sum(region.place_only for region in ranking.regions)
    if hidden:
        said.append(f"{hidden} more: --all")
    if flat:
        said.append(f"{flat} without hourly data: place only, no best start")
    if ranking.misfits:
        said.append(f"{len(ranking.misfits)} do not fit")
    lines = [" · ".join(said)] if said else []
    slack_s = (request.deadline_utc - request.earliest_utc).total_seconds() - request.duration_s
    order = "emissions + transfer" if request.data_gb else "emissions"
    lines.append(f"in the order of {order} · may start within {figures.duration(slack_s)} (--deadline)")
    home = ranking.gathered.problem.baseline
    if ranking.baseline_g is not None and home is not None:
        lines.append(f"home {home.region} ({home.zone}) at once: {figures.grams(ranking.baseline_g)}")
    else:
        lines.append(f"saved is not known: {ranking.no_baseline_why}")
    first = ranking.regions[0]
    power = ranking.gathered.power[first.option.candidate.region]
    took = figures.duration(request.duration_s)
    lines.append(f"{took} at {figures.significant(power.power_w)} W in {first.option.candidate.region}: {power.basis}")
    sources = " and ".join(dict.fromkeys(region.series.source for region in ranking.regions))
    lines.append(f"{sources} · {first.series.frame} · times are {request.earliest_utc.astimezone():%Z}")
    return lines


def _nothing_fits(ranking: Ranking, request: PlanRequest) -> InfeasibleError:
    hours = request.duration_s / SECONDS_PER_HOUR
    costs = [
        (offer.price_usd_per_h * hours, offer.region)
        for offer in ranking.gathered.offers.values()
        if offer.price_usd_per_h is not None and offer.region in {misfit.region for misfit in ranking.misfits}
    ]
    first = ranking.misfits[0]
    if request.max_price_usd is None or not costs:
        return InfeasibleError(f"No region fits: {first.region}, {first.why}.", hint="Widen that limit.")
    cost, region = min(costs)
    return InfeasibleError(
        f"None of {len(ranking.misfits)} regions costs at most ${request.max_price_usd:,.2f} for {hours:g} h.",
        hint=f"The cheapest is {region}, ${cost:,.0f}: raise --max-price, or shorten the run.",
        cheapest_usd=cost,
    )

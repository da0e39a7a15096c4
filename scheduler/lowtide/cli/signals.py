"""``lowtide signals``: the sources, what they offer here, and the recorder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.cli.text import table
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError, LowtideError
from lowtide_core.spans import Span, iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource

_FARTHEST = timedelta(hours=96)


@dataclass(frozen=True, slots=True)
class _Row:
    """One source, as the table and the JSON show it."""

    source: str
    in_chain: bool
    key: str
    zones: int
    covers_zone: bool | None
    horizon_h: float | None
    last_success_utc: str | None
    captured_pct: float | None
    basis: str
    scope: str
    accounting: str
    frame: str
    probe: str = ""


@click.group(help=VERBS["signals"], invoke_without_command=True)
@click.option("--zone", default="", metavar="ZONE", help="For this zone. Default: home.")
@click.option("--probe", is_flag=True, help="Ask the network what each source really gives.")
@json_option()
@click.pass_context
def command(context: click.Context, zone: str, probe: bool, as_json: bool) -> None:
    if context.invoked_subcommand is not None:
        return
    from lowtide.assembly.request import home_place, local_place

    wiring = Wiring()
    place = local_place(zone) if zone else home_place(wiring.settings.home)
    if probe and place is None:
        raise InputError("Nothing can be probed: no zone is known.", hint="Name one: --zone DE.")
    found = _rows(wiring, None if place is None else place.zone, probe=probe)
    if as_json:
        import json

        sources = [asdict(row) for row in found]
        click.echo(json.dumps({"zone": place.zone if place else None, "sources": sources}, indent=2))
        return
    click.echo(
        "\n".join(_table(found, "home (not set)" if place is None else place.zone, wiring.now_utc(), probe=probe))
    )


def _rows(wiring: Wiring, zone: ZoneId | None, *, probe: bool) -> list[_Row]:
    from lowtide_facts.zones import all_zones
    from lowtide_providers.signals.cache import last_success
    from lowtide_providers.signals.registry import ABOUT, BUILT_IN, EMBEDDED, build_source

    settings, links = wiring.signal_settings(), wiring.links()
    in_chain = {link.name for link in links.chain().sources}
    sources = [build_source(name, settings) for name in BUILT_IN]
    sources += links.chain("history").sources
    merits = {} if zone is None else links.merits(zone)
    rows = []
    for source in sources:
        about = ABOUT.get(source.name)
        needs = [] if about is None or not about.key else about.key.split(", ")
        keys = [wiring.keys[name].where if name in wiring.keys else f"no {name}" for name in needs]
        covers = None if zone is None else source.covers(zone)
        success = None if source.name in EMBEDDED else last_success(settings.cache_dir, source.name)
        merit = merits.get(source.name)
        frame = source.frame
        rows.append(
            _Row(
                source=source.name,
                in_chain=source.name in in_chain,
                key=", ".join(dict.fromkeys(keys)),
                zones=sum(source.covers(known) for known in all_zones()),
                covers_zone=covers,
                horizon_h=None if about is None else about.horizon_h,
                last_success_utc=None if success is None else iso_utc(success),
                captured_pct=None if merit is None else merit.captured_pct,
                basis=frame.basis,
                scope=frame.scope,
                accounting=frame.accounting,
                frame=str(frame),
                probe=_probe(source, zone, wiring.now_utc()) if probe and zone is not None and covers else "",
            )
        )
    return rows


def _table(rows: list[_Row], zone: str, now_utc: datetime, *, probe: bool) -> list[str]:
    heads = ["source", "key", "zones", zone, "reaches", "answered", "captured", "frame"]
    cells = [
        [
            row.source + ("" if row.in_chain else " *"),
            "-" if not row.key else "missing" if row.key.startswith("no ") else "set",
            str(row.zones),
            _word(row.covers_zone),
            "-" if row.horizon_h is None else f"{row.horizon_h:g} h",
            _ago(row.last_success_utc, now_utc),
            "-" if row.captured_pct is None else f"{row.captured_pct:.0f} %",
            row.frame.replace(",", ""),
        ]
        for row in rows
    ]
    lines = table(heads, cells, left=range(len(heads)))
    if not all(row.in_chain for row in rows):
        lines.append("* asked only by name: --signal NAME, or lowtide config set signals NAME,...")
    if probe:
        lines += ["", *(f"{row.source}: {row.probe}" for row in rows if row.probe)]
    return lines


def _word(covers: bool | None) -> str:
    return "-" if covers is None else "yes" if covers else "no"


def _ago(text: str | None, now_utc: datetime) -> str:
    if text is None:
        return "-"
    from lowtide.reports.figures import duration
    from lowtide_core.spans import parse_iso_utc

    return f"{duration(max(0.0, (now_utc - parse_iso_utc(text)).total_seconds()))} ago"


def _probe(source: SignalSource, zone: ZoneId, now_utc: datetime) -> str:
    """What the source really gives: how far ahead, in which steps, and how much of the past."""
    told = []
    for wanted, span in (
        ("forecast", Span(now_utc, now_utc + _FARTHEST)),
        ("actual", Span(now_utc - timedelta(hours=48), now_utc)),
    ):
        try:
            series = source.fetch(zone, span, wanted)  # type: ignore[arg-type]
        except LowtideError as error:
            told.append(f"no {wanted}: {error.message.rstrip('.')}")
            continue
        hours = (series.end_utc - now_utc if wanted == "forecast" else now_utc - series.start_utc) / timedelta(hours=1)
        reach = f"{hours:.0f} h {'ahead' if wanted == 'forecast' else 'back'}"
        told.append(f"{series.kind} {reach}, step {series.step_s / 60:.0f} min")
    return "; ".join(told)


@command.command("record")
@click.argument("zones", nargs=-1, metavar="[ZONE]...")
@click.option("--since", default="", metavar="TIME", help="Ask for actuals from then on: 28d, 2026-01-01.")
@json_option()
def record(zones: tuple[str, ...], since: str, as_json: bool) -> int:
    """Keep forecasts and actuals of these zones (home), hourly from cron."""
    from lowtide.assembly.request import home_place, local_place

    wiring = Wiring()
    now_utc = wiring.now_utc()
    named = tuple(local_place(zone).zone for zone in zones) or wiring.zones_to_record()
    if not named:
        home = home_place(wiring.settings.home)
        if home is None:
            raise InputError("No zone is named and home is not set.", hint="lowtide signals record DE FR")
        named = (home.zone,)
    with wiring.store() as store:
        notes = wiring.recorder(store).record(named, now_utc, since_utc=_since(since, now_utc))
    if notes is None:
        click.echo("lowtide: another process is recording; nothing was done", err=True)
        notes = ()
    if as_json:
        import json

        click.echo(json.dumps([note._asdict() for note in notes], indent=2))
    else:
        click.echo("\n".join(f"{n.zone:<12} {n.source:<16} {n.said}" for n in notes) or "nothing was due")
    return 4 if notes and all(note.failed for note in notes) else 0


def _since(text: str, now_utc: datetime) -> datetime | None:
    """An instant, or how long ago."""
    if not text:
        return None
    from lowtide_core.quantities import parse_duration_s, parse_instant_utc

    try:
        return now_utc - timedelta(seconds=parse_duration_s(text))
    except InputError:
        since_utc = parse_instant_utc(text, now_utc=now_utc)
    if since_utc >= now_utc:
        raise InputError(f"--since {text} lies ahead.", hint="Give a time that has passed: 28d or 2026-01-01.")
    return since_utc

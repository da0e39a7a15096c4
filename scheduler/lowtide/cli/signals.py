"""``lowtide signals``: the sources, what they offer here, and the recorder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.cli.text import WIDTH, table, without_request
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError, LowtideError, StateError
from lowtide_core.spans import Span, iso_utc

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource

Role = Literal["chain", "actuals", "by name"]
_MARKS: dict[Role, str] = {"chain": "", "actuals": " +", "by name": " *"}
_LEGEND: dict[Role, str] = {
    "actuals": "+ has actuals alone: they are recorded, and settle what ran",
    "by name": "* asked only by name: --signal NAME, or lowtide config set signals NAME,...",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One source, as the table and the JSON show it.

    Attributes:
        role: Whether it is asked for plans, for actuals alone, or where somebody names it.
        keys_set, keys_missing: Settings that it needs.
        horizon_h: How far its forecasts reach at best; None: it has none, or any reach.
        frame, basis, scope, accounting: None where only the user could say it, and did not.
    """

    source: str
    operator: str
    role: Role
    keys_set: tuple[str, ...]
    keys_missing: tuple[str, ...]
    zones: int
    covers_zone: bool | None
    horizon_h: float | None
    last_success_utc: str | None
    captured_pct: float | None
    basis: str | None
    scope: str | None
    accounting: str | None
    frame: str | None
    probe: str


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
    sources, broken = _sources(wiring)
    found = _rows(wiring, sources, None if place is None else place.zone, probe=probe)
    if as_json:
        import json

        rows = [asdict(row) for row in found]
        told = {"zone": place.zone if place else None, "sources": rows, "broken": broken}
        click.echo(json.dumps(told, indent=2))
        return
    lines = _table(found, "home" if place is None else place.zone, wiring.now_utc(), probe=probe)
    if place is None:
        lines.append("home is not set: lowtide config set home DE, or name a zone with --zone")
    click.echo("\n".join([*lines, *broken]))


def _sources(wiring: Wiring) -> tuple[list[SignalSource], list[str]]:
    """Every source that could be named, without files that are not set; and why some of other packages are none."""
    from lowtide_providers.signals.registry import BUILT_IN, build_source, foreign_names

    links = wiring.links()
    chosen = (name for name in wiring.settings.signals if not _is_history(name))
    sources: list[SignalSource] = []
    broken: list[str] = []
    for name in dict.fromkeys((*BUILT_IN, *foreign_names(), *chosen)):
        try:
            sources.append(build_source(name, links.settings))
        except InputError as error:
            broken.append(error.message)
    return [*sources, *links.own()], broken


def _rows(wiring: Wiring, sources: list[SignalSource], zone: ZoneId | None, *, probe: bool) -> list[_Row]:
    links = wiring.links()
    in_chain = {link.name for link in links.chain().sources}
    merits = {} if zone is None else links.merits(zone)
    captured_pct = {name: merit.captured_pct for name, merit in merits.items()}
    asked_utc = wiring.now_utc() if probe else None
    return [_row(source, zone, in_chain, wiring.keys, captured_pct.get(source.name), asked_utc) for source in sources]


def _row(
    source: SignalSource,
    zone: ZoneId | None,
    in_chain: Collection[str],
    keys: Collection[str],
    captured_pct: float | None,
    probed_utc: datetime | None,
) -> _Row:
    """A source's row; it is probed where a time is given."""
    from lowtide.assembly.history import HORIZON_H
    from lowtide_facts.zones import all_zones
    from lowtide_providers.signals.abilities import known_frame, last_success_utc
    from lowtide_providers.signals.keys import keys_of
    from lowtide_providers.signals.registry import ABOUT, ACTUAL_ONLY

    about = ABOUT.get(source.name)
    needed = keys_of(source.name)
    covers = None if zone is None else source.covers(zone)
    success_utc = last_success_utc(source)
    frame = known_frame(source)
    return _Row(
        source=source.name,
        operator=_operator(source.name),
        role="chain" if source.name in in_chain else "actuals" if source.name in ACTUAL_ONLY else "by name",
        keys_set=tuple(key for key in needed if key in keys),
        keys_missing=tuple(key for key in needed if key not in keys),
        zones=sum(source.covers(known) for known in all_zones()),
        covers_zone=covers,
        horizon_h=HORIZON_H if _is_history(source.name) else about.horizon_h if about else None,
        last_success_utc=None if success_utc is None else iso_utc(success_utc),
        captured_pct=captured_pct,
        basis=None if frame is None else frame.basis,
        scope=None if frame is None else frame.scope,
        accounting=None if frame is None else frame.accounting,
        frame=None if frame is None else str(frame),
        probe=_probe(source, zone, probed_utc) if probed_utc is not None and zone is not None and covers else "",
    )


def _operator(name: str) -> str:
    """Whom the figures come from."""
    from lowtide_providers.signals.registry import ABOUT, foreign_names

    if name in ABOUT:
        return ABOUT[name].operator
    if _is_history(name):
        return "lowtide, from what was recorded"
    return "another package" if name in foreign_names() else "a file"


def _is_history(name: str) -> bool:
    from lowtide_providers.signals.registry import HISTORY

    return name.partition(":")[0] == HISTORY


def _table(rows: list[_Row], zone: str, now_utc: datetime, *, probe: bool) -> list[str]:
    heads = ["source", "key", "zones", zone, "reaches", "answered", "captured", "frame"]
    cells = [
        [
            row.source + _MARKS[row.role],
            _key(row),
            str(row.zones),
            _word(row.covers_zone),
            "-" if row.horizon_h is None else f"{row.horizon_h:g} h",
            _ago(row.last_success_utc, now_utc),
            "-" if row.captured_pct is None else f"{row.captured_pct:.0f} %",
            "not known" if row.frame is None else row.frame.replace(",", ""),
        ]
        for row in rows
    ]
    lines = table(heads, cells, left=range(len(heads)))
    roles = {row.role for row in rows}
    lines += [legend for role, legend in _LEGEND.items() if role in roles]
    if probe:
        lines.append("")
        for row in rows:
            lines += wrap(f"{row.source}: {row.probe}", WIDTH, subsequent_indent="  ") if row.probe else []
    return lines


def _key(row: _Row) -> str:
    if row.keys_missing:
        return "partly" if row.keys_set else "missing"
    return "set" if row.keys_set else "-"


def _word(covers: bool | None) -> str:
    return "-" if covers is None else "yes" if covers else "no"


def _ago(text: str | None, now_utc: datetime) -> str:
    if text is None:
        return "-"
    from lowtide.reports.figures import duration
    from lowtide_core.spans import parse_iso_utc

    return f"{duration(max(0.0, (now_utc - parse_iso_utc(text)).total_seconds()))} ago"


def _probe(source: SignalSource, zone: ZoneId, now_utc: datetime) -> str:
    """What the source really gives: what its key opens, how far ahead, in which steps, and how much of the past."""
    from lowtide.reports.figures import duration
    from lowtide.service.recording import AHEAD

    told = [_access(source, zone)]
    for wanted, span in (
        ("forecast", Span(now_utc, now_utc + AHEAD)),
        ("actual", Span(now_utc - timedelta(hours=48), now_utc)),
    ):
        try:
            series = source.fetch(zone, span, wanted)  # type: ignore[arg-type]
        except LowtideError as error:
            told.append(f"no {wanted}: {without_request(error.message)}")
            continue
        hours = (series.end_utc - now_utc if wanted == "forecast" else now_utc - series.start_utc) / timedelta(hours=1)
        reach = f"{hours:.0f} h {'ahead' if wanted == 'forecast' else 'back'}"
        steps = f"step {duration(series.step_s)}" if series.intensity_g_per_kwh.size > 1 else "one value for all of it"
        told.append(f"{series.kind} {reach}, {steps}")
    return "; ".join(filter(None, told))


def _access(source: SignalSource, zone: ZoneId) -> str:
    """What the service says that the key opens here; empty where it does not say."""
    from lowtide_providers.signals.abilities import access

    try:
        opened = access(source, zone)
    except LowtideError as error:
        return f"what the key opens is not known: {error.message.rstrip('.')}"
    if opened is None:
        return ""
    return f"the key opens {'everything' if '*' in opened else ', '.join(sorted(opened)) or 'nothing'} here"


@command.command("record")
@click.argument("zones", nargs=-1, metavar="[ZONE]...")
@click.option("--since", default="", metavar="TIME", help="Ask for the past from then on: 28d, 2026-01-01.")
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
    since_utc = _since(since, now_utc)
    with wiring.store() as store:
        recorder = wiring.recorder(store)
        for zone in named:
            if not any(source.covers(zone) for source in recorder.sources):
                raise InputError(
                    f"No source of {zone} can be recorded.",
                    hint=f"lowtide signals --zone {zone} tells which source would need which key.",
                    zone=zone,
                )
        notes = recorder.record(named, now_utc, since_utc=since_utc)
    if notes is None:
        raise StateError(
            "Another process of this machine is recording.", hint="Ask again when it is done: lowtide signals record."
        )
    if as_json:
        import json

        click.echo(json.dumps([note._asdict() for note in notes], indent=2))
    else:
        click.echo(
            "\n".join(f"{n.zone:<12} {n.source:<16} {without_request(n.said)}" for n in notes)
            or "nothing was due: all of it was recorded lately"
        )
    return 4 if any(note.failed for note in notes) and not any(note.kept for note in notes) else 0


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

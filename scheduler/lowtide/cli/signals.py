"""``lowtide signals``: the sources, and what they offer here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.cli.text import table
from lowtide.wiring import Wiring
from lowtide_core.errors import LowtideError
from lowtide_core.spans import Span

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource

_NEEDS_KEY = "electricitymaps"


@click.command(help=VERBS["signals"])
@click.option("--zone", default="", metavar="ZONE", help="For this zone. Default: home.")
@click.option("--probe", is_flag=True, help="Ask the network what each source really gives.")
@json_option()
def command(zone: str, probe: bool, as_json: bool) -> None:
    from lowtide.assembly.request import home_place, local_place
    from lowtide_providers.signals.registry import BUILT_IN, build_source

    wiring = Wiring()
    place = local_place(zone) if zone else home_place(wiring.settings.home)
    key = wiring.keys.get("electricitymaps_token")
    token_name = "" if key is None else key.where
    found = []
    for name in BUILT_IN:
        source = build_source(name, wiring.signal_settings())
        covers = None if place is None else source.covers(place.zone)
        said = ""
        if probe and place is not None and covers:
            said = _probe(source, place.zone, wiring.now_utc())
        if name == _NEEDS_KEY and not token_name:
            covers = None
        needs = "" if name != _NEEDS_KEY else token_name or "no key"
        found.append({"source": name, "frame": str(source.frame), "key": needs, "covers_zone": covers, "probe": said})
    if as_json:
        import json

        click.echo(json.dumps({"zone": place.zone if place else None, "sources": found}, indent=2))
        return
    heads = ["source", "frame", "key", f"covers {place.zone if place else 'home (not set)'}"]
    rows = [[str(i["source"]), str(i["frame"]), str(i["key"] or "-"), _word(i["covers_zone"])] for i in found]
    if probe:
        heads.append("probe")
        rows = [[*row, str(item["probe"] or "-")] for row, item in zip(rows, found, strict=True)]
    click.echo("\n".join(table(heads, rows, left=range(len(heads)))))


def _word(covers: object) -> str:
    return "not known" if covers is None else "yes" if covers else "no"


def _probe(source: SignalSource, zone: ZoneId, now_utc: datetime) -> str:
    try:
        series = source.fetch(zone, Span(now_utc, now_utc + timedelta(hours=48)), "forecast")
    except LowtideError as error:
        return error.message
    if series.source == "static":
        return series.note
    hours = (series.end_utc - now_utc).total_seconds() / 3600
    return f"{series.kind}, {hours:.0f} h ahead, step {series.step_s / 60:.0f} min"

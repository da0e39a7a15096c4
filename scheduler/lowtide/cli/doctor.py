"""``lowtide doctor``: what works on this machine, what does not, and what to do."""

from __future__ import annotations

import os
import platform

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.wiring import Wiring
from lowtide_core.errors import LowtideError

_NOBODY = "nobody starts due jobs: run lowtide serve, or lowtide tick from cron"


@click.command(help=VERBS["doctor"])
@json_option()
def command(as_json: bool) -> None:
    from importlib.metadata import version

    from lowtide_facts.tablefiles import VERSION
    from lowtide_providers.signals.registry import token_in

    wiring = Wiring()
    checks = [
        ("lowtide", f"{version('lowtide')}, Python {platform.python_version()}, facts {VERSION}"),
        ("settings", f"{wiring.paths.config_file}{'' if wiring.paths.config_file.exists() else ' (not there yet)'}"),
        ("home", wiring.settings.home or "not set: lowtide config set home DE"),
        ("key", _key(wiring, token_in(wiring.environ)[1])),
        ("store", _store(wiring)),
        ("journals", str(wiring.paths.spool)),
        *_meters(),
    ]
    if as_json:
        import json

        click.echo(json.dumps([{"check": name, "found": text} for name, text in checks], indent=2))
        return
    for name, text in checks:
        click.echo(f"{name:<16}{text}")


def _key(wiring: Wiring, name: str) -> str:
    if wiring.settings.electricitymaps_token:
        return "Electricity Maps: set in the settings"
    return f"Electricity Maps: {name}" if name else "Electricity Maps: none (climatology needs none)"


def _store(wiring: Wiring) -> str:
    try:
        with wiring.store() as store:
            alive = store.services.alive(wiring.now_utc())
            return f"{store.database.name}, {'somebody starts due jobs' if alive else _NOBODY}"
    except LowtideError as error:
        return str(error)


def _meters() -> list[tuple[str, str]]:
    from lowtide_sampler.sources import find_sources

    sources = find_sources(os.environ)
    found = [
        (
            f"meter {f.name}",
            f.why if f.found else f"missing: {f.why}; what it would measure is modelled, and said to be",
        )
        for f in sources.findings
    ]
    return [
        *found,
        *((source.name, source.label) for source in sources.models),
        *(("", note) for note in sources.notes),
    ]

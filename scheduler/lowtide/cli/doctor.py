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

    wiring = Wiring()
    checks = [
        ("lowtide", f"{version('lowtide')}, Python {platform.python_version()}, facts {VERSION}"),
        ("settings", f"{wiring.paths.config_file}{'' if wiring.paths.config_file.exists() else ' (not there yet)'}"),
        ("home", wiring.settings.home or "not set: lowtide config set home DE"),
        *_keys(wiring),
        ("store", _store(wiring)),
        ("journals", str(wiring.paths.spool)),
        *_meters(),
    ]
    if as_json:
        import json

        click.echo(json.dumps([{"check": name, "found": text} for name, text in checks], indent=2))
        return
    width = max(len(name) for name, _ in checks) + 2
    below = "\n" + " " * width
    for name, text in checks:
        click.echo(f"{name:<{width}}{text.replace(chr(10), below)}")


def _keys(wiring: Wiring) -> list[tuple[str, str]]:
    """Which sources have what they need, and where it stood; one name of the environment may shadow another."""
    from lowtide_providers.signals.keys import KEY_NAMES

    found = wiring.keys
    begun = {key.source for key in KEY_NAMES if key.setting in found}
    lines = []
    for key in KEY_NAMES:
        if key.setting not in found:
            if key.source in begun:
                lines.append((f"key {key.source}", f"{key.setting} is missing: lowtide config set {key.setting} ..."))
            continue
        where = found[key.setting].where
        others = [name for name in key.environ if wiring.environ.get(name) and name != where]
        also = f" (not {', '.join(others)}, set too)" if others else ""
        lines.append((f"key {key.source}", f"{key.setting}, from {where}{also}"))
    return lines or [("keys", "none (climatology and several sources need none: lowtide signals)")]


def _store(wiring: Wiring) -> str:
    from lowtide.reports.figures import duration

    try:
        with wiring.store() as store:
            now_utc = wiring.now_utc()
            alive = store.services.alive(now_utc)
            who = _NOBODY
            if any(service.kind == "serve" for service in alive):
                who = "lowtide serve starts due jobs"
            elif alive:
                ago = duration((now_utc - alive[0].beat_utc).total_seconds())
                who = f"lowtide tick started due jobs {ago} ago; nobody does between its runs"
            return f"{store.database.name}, {who}"
    except LowtideError as error:
        return str(error)


def _meters() -> list[tuple[str, str]]:
    """Each source of energy: what gives readings, what is missing and why, and what mends it, at whose risk."""
    from lowtide_sampler.sources import find_sources

    sources = find_sources(os.environ)
    lines: list[tuple[str, str]] = []
    told: set[str] = set()
    for finding in sources.findings:
        name = f"meter {finding.name}" if finding.name != "calibration" else finding.name
        why = finding.why
        if finding.name == "calibration" and not (finding.found or finding.repair or sources.meters):
            why = "it needs a meter, and none is here"
            if not sources.machine.virtual:
                why += ": lowtide calibrate --wall 85W takes what one at the wall shows"
        lines.append((name, why if finding.found else f"missing: {why}"))
        if finding.repair and not finding.found and finding.repair not in told:
            told.add(finding.repair)  # the zones of a node have one cause and one cure
            lines.append(("", f"to mend it: {finding.repair}"))
    models = [
        (source.name.replace(":", " "), ", ".join((f"{source.label}, in place of a meter: modelled", *source.flags)))
        for source in sources.models
    ]
    return [*lines, *models]

"""``lowtide top``: what is being measured now."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.cli.text import table
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError, LowtideError

if TYPE_CHECKING:
    from lowtide.service.watching import Grid, Watched
    from lowtide.store.jobs import JobRecord

_EVERY_S = 2.0
_HEADS = ("run", "for", "power", "energy", "measured", "so far", "expected", "grid")
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


@click.command(help=VERBS["top"])
@click.argument("name", metavar="[JOB|RUN]", default="")
@click.option("--once", is_flag=True, help="Show it once, and end.")
@json_option()
def command(name: str, once: bool, as_json: bool) -> None:
    wiring = Wiring()
    jobs = _Jobs(wiring)
    home = _home(wiring)
    if as_json:
        import json

        click.echo(json.dumps([run.to_json() for run in _look(wiring, jobs, name, home)], indent=2))
        return
    stays = sys.stdout.isatty() and not once
    while True:
        found = _look(wiring, jobs, name, home)
        click.echo((_HOME_AND_CLEAR if stays else "") + "\n".join(_lines(found)))
        if not stays:
            return
        time.sleep(_EVERY_S)


def _look(wiring: Wiring, jobs: _Jobs, name: str, home: Grid | None) -> tuple[Watched, ...]:
    from lowtide.service.watching import running, watch

    spool = wiring.paths.spool
    if not name:
        return watch(spool, running(spool), jobs.get, home)
    found = watch(spool, jobs.runs(name) if not (spool / f"{name}.jsonl").exists() else (name,), jobs.get, home)
    if not found:
        raise InputError(
            f"{name!r} is no run in {spool}, and no job that has one.", hint="lowtide top lists what is measured now."
        )
    return found


def _lines(found: tuple[Watched, ...]) -> list[str]:
    if not found:
        return ["Nothing is being measured. Try: lowtide run -- COMMAND"]
    rows = [
        (
            run.run_id,
            figures.duration(run.duration_s),
            "-" if run.power_w is None else f"{figures.significant(run.power_w)} W",
            figures.kwh(run.energy_kwh),
            "-" if run.measured_share is None else figures.percent(100 * run.measured_share),
            "-" if run.emissions_g is None else figures.grams(run.emissions_g),
            _expected(run),
            "no home is set" if run.grid is None else f"{figures.intensity(run.grid.g_per_kwh)}, {run.grid.source}",
        )
        for run in found
    ]
    return list(table(_HEADS, rows, left={0, 7}))


def _expected(run: Watched) -> str:
    if run.expected_emissions_g is not None:
        return figures.grams(run.expected_emissions_g)
    return "-" if run.expected_energy_kwh is None else figures.kwh(run.expected_energy_kwh)


def _home(wiring: Wiring) -> Grid | None:
    from lowtide.service.watching import Grid, home_intensity_g_per_kwh

    found = home_intensity_g_per_kwh(wiring.settings.home, wiring.now_utc())
    return None if found is None else Grid(found * wiring.settings.home_pue, "climatology of home")


class _Jobs:
    """Jobs by id, asked for once; without a store there are none."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._known: dict[str, JobRecord | None] = {}

    def get(self, job_id: str) -> JobRecord | None:
        if job_id not in self._known:
            self._known[job_id] = self._read(job_id)
        return self._known[job_id]

    def runs(self, job_id: str) -> tuple[str, ...]:
        from lowtide.service.watching import runs_of_job

        record = self.get(job_id)
        return () if record is None else runs_of_job(self._wiring.paths.spool, record)

    def _read(self, job_id: str) -> JobRecord | None:
        if not self._wiring.settings.database and not self._wiring.paths.database.exists():
            return None
        try:
            with self._wiring.store() as store:
                return store.jobs.get(job_id)
        except LowtideError:
            return None

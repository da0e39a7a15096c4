"""``lowtide sacct``: the columns that a Slurm user knows, with energy and emissions. It needs no slurmdbd."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.cli.text import table
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError
from lowtide_core.quantities import JOULES_PER_KWH, parse_duration_s, parse_instant_utc
from lowtide_core.spans import iso_utc

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.store import Store
    from lowtide.store.jobs import Attempt, JobRecord

_KNOWN = ("JobID", "JobName", "Partition", "Account", "State", "Elapsed", "ExitCode")
_HEADS = (*_KNOWN, "Planned", "Used", "Quoted", "Emitted")
_WORDS = (0, 1, 2, 3, 4)
_MAY_LACK = (2, 3)
"""Columns of words; and those that are left out where no job has anything in them."""
_STATES = {
    "waiting": "PENDING",
    "starting": "PENDING",
    "running": "RUNNING",
    "paused": "SUSPENDED",
    "done": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "lost": "NODE_FAIL",
    "missed": "DEADLINE",
}
"""Slurm's words for ours, as near as they come."""


@click.command(help=VERBS["sacct"])
@click.option("-j", "--jobs", "wanted", default="", metavar="ID,...", help="These Slurm jobs only.")
@click.option("-S", "--starttime", default="", metavar="TIME", help="Submitted since then. Default: a week ago.")
@json_option()
def command(wanted: str, starttime: str, as_json: bool) -> None:
    wiring = Wiring()
    now_utc = wiring.now_utc()
    since_utc = _since(starttime, now_utc)
    ids = set(filter(None, wanted.split(",")))
    with wiring.store() as store:
        records = [record for record in store.jobs.find(since_utc=since_utc) if record.spec.engine == "slurm"]
        found = [
            _line(record, attempt, store, now_utc)
            for record in reversed(records)
            for attempt in record.attempts or (None,)
        ]
    found = [line for line in found if not ids or line["job_id"] in ids]
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
        return
    rows = [_row(line) for line in found]
    shown = [at for at in range(len(_HEADS)) if at not in _MAY_LACK or any(row[at] != "-" for row in rows)]
    left = {shown.index(at) for at in _WORDS if at in shown}
    click.echo("\n".join(table([_HEADS[at] for at in shown], [[row[at] for at in shown] for row in rows], left=left)))
    for line in found:
        if line["engine_energy_kwh"] is not None:
            own = figures.kwh(line["engine_energy_kwh"])
            click.echo(f"job {line['job_id']}: Slurm's own meter says {own}, of whole nodes")


def _since(text: str, now_utc: datetime) -> datetime:
    if not text:
        return now_utc - timedelta(days=7)
    try:
        return now_utc - timedelta(seconds=parse_duration_s(text))
    except InputError:
        return parse_instant_utc(text, now_utc=now_utc)


def _line(record: JobRecord, attempt: Attempt | None, store: Store, now_utc: datetime) -> dict[str, Any]:
    identity = {} if attempt is None else attempt.identity
    last = attempt is None or attempt == record.attempt
    settlement = store.settlements.latest(record.job_id) if last else None
    results = store.readings.of_job(record.job_id) if attempt is not None else ()
    key = "" if attempt is None else attempt.key
    energies_j = [result["energy_j"] for result in results if f"{result['run_id']}.".startswith(f"{key}.")]
    options = record.spec.options
    return {
        "job_id": None if attempt is None else attempt.ref,
        "lowtide_job": record.job_id,
        "name": record.spec.name,
        "partition": identity.get("partition") or options.get("partition", ""),
        "account": identity.get("account") or options.get("account", ""),
        "node": identity.get("node", ""),
        "state": _STATES[record.state] if last else "NODE_FAIL",
        "exit_status": None if attempt is None else attempt.exit_status,
        "elapsed_s": 0.0 if attempt is None else attempt.ran_s(now_utc),
        "planned_start_utc": iso_utc(record.plan.start_utc),
        "planned_energy_kwh": record.plan.energy_kwh,
        "planned_emissions_g": record.plan.emissions_g,
        "energy_kwh": sum(energies_j) / JOULES_PER_KWH if energies_j else None,
        "engine_energy_kwh": None
        if attempt is None or attempt.engine_energy_j is None
        else attempt.engine_energy_j / JOULES_PER_KWH,
        "emissions_g": settlement["realised"]["emissions_g"] if settlement else None,
        "emissions_state": settlement["realised"]["state"] if settlement else None,
    }


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    status = line["exit_status"]
    return (
        line["job_id"] or "-",
        line["name"][:10],
        line["partition"] or "-",
        line["account"] or "-",
        line["state"],
        _elapsed(line["elapsed_s"]),
        "-" if status is None else f"{status}:0" if status <= 128 else f"0:{status - 128}",
        figures.kwh(line["planned_energy_kwh"]),
        "-" if line["energy_kwh"] is None else figures.kwh(line["energy_kwh"]),
        figures.grams(line["planned_emissions_g"]),
        figures.grams(line["emissions_g"]),
    )


def _elapsed(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}-' if days else ''}{hours:02}:{minutes:02}:{left:02}"

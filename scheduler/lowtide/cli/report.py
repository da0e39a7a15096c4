"""``lowtide report``: the receipt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.text import table
from lowtide.jobs.states import FINAL
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide.reports.build import Report


_FORMS = ("table", "json", "csv", "html")


@click.command(help=VERBS["report"])
@click.argument("job", default="")
@click.option("--since", default="", metavar="TIME", help="Jobs submitted since: 7d (ago), 2026-01-03.")
@click.option("--format", "form", type=click.Choice(_FORMS), help="Default: by the output's ending, else table.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--output", default="", metavar="FILE", help="Write it there instead of printing it.")
def command(job: str, since: str, form: str | None, as_json: bool, output: str) -> None:
    from lowtide.reports.build import build
    from lowtide.service.refresh import refreshed

    wiring = Wiring()
    now_utc = wiring.now_utc()
    with wiring.store() as store:
        records = (store.jobs.get(job),) if job else store.jobs.find(since_utc=since_utc(since, now_utc))
        records = refreshed(wiring.tick_context(store, "report"), store, records, now_utc)
        shown = records if job else tuple(record for record in records if record.state in FINAL)
        report = build(store, shown, now_utc)
    text = written(report, "json" if as_json else form or _form_of(output), one=bool(job))
    if not output:
        click.echo(text)
        return
    try:
        write_whole(Path(output), text + "\n")
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {output}: {error.strerror}.", hint="Name another file."
        ) from error
    click.echo(f"written to {output}", err=True)


def write_whole(target: Path, text: str) -> None:
    """Writes all of it or leaves what was there; what is not text (an argument of raw bytes) is shown as escapes."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _form_of(output: str) -> str:
    """The form that the file's ending names; a table for no ending and for text."""
    ending = Path(output).suffix.lstrip(".").lower()
    if ending in ("", "txt", "md"):
        return "table"
    if ending not in _FORMS:
        raise InputError(f"A report cannot be written as {ending!r}.", hint="Name a .html, .csv or .json, or --format.")
    return ending


def since_utc(text: str, now_utc: datetime) -> datetime | None:
    """``7d`` is that long ago; anything else is a time."""
    from datetime import timedelta

    from lowtide_core.quantities import parse_duration_s, parse_instant_utc

    if not text:
        return None
    try:
        return now_utc - timedelta(seconds=parse_duration_s(text))
    except InputError:
        instant_utc = parse_instant_utc(text, now_utc=now_utc)
    if instant_utc > now_utc:
        raise InputError(
            f"--since {text!r} lies ahead.", hint="Say how long ago (7d), or give a past date (2026-01-03)."
        )
    return instant_utc


def written(report: Report, form: str, *, one: bool) -> str:
    """The report in one of its forms."""
    if form == "json":
        import json

        items = [row.to_json() for row in report.rows]
        return json.dumps(items[0] if one else items, indent=2)
    if form == "csv":
        from lowtide.reports.csv_report import to_csv

        return to_csv(report).rstrip("\n")
    if form == "html":
        from lowtide.reports.html_report import to_html

        return to_html(report)
    from lowtide.reports.text_report import HEADS, cells, receipt

    if one:
        return "\n".join(receipt(report.rows[0]))
    if not report.rows:
        return "No job has ended yet. Try: lowtide submit --duration 30m --deadline 24h -- COMMAND"
    return "\n".join(table(HEADS, [cells(row) for row in report.rows], left={0, 1, 8}))

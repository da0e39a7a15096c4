"""``lowtide backtest``: what lowtide would have saved in a past that is known."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import Hours, json_option
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR, parse_duration_s, parse_instant_utc

if TYPE_CHECKING:
    from lowtide.backtest.jobs import Arrivals

_BAR = 30


@click.command(help=VERBS["backtest"])
@click.option("--actual", required=True, metavar="FILE", help="What came: start_utc, intensity_g_per_kwh.")
@click.option("--forecast", default="", metavar="FILE", help="Forecasts as issued: with issued_utc too.")
@click.option("--forecaster", default="", metavar="NAME", help="Or of the past alone: auto; perfect: all known.")
@click.option("--outlook", default="", metavar="FILE", help="Wind, sun and load as expected, for the forecaster.")
@click.option("--zone", default="", metavar="ZONE", help="One zone of the files. Default: all.")
@click.option("--zones", default="", metavar="A,B", help="Several of them.")
@click.option("--job-hours", type=Hours(), metavar="H", help="How long each job runs.")
@click.option("--slack-hours", type=Hours(), default=24.0, show_default=True, metavar="H", help="How long it may wait.")
@click.option("--arrivals", type=click.Choice(["hourly", "daily"]), help="One each. Default: hourly.")
@click.option("--jobs", "jobs_file", default="", metavar="FILE", help="Real jobs instead: CSV, or sacct --parsable2.")
@click.option("--capacity", type=float, metavar="CPUS", help="With --jobs: a queue for so many CPUs.")
@click.option("--pausable", is_flag=True, help="They may be paused and resumed, on whole steps.")
@click.option("--restart", default="", metavar="TIME", help="A resuming costs as much as so long a run.")
@click.option("--replan-hours", type=Hours(), metavar="H", help="Plan a waiting job anew so often. Default: once.")
@click.option("--guard/--no-guard", default=None, help="Shift only where the gain beats the error.")
@click.option("--from", "from_text", default="", metavar="TIME", help="First arrival.")
@click.option("--to", "to_text", default="", metavar="TIME", help="No arrival from then on.")
@click.option("--compare", is_flag=True, help="Beside other policies, published ones too.")
@click.option("--correct", is_flag=True, help="Mend --forecast by its past, where that paid.")
@json_option()
def command(
    actual: str,
    forecast: str,
    forecaster: str,
    outlook: str,
    zone: str,
    zones: str,
    job_hours: float | None,
    slack_hours: float,
    arrivals: Arrivals | None,
    jobs_file: str,
    capacity: float | None,
    pausable: bool,
    restart: str,
    replan_hours: float | None,
    guard: bool | None,
    from_text: str,
    to_text: str,
    compare: bool,
    correct: bool,
    as_json: bool,
) -> None:
    from lowtide.backtest.question import Question
    from lowtide.backtest.run import run_backtest
    from lowtide.cli.backtest_view import lines, to_json

    if zone and zones:
        raise InputError("--zone and --zones exclude each other.", hint="Give one of them.")
    question = Question(
        actual=actual,
        forecast=forecast,
        forecaster=forecaster,
        outlook=outlook,
        zones=tuple(part.strip() for part in (zone or zones).split(",") if part.strip()),
        job_s=None if job_hours is None else job_hours * SECONDS_PER_HOUR,
        slack_s=slack_hours * SECONDS_PER_HOUR,
        every=arrivals,
        jobs_file=jobs_file,
        cpus=capacity,
        replan_s=None if replan_hours is None else replan_hours * SECONDS_PER_HOUR,
        pausable=pausable,
        restart_s=parse_duration_s(restart) if restart else 0.0,
        guard=guard,
        from_s=_instant_s(from_text),
        to_s=_instant_s(to_text),
        compare=compare,
        correct=correct,
    )
    found = run_backtest(question, monotonic_s=time.perf_counter, progress=_told if sys.stderr.isatty() else None)
    if as_json:
        import json

        click.echo(json.dumps(to_json(found), indent=2))
    else:
        click.echo("\n".join(lines(found)))


def _instant_s(text: str) -> float | None:
    return parse_instant_utc(text, now_utc=Wiring().now_utc()).timestamp() if text else None


def _told(what: str, done: int, of: int) -> None:
    """One line on stderr that grows, and goes when all is done."""
    filled = _BAR * done // of
    bar = f"{what:<32} {'█' * filled}{'·' * (_BAR - filled)} {100 * done // of:3d} %"
    click.echo("\r" + (" " * len(bar) + "\r" if done >= of else bar), nl=False, err=True)

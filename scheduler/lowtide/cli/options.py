"""Options that several verbs share, under the same names and with the same help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    _FloatType = click.ParamType[float]
else:
    _FloatType = click.ParamType  # generic from click 8.2 on

_F = TypeVar("_F", bound="Callable[..., Any] | click.Command")

MORE = {
    "The job": ("power_profile", "setup_energy", "teardown_energy", "keep_deadline", "memory"),
    "Pauses and widths": (
        "max_pauses",
        "restart_energy",
        "min_run",
        "checkpoint",
        "widths",
        "whole_steps",
        "switch_energy",
    ),
    "Where": ("residency", "max_latency", "bandwidth"),
    "What counts": ("carbon_price_usd_per_t", "robust", "guard"),
}
"""Options that few questions need: ``--more`` shows them, by what a person thinks of."""

MORE_OF_SUBMIT = {"Engines": ("options", "checkpoints", "retries")}
"""Likewise, of ``lowtide submit`` alone."""


class Hours(_FloatType):
    """A time in hours: ``4``, or with its unit as everywhere else: ``4h``, ``90m``, ``1d12h``."""

    name = "hours"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from lowtide_core.errors import InputError
        from lowtide_core.quantities import SECONDS_PER_HOUR, parse_duration_s

        try:
            return float(value)
        except ValueError:
            try:
                return parse_duration_s(value) / SECONDS_PER_HOUR
            except InputError as error:
                self.fail(f"{error.message} A bare number is hours.", param, ctx)


class Sectioned(click.Command):
    """A command with more options than a screen holds: ``--help`` shows the usual ones, ``--more`` the others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--more"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_more,
                help="Show the other options: pauses, widths, limits.",
            )
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        hidden = {name for names in (*MORE.values(), *MORE_OF_SUBMIT.values()) for name in names}
        records = [
            record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and parameter.name not in hidden
            and (record := parameter.get_help_record(ctx)) is not None
        ]
        with formatter.section("Options"):
            formatter.write_dl(records)


def _print_more(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    formatter = ctx.make_formatter()
    records = {parameter.name: parameter.get_help_record(ctx) for parameter in ctx.command.get_params(ctx)}
    for title, names in (MORE | MORE_OF_SUBMIT).items():
        shown = [record for name in names if (record := records.get(name)) is not None]
        if shown:
            with formatter.section(title):
                formatter.write_dl(shown)
    click.echo(formatter.getvalue().rstrip("\n").lstrip("\n"))
    ctx.exit()


def json_option(help_text: str = "Print JSON, and nothing else.") -> Callable[[_F], _F]:
    """``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def now_option() -> Callable[[_F], _F]:
    """``--now``: plan as if it were another time."""
    return click.option("--now", "now_text", default="", metavar="TIME", help="Plan as if it were this time.")


def signal_option() -> Callable[[_F], _F]:
    """``--signal``: a source by name, or a file."""
    return click.option(
        "--signal", default="", metavar="NAME|FILE", help="Intensity source, or a CSV/Parquet file. Default: the chain."
    )


def asked_options(command: _F) -> _F:
    """The options of ``lowtide plan`` that describe a job; names as in ``lowtide.asking.Asked``."""
    for option in reversed(_ASKED):
        command = option(command)
    return command


_ASKED = (
    click.option("--duration", required=True, metavar="TIME", help="How long: 90m, 4h; 3h..5h; like:NAME."),
    click.option("--deadline", default="", metavar="TIME", help="When it must have finished: 24h, 'tomorrow 09:00'."),
    click.option("--earliest", default="", metavar="TIME", help="Not before this time. Default: now."),
    click.option("--zone", default="", metavar="ZONE", help="This machine, in this grid zone: DE, US-CAL-CISO."),
    click.option("--region", default="", metavar="REGION", help="A cloud region: aws:eu-central-1, Frankfurt."),
    click.option("--regions", default="", metavar="A,B|all", help="Several; the one that emits least is taken."),
    click.option("--power", default="", metavar="POWER", help="What the job draws: 300W, 1.2kW. Default: modelled."),
    click.option("--gpu", default="", metavar="MODEL", help="Accelerator: H100, 'A100 80GB'."),
    click.option("--count", default=1, show_default=True, metavar="N", help="How many of them."),
    click.option("--cpus", default=4.0, metavar="N", help="Busy threads of a job without --gpu. Default: 4."),
    click.option("--pausable", is_flag=True, help="It may be paused and resumed."),
    click.option("--max-pauses", type=int, metavar="N", help="Pause it at most so often."),
    click.option("--restart-energy", default="", metavar="ENERGY", help="What each resuming costs: 0.2kWh."),
    click.option("--min-run", default="", metavar="TIME", help="Run at least so long between two pauses: 30m."),
    click.option("--setup-energy", default="", metavar="ENERGY", help="What its start costs, beside the run: 0.1kWh."),
    click.option("--teardown-energy", default="", metavar="ENERGY", help="What its end costs, beside the run."),
    click.option("--power-profile", default="", metavar="FILE", help="Power over the run: CSV of duration, power."),
    click.option("--widths", default="", metavar="FILE", help="Widths to run at: CSV of width, throughput, power_w."),
    click.option("--whole-steps", is_flag=True, help="Change the width only with the step of the intensity."),
    click.option("--switch-energy", default="", metavar="ENERGY", help="What each change of the width costs."),
    click.option("--memory", default="", metavar="SIZE", help="Leave out widths whose memory_gb is more: 80GB."),
    click.option("--keep-deadline", default="", metavar="PCT", help="How surely, if the duration is not known: 95%."),
    click.option("--max-price", "max_price_usd", type=float, metavar="USD", help="Limit for the whole run."),
    click.option(
        "--carbon-price", "carbon_price_usd_per_t", type=float, metavar="USD", help="Weigh a tonne with so much."
    ),
    click.option("--robust", is_flag=True, help="Judge by the upper end of the forecast's band."),
    click.option("--guard/--no-guard", default=True, help="Shift only where the gain beats the forecast's error."),
    click.option("--data", default="", metavar="SIZE", help="Data to bring along: 50GB."),
    click.option("--from", "data_from", default="", metavar="REGION", help="Where that data lies. Default: home."),
    click.option("--bandwidth", default="", metavar="RATE", help="Count the time that data takes: 1Gbps."),
    click.option(
        "--checkpoint", default="", metavar="SIZE", help="It may go on in another region; so much moves along."
    ),
    click.option("--residency", default="", metavar="GROUP", help="Only where data may lie: EU, EEA, UK, US, DE, ..."),
    click.option("--max-latency", default="", metavar="TIME", help="Round trip to --from or home at most: 50ms."),
)

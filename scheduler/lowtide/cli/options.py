"""Options that several verbs share, under the same names and with the same help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any] | click.Command")


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
    click.option("--duration", required=True, metavar="TIME", help="How long it runs: 90m, 4h, 1d12h."),
    click.option("--deadline", default="", metavar="TIME", help="When it must have finished: 24h, 'tomorrow 09:00'."),
    click.option("--earliest", default="", metavar="TIME", help="Not before this time. Default: now."),
    click.option("--zone", default="", metavar="ZONE", help="This machine, in this grid zone: DE, US-CAL-CISO."),
    click.option("--region", default="", metavar="REGION", help="A cloud region: aws:eu-central-1, Frankfurt."),
    click.option("--regions", default="", metavar="A,B,...", help="Several; the one that emits least is taken."),
    click.option("--power", default="", metavar="POWER", help="What the job draws: 300W, 1.2kW. Default: modelled."),
    click.option("--gpu", default="", metavar="MODEL", help="Accelerator: H100, 'A100 80GB'."),
    click.option("--count", default=1, show_default=True, metavar="N", help="How many of them."),
    click.option("--cpus", default=4.0, show_default=True, metavar="N", help="Busy threads of a job without --gpu."),
    click.option("--pausable", is_flag=True, help="It may be paused and resumed (planned, not dispatched yet)."),
    click.option("--max-price", "max_price_usd", type=float, metavar="USD", help="Limit for the whole run."),
    click.option("--data", default="", metavar="SIZE", help="Data to bring along: 50GB."),
    click.option("--from", "data_from", default="", metavar="REGION", help="Where that data lies. Default: home."),
)

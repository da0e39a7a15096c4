"""The command ``lowtide``: every verb is named here and imported only when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from lowtide_core.errors import LowtideError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "demo": "Show the whole path on this machine, in a minute.",
    "regions": "Rank the cloud regions that offer an accelerator.",
    "plan": "Say when and where a job emits least; start nothing.",
    "plan-fleet": "Plan a file of jobs together, under capacities.",
    "submit": "Plan a job and have it run at the planned time.",
    "sbatch": "As submit, for a batch script of Slurm.",
    "kube": "Submit Kubernetes Jobs by their own manifests.",
    "jobs": "List jobs.",
    "show": "Show one job: plan, attempts, events.",
    "logs": "Print what a job printed.",
    "cancel": "Cancel jobs that wait or run.",
    "pause": "Pause a running job.",
    "resume": "Let a paused job run on.",
    "sacct": "Slurm jobs with planned and realised emissions.",
    "report": "Compare what was planned with what came.",
    "backtest": "Replay the past: what lowtide would have saved.",
    "run": "Run a command now and measure its energy.",
    "attach": "Measure what runs already.",
    "top": "Show what is being measured now.",
    "sampler": "Build the program for nodes that have only Python.",
    "recover": "Close the journals of runs that were killed.",
    "calibrate": "Measure what this node draws at rest.",
    "serve": "Start due jobs, follow and settle them, until stopped.",
    "tick": "One round of what serve does, for cron.",
    "signals": "Show the intensity sources and what they offer here.",
    "doctor": "Check this machine: meters, store, home, keys.",
    "config": "Show or set the settings (home, tokens, ...).",
}
"""Help line of each verb; the module ``lowtide.cli.<verb>``, a dash being an underline, holds its command with
the same line (a test holds it)."""


_TOGETHER = {
    "sbatch": (("sbatch", "sacct"), "For Slurm: plan a batch script; list with emissions."),
    "pause": (("pause", "resume"), "Pause a running job; let a paused one run on."),
    "serve": (("serve", "tick"), "Start, follow and settle jobs: on and on, or once."),
}
"""Verbs that share a line of the list, so that it fits a screen; by the first of them."""


def _listed() -> list[tuple[tuple[str, ...], str]]:
    """The lines of the list of verbs."""
    others = {verb for names, _ in _TOGETHER.values() for verb in names[1:]}
    return [_TOGETHER.get(verb, ((verb,), line)) for verb, line in VERBS.items() if verb not in others]


class LazyGroup(click.Group):
    """A group that knows its verbs' names and help lines, and imports a verb only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"lowtide.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS:
            from lowtide_core.errors import nearest

            ctx.fail(f"There is no command {args[0]!r}. {nearest(args[0], VERBS) or 'lowtide --help lists them.'}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(", ".join(names), line) for names, line in _listed()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"lowtide {version('lowtide')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
def lowtide() -> None:
    """Run jobs when and where electricity is clean, measure what they used, and say honestly what that saved."""


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; turns every error into one message and the exit code of its kind."""
    try:
        result = lowtide.main(args=list(arguments), prog_name="lowtide", standalone_mode=False)
        sys.stdout.flush()
    except LowtideError as error:
        complain(error.message, error.hint)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("lowtide: interrupted", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went; nothing more to say
        return 0
    except Exception as error:
        if os.environ.get("LOWTIDE_DEBUG"):
            raise
        complain(
            f"This is a bug in lowtide: {type(error).__name__}: {error}",
            "LOWTIDE_DEBUG=1 shows where; please report it with that.",
        )
        return 70
    return result if isinstance(result, int) else 0


def complain(message: str, hint: str = "") -> None:
    """One line in words on stderr, and the next thing to try on a second."""
    click.echo(f"lowtide: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)

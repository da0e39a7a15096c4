"""The options of the command line; read by hand, because argparse takes a tenth of the time that the wrapper has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler.attribution import RULES

if TYPE_CHECKING:
    from typing import Any

USAGE = """\
Usage: lowtide run [OPTIONS] [--] COMMAND [ARGS]...

Measures the energy of a command. Its exit status, signals, input and output are its own.

Options:
  --json FILE            Write the result as JSON; - is standard output, after the command's.
  --journal DIR          Folder of the journal (default: $LOWTIDE_SPOOL, else the state folder).
  --interval TIME        Between two readings (default: 5s).
  --attribution RULE     share (default), node (all energy of the node) or marginal (no idle power).
  --run-id ID            Name of the run (default: made up).
  --plan ID              The plan that the run carries out.
  --tag KEY=VALUE        Kept with the result; may be given several times.
  --exit-file FILE       Write how the command ended as JSON, the moment it ends.
  --child-file FILE      Write the command's process as JSON, before it starts.
  --sysroot DIR          Read /sys and /proc below this folder (tests).
  --quiet                Print nothing.
  --help                 Show this.

Exit status: the command's; 125 bad options, 126 it cannot be executed, 127 it is not found.
"""

_VALUES = {
    "--json": "json_file",
    "--journal": "journal_dir",
    "--interval": "interval",
    "--attribution": "attribution",
    "--run-id": "run_id",
    "--plan": "plan_id",
    "--tag": "tag",
    "--exit-file": "exit_file",
    "--child-file": "child_file",
    "--sysroot": "sysroot",
}
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHORTEST_INTERVAL_S = 0.05


class UsageError(Exception):
    """An option is unknown, lacks its value, or has a wrong one."""


class RunOptions(NamedTuple):
    """What ``run`` is asked to do; empty strings and None where nothing was said."""

    argv: tuple[str, ...]
    json_file: str = ""
    journal_dir: str = ""
    interval_s: float = 5.0
    attribution: str = "share"
    run_id: str = ""
    plan_id: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    exit_file: str = ""
    child_file: str = ""
    sysroot: str = ""
    quiet: bool = False


def parse_run(argv: list[str]) -> RunOptions | None:
    """The options and the command of ``run``; None where help is asked for.

    Raises:
        UsageError: What is wrong, and with which option.
    """
    values: dict[str, Any] = {}
    tags: list[tuple[str, str]] = []
    quiet = False
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "--":
        word, equals, value = argv[at].partition("=")
        at += 1
        if word in ("--help", "-h"):
            return None
        if word == "--quiet":
            quiet = True
            continue
        name = _VALUES.get(word)
        if name is None:
            raise UsageError(f"unknown option {word}; lowtide run --help lists them")
        if not equals:
            if at == len(argv):
                raise UsageError(f"{word} needs a value")
            value = argv[at]
            at += 1
        if name == "tag":
            tags.append(_tag(value))
        else:
            values[name] = value
    command = argv[at + 1 :] if argv[at : at + 1] == ["--"] else argv[at:]
    if not command:
        raise UsageError("no command to run; write it after --")
    interval_s = _interval_s(values.pop("interval", "5s"))
    _check(values)
    options = RunOptions(argv=tuple(command), interval_s=interval_s, tags=tuple(tags), quiet=quiet)
    return options._replace(**values)


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"--tag {text!r} is not KEY=VALUE")
    return key, value


def _interval_s(text: str) -> float:
    unit = text.lstrip("0123456789.")
    number = text[: len(text) - len(unit)]
    try:
        interval_s = float(number) * _UNITS_S[unit.strip()]
    except (ValueError, KeyError):
        raise UsageError(f"--interval {text!r} is not a time; write it with its unit, such as 5s") from None
    if not _SHORTEST_INTERVAL_S <= interval_s <= 3600:
        raise UsageError(f"--interval {text!r} must lie between 50ms and 1h")
    return interval_s


def _check(values: dict[str, str]) -> None:
    rule = values.get("attribution", "share")
    if rule not in RULES:
        raise UsageError(f"--attribution {rule!r} is none of {', '.join(RULES)}")
    run_id = values.get("run_id", "x")
    if not run_id or run_id.startswith(".") or not run_id.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--run-id {run_id!r} must consist of letters, digits, - _ and .: it names the journal's file")

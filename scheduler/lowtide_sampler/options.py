"""The options of the command line; read by hand, because argparse takes a tenth of the time that the wrapper has."""

from __future__ import annotations

from lowtide_sampler.attribution import RULES
from lowtide_sampler.result import SCOPES
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

_COMMON = """\
  --journal DIR          Folder of the journal (default: $LOWTIDE_SPOOL, else the state folder).
  --interval TIME        Between two readings (default: 5s).
  --attribution RULE     share (default), node (all energy of the node) or marginal (no idle power).
  --scope SCOPE          What the headline holds: device, node or facility (all are reported).
  --pue FACTOR           Facility over IT energy; --scope facility needs it.
  --run-id ID, --plan ID Name of the run (default: made up); the plan that it carries out.
  --tag KEY=VALUE        Kept with the result; may be given several times.
  --live                 Show watts and energy so far in one line on a terminal; with
  --intensity G_PER_KWH  grams too (default: home's), and with
  --duration TIME        what is expected by then.
  --sysroot DIR          Read /sys and /proc below this folder (tests).
  --quiet                Print nothing.
"""
_HELP = "  -h, --help             Show this.\n"

USAGE = f"""\
Usage: lowtide run [OPTIONS] [--] COMMAND [ARGS]...

Measures the energy of a command. Its exit status, signals, input and output are its own.

Options:
  --json FILE            Write the result as JSON; - is standard output, after the command's.
{_COMMON}\
  --exit-file FILE       Write how the command ended as JSON, the moment it ends.
  --child-file FILE      Write the command's process as JSON, before it starts.
{_HELP}
Exit status: the command's; 125 bad options, 126 it cannot be executed, 127 it is not found.
"""

ATTACH_USAGE = f"""\
Usage: lowtide attach [OPTIONS] PID
       lowtide attach [OPTIONS] --cgroup PATH

Measures what runs already, with all that it starts, until it ends. INT, TERM and HUP end the
measurement alone: what is measured runs on.

Options:
  --cgroup PATH          A control group: a folder, or a path below /sys/fs/cgroup.
  --json FILE            Write the result as JSON; - is standard output.
{_COMMON}\
  --marks-fd N           Read begins and ends of sections from there; its end is the caller's.
  --begun MONO,UTC,CPU   Where the caller's clocks and CPU seconds stood when it asked.
{_HELP}
Exit status: 0; 125 bad options, or there is no such process or group.
"""

_VALUES = {
    "--json": "json_file",
    "--journal": "journal_dir",
    "--interval": "interval",
    "--attribution": "attribution",
    "--scope": "scope",
    "--pue": "pue",
    "--run-id": "run_id",
    "--plan": "plan_id",
    "--tag": "tag",
    "--intensity": "intensity_g_per_kwh",
    "--duration": "expected_s",
    "--sysroot": "sysroot",
}
_OF_RUN = {"--exit-file": "exit_file", "--child-file": "child_file"}
_OF_ATTACH = {"--cgroup": "cgroup", "--marks-fd": "marks_fd", "--begun": "begun"}
_FLAGS = {"--quiet": "quiet", "--live": "live"}
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHORTEST_INTERVAL_S = 0.05


class UsageError(Exception):
    """An option is unknown, lacks its value, or has a wrong one."""


class Begun(NamedTuple):
    """Where a caller's clocks stood when it asked to be measured, and the CPU seconds that it had used by then."""

    monotonic_s: float
    utc_s: float
    cpu_s: float


class RunOptions(NamedTuple):
    """What ``run`` and ``attach`` are asked to do; empty strings and None where nothing was said.

    ``pid``, ``cgroup``, ``marks_fd`` and ``begun`` are of ``attach``, which has no ``argv``.
    """

    argv: tuple[str, ...] = ()
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
    scope: str = ""
    pue: float | None = None
    live: bool = False
    intensity_g_per_kwh: float | None = None
    expected_s: float | None = None
    pid: int = 0
    cgroup: str = ""
    marks_fd: int = -1
    begun: Begun | None = None


def parse_run(argv: list[str]) -> RunOptions | None:
    """The options and the command of ``run``; None where help is asked for.

    Raises:
        UsageError: What is wrong, and with which option.
    """
    options, rest = _parse(argv, {**_VALUES, **_OF_RUN}, "run")
    if options is None:
        return None
    command = rest[1:] if rest[:1] == ["--"] else rest
    if not command:
        raise UsageError("no command to run; write it after --")
    return options._replace(argv=tuple(command))


def parse_attach(argv: list[str]) -> RunOptions | None:
    """The options of ``attach`` and the process or the group; None where help is asked for.

    Raises:
        UsageError: What is wrong, and with which option.
    """
    options, pids = _parse(argv, {**_VALUES, **_OF_ATTACH}, "attach", is_mixed=True)
    if options is None:
        return None
    named = [*pids, *([f"--cgroup {options.cgroup}"] if options.cgroup else [])]
    if len(named) != 1 or not all(pid.isdecimal() and int(pid) > 0 for pid in pids):
        said = f", not {' '.join(named)}" if named else ""
        raise UsageError(f"name one process by its number, or one control group with --cgroup PATH{said}")
    return options._replace(pid=int(pids[0]) if pids else 0)


def _parse(
    argv: list[str], known: dict[str, str], verb: str, *, is_mixed: bool = False
) -> tuple[RunOptions | None, list[str]]:
    """(the options, the words behind them, or between them as well); None for the options where help is asked for."""
    words: list[str] = []
    values: dict[str, Any] = {}
    tags: list[tuple[str, str]] = []
    at = 0
    while at < len(argv) and argv[at] != "--":
        if not argv[at].startswith("-"):
            if not is_mixed:
                break
            words.append(argv[at])
            at += 1
            continue
        word, equals, value = argv[at].partition("=")
        at += 1
        if word in ("--help", "-h"):
            return None, []
        if word in _FLAGS:
            values[_FLAGS[word]] = True
            continue
        name = known.get(word)
        if name is None:
            raise UsageError(f"unknown option {word}; lowtide {verb} --help lists them")
        if not equals:
            if at == len(argv):
                raise UsageError(f"{word} needs a value")
            value = argv[at]
            at += 1
        if name == "tag":
            tags.append(_tag(value))
        else:
            values[name] = value
    values["interval_s"] = _interval_s(values.pop("interval", "5s"))
    _convert(values)
    _check(values)
    return RunOptions(tags=tuple(tags), **values), words + argv[at:]


def _convert(values: dict[str, Any]) -> None:
    if "pue" in values:
        values["pue"] = _number("--pue", values["pue"], 1.0, 10.0)
    if "intensity_g_per_kwh" in values:
        values["intensity_g_per_kwh"] = _number("--intensity", values["intensity_g_per_kwh"], 0.0, 1e5)
    if "expected_s" in values:
        values["expected_s"] = _time_s("--duration", values["expected_s"])
    if "marks_fd" in values:
        values["marks_fd"] = int(_number("--marks-fd", values["marks_fd"], 0, 1e6))
    if "begun" in values:
        parts = values["begun"].split(",")
        if len(parts) != 3:
            raise UsageError(f"--begun {values['begun']!r} is not MONO,UTC,CPU")
        values["begun"] = Begun(*(_number("--begun", part, 0.0, 1e12) for part in parts))


def _number(option: str, text: str, lowest: float, highest: float) -> float:
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a number") from None
    if not lowest <= number <= highest:
        raise UsageError(f"{option} {text!r} must lie between {lowest:g} and {highest:g}")
    return number


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"--tag {text!r} is not KEY=VALUE")
    return key, value


def _interval_s(text: str) -> float:
    interval_s = _time_s("--interval", text)
    if not _SHORTEST_INTERVAL_S <= interval_s <= 3600:
        raise UsageError(f"--interval {text!r} must lie between 50ms and 1h")
    return interval_s


def _time_s(option: str, text: str) -> float:
    unit = text.lstrip("0123456789.")
    number = text[: len(text) - len(unit)]
    try:
        time_s = float(number) * _UNITS_S[unit.strip()]
    except (ValueError, KeyError):
        raise UsageError(f"{option} {text!r} is not a time; write it with its unit, such as 5s") from None
    return time_s


def _check(values: dict[str, Any]) -> None:
    rule = values.get("attribution", "share")
    if rule not in RULES:
        raise UsageError(f"--attribution {rule!r} is none of {', '.join(RULES)}")
    scope = values.get("scope", "node")
    if scope not in SCOPES:
        raise UsageError(f"--scope {scope!r} is none of {', '.join(SCOPES)}")
    if scope == "facility" and "pue" not in values:
        raise UsageError("--scope facility needs the facility's --pue, such as --pue 1.2")
    run_id = values.get("run_id", "x")
    if not run_id or run_id.startswith(".") or not run_id.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--run-id {run_id!r} must consist of letters, digits, - _ and .: it names the journal's file")

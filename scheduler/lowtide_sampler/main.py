"""The commands of the sampler: ``run``, ``attach``, ``recover``, ``calibrate``, ``sources``."""

from __future__ import annotations

import os
import sys

from lowtide_sampler.options import ATTACH_USAGE, USAGE, UsageError, parse_attach, parse_run
from lowtide_sampler.standins import TYPE_CHECKING, to_json

if TYPE_CHECKING:
    from typing import Any

    from lowtide_sampler.loop import Outcome
    from lowtide_sampler.options import RunOptions

OWN_FAILURE = 125
_HELP = """\
Usage: python -m lowtide_sampler COMMAND, or python3 -I -S lowtide-sampler.pyz COMMAND

Commands:
  run [OPTIONS] -- COMMAND          Measure a command (run --help).
  attach [OPTIONS] PID              Measure what runs already (attach --help).
  recover [--journal DIR] [--json]  Close the journals of samplers that were killed.
  calibrate [OPTIONS]               Measure this node at rest (calibrate --help).
  sources [--sysroot DIR] [--json]  Show every source of energy: found, or what is missing.
"""


def main(argv: list[str]) -> int:
    """Runs one command of the sampler; returns its exit status."""
    command, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if command == "run":
        return run_main(rest)
    if command == "attach":
        return attach_main(rest)
    if command == "calibrate":
        from lowtide_sampler.calibration import calibrate_main

        return calibrate_main(rest)
    if command in ("recover", "sources"):
        try:
            return _recover(rest) if command == "recover" else _sources(rest)
        except UsageError as error:
            return _fail(str(error))
    if command in ("--help", "-h", "help"):
        sys.stdout.write(_HELP)
        return 0
    return _fail(f"unknown command {command!r}; known are run, attach, recover, calibrate and sources")


def run_main(argv: list[str]) -> int:
    """``run`` without the word: measures a command and returns its exit status, or dies of the signal that ended it."""
    try:
        options = parse_run(argv)
    except UsageError as error:
        return _fail(str(error))
    if options is None:
        sys.stdout.write(USAGE)
        return 0
    from lowtide_sampler.child import die_of
    from lowtide_sampler.loop import Command, run, unmeasured

    command = Command(options)
    try:
        try:
            outcome = run(options, command)
        except Exception as error:  # noqa: BLE001  the fault is ours: the command goes on to its own end
            outcome = unmeasured(options, command, error)
    except OSError as error:  # no process or no memory for it
        return _fail(f"cannot start {options.argv[0]!r}: {error.strerror}")
    _tell(options, outcome)
    if outcome.ending.signal is not None:
        die_of(outcome.ending.signal)
    return outcome.ending.exit_status or 0


def attach_main(argv: list[str]) -> int:
    """``attach`` without the word: measures what runs already; 0 when it has ended or the measurement was."""
    try:
        options = parse_attach(argv)
    except UsageError as error:
        return _fail(str(error))
    if options is None:
        sys.stdout.write(ATTACH_USAGE)
        return 0
    from lowtide_sampler.attach import Attached, NotThere
    from lowtide_sampler.loop import run

    try:
        target = Attached(options)
    except NotThere as error:
        return _fail(str(error))
    outcome = run(options, target)
    target.answer(to_json(outcome.result).encode())
    _tell(options, outcome)
    return 0


def _tell(options: RunOptions, outcome: Outcome) -> None:
    """Prints and writes what was asked for; a full disk or a closed stream changes nothing about the status."""
    from lowtide_sampler.result import summary

    lines = [*outcome.messages, *_write_result(options.json_file, outcome.result)]
    if outcome.ending.why:
        lines = [f"cannot run {options.argv[0]!r}: {outcome.ending.why}"]
    else:
        lines.append(f"{_HOW[outcome.ending.how]}{summary(outcome.result)}")
    if options.quiet and not outcome.ending.why:
        return
    _say("".join(f"lowtide: {line}\n" for line in lines))


_HOW = {"ok": "", "detached": "no longer measured, it runs on: ", "caller-died": "up to the caller's end: "}


def _write_result(path: str, result: dict[str, Any]) -> list[str]:
    from lowtide_sampler.files import write_json

    try:
        if path == "-" and sys.stdout is None:
            return ["standard output is closed: the result could not be written"]
        if path == "-":
            _write_all(sys.stdout.fileno(), _as_json(result))
        elif path:
            write_json(path, result)
    except OSError as error:
        return [f"{path} could not be written: {error.strerror}"]
    return []


def _recover(argv: list[str]) -> int:
    from lowtide_sampler.folders import spool_folder
    from lowtide_sampler.journal import recover
    from lowtide_sampler.result import summary

    values, as_json = _flags(argv, "--journal")
    directory = values or spool_folder(os.environ)
    results = recover(directory)
    if as_json:
        _print_json(results)
    else:
        lines = [
            f"{result['run_id']}: {summary(result)}, lost after {result['duration_s']:.3g} s" for result in results
        ]
        sys.stdout.write("\n".join([*lines, f"{len(results)} lost runs closed in {directory}"]) + "\n")
    return 0


def _sources(argv: list[str]) -> int:
    from lowtide_sampler.sources import find_sources

    sysroot, as_json = _flags(argv, "--sysroot")
    sources = find_sources(os.environ, sysroot)
    if as_json:
        models = [{"name": source.name, "found": True, "why": source.label, "repair": ""} for source in sources.models]
        _print_json([finding._asdict() for finding in sources.findings] + models)
        return 0
    for finding in sources.findings:
        sys.stdout.write(f"{'found  ' if finding.found else 'missing'}  {finding.name:24}  {finding.why}\n")
    for source in sources.models:
        flags = f" ({', '.join(source.flags)})" if source.flags else ""
        sys.stdout.write(f"model    {source.name:24}  {source.label}{flags}\n")
    for note in sources.notes:
        sys.stdout.write(f"\n{note}\n")
    return 0


def _flags(argv: list[str], option: str) -> tuple[str, bool]:
    """(value of the one option, whether --json is there)."""
    value, as_json = "", False
    words = iter(argv)
    for word in words:
        name, equals, given = word.partition("=")
        if name == "--json" and not equals:
            as_json = True
        elif name == option:
            value = given if equals else next(words, "")
            if not value:
                raise UsageError(f"{option} needs a value")
        else:
            raise UsageError(f"unknown option {word}; known are {option} and --json")
    return value, as_json


def _as_json(content: object) -> str:
    import json

    return json.dumps(content, indent=2) + "\n"


def _print_json(content: object) -> None:
    sys.stdout.write(_as_json(content))


def _write_all(fd: int, text: str) -> None:
    """Writes past Python's own buffer: what that cannot get rid of would spoil the exit status."""
    left = text.encode()
    while left:
        left = left[os.write(fd, left) :]


def _fail(message: str) -> int:
    _say(f"lowtide: {message}\n")
    return OWN_FAILURE


def _say(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        return

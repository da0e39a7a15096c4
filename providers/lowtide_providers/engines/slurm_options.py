"""Options of ``sbatch``: which lowtide passes on, which it sets itself, and how a script's own lines are read."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHORT = {
    "A": "account",
    "a": "array",
    "b": "begin",
    "C": "constraint",
    "c": "cpus-per-task",
    "D": "chdir",
    "d": "dependency",
    "e": "error",
    "G": "gpus",
    "H": "hold",
    "J": "job-name",
    "L": "licenses",
    "M": "clusters",
    "m": "distribution",
    "N": "nodes",
    "n": "ntasks",
    "O": "overcommit",
    "o": "output",
    "p": "partition",
    "Q": "quiet",
    "q": "qos",
    "S": "core-spec",
    "s": "oversubscribe",
    "t": "time",
    "v": "verbose",
    "W": "wait",
    "w": "nodelist",
    "x": "exclude",
}
FLAGS = ("contiguous", "overcommit", "spread-job", "use-min-nodes", "requeue", "no-requeue", "hold", "quiet", "verbose")
"""Options without a value."""
MAYBE_FLAGS = ("exclusive", "oversubscribe", "nice", "get-user-env", "propagate")
"""Options whose value may be left out, and then is not the next word."""
PASSED = (
    "account",
    "acctg-freq",
    "array",
    "batch",
    "bb",
    "bbf",
    "comment",
    "constraint",
    "contiguous",
    "core-spec",
    "cores-per-socket",
    "cpu-freq",
    "cpus-per-gpu",
    "cpus-per-task",
    "deadline",
    "dependency",
    "distribution",
    "error",
    "exclude",
    "exclusive",
    "export",
    "export-file",
    "extra-node-info",
    "get-user-env",
    "gpu-bind",
    "gpu-freq",
    "gpus",
    "gpus-per-node",
    "gpus-per-socket",
    "gpus-per-task",
    "gres",
    "gres-flags",
    "hint",
    "input",
    "licenses",
    "mail-type",
    "mail-user",
    "mcs-label",
    "mem",
    "mem-bind",
    "mem-per-cpu",
    "mem-per-gpu",
    "mincpus",
    "network",
    "nice",
    "nodefile",
    "nodelist",
    "nodes",
    "ntasks",
    "ntasks-per-core",
    "ntasks-per-gpu",
    "ntasks-per-node",
    "ntasks-per-socket",
    "open-mode",
    "output",
    "overcommit",
    "oversubscribe",
    "partition",
    "power",
    "prefer",
    "priority",
    "profile",
    "propagate",
    "qos",
    "reservation",
    "signal",
    "sockets-per-node",
    "spread-job",
    "switches",
    "threads-per-core",
    "time",
    "time-min",
    "tmp",
    "use-min-nodes",
    "wckey",
)
"""Passed on to ``sbatch`` as they are."""
OWN = ("python",)
"""Not of ``sbatch``: the Python that looks after the job on its node."""
OURS = {
    "begin": "The plan says when it begins.",
    "chdir": "Give --working-dir.",
    "clusters": "One lowtide works with one cluster: set SLURM_CONF.",
    "delay-boot": "The plan says when it begins.",
    "hold": "lowtide submit keeps it until its time.",
    "job-name": "Give --name.",
    "no-requeue": "That is so unless it is said to checkpoint.",
    "parsable": "lowtide reads the answer itself.",
    "requeue": "Give --checkpoints if it goes on from its own.",
    "test-only": "lowtide plan starts nothing.",
    "wait": "Give --wait.",
    "wrap": "Write the command after --.",
}
"""Set by lowtide itself, and what to do instead."""


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """What the ``#SBATCH`` lines of a script say.

    Attributes:
        values: Value by long option; ``yes`` for one without a value. Of several, the last counts.
    """

    values: Mapping[str, str] = field(default_factory=dict)


def check_options(options: Mapping[str, str]) -> None:
    """Refuses what ``sbatch`` would not be given.

    Raises:
        InputError: An option that lowtide sets itself or that is none, or a value that no command line can hold.
    """
    for name, value in options.items():
        if name in OURS:
            raise InputError(f"Slurm's option {name!r} is not for the engine to pass on.", hint=OURS[name], option=name)
        if name not in PASSED and name not in OWN:
            hint = nearest(name, [*PASSED, *OWN]) or "They are named as in sbatch --help, without the dashes."
            raise InputError(f"{name!r} is not an option of the engine 'slurm'.", hint=hint, option=name)
        if not value or any(character in value for character in "\0\n\r"):
            told = f"The option {name!r} has no usable value: {value!r}."
            raise InputError(told, hint="Write NAME=VALUE.", option=name)
        if name == "array":
            from lowtide_providers.engines.slurm_text import read_array

            read_array(value)


def arguments_of(options: Mapping[str, str]) -> list[str]:
    """Arguments for ``sbatch``, each a word of its own: no shell reads them."""
    return [
        f"--{name}" if name in FLAGS or (name in MAYBE_FLAGS and value == "yes") else f"--{name}={value}"
        for name, value in options.items()
        if name in PASSED and not (name in FLAGS and value == "no")
    ]


def read_script(text: str) -> ScriptOptions:
    """The options of a batch script: its ``#SBATCH`` lines before the first command, as ``sbatch`` reads them.

    Raises:
        InputError: A line cannot be read.
    """
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            try:
                words += shlex.split(line.removeprefix("#SBATCH"), comments=True)
            except ValueError as error:
                raise InputError(f"The line {line!r} cannot be read: {error}.", hint="Mend its quotes.") from error
        elif line.strip() and not line.startswith("#"):
            break
    return ScriptOptions(dict(_pairs(words)))


def read_words(words: Sequence[str], *, also: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Options at the head of a command line as ``sbatch`` would read them, and the words after them.

    Args:
        also: Names of further long options, which have values.

    Raises:
        InputError: An option is none of ``sbatch``, or has no value.
    """
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        at += 1 + _takes_next(words[at])
    rest = list(words[at:])
    return dict(_pairs(words[:at], also)), rest[1:] if rest[:1] == ["--"] else rest


def _takes_next(word: str) -> bool:
    """Whether the option's value is the next word."""
    if word.startswith("--"):
        name, equals, _ = word[2:].partition("=")
        return not equals and name not in FLAGS and name not in MAYBE_FLAGS and name not in _SWITCHES
    name = _SHORT.get(word[1:2], "")
    return len(word) == 2 and name not in FLAGS and name not in MAYBE_FLAGS and name not in _SWITCHES


_SWITCHES = ("wait", "parsable", "test-only")


def _pairs(words: Sequence[str], also: Sequence[str] = ()) -> Iterable[tuple[str, str]]:
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
        elif re.match(r"-[A-Za-z]", word):
            name, value = _SHORT.get(word[1], ""), word[2:].removeprefix("=")
            equals = value
        else:
            name = ""
        if name not in PASSED and name not in OURS and name not in FLAGS and name not in also:
            hint = nearest(name or word.strip("-"), [*PASSED, *OURS, *also]) or "sbatch --help lists them."
            raise InputError(f"{word!r} is not an option of sbatch that lowtide knows.", hint=hint, option=word)
        if equals:
            yield name, value
        elif _takes_next(word):
            if at == len(words):
                raise InputError(f"The option {word!r} has no value.", hint="Give it one.", option=word)
            yield name, words[at]
            at += 1
        else:
            yield name, "yes"


def limit_s(text: str) -> float | None:
    """A time limit as Slurm writes it (``90``, ``4:00:00``, ``1-12``), in s; None where there is none.

    Raises:
        InputError: It is not of that form.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "-1"):
        return None
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if found is None:
        raise InputError(f"{text!r} is not a time limit of Slurm.", hint="Write minutes, HH:MM:SS or D-HH:MM:SS.")
    days, *parts = (None if part is None else int(part) for part in found.groups())
    if days is not None:  # D-HH, D-HH:MM, D-HH:MM:SS
        hours, minutes, seconds = (part or 0 for part in parts)
        return days * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds
    first, second, third = parts
    if third is not None:
        return (first or 0) * 3600.0 + (second or 0) * 60.0 + third
    return (first or 0) * 60.0 + (second or 0)


def gpus_of(options: Mapping[str, str]) -> tuple[str, int]:
    """Model (empty where none is named) and number of accelerators that the options ask for, over all nodes.

    Raises:
        InputError: One of them is not of Slurm's form.
    """
    nodes = _count(options.get("nodes", "1").partition("-")[0], "nodes")
    tasks = _count(options.get("ntasks", "1"), "ntasks")
    for name, times in (("gpus", 1), ("gpus-per-node", nodes), ("gres", nodes), ("gpus-per-task", tasks)):
        for part in filter(None, options.get(name, "").split(",")):
            kind, _, rest = part.partition(":")
            if name == "gres":
                if kind not in ("gpu", "gres/gpu"):
                    continue
                kind, _, rest = rest.partition(":")
            model, number = ("", kind) if kind.isdigit() else (kind, rest or "1")
            if number != "0":
                return model.partition("(")[0], times * _count(number.partition("(")[0] or "1", name)
    return "", 0


def cpus_of(options: Mapping[str, str]) -> int:
    """Processors that the options ask for.

    Raises:
        InputError: One of them is not of Slurm's form.
    """
    nodes = _count(options.get("nodes", "1").partition("-")[0], "nodes")
    per_node = options.get("ntasks-per-node")
    tasks = _count(options.get("ntasks", str(nodes)), "ntasks")
    if per_node:
        tasks = nodes * _count(per_node, "ntasks-per-node")
    return tasks * _count(options.get("cpus-per-task", "1"), "cpus-per-task")


def _count(text: str, name: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text.strip()):
        raise InputError(f"--{name}={text} is not a number of things.", hint="Write a whole number.", option=name)
    return int(text)

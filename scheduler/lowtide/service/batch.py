"""A batch script of Slurm as a planning question and an order: its own lines say what it needs."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lowtide.asking import Asked
from lowtide.service.submitting import Order
from lowtide_core.errors import InputError
from lowtide_core.quantities import parse_duration_s, parse_instant_utc
from lowtide_core.spans import iso_utc
from lowtide_providers.engines.slurm_options import cpus_of, gpus_of, limit_s, read_script, read_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lowtide.settings import Settings

OWN_OPTIONS = ("duration", "zone", "power", "gpu-model", "slack", "signal-source", "pausable", "checkpoints")
"""What ``lowtide sbatch`` takes beside the options of ``sbatch``; the last two are ``yes`` or ``no``."""

_NOT_PASSED = ("begin", "chdir", "deadline", "job-name", "parsable", "requeue", "no-requeue", "test-only", "wrap")
_NOT_HERE = {
    "hold": "lowtide keeps it until its time; lowtide pause holds it in the queue.",
    "clusters": "One lowtide works with one cluster: set SLURM_CONF.",
    "wait": "lowtide submit --engine slurm --wait waits.",
    "delay-boot": "The plan says when it begins.",
}
_NOW_PLUS = re.compile(r"now(?:\+(\d+)(second|minute|hour|day|week)?s?)?")
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_SPOKEN = {"midnight": "00:00", "noon": "12:00", "elevenses": "11:00", "fika": "15:00", "teatime": "16:00"}


@dataclass(frozen=True, slots=True)
class Batch:
    """A command line of ``lowtide sbatch``, understood.

    Attributes:
        text: The script. name: What it is called. arguments: Its own.
        options: Of ``sbatch`` and of ``OWN_OPTIONS``: from the command line, else from the script.
    """

    text: str
    name: str
    arguments: tuple[str, ...]
    options: Mapping[str, str]

    @property
    def parsable(self) -> bool:
        return "parsable" in self.options

    @property
    def only_test(self) -> bool:
        return "test-only" in self.options


def read_batch(words: Sequence[str], stdin: str | None) -> Batch:
    """The script that a command line names, with its options; ``stdin`` is the script where it names none.

    Raises:
        InputError: The script cannot be read, or an option is none of Slurm's or cannot be used here.
    """
    given, rest = read_words(words, also=OWN_OPTIONS)
    arguments: tuple[str, ...] = ()
    if "wrap" in given:
        text, name = f"#!/bin/sh\n{given['wrap']}\n", "wrap"
        if rest:
            raise InputError("Both --wrap and a script are given.", hint="Give one of them.")
    elif rest:
        text, name, arguments = _script(rest[0]), os.path.basename(rest[0]), tuple(rest[1:])  # noqa: PTH119
    elif stdin:
        text, name = stdin, "sbatch"
    else:
        raise InputError("No script is given.", hint="lowtide sbatch SCRIPT, as with sbatch itself.")
    if not text.startswith("#!"):
        raise InputError(f"{name} is no batch script: its first line does not begin with #!.", hint="Add #!/bin/sh.")
    options = {**read_script(text).values, **given}
    for option, hint in _NOT_HERE.items():
        if options.get(option, "no") != "no":
            raise InputError(f"lowtide sbatch does not take --{option}.", hint=hint, option=option)
    return Batch(text, options.get("job-name", name), arguments, options)


def _script(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  a text as it was typed
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"The script {path} cannot be read: {why}.", hint="Check its name.", path=path) from error


def question_of(batch: Batch, settings: Settings, now_utc: datetime) -> tuple[Asked, Settings]:
    """What is to be planned, and the settings with the cluster's accelerator among those at home.

    Raises:
        InputError: The script does not say how long it runs, or by when it must have finished; or says so wrongly.
    """
    options = batch.options
    earliest_utc = slurm_instant(options["begin"], now_utc) if "begin" in options else now_utc
    duration_s = _duration_s(options)
    if "deadline" in options:
        deadline_utc = slurm_instant(options["deadline"], now_utc)
    else:
        slack_s = parse_duration_s(options["slack"]) if "slack" in options else settings.slurm_slack
        if slack_s is None:
            raise InputError(
                "Nobody said by when it must have finished.",
                hint="Add #SBATCH --deadline=now+24hours, or for all scripts: lowtide config set slurm_slack 24h.",
            )
        deadline_utc = max(earliest_utc, now_utc) + timedelta(seconds=duration_s + slack_s)
    model, count = gpus_of(options)
    if count and not options.get("power"):
        model = options.get("gpu-model") or model or next(iter(settings.home_gpus), "")
        if not model:
            raise InputError(
                "The script asks for accelerators and does not say which.",
                hint="Name it: #SBATCH --gres=gpu:a100:1, lowtide config set home_gpus A100, or --power 300W.",
            )
        settings = replace(settings, home_gpus=(*settings.home_gpus, model))
    asked = Asked(
        duration=f"{duration_s:.0f}s",
        deadline=iso_utc(deadline_utc),
        earliest=iso_utc(earliest_utc) if "begin" in options else "",
        zone=options.get("zone", ""),
        power=options.get("power", ""),
        gpu=model if count and not options.get("power") else "",
        count=count or 1,
        cpus=cpus_of(options),
        pausable=options.get("pausable") == "yes",
        fixed_width=True,
    )
    return asked, settings


def order_of(batch: Batch, folder: Path, working_dir: str) -> Order:
    """What is to run: a copy of the script as it stands now, as ``sbatch`` takes one.

    Raises:
        InputError: The copy cannot be kept.
    """
    options = batch.options
    passed = {name: value for name, value in options.items() if name not in (*_NOT_PASSED, *OWN_OPTIONS)}
    passed.setdefault("output", "slurm-%A_%a.out" if "array" in passed else "slurm-%j.out")
    return Order(
        argv=(_kept_copy(batch.text, folder), *batch.arguments),
        working_dir=os.path.abspath(os.path.join(working_dir, options.get("chdir", ""))),  # noqa: PTH100, PTH118
        environment={},
        engine="slurm",
        name=batch.name,
        signal=options.get("signal-source", ""),
        options=passed,
        checkpoints=options.get("checkpoints") == "yes" or options.get("requeue") == "yes",
    )


def _kept_copy(text: str, folder: Path) -> str:
    path = folder / "scripts" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.sh"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o700)
            temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"The script cannot be kept in {path.parent}: {error.strerror}.", hint="Make that folder writable."
        ) from error
    return str(path.absolute())


def _duration_s(options: Mapping[str, str]) -> float:
    if "duration" in options:
        return parse_duration_s(options["duration"])
    limit = limit_s(options["time"]) if "time" in options else None
    if not limit:
        raise InputError(
            "The script does not say how long it runs.",
            hint="Add #SBATCH --time=04:00:00, or give --duration 4h, which only the plan uses.",
        )
    return limit


def slurm_instant(text: str, now_utc: datetime) -> datetime:
    """A time as ``sbatch --begin`` takes it (``now+2hours``, ``16:00``, ``2026-01-31T12:00``), or as lowtide does.

    Raises:
        InputError: It is neither.
    """
    plain = text.strip().lower()
    found = _NOW_PLUS.fullmatch(plain)
    if found is not None:
        return now_utc + timedelta(seconds=int(found[1] or 0) * _UNIT_S[found[2] or "second"])
    return parse_instant_utc(_SPOKEN.get(plain, text), now_utc=now_utc)

"""Small CSV tables that a person writes (widths, the course of a power, the jobs of a fleet), read and checked."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from lowtide.jobs.widths import WidthTable
from lowtide_core.errors import InputError, nearest
from lowtide_core.quantities import parse_duration_s, parse_power_w

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, str]
_LEAST_SPEED = 1e-6


def read_sheet(path: str, *, needed: Sequence[str], known: Sequence[str]) -> list[tuple[int, Row]]:
    """The rows with their line numbers; cells and heads without the blanks around them, empty lines left out.

    Raises:
        InputError: No such file, not a table, a needed column is missing, a column that nobody knows, or no row.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a CSV file"
        raise InputError(f"The table {path} cannot be read: {reason}.", hint="Check its name.", path=path) from error
    heads = [head.strip().lower() for head in lines[0]] if lines else []
    missing = [name for name in needed if name not in heads]
    if missing and len(heads) == 1 and ";" in heads[0]:
        raise InputError(
            f"The table {path} separates its columns with semicolons.", hint="Separate them with commas.", path=path
        )
    if missing:
        raise InputError(
            f"The table {path} has no column {missing[0]!r}; it has {', '.join(heads) or 'none'}.",
            hint=f"Its first line must name {', '.join(needed)}; it may name {', '.join(known)} too.",
            path=path,
            column=missing[0],
        )
    for head in heads:
        if head not in (*needed, *known):
            hint = nearest(head, (*needed, *known)) or f"Known are {', '.join((*needed, *known))}."
            raise InputError(f"The table {path} has a column {head!r}, which means nothing here.", hint=hint, path=path)
    if len(set(heads)) != len(heads):
        raise InputError(f"The table {path} names a column twice.", hint="Name each once.", path=path)
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        texts = [cell.strip() for cell in cells]
        if not any(texts) or texts[0].startswith("#"):
            continue
        if len(texts) != len(heads):
            raise InputError(
                f"{path}, line {number}: {len(texts)} cells for {len(heads)} columns.",
                hint="Give every line as many cells as the first.",
                path=path,
                line=number,
            )
        rows.append((number, dict(zip(heads, texts, strict=True))))
    if not rows:
        raise InputError(f"The table {path} has no rows.", hint="Add at least one.", path=path)
    return rows


def number_in(row: Mapping[str, str], column: str, *, where: str, default: float | None = None) -> float:
    """The number in a cell; an empty cell is the default.

    Raises:
        InputError: Not a finite number, or empty and without a default.
    """
    text = row.get(column, "")
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise InputError(
            f"{where}: {column} is {text!r}, which is no number.", hint="Write it as 12 or 0.5.", column=column
        )
    return value


def read_widths(
    path: str, *, whole_steps: bool, switch_kwh: float, memory_limit_gb: float | None = None, base: int | None = None
) -> WidthTable:
    """Throughput and power by width: columns ``width, throughput, power_w`` and, optionally, ``memory_gb``.

    A pause is always allowed, and draws nothing: the machines are given back. The base is the width that the duration
    is given for: 1, or the smallest in the table.

    Raises:
        InputError: See ``read_sheet``; a width that is no whole number or stands twice; no width is left.
    """
    named: dict[int, tuple[float, float]] = {}
    excluded = []
    for line, row in read_sheet(path, needed=("width", "throughput", "power_w"), known=("memory_gb",)):
        where = f"{path}, line {line}"
        width = number_in(row, "width", where=where)
        throughput = number_in(row, "throughput", where=where)
        power_w = number_in(row, "power_w", where=where)
        if width == throughput == power_w == 0:
            continue  # the pause
        if width != int(width) or width < 1 or width in named:
            raise InputError(f"{where}: width {row['width']} cannot be.", hint="Give each whole width once, from 1.")
        if not (throughput > 0 and power_w > 0):
            raise InputError(
                f"{where}: width {int(width)} has throughput {throughput:g} and power {power_w:g} W.",
                hint="Both are positive; a pause needs no row, and draws nothing.",
            )
        if memory_limit_gb is not None and "memory_gb" not in row:
            raise InputError(
                f"The table {path} has no column memory_gb, which --memory asks for.",
                hint="Add it, or leave --memory out.",
            )
        memory_gb = number_in(row, "memory_gb", where=where, default=0.0)
        if memory_limit_gb is not None and memory_gb > memory_limit_gb:
            excluded.append(f"{int(width)}: needs {memory_gb:g} GB, there are {memory_limit_gb:g}")
            continue
        named[int(width)] = (throughput, power_w)
    if not named:
        said = f" ({'; '.join(excluded)})" if excluded else ""
        raise InputError(f"{path} leaves no width to run at{said}.", hint="Add one, or raise --memory.")
    widths = tuple(sorted(named))
    fastest = max(throughput for throughput, _ in named.values())
    for width, (throughput, _) in named.items():
        if throughput < fastest * _LEAST_SPEED:
            raise InputError(
                f"{path}: width {width} has a throughput of {throughput:g}, beside one of {fastest:g}.",
                hint="Leave out a width at which the job hardly runs.",
            )
    chosen = base if base is not None else 1 if 1 in named else widths[0]
    if chosen not in named:
        raise InputError(f"{path} has no width {chosen}.", hint=f"It has {', '.join(map(str, widths))}.")
    return WidthTable(
        width=widths,
        throughput=tuple(named[width][0] for width in widths),
        power_w=tuple(named[width][1] for width in widths),
        base=chosen,
        whole_steps=whole_steps,
        switch_kwh=switch_kwh,
        excluded=tuple(excluded),
    )


def profile_length_s(path: str) -> float:
    """How long the stretches of a profile are together; s. Errors as ``read_course``."""
    return sum(parse_duration_s(row["duration"]) for _, row in read_sheet(path, needed=("duration", "power"), known=()))


def read_course(path: str) -> tuple[tuple[tuple[float, float], ...], float]:
    """Power over the run: columns ``duration, power``, a line a stretch, stretched to the job's duration.

    Returns:
        The course as ``Manner`` has it, and the mean power; W.
    Raises:
        InputError: See ``read_sheet``; a duration or a power that is not understood.
    """
    lengths_s, powers_w = [], []
    for line, row in read_sheet(path, needed=("duration", "power"), known=()):
        try:
            lengths_s.append(parse_duration_s(row["duration"]))
            powers_w.append(0.0 if row["power"] in ("0", "0W", "0 W") else parse_power_w(row["power"]))
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error.message}", hint=error.hint) from None
    whole_s = sum(lengths_s)
    mean_w = sum(length * power for length, power in zip(lengths_s, powers_w, strict=True)) / whole_s
    if not mean_w > 0:
        raise InputError(f"{path}: the job draws nothing.", hint="Give at least one stretch a power.")
    course = tuple((length / whole_s, power / mean_w) for length, power in zip(lengths_s, powers_w, strict=True))
    return course, mean_w

"""A user's own CSV or Parquet file of what was expected of the grid: wind, sun and load before they came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.outlooks import QUANTITIES, Outlook, Publication
from lowtide_core.places import ZoneId
from lowtide_core.spans import from_epoch_s, iso_utc
from lowtide_providers.signals.file import instant_s, numbers, read_rows, readable

if TYPE_CHECKING:
    from lowtide_core.series import FloatArray

OUT_THE_DAY_BEFORE = Publication(day_begins_h=0, out_after_h=-6)
"""Where a file does not say when it was issued: 18:00 UTC of the day before, the day being that of UTC."""

MEGAWATT = tuple(f"{quantity}_megawatt" for quantity in QUANTITIES)
_COLUMNS = ("start_utc", *MEGAWATT, "issued_utc", "zone")
_MOST_MEGAWATT = 1e7
_STEPS_S = (300.0, 600.0, 900.0, 1800.0, 3600.0)


def read_outlooks(path: str) -> dict[str, Outlook]:
    """The outlook of each zone of a file; the zone is empty where the file names none.

    Columns ``start_utc`` and at least one of ``wind_megawatt, solar_megawatt, load_megawatt``; optionally
    ``issued_utc`` and ``zone``. Of several issues for one hour the first counts; without ``issued_utc`` see
    ``OUT_THE_DAY_BEFORE``.

    Raises:
        InputError: Unreadable, a column missing, or a cell that cannot be; names the file and the line.
    """
    with readable(path):
        rows = list(read_rows(path, ("start_utc",), _COLUMNS))
    if not rows:
        raise InputError(f"{path} has no rows.", hint="It needs a row for each hour.", path=path)
    lines = [line for line, _ in rows]
    start, wind, solar, load, issued, zone = zip(*(cells for _, cells in rows), strict=True)
    if not any(any(column) for column in (wind, solar, load)):
        raise InputError(
            f"{path} says nothing of wind, sun or load.", hint=f"Give at least one of {', '.join(MEGAWATT)}.", path=path
        )
    if any(issued) and not all(issued):
        line = lines[issued.index("")]
        raise InputError(
            f"{path}, line {line}: issued_utc is empty.", hint="Say it of every row.", path=path, line=line
        )
    start_s = numbers(path, lines, start, instant_s)
    issued_s = numbers(path, lines, issued, instant_s) if any(issued) else OUT_THE_DAY_BEFORE.out_s(start_s)
    table = np.stack([numbers(path, lines, column, _megawatt) for column in (wind, solar, load)])
    named = np.char.upper(np.array(zone))
    return {
        str(each): _outlook(path, str(each), start_s[named == each], issued_s[named == each], table[:, named == each])
        for each in np.unique(named)
    }


def _outlook(path: str, zone: str, start_s: FloatArray, issued_s: FloatArray, table: FloatArray) -> Outlook:
    """One zone's rows: each issue of a start has a place of its own, the first first."""
    order = np.lexsort((issued_s, start_s))
    start_s, issued_s, table = start_s[order], issued_s[order], table[:, order]
    again = np.append(False, start_s[1:] == start_s[:-1])
    if (again & np.append(False, issued_s[1:] == issued_s[:-1])).any():
        twice = iso_utc(from_epoch_s(float(start_s[np.flatnonzero(again)[0]])))
        raise InputError(f"{path} has {twice} twice.", hint="Keep one row for each start, issue and zone.", path=path)
    start_s, issued_s, table = start_s[~again], issued_s[~again], table[:, ~again]
    step_s = float(np.diff(start_s).min()) if start_s.size > 1 else _STEPS_S[-1]
    place = np.round((start_s - start_s[0]) / step_s).astype(np.int64)
    if step_s not in _STEPS_S or np.abs(start_s[0] + place * step_s - start_s).max() > 0 or start_s[0] % step_s:
        raise InputError(
            f"{path} has steps of {step_s:g} s that do not fill hours.",
            hint="Give one constant step of 5, 10, 15, 30 or 60 minutes.",
            path=path,
        )
    count = int(place[-1]) + 1
    figures, out_s = np.full((len(QUANTITIES), count), np.nan), start_s[0] + step_s * np.arange(count)
    figures[:, place], out_s[place] = table, issued_s
    wind, solar, load = figures
    begins_utc = from_epoch_s(float(start_s[0]))
    return Outlook(ZoneId(zone), begins_utc, step_s, wind, solar, load, out_s, Path(path).name).hourly()


def _megawatt(text: str) -> float:
    try:
        value = float(text) if text else float("nan")
    except ValueError:
        value = float("inf")
    if abs(value) > _MOST_MEGAWATT:
        raise InputError(
            f"{text!r} is not a number of megawatts.", hint="Give megawatts; leave the cell empty where none is known."
        )
    return value

"""Intensities from a user's own CSV or Parquet file: actuals, or forecasts as they were issued."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError, NoData, nearest
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import from_epoch_s, iso_utc, parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import FloatArray
    from lowtide_core.spans import Span

_NEEDED = ("start_utc", "intensity_g_per_kwh")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    zone: str
    issued_s: float | None
    start_s: float
    value: float


@dataclass(frozen=True, slots=True)
class _Table:
    rows: tuple[_Row, ...]
    frame: Frame | None


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file with ``start_utc, intensity_g_per_kwh``, perhaps ``issued_utc``, ``zone`` and a frame's three columns.

    Attributes:
        default_frame: What the figures mean where the file does not say.
        as_of_utc: Forecasts issued later are not known yet; None takes the newest.
    """

    path: str
    default_frame: Frame = LIFECYCLE_CONSUMPTION
    as_of_utc: datetime | None = None

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def frame(self) -> Frame:
        return _table(self.path).frame or self.default_frame

    def covers(self, zone: ZoneId) -> bool:
        return any(row.zone in ("", zone) for row in _table(self.path).rows)

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        rows = [row for row in _table(self.path).rows if row.zone in ("", zone)]
        if not rows:
            zones = sorted({row.zone for row in _table(self.path).rows})
            raise InputError(
                f"{self.path} has no rows of zone {zone}.", hint=nearest(zone, zones) or f"It has {', '.join(zones)}."
            )
        issued_s = self._issue_s(rows, wanted)
        series = self._series(zone, [row for row in rows if row.issued_s == issued_s], issued_s)
        return _whole(series.clip(span), span, self.path)

    def _issue_s(self, rows: list[_Row], wanted: Wanted) -> float | None:
        """Which issue is meant; None in a file of actuals."""
        issues = sorted({row.issued_s for row in rows if row.issued_s is not None})
        if not issues:
            return None
        if wanted == "actual":
            raise NoData(
                f"{self.path} holds forecasts, not actuals.",
                provider=self.name,
                operation=wanted,
                hint="A file of actuals has no column issued_utc.",
            )
        known = [issue for issue in issues if self.as_of_utc is None or issue <= self.as_of_utc.timestamp()]
        if not known:
            raise InputError(
                f"{self.path} has no forecast issued by {iso_utc(self.as_of_utc)}: "  # type: ignore[arg-type]
                f"its first is of {iso_utc(from_epoch_s(issues[0]))}.",
                hint="Plan from a later time (--now), or add earlier issues.",
            )
        return known[-1]

    def _series(self, zone: ZoneId, rows: list[_Row], issued_s: float | None) -> SignalSeries:
        rows = sorted(rows, key=lambda row: row.start_s)
        starts_s = np.array([row.start_s for row in rows])
        step_s = _step_s(self.path, rows, starts_s)
        values = np.full(round((starts_s[-1] - starts_s[0]) / step_s) + 1, np.nan)
        values[np.round((starts_s - starts_s[0]) / step_s).astype(int)] = [row.value for row in rows]
        said = "" if _table(self.path).frame else f"taken as {self.default_frame}: the file does not say"
        return SignalSeries(
            zone=zone,
            start_utc=from_epoch_s(starts_s[0]),
            step_s=step_s,
            intensity_g_per_kwh=values,
            frame=self.frame,
            kind="actual" if issued_s is None else "forecast",
            source=self.name,
            issued_at=None if issued_s is None else from_epoch_s(issued_s),
            note=said,
        )


def _whole(series: SignalSeries, span: Span, path: str) -> SignalSeries:
    """Refuses a gap inside what is asked: a file is the user's own and can be mended."""
    inside = [
        hole for hole in series.missing(span) if hole.end_utc <= series.end_utc and hole.start_utc >= series.start_utc
    ]
    if inside:
        raise InputError(
            f"{path} has no value for {inside[0]}{f' and {len(inside) - 1} more gaps' if len(inside) > 1 else ''}.",
            hint="Fill the gap, or choose a window without it.",
            missing=tuple(inside),
        )
    return series


def _step_s(path: str, rows: Sequence[_Row], starts_s: FloatArray) -> float:
    if len(rows) == 1:
        raise InputError(f"{path} has one row, so its step is unknown.", hint="Give at least two.")
    gaps_s = np.diff(starts_s)
    step_s = float(gaps_s.min())
    if step_s <= 0:
        twice = rows[int(np.argmin(gaps_s)) + 1]
        raise InputError(
            f"{path}, line {twice.line}: {iso_utc(from_epoch_s(twice.start_s))} stands there twice.",
            hint="Keep one row for each start.",
        )
    odd = np.flatnonzero(np.abs(gaps_s / step_s - np.round(gaps_s / step_s)) > 1e-6)
    if odd.size:
        row = rows[int(odd[0]) + 1]
        raise InputError(
            f"{path}, line {row.line}: {iso_utc(from_epoch_s(row.start_s))} is not on the file's step of {step_s:g} s.",
            hint="Give one constant step; missing steps are allowed.",
        )
    return step_s


@lru_cache(maxsize=8)
def _table(path: str) -> _Table:
    """The whole file, checked row by row.

    Raises:
        InputError: Unreadable, a column missing, or a cell that cannot be; names the file and the line.
    """
    rows: list[_Row] = []
    frames: set[tuple[str, str, str]] = set()
    for line, cells in _cells(path):
        rows.append(_row(path, line, cells))
        said = (cells.get("basis") or "", cells.get("scope") or "", cells.get("accounting") or "")
        frames.add(said)
    if not rows:
        raise InputError(f"{path} has no rows.", hint="It needs at least two steps of intensity.")
    if len(frames) > 1:
        meanings = " and ".join(" ".join(frame).strip() or "nothing said" for frame in sorted(frames))
        raise InputError(
            f"{path} mixes figures of different meaning: {meanings}.",
            hint="Keep one basis, scope and accounting to a file.",
        )
    said = frames.pop()
    if not any(said):
        return _Table(tuple(rows), None)
    return _Table(tuple(rows), Frame(*said))  # type: ignore[arg-type]


def _row(path: str, line: int, cells: dict[str, str]) -> _Row:
    try:
        start_s = parse_iso_utc(cells["start_utc"]).timestamp()
        issued = cells.get("issued_utc")
        issued_s = parse_iso_utc(issued).timestamp() if issued else None
    except InputError as error:
        raise InputError(f"{path}, line {line}: {error.message}", hint=error.hint, path=path, line=line) from None
    text = (cells["intensity_g_per_kwh"] or "").strip()
    try:
        value = float(text) if text else float("nan")
    except ValueError:
        value = float("inf")
    if value < 0 or np.isinf(value):
        raise InputError(
            f"{path}, line {line}: the intensity {text!r} is not a number of g/kWh.",
            hint="Give a number that is not negative; leave the cell empty where none is known.",
            path=path,
            line=line,
        )
    return _Row(line, (cells.get("zone") or "").strip(), issued_s, start_s, value)


def _cells(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        if path.lower().endswith((".parquet", ".pq")):
            yield from _parquet_cells(path)
            return
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            _require_columns(path, reader.fieldnames or ())
            for cells in reader:
                if None in cells:
                    raise InputError(
                        f"{path}, line {reader.line_num}: it has more cells than the head.",
                        hint="Give every row the columns of the first line.",
                    )
                yield reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"The signal file {path} cannot be read: {said}.", hint="Check its name and rights."
        ) from error


def _parquet_cells(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError:
        raise InputError(
            f"Reading {path} needs pyarrow.", hint="pip install 'lowtide[parquet]', or write the file as CSV."
        ) from None
    try:
        table = read_table(path)
    except ArrowException as error:
        raise InputError(f"The signal file {path} is not Parquet: {error}.", hint="Check the file.") from error
    _require_columns(path, table.column_names)
    for line, row in enumerate(table.to_pylist(), 1):
        yield line, {key: _text(value) for key, value in row.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat else str(value)


def _require_columns(path: str, found: Sequence[str]) -> None:
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]!r}; it has {', '.join(found) or 'none'}.",
            hint=nearest(missing[0], found) or f"A signal file has the columns {', '.join(_NEEDED)}.",
            path=path,
            columns=tuple(found),
        )

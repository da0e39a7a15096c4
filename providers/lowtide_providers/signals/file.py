"""Intensities from a user's own CSV or Parquet file: actuals, or forecasts as they were issued."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

import numpy as np

from lowtide_core.errors import InputError, NoData, nearest
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries
from lowtide_core.spans import from_epoch_s, iso_utc, parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Wanted
    from lowtide_core.series import FloatArray
    from lowtide_core.spans import Span

_NEEDED = ("start_utc", "intensity_g_per_kwh")
_FRAME = ("basis", "scope", "accounting")
_MOST_G_PER_KWH = 100_000.0
"""Far above any power station: a higher figure is in another unit, or damaged."""

_COLUMNS = (*_NEEDED, "issued_utc", "zone", *_FRAME)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Columns of a file, (n,) each, in its order; times in seconds since 1970.

    Attributes:
        line: Where the row stands; in Parquet its number, from 1.
        issued_s: None for a file of actuals.
        said: Basis, scope and accounting, empty where the file does not say.
    """

    line: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    zone: np.ndarray[tuple[int, ...], np.dtype[np.str_]]
    start_s: FloatArray
    issued_s: FloatArray | None
    intensity_g_per_kwh: FloatArray
    said: tuple[str, str, str]

    def at(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> _Table:
        """The rows of that mask or order."""
        return _Table(
            self.line[rows],
            self.zone[rows],
            self.start_s[rows],
            None if self.issued_s is None else self.issued_s[rows],
            self.intensity_g_per_kwh[rows],
            self.said,
        )


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file with ``start_utc, intensity_g_per_kwh``, perhaps ``issued_utc``, ``zone`` and a frame's three columns.

    Attributes:
        default_frame: What the figures mean as far as the file does not say.
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
        given: dict[str, Any] = {name: said for name, said in zip(_FRAME, self._said, strict=True) if said}
        try:
            return replace(self.default_frame, **given)
        except InputError as error:
            raise InputError(f"{self.path}: {error.message}", hint=error.hint, path=self.path) from error

    @property
    def _said(self) -> tuple[str, str, str]:
        return _table(self.path).said

    @property
    def zones(self) -> tuple[str, ...]:
        """Those that the file names, in alphabetical order; none where it has no such column."""
        return tuple(str(zone) for zone in np.unique(_table(self.path).zone) if zone)

    @property
    def has_issues(self) -> bool:
        """Whether it holds forecasts as issued, and not actuals."""
        return _table(self.path).issued_s is not None

    def covers(self, zone: ZoneId) -> bool:
        return bool(np.isin(_table(self.path).zone, ("", zone)).any())

    def history(self, zone: ZoneId) -> SignalSeries:
        """All actuals of a zone; gaps are NaN and stay NaN.

        Raises:
            InputError: No row of that zone, or no constant step.
            NoData: The file holds forecasts.
        """
        rows = self._rows_of(zone)
        return self._series(zone, rows, self._issue_s(rows, "actual"), "actual")

    def issues(self, zone: ZoneId) -> tuple[SignalSeries, ...]:
        """Every forecast of a zone, in the order of issue.

        Raises:
            InputError: No row of that zone, a forecast without a constant step, or a file of actuals.
        """
        rows = self._rows_of(zone)
        if rows.issued_s is None:
            raise InputError(
                f"{self.path} holds actuals, not forecasts as they were issued.",
                hint="A file of forecasts has the columns issued_utc, start_utc, intensity_g_per_kwh.",
                path=self.path,
            )
        order = np.argsort(rows.issued_s, kind="stable")
        issued_s, rows = rows.issued_s[order], rows.at(order)
        ends = [*(np.flatnonzero(np.diff(issued_s)) + 1).tolist(), issued_s.size]
        parts = zip([0, *ends[:-1]], ends, strict=True)
        return tuple(
            self._series(zone, rows.at(np.arange(begin, end)), float(issued_s[begin]), "forecast")
            for begin, end in parts
        )

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        rows = self._rows_of(zone)
        issued_s = self._issue_s(rows, wanted)
        if rows.issued_s is not None:
            rows = rows.at(rows.issued_s == issued_s)
        return _whole(self._series(zone, rows, issued_s, wanted).clip(span), span, self.path)

    def _rows_of(self, zone: ZoneId) -> _Table:
        table = _table(self.path)
        rows = table.at(np.isin(table.zone, ("", zone)))
        if not rows.line.size:
            zones = np.unique(table.zone).tolist()
            raise InputError(
                f"{self.path} has no rows of zone {zone}.",
                hint=nearest(zone, zones) or f"It has {', '.join(zones)}.",
                path=self.path,
                zone=zone,
            )
        return rows

    def _issue_s(self, rows: _Table, wanted: Wanted) -> float | None:
        """Which issue is meant; None in a file of actuals."""
        if rows.issued_s is None:
            return None
        if wanted == "actual":
            raise NoData(
                f"{self.path} holds forecasts, not actuals.",
                provider=self.name,
                operation=wanted,
                hint="A file of actuals has no column issued_utc.",
            )
        if self.as_of_utc is None:
            return float(rows.issued_s.max())
        known = rows.issued_s[rows.issued_s <= self.as_of_utc.timestamp()]
        if not known.size:
            raise InputError(
                f"{self.path} has no forecast issued by {iso_utc(self.as_of_utc)}: "
                f"its first is of {iso_utc(from_epoch_s(float(rows.issued_s.min())))}.",
                hint="Plan from a later time (--now), or add earlier issues.",
                path=self.path,
            )
        return float(known.max())

    def _series(self, zone: ZoneId, rows: _Table, issued_s: float | None, wanted: Wanted) -> SignalSeries:
        rows = rows.at(np.argsort(rows.start_s, kind="stable"))
        step_s = _step_s(self.path, rows)
        places = np.round((rows.start_s - rows.start_s[0]) / step_s).astype(np.int64)
        values = np.full(int(places[-1]) + 1, np.nan)
        values[places] = rows.intensity_g_per_kwh
        notes = []
        if not all(self._said):
            notes.append(f"taken as {self.frame}: the file does not say")
        if issued_s is None and wanted == "forecast":
            notes.append("the file's own figures taken as known beforehand")
        return SignalSeries(
            zone=zone,
            start_utc=from_epoch_s(float(rows.start_s[0])),
            step_s=step_s,
            intensity_g_per_kwh=values,
            frame=self.frame,
            kind="actual" if issued_s is None else "forecast",
            source=self.name,
            issued_at=None if issued_s is None else from_epoch_s(issued_s),
            note="; ".join(notes),
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
            path=path,
            missing=tuple(inside),
        )
    return series


def _step_s(path: str, rows: _Table) -> float:
    """The step between most rows; each other distance is a whole number of them.

    Args:
        rows: Of one zone and issue, by start.
    """
    if rows.line.size == 1:
        raise InputError(f"{path} has one row, so its step is unknown.", hint="Give at least two.", path=path)
    between_s = np.diff(rows.start_s)
    twice = np.flatnonzero(between_s == 0)
    if twice.size:
        raise _at_line(
            path,
            rows,
            int(twice[0]) + 1,
            "stands there twice",
            "Keep one row for each start (and zone, and issue).",
        )
    distances_s, counts = np.unique(between_s, return_counts=True)
    step_s = float(distances_s[np.argmax(counts)])
    steps = between_s / step_s
    odd = np.flatnonzero(np.abs(steps - np.maximum(np.round(steps), 1)) > 1e-6)
    if odd.size:
        raise _at_line(
            path,
            rows,
            int(odd[0]) + 1,
            f"is not on the file's step of {step_s:g} s",
            "Give one constant step; its start is what a row's time means.",
        )
    return step_s


def _at_line(path: str, rows: _Table, index: int, what: str, hint: str) -> InputError:
    line = int(rows.line[index])
    start = iso_utc(from_epoch_s(float(rows.start_s[index])))
    return InputError(f"{path}, line {line}: {start} {what}.", hint=hint, path=path, line=line)


def _table(path: str) -> _Table:
    """The whole file, checked row by row; read again only when it has changed.

    Raises:
        InputError: Unreadable, a column missing, or a cell that cannot be; names the file and the line.
    """
    with readable(path):
        stat = Path(path).stat()
        return _load(path, stat.st_mtime_ns, stat.st_size)


@contextmanager
def readable(path: str) -> Iterator[None]:
    """What the system says of a file that cannot be read, in words.

    Raises:
        InputError: In its place, and where it is no file.
    """
    try:
        if not S_ISREG(Path(path).stat().st_mode):
            raise InputError(
                f"The signal file {path} cannot be read: it is not a file.",
                hint="Name a CSV or Parquet file.",
                path=path,
            )
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"The signal file {path} cannot be read: {said}.",
            hint="Name a readable file, CSV in UTF-8 or Parquet.",
            path=path,
        ) from error


@lru_cache(maxsize=8)
def _load(path: str, mtime_ns: int, size: int) -> _Table:  # noqa: ARG001  the key of the cache
    lines: list[int] = []
    texts: list[tuple[str, ...]] = []
    for line, cells in read_rows(path, _NEEDED, _COLUMNS):
        lines.append(line)
        texts.append(cells)
    if not lines:
        raise InputError(f"{path} has no rows.", hint="It needs at least two steps of intensity.", path=path)
    start, intensity, issued, zone, *frame = zip(*texts, strict=True)
    has_issues = any(issued)
    if has_issues and not all(issued):
        line = lines[issued.index("")]
        raise InputError(
            f"{path}, line {line}: issued_utc is empty.",
            hint="Say when each row was issued, or keep actuals in a file of their own.",
            path=path,
            line=line,
        )
    return _Table(
        np.array(lines),
        np.char.upper(np.array(zone)),
        numbers(path, lines, start, instant_s),
        numbers(path, lines, issued, instant_s) if has_issues else None,
        numbers(path, lines, intensity, _intensity),
        _one_frame(path, lines, list(zip(*frame, strict=True))),
    )


def numbers(path: str, lines: Sequence[int], texts: Sequence[str], read: Callable[[str], float]) -> FloatArray:
    """The column as numbers; issue times repeat, so each text is read once.

    Raises:
        InputError: As ``read`` does, with the line.
    """
    known: dict[str, float] = {}
    for line, text in zip(lines, texts, strict=True):
        if text in known:
            continue
        try:
            known[text] = read(text)
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error.message}", hint=error.hint, path=path, line=line) from error
    return np.array([known[text] for text in texts], dtype=np.float64)


def instant_s(text: str) -> float:
    """Seconds since 1970 of a time in a cell."""
    return parse_iso_utc(text).timestamp()


def _intensity(text: str) -> float:
    try:
        value = float(text) if text else float("nan")
    except ValueError:
        value = float("inf")
    if value < 0 or value > _MOST_G_PER_KWH:
        raise InputError(
            f"the intensity {text!r} is not a number of g/kWh.",
            hint="Give a number that is not negative; leave the cell empty where none is known.",
        )
    return value


def _one_frame(path: str, lines: Sequence[int], frames: Sequence[tuple[str, ...]]) -> tuple[str, str, str]:
    first = frames[0]
    for line, frame in zip(lines, frames, strict=True):
        if frame != first:
            raise InputError(
                f"{path}, line {line}: it mixes figures of different meaning, "
                f"{_words(first)} before and {_words(frame)} here.",
                hint="Keep one basis, scope and accounting to a file.",
                path=path,
                line=line,
            )
    basis, scope, accounting = first
    return basis, scope, accounting


def _words(frame: tuple[str, ...]) -> str:
    return " ".join(filter(None, frame)) or "nothing said"


def read_rows(path: str, needed: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Number and cells of each row, the cells as ``columns`` orders them, empty where the file has no such column.

    Raises:
        InputError: A needed column is missing, or a row has not as many cells as the head.
    """
    lines = _parquet_lines(path) if path.lower().endswith((".parquet", ".pq")) else _csv_lines(path)
    _, names = next(lines, (0, []))
    _require_columns(path, names, needed, columns)
    places = [names.index(name) if name in names else -1 for name in columns]
    for line, cells in lines:
        if not cells:
            continue  # an empty line at the end
        if len(cells) != len(names):
            raise InputError(
                f"{path}, line {line}: it has {len(cells)} cells, the head {len(names)}.",
                hint="Give every row the columns of the first line.",
                path=path,
                line=line,
            )
        yield line, tuple(cells[place].strip() if place >= 0 else "" for place in places)


def _csv_lines(path: str) -> Iterator[tuple[int, list[str]]]:
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for cells in reader:
            yield reader.line_num, cells


def _parquet_lines(path: str) -> Iterator[tuple[int, list[str]]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError:
        raise InputError(
            f"Reading {path} needs pyarrow.",
            hint="pip install 'lowtide[parquet]', or write the file as CSV.",
            path=path,
        ) from None
    try:
        table = read_table(path)
    except ArrowException as error:
        raise InputError(
            f"The signal file {path} is not Parquet: {error}.", hint="Check the file.", path=path
        ) from error
    yield 0, list(table.column_names)
    columns: Iterable[list[object]] = (column.to_pylist() for column in table.columns)
    for number, row in enumerate(zip(*columns, strict=True), 1):
        yield number, [_text(value) for value in row]


def _text(value: object) -> str:
    if value is None:
        return ""
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat else str(value)


def _require_columns(path: str, found: Sequence[str], needed: Sequence[str], columns: Sequence[str]) -> None:
    missing = next((name for name in needed if name not in found), None)
    if missing is None:
        return
    near = nearest(missing, [name for name in found if name not in columns], count=1)
    if len(found) == 1 and ";" in found[0]:
        near = "Its columns stand apart by semicolons; write commas, and points in figures."
    raise InputError(
        f"{path} has no column {missing}; it has {', '.join(found) or 'none'}.",
        hint=near or f"A signal file has the columns {', '.join(needed)} in its first line.",
        path=path,
        columns=tuple(found),
    )

"""Files of what was recorded, hour by hour, for each zone and source, with what was learnt from it.

The store keeps every vintage as it came; these files hold what a plan needs of them, and need numpy alone. They can be
made anew from the store at any time. Beside them lie the outlooks of each zone and source, which are nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.outlooks import Outlook
from lowtide_core.places import ZoneId
from lowtide_core.series import Frame
from lowtide_core.spans import from_epoch_s, iso_utc, parse_iso_utc
from lowtide_providers.arrays_file import DAMAGED, read, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lowtide_core.series import FloatArray, SignalSeries

HOUR_S = 3600.0
MOST_HOURS = 4 * 8784
"""Four years: what lies before teaches little of a grid that changes."""


class RecordName(NamedTuple):
    """A zone, as one source sees it, in that source's frame."""

    zone: ZoneId
    source: str
    frame: Frame


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What came in a zone, from one source, and what was learnt from it.

    Attributes:
        start_s: Start of the first hour; seconds since 1970 UTC.
        intensity_g_per_kwh: (T,), NaN where nothing was recorded.
        learnt: Arrays of the fitted forecaster, and of the judgement of forecasts, by name; empty: nothing yet.
        said: What was learnt in words and numbers (JSON).
    """

    zone: ZoneId
    source: str
    frame: Frame
    start_s: float
    intensity_g_per_kwh: FloatArray
    learnt: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = field(default_factory=dict)
    said: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> RecordName:
        return RecordName(self.zone, self.source, self.frame)

    @property
    def known_days(self) -> float:
        """How many days of hours are known; gaps do not count."""
        return float(np.count_nonzero(~np.isnan(self.intensity_g_per_kwh))) / 24

    @property
    def end_s(self) -> float:
        return self.start_s + HOUR_S * self.intensity_g_per_kwh.size


def with_series(recorded: Recorded | None, series: SignalSeries) -> Recorded:
    """What is known once the series has come too: it is newer, so its values stand where both have one.

    A series of shorter steps gives the mean of each hour that it covers whole; one of longer steps its value for each
    whole hour.

    Raises:
        InputError: Zone, source or frame are not those of the record.
    """
    start_s, values = hourly(series)
    if recorded is None:
        return Recorded(series.zone, series.source, series.frame, start_s, values)
    if recorded.name != RecordName(series.zone, series.source, series.frame):
        raise InputError(
            f"A series of {series.zone} from {series.source} ({series.frame}) does not belong to the record of "
            f"{recorded.zone} from {recorded.source} ({recorded.frame}).",
            hint="Keep each in a record of its own.",
        )
    first_s = min(start_s, recorded.start_s)
    last_s = max(start_s + HOUR_S * values.size, recorded.end_s)
    joined = np.full(round((last_s - first_s) / HOUR_S), np.nan)
    for begins_s, part in ((recorded.start_s, recorded.intensity_g_per_kwh), (start_s, values)):
        where = round((begins_s - first_s) / HOUR_S)
        known = ~np.isnan(part)
        joined[where : where + part.size][known] = part[known]
    dropped = max(0, joined.size - MOST_HOURS)
    return replace(recorded, start_s=first_s + HOUR_S * dropped, intensity_g_per_kwh=joined[dropped:])


def hourly(series: SignalSeries) -> tuple[float, FloatArray]:
    """Start, s since 1970, and mean intensity of each whole UTC hour of a series; (T,), NaN where it has a gap."""
    first_s = np.floor(series.start_s / HOUR_S) * HOUR_S
    hours = int(np.ceil((series.end_s - first_s) / HOUR_S))
    edges_s = series.start_s - first_s + series.step_s * np.arange(series.intensity_g_per_kwh.size + 1)
    known = ~np.isnan(series.intensity_g_per_kwh)
    hour_s = HOUR_S * np.arange(hours + 1)
    summed, covered_s = (
        np.diff(np.interp(hour_s, edges_s, np.concatenate(([0.0], np.cumsum(values * series.step_s)))))
        for values in (np.nan_to_num(series.intensity_g_per_kwh), known)
    )
    whole = covered_s > HOUR_S - 1e-3
    return float(first_s), np.where(whole, summed / np.where(whole, covered_s, 1.0), np.nan)


@dataclass(frozen=True, slots=True)
class Histories:
    """The folder of records; nothing is made before something is kept."""

    folder: Path

    def get(self, name: RecordName) -> Recorded | None:
        """The record; None where there is none, or a damaged one: it is made anew from the store."""
        try:
            return _loaded(self._path(name))
        except DAMAGED:
            return None

    def keep(self, recorded: Recorded) -> None:
        """Puts the record into its file, whole or not at all.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self._path(recorded.name)
        frame = recorded.frame
        said = {
            "zone": recorded.zone,
            "source": recorded.source,
            "frame": (frame.basis, frame.scope, frame.accounting),
            "start_s": recorded.start_s,
            "said": dict(recorded.said),
        }
        learnt = {f"learnt_{name}": array for name, array in recorded.learnt.items()}
        write_whole(path, said, {"intensity_g_per_kwh": recorded.intensity_g_per_kwh, **learnt})

    def names(self) -> tuple[RecordName, ...]:
        """What there are records of, in alphabetical order; told by the names of the files alone."""
        try:
            found = sorted(path.stem for path in self.folder.glob("*.npz") if not path.name.startswith("."))
        except OSError:
            return ()
        return tuple(name for stem in found if (name := _parsed(stem)) is not None)

    def outlook(self, zone: ZoneId, source: str) -> Outlook | None:
        """What a source expected of a zone's grid, hour by hour; None where there is nothing, or a damaged file."""
        try:
            return _loaded_outlook(self._outlook_path(zone, source))
        except DAMAGED:
            return None

    def outlooks(self, zone: ZoneId) -> tuple[Outlook, ...]:
        """Those of a zone, by the names of their sources."""
        try:
            found = sorted(path.stem for path in self._outlook_path(zone, "").parent.glob("[!.]*.npz"))
        except OSError:
            return ()
        sources = [unquote(source) for stem in found for of, _, source in [stem.partition("@")] if unquote(of) == zone]
        return tuple(kept for source in sources if (kept := self.outlook(zone, source)) is not None)

    def keep_outlook(self, outlook: Outlook) -> None:
        """Puts the outlook into its file, whole or not at all; only the hours of the last years.

        Raises:
            OSError: The folder cannot be written.
        """
        hourly = outlook.hourly()
        said = {
            "zone": hourly.zone,
            "source": hourly.source,
            "start_s": hourly.start_s + HOUR_S * max(0, hourly.published_s.size - MOST_HOURS),
            "fetched_utc": None if hourly.fetched_at is None else iso_utc(hourly.fetched_at),
        }
        arrays = {name: getattr(hourly, name)[-MOST_HOURS:] for name in _OUTLOOK}
        write_whole(self._outlook_path(hourly.zone, hourly.source), said, arrays)

    def _outlook_path(self, zone: ZoneId, source: str) -> Path:
        return self.folder / "outlooks" / f"{quote(zone, safe='')}@{quote(source, safe='')}.npz"

    def _path(self, name: RecordName) -> Path:
        frame = f"{name.frame.basis}-{name.frame.scope}-{name.frame.accounting}"
        return self.folder / f"{quote(name.zone, safe='')}@{quote(name.source, safe='')}@{frame}.npz"


def _parsed(stem: str) -> RecordName | None:
    """What a file is named after; None for one that is not ours."""
    zone, _, rest = stem.partition("@")
    source, _, frame = rest.partition("@")
    try:
        return RecordName(ZoneId(unquote(zone)), unquote(source), Frame(*frame.split("-")))  # type: ignore[arg-type]
    except (InputError, TypeError):
        return None


def _loaded(path: Path) -> Recorded:
    said, arrays = read(path)
    learnt = {name.removeprefix("learnt_"): array for name, array in arrays.items() if name.startswith("learnt_")}
    return Recorded(
        zone=ZoneId(said["zone"]),
        source=said["source"],
        frame=Frame(*said["frame"]),
        start_s=float(said["start_s"]),
        intensity_g_per_kwh=arrays["intensity_g_per_kwh"],
        learnt=learnt,
        said=said["said"],
    )


_OUTLOOK = ("wind_megawatt", "solar_megawatt", "load_megawatt", "published_s")


def _loaded_outlook(path: Path) -> Outlook:
    said, arrays = read(path)
    return Outlook(
        zone=ZoneId(said["zone"]),
        start_utc=from_epoch_s(float(said["start_s"])),
        step_s=HOUR_S,
        source=said["source"],
        fetched_at=None if said["fetched_utc"] is None else parse_iso_utc(said["fetched_utc"]),
        **{name: arrays[name] for name in _OUTLOOK},
    )

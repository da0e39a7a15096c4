"""Cumulative readings -> energy per source in windows of five minutes, with what is certain about it.

A ``Ledger`` is fed the records of a journal one by one, while they are written or long after: the figures come out of
the records in both cases. The windows are the monotonic clock's, from the start of the run, so that no joule and no
part of a joule depends on the wall clock; that only tells in which 5-minute bucket of UTC a window's energy lies.
"""

from __future__ import annotations

import math
from array import array

from lowtide_sampler.meters import DeviceUse, Source
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BUCKET_S = 300
WINDOW_S = 300.0
_GRANULARITY_S = 0.25
"""Counters move in steps; two reads close together may see a step that took this long to grow."""
_IDLE_LOAD_SHARE = 0.05
_IDLE_INTERVAL_S = 0.9
_JUMP_S = 1.0

MEASURED, WRAPPED, AMBIGUOUS, GAP = "measured", "wrapped", "ambiguous", "gap"


class Interval(NamedTuple):
    """What two readings of one counter say: ``low_j <= truth <= high_j``; a gap has no energy of its own yet."""

    kind: str
    energy_j: float
    low_j: float
    high_j: float


def classify(before_uj: int, after_uj: int, dt_s: float, source: Source, mean_power_w: float | None) -> Interval:
    """The energy between two readings of one source.

    Args:
        before_uj, after_uj: Cumulative readings; µJ.
        dt_s: Monotonic time between them; s, > 0.
        source: Whose range and highest power bound what is possible.
        mean_power_w: The source's measured mean so far, which chooses among several possible numbers of wraps; None:
            nothing is measured yet and the middle of the possible is taken.
    """
    highest_j = source.pmax_w * (dt_s + _GRANULARITY_S)
    delta_j = 1e-6 * (after_uj - before_uj)
    if source.range_uj is None:
        range_j = 0.0
        first_wraps, last_wraps = 0, 0 if 0 <= delta_j <= highest_j else -1
    else:
        range_j = 1e-6 * source.range_uj
        first_wraps = 0 if delta_j >= 0 else 1
        last_wraps = int((highest_j - delta_j) // range_j)
    if last_wraps < first_wraps:
        return Interval(GAP, 0.0, 0.0, source.pmax_w * dt_s)
    low_j, high_j = delta_j + first_wraps * range_j, delta_j + last_wraps * range_j
    if first_wraps == last_wraps:
        return Interval(WRAPPED if first_wraps else MEASURED, low_j, low_j, low_j)
    expected_j = (low_j + high_j) / 2 if mean_power_w is None else mean_power_w * dt_s
    nearest_wraps = min(max(math.ceil((expected_j - delta_j) / range_j - 0.5), first_wraps), last_wraps)
    return Interval(AMBIGUOUS, delta_j + nearest_wraps * range_j, low_j, high_j)


class Place:
    """What of a window lies in one bucket of UTC: energy, and the time that was covered, and not."""

    __slots__ = ("covered_s", "energy_j", "gap_s")

    def __init__(self) -> None:
        self.energy_j = self.covered_s = self.gap_s = 0.0


class Cell(Place):
    """One source in one window: energy and its bounds, the time it was covered for and not, and its ``places``."""

    __slots__ = ("high_j", "low_j", "places")

    def __init__(self) -> None:
        super().__init__()
        self.low_j = self.high_j = 0.0
        self.places: dict[int, Place] = {}

    def put(self, interval: Interval, part: float, dt_s: float, utc_s: float) -> None:
        """Adds ``dt_s`` that ended at ``utc_s`` and are ``part`` of an interval."""
        self.low_j += interval.low_j * part
        self.high_j += interval.high_j * part
        for bucket, of_it in split(utc_s, dt_s, BUCKET_S):
            for place in (self, self.places.setdefault(int(bucket), Place())):
                place.energy_j += interval.energy_j * part * of_it
                if interval.kind == GAP:
                    place.gap_s += dt_s * of_it
                else:
                    place.covered_s += dt_s * of_it

    def unbelieve(self, pmax_w: float) -> None:
        """Turns what was covered into a gap."""
        for place in (self, *self.places.values()):
            place.gap_s += place.covered_s
            place.energy_j = place.covered_s = 0.0
        self.low_j, self.high_j = 0.0, pmax_w * self.gap_s


class Usage:
    """The CPU seconds of one window: the job's, the node's, its home processor's; and how much of the run lies in it.

    ``unseen_s`` is the time in which the node's load could not be read: its busy seconds then hold the job's alone.
    """

    __slots__ = ("busy_cpu_s", "home_busy_cpu_s", "job_cpu_s", "seconds", "unseen_s")

    def __init__(self) -> None:
        self.seconds = self.job_cpu_s = self.busy_cpu_s = self.home_busy_cpu_s = self.unseen_s = 0.0


class Sharing:
    """Who used a device in one window: the fields of ``DeviceUse`` as increases, and the time that they cover."""

    __slots__ = ("all_s", "blind_s", "equal_s", "own_s", "seconds")

    def __init__(self) -> None:
        self.own_s = self.all_s = self.equal_s = self.blind_s = self.seconds = 0.0

    def add(self, increase: DeviceUse, dt_s: float, part: float) -> None:
        self.own_s += increase.own_s * part
        self.all_s += increase.all_s * part
        self.equal_s += increase.equal_s * part
        self.blind_s += increase.blind_s * part
        self.seconds += dt_s * part


class Track:
    """What the ledger keeps of one source."""

    __slots__ = (
        "cells",
        "counts",
        "failed_since",
        "first_uj",
        "has_moved",
        "last_t_s",
        "last_uj",
        "last_use",
        "measured_j",
        "measured_s",
        "quiet_w",
        "sharing",
        "source",
    )

    def __init__(self, source: Source) -> None:
        self.source = source
        self.cells: dict[int, Cell] = {}
        self.sharing: dict[int, Sharing] = {}
        self.counts = {MEASURED: 0, WRAPPED: 0, AMBIGUOUS: 0, GAP: 0}
        self.last_t_s = 0.0
        self.first_uj: int | None = None
        self.last_uj: int | None = None
        self.last_use: tuple[float, DeviceUse] | None = None
        self.failed_since = False
        self.has_moved = source.kind == "model"
        self.quiet_w = array("d")
        self.measured_j = self.measured_s = 0.0

    @property
    def mean_power_w(self) -> float | None:
        return self.measured_j / self.measured_s if self.measured_s > 0 and self.has_moved else None

    @property
    def seen_idle_w(self) -> float | None:
        """The lowest 2 % of the power seen while the node, or the device, had next to nothing to do; None: never."""
        return sorted(self.quiet_w)[len(self.quiet_w) // 50] if self.quiet_w else None

    def put(self, interval: Interval, t_s: float, dt_s: float, utc_s: float) -> None:
        """Adds an interval that ended at ``t_s`` of the run, split over its windows by time."""
        self.counts[interval.kind] += 1
        if interval.kind in (MEASURED, WRAPPED):
            self.measured_j += interval.energy_j
            self.measured_s += dt_s
        after_s = dt_s
        for window, part in split(t_s, dt_s, WINDOW_S):
            after_s -= dt_s * part
            self.cells.setdefault(window, Cell()).put(interval, part, dt_s * part, utc_s - max(after_s, 0.0))

    def put_use(self, use: DeviceUse, t_s: float) -> DeviceUse | None:
        """Adds who used the device since the last reading of it; returns the increase."""
        before, self.last_use = self.last_use, (t_s, use)
        if before is None or t_s <= before[0]:
            return None
        increase = DeviceUse(*(max(now - then, 0.0) for now, then in zip(use, before[1])))
        for window, part in split(t_s, t_s - before[0], WINDOW_S):
            self.sharing.setdefault(window, Sharing()).add(increase, t_s - before[0], part)
        return increase

    def unbelieve(self) -> None:
        """Turns all that was covered into a gap: a counter that never moved has measured nothing."""
        for cell in self.cells.values():
            cell.unbelieve(self.source.pmax_w)
        self.counts[GAP] += self.counts[MEASURED]
        self.counts[MEASURED] = 0


class Ledger:
    """Sums a journal's records: energy per source and window, CPU seconds per window."""

    def __init__(self, header: dict[str, Any]) -> None:
        sources = [Source.from_record(record) for record in header["sources"]]
        self.meters = [Track(source) for source in sources if source.kind != "model"]
        self.models = [Track(source) for source in sources if source.kind == "model"]
        self.usage: dict[int, Usage] = {}
        self.threads = int(header["threads"])
        self.t_s = 0.0
        self.utc_s = float(header["start_utc_s"])
        self.job_cpu_s = 0.0
        self.clock_jumps = 0
        self.suspends = 0
        self._start_s: float | None = None
        self._busy = _Rising()
        self._home_busy = _Rising()
        self._boot_s = 0.0

    def add(self, tick: dict[str, Any]) -> None:
        """One record.

        Args:
            tick: ``t`` s since the start, ``utc``, ``boot`` (s asleep), ``job`` (CPU s), ``busy`` (CPU s of the node;
                null: not readable), ``uj`` (a reading per meter; null: none); where there is reason ``home`` (busy
                CPU s of the job's own processor) and ``use`` (a ``DeviceUse`` per meter, or null).
        """
        if self._start_s is None:
            self._begin(tick)
        dt_s = float(tick["t"]) - self.t_s
        if dt_s < 0:
            return
        utc_s = float(tick["utc"])
        slept_s = float(tick["boot"]) - self._boot_s
        self.suspends += slept_s > _JUMP_S
        self.clock_jumps += abs(utc_s - self.utc_s - dt_s - slept_s) > _JUMP_S
        job_s = max(float(tick["job"]) - self.job_cpu_s, 0.0)
        self.t_s, self.utc_s, self._boot_s = float(tick["t"]), utc_s, float(tick["boot"])
        self.job_cpu_s += job_s
        busy_s = self._busy.rise(tick["busy"])
        self._add_usage(dt_s, job_s, busy_s, self._home_busy.rise(tick.get("home")))
        load_share = busy_s / (self.threads * dt_s) if busy_s is not None and dt_s > 0 else 1.0
        uses = tick.get("use") or [None] * len(self.meters)
        for track, reading_uj, use in zip(self.meters, tick["uj"], uses):
            increase = track.put_use(DeviceUse(*use), self.t_s) if use else None
            self._add_reading(track, reading_uj, is_quiet=_is_quiet(track.source, increase, load_share))

    @property
    def has_begun(self) -> bool:
        """Whether there was any record."""
        return self._start_s is not None

    @property
    def duration_s(self) -> float:
        """From the first record to the last."""
        return self.t_s - (self._start_s or 0.0)

    @property
    def load_share(self) -> float:
        """Mean load of the node over the run (0-1); 1 where it is not known."""
        seconds = math.fsum(usage.seconds for usage in self.usage.values())
        busy_cpu_s = math.fsum(usage.busy_cpu_s for usage in self.usage.values())
        return min(busy_cpu_s / (self.threads * seconds), 1.0) if seconds > 0 else 1.0

    def _begin(self, tick: dict[str, Any]) -> None:
        """Takes the first record as the run's start: what was used before it is nobody's."""
        self._start_s = self.t_s = float(tick["t"])
        self._boot_s, self.utc_s = float(tick["boot"]), float(tick["utc"])
        for track in self.meters + self.models:
            track.last_t_s = self.t_s

    def close(self) -> None:
        """Ends the run at the last record: a source that did not come back has a gap up to there."""
        for track in self.meters:
            if not track.has_moved:
                track.unbelieve()
            dt_s = self.t_s - track.last_t_s
            if dt_s > 0:
                track.put(Interval(GAP, 0.0, 0.0, track.source.pmax_w * dt_s), self.t_s, dt_s, self.utc_s)
                track.last_t_s = self.t_s

    def _add_usage(self, dt_s: float, job_s: float, busy_s: float | None, home_busy_s: float | None) -> None:
        busy_cpu_s = job_s if busy_s is None else busy_s
        for window, part in split(self.t_s, dt_s, WINDOW_S):
            usage = self.usage.setdefault(window, Usage())
            usage.seconds += dt_s * part
            usage.job_cpu_s += job_s * part
            usage.busy_cpu_s += busy_cpu_s * part
            usage.home_busy_cpu_s += (busy_cpu_s if home_busy_s is None else home_busy_s) * part
            usage.unseen_s += dt_s * part if busy_s is None else 0.0
        for track in self.models:
            source = track.source
            energy_j = (source.idle_w or 0.0) * dt_s + source.active_j_per_cpu_s * busy_cpu_s
            track.put(Interval(MEASURED, energy_j, energy_j, energy_j), self.t_s, dt_s, self.utc_s)

    def _add_reading(self, track: Track, reading_uj: int | None, *, is_quiet: bool) -> None:
        if reading_uj is None:
            track.failed_since = True
            return
        dt_s = self.t_s - track.last_t_s
        if dt_s > 0:
            interval = self._interval(track, reading_uj, dt_s)
            track.put(interval, self.t_s, dt_s, self.utc_s)
            is_clean = interval.kind in (MEASURED, WRAPPED) and not track.failed_since
            if is_quiet and is_clean and dt_s >= _IDLE_INTERVAL_S:
                track.quiet_w.append(interval.energy_j / dt_s)
        track.first_uj = reading_uj if track.first_uj is None else track.first_uj
        track.has_moved = track.has_moved or reading_uj != track.first_uj
        track.last_t_s, track.last_uj, track.failed_since = self.t_s, reading_uj, False

    @staticmethod
    def _interval(track: Track, reading_uj: int, dt_s: float) -> Interval:
        lost_a_part = track.source.kind == "power" and track.failed_since
        if track.last_uj is None or lost_a_part:
            return Interval(GAP, 0.0, 0.0, track.source.pmax_w * dt_s)
        return classify(track.last_uj, reading_uj, dt_s, track.source, track.mean_power_w)


class _Rising:
    """A sum of CPU seconds that is read now and then, and must not fall."""

    __slots__ = ("_last_s",)

    def __init__(self) -> None:
        self._last_s: float | None = None

    def rise(self, now_s: float | None) -> float | None:
        """What came since the last reading; None where there is none now. A hole counts when it is over."""
        if now_s is None:
            return None
        before_s, self._last_s = self._last_s, float(now_s)
        return 0.0 if before_s is None else max(float(now_s) - before_s, 0.0)


def _is_quiet(source: Source, use: DeviceUse | None, load_share: float) -> bool:
    """Whether a source had next to nothing to do: a device when nobody used it, all else when the node was idle."""
    if source.component == "gpu":
        return use is not None and use.all_s == 0 and use.blind_s == 0
    return load_share < _IDLE_LOAD_SHARE


def split(end_s: float, dt_s: float, length_s: float) -> Iterator[tuple[int, float]]:
    """(start of the stretch, part of the time in it) of the ``dt_s`` that end at ``end_s``; the parts add up to 1.

    Stretches are ``length_s`` long and begin at its multiples; those of the given time come in its order.
    """
    start_s = end_s - dt_s
    stretch_s = start_s // length_s * length_s
    if dt_s <= 0 or end_s <= stretch_s + length_s:
        yield int(stretch_s), 1.0
        return
    while stretch_s < end_s:
        yield int(stretch_s), (min(end_s, stretch_s + length_s) - max(start_s, stretch_s)) / dt_s
        stretch_s += length_s

"""Readings become records: what is read when, and one record for the journal and the ledger alike."""

from __future__ import annotations

import math
import time

from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import FIRST_HOUR_S
from lowtide_sampler.meters import Sampled, Shared, Unreadable
from lowtide_sampler.result import build
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lowtide_sampler.journal import Journal
    from lowtide_sampler.meters import Meter, MeterReading, Source
    from lowtide_sampler.options import Begun
    from lowtide_sampler.sections import Sections
    from lowtide_sampler.usage import Nodes
    from lowtide_sampler.workload import Workload

_NEVER_S = math.inf
_SHORTEST_WRAP_INTERVAL_S = 0.1
_EARLY_S = (0.25, 0.5, 1.0, 2.0, 4.0)
_SLOW_S = 30.0
_LOOK_AT_USERS_S = 1.0


class Clocks:
    """Time since the start by the monotonic clock, the time asleep, and the wall's.

    Args:
        begun: Where the clocks stood when the run began; None: it begins now.
    """

    def __init__(self, begun: Begun | None = None) -> None:
        now_s, boot_s = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
        self.start_utc_s = begun.utc_s if begun else time.time()
        self.start_monotonic_s = begun.monotonic_s if begun else now_s
        self._start_boot_s = boot_s - (now_s - self.start_monotonic_s)

    def elapsed_s(self) -> float:
        return time.monotonic() - self.start_monotonic_s

    def read(self) -> dict[str, float]:
        """The clocks of one record."""
        elapsed_s = self.elapsed_s()
        asleep_s = time.clock_gettime(time.CLOCK_BOOTTIME) - self._start_boot_s - elapsed_s
        return {"t": round(elapsed_s, 6), "utc": round(time.time(), 3), "boot": round(max(asleep_s, 0.0), 3)}

    def of_mark(self, mark: dict[str, Any], not_before_s: float) -> dict[str, Any]:
        """The record of a mark: the clocks of the instant at which it was made, not of that at which it arrived.

        Where a reading was taken between the two, the instant is that reading's.
        """
        now = self.read()
        t_s = min(max(mark["mono"] - self.start_monotonic_s, not_before_s), now["t"])
        clocks = {"t": round(t_s, 6), "utc": round(now["utc"] - (now["t"] - t_s), 3), "boot": now["boot"]}
        return {"mark": mark["mark"], "event": mark["event"], **clocks}


class Pace(NamedTuple):
    """How often a run is read.

    Attributes:
        interval_s: Time between two readings in the first hour.
        slow_s: The same after it: what is lost with a crash is then little beside what is kept.
    """

    interval_s: float
    slow_s: float

    def next_reading_s(self, elapsed_s: float) -> float:
        """When to read next: at 0.25, 0.5, 1, 2 and 4 s, then after every interval: short runs need readings too."""
        for early_s in _EARLY_S:
            if elapsed_s < early_s:
                return min(early_s, elapsed_s + self.interval_s)
        return elapsed_s + (self.interval_s if elapsed_s < FIRST_HOUR_S else self.slow_s)


def choose_pace(wanted_s: float, sources: Sequence[Source], *, at_most_s: float = math.inf) -> Pace:
    """How often to read.

    Args:
        wanted_s: The interval asked for; s.
        sources: Read twice, at least, in the shortest time in which one of their counters can wrap.
        at_most_s: Somebody looks on, who wants a figure so often; s.
    """
    wraps_s = [0.5e-6 * source.range_uj / source.pmax_w for source in sources if source.range_uj is not None]
    shortest_s = min(wanted_s, _SHORTEST_WRAP_INTERVAL_S)
    limits_s = [*wraps_s, at_most_s]
    return Pace(max(min([wanted_s, *limits_s]), shortest_s), max(min([max(wanted_s, _SLOW_S), *limits_s]), shortest_s))


class Recorder:
    """Reads the meters, writes each tick into the journal and adds it to the ledger: the same record to both."""

    def __init__(
        self,
        header: dict[str, Any],
        meters: Sequence[Meter],
        journal: Journal,
        clocks: Clocks,
        workload: Workload,
        nodes: Nodes,
    ) -> None:
        self._header = header
        self._meters = meters
        self._journal = journal
        self._clocks = clocks
        self._workload = workload
        self._nodes = nodes
        self._ledger = Ledger(header)
        self._unwritten: list[dict[str, Any]] = [header]
        self._end: dict[str, Any] | None = None
        self._sections: Sections | None = None
        self._last_tick: dict[str, Any] | None = None
        self._sampled = [meter for meter in meters if isinstance(meter, (Sampled, Shared))]
        self._shared = [meter for meter in meters if isinstance(meter, Shared)]
        self._failed: set[str] = set()
        self._next_sample_s = 0.0 if self._sampled else _NEVER_S

    def tick(
        self, end: dict[str, Any] | None = None, marks: Sequence[dict[str, Any]] = (), *, from_start: bool = False
    ) -> None:
        """Takes one reading of everything.

        Args:
            end: How it ended; this is then the last reading.
            marks: What was marked since the last one.
            from_start: A caller asked before this first reading: the time since then is a gap.
        """
        record = self._record()
        self._failed.clear()
        head = [self._head(record)] if from_start else []
        for tick in (*head, record):
            self._ledger.add(tick)
        before = head[0] if head else self._last_tick
        marked = [self._clocks.of_mark(mark, before["t"] if before else 0.0) for mark in marks]
        self._note_marks(marked, before, record)
        self._last_tick = record
        self._end = end = self._with_flags(end) if end else None
        self._journal.append(*self._unwritten, *head, *marked, record, *([end] if end else []))
        self._unwritten = []

    def tell_slurm(self, energy_j: float | None) -> None:
        """Adds Slurm's own figure to the last record, which is written anew: the newest one holds."""
        if energy_j is not None:
            self._end = {**(self._end or {}), "slurm_consumed_energy_j": energy_j}
            self._journal.append(self._end)

    def so_far(self) -> dict[str, Any]:
        """The result up to the last reading, for somebody who looks on."""
        return build(self._header, self._ledger, None)

    def sample(self, now_s: float) -> float:
        """Reads the meters that need it oftener, at uneven times; returns when it wants to be called again."""
        if now_s >= self._next_sample_s:
            import random

            pids = self._workload.read().pids if self._shared else frozenset()
            for meter in self._sampled:
                if isinstance(meter, Shared):
                    meter.note_users(pids)
                if meter.sample_period_s is not None and not _sample(meter):
                    self._failed.add(meter.source.name)
            period_s = min(sample_period_s(meter) for meter in self._sampled)
            self._next_sample_s = now_s + period_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter, not a secret
        return self._next_sample_s

    def result(self) -> dict[str, Any]:
        """The result; nothing may be recorded after it."""
        self._ledger.close()
        result = build(self._header, self._ledger, self._end)
        if self._sections is not None:
            result["sections"] = self._sections.results()
        return result

    def _record(self) -> dict[str, Any]:
        job, node = self._workload.read(), self._nodes.all.read()
        home = self._nodes.home.read() if self._nodes.home else None
        for meter in self._shared:
            meter.note_users(job.pids)
        readings = [self._read(meter) for meter in self._meters]
        record: dict[str, Any] = {
            **self._clocks.read(),
            "job": round(job.cpu_s, 6),
            "busy": round(node.busy_cpu_s, 2) if node else None,
            "cap": round(node.capacity_cpu_s, 2) if node else None,
            "uj": [reading.energy_uj if reading else None for reading in readings],
        }
        if home:
            record["home"] = round(home.busy_cpu_s, 2)
        if self._shared:
            uses = [reading.use if reading else None for reading in readings]
            record["use"] = [[round(seconds, 4) for seconds in use] if use else None for use in uses]
        return record

    def _head(self, first: dict[str, Any]) -> dict[str, Any]:
        """A record of the instant at which a caller asked to be measured: no meter was read then, so it opens a gap."""
        busy = None if first["busy"] is None else max(first["busy"] - first["job"], 0.0)
        start = {"t": 0.0, "utc": self._header["start_utc_s"], "boot": 0.0, "job": 0.0, "busy": busy}
        unread = [None] * len(first["uj"])
        return {**first, **start, "uj": unread, **({"use": unread} if "use" in first else {})}

    def _note_marks(self, marks: list[dict[str, Any]], before: dict[str, Any] | None, record: dict[str, Any]) -> None:
        if marks and self._sections is None:
            from lowtide_sampler.sections import Sections

            self._sections = Sections(self._header, before)
        if self._sections is not None:
            self._sections.add(marks, record)

    def _with_flags(self, end: dict[str, Any]) -> dict[str, Any]:
        """The last record, with what became known of the sources during the run."""
        late = {meter.source.name: list(getattr(meter, "late_flags", ())) for meter in self._meters}
        late = {name: flags for name, flags in late.items() if flags}
        return {**end, "source_flags": late} if late else end

    def _read(self, meter: Meter) -> MeterReading | None:
        """None also where a sample failed since the last record: its energy lacks a part."""
        try:
            reading = meter.read()
        except Unreadable:
            return None
        return None if meter.source.name in self._failed else reading


def _sample(meter: Meter) -> bool:
    """Asks a power's sensor; whether it answered."""
    try:
        if isinstance(meter, Sampled):
            meter.sample()
    except Unreadable:
        return False
    return True


def sample_period_s(meter: Meter) -> float:
    """Mean time between looks at a meter that needs them between two records; for ever, where it needs none."""
    if meter.sample_period_s is not None:
        return meter.sample_period_s
    return _LOOK_AT_USERS_S if isinstance(meter, Shared) else _NEVER_S

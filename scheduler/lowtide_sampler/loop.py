"""One run from the first reading to the result: read, record, sleep, until the command ends."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler import model
from lowtide_sampler.child import Child, identity
from lowtide_sampler.files import write_json
from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import FIRST_HOUR_S, VERSION, Journal, default_directory
from lowtide_sampler.meters import Shared, Unreadable
from lowtide_sampler.result import build, iso_utc
from lowtide_sampler.sources import find_sources
from lowtide_sampler.usage import Nodes, read_allocation
from lowtide_sampler.workload import Descendants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lowtide_sampler.child import Ending
    from lowtide_sampler.meters import Meter, MeterReading, Source
    from lowtide_sampler.options import RunOptions
    from lowtide_sampler.sources import Sources
    from lowtide_sampler.usage import Allocation
    from lowtide_sampler.workload import Workload

_NEVER_S = math.inf
_SHORTEST_WRAP_INTERVAL_S = 0.1
_EARLY_S = (0.25, 0.5, 1.0, 2.0, 4.0)
_SLOW_S = 30.0
_LOOK_AT_USERS_S = 1.0


class Outcome(NamedTuple):
    """A finished run: how the command ended, the result, and what a person should hear once."""

    ending: Ending
    result: dict[str, Any]
    messages: tuple[str, ...]


class Clocks:
    """Time since the start by the monotonic clock, the time asleep, and the wall's."""

    def __init__(self) -> None:
        self.start_utc_s = time.time()
        self._start_s = time.monotonic()
        self._start_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)

    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    def read(self) -> dict[str, float]:
        """The clocks of one record."""
        elapsed_s = self.elapsed_s()
        asleep_s = time.clock_gettime(time.CLOCK_BOOTTIME) - self._start_boot_s - elapsed_s
        return {"t": round(elapsed_s, 6), "utc": round(time.time(), 3), "boot": round(max(asleep_s, 0.0), 3)}


def run(options: RunOptions) -> Outcome:
    """Measures one command; whatever fails on our side leaves the command alone."""
    sources = find_sources(os.environ, options.sysroot)
    run_id = options.run_id or new_run_id(time.time())
    journal = Journal(options.journal_dir or default_directory(os.environ), run_id)
    child = Child(options.argv, options.child_file)
    child.prepare()
    clocks = Clocks()
    machine = sources.machine
    pace = choose_pace(options.interval_s, [meter.source for meter in sources.meters])
    allocation = read_allocation(machine.threads, machine.memory_gb, os.environ, options.sysroot)
    header = first_record(options, sources, allocation, run_id, clocks, pace)
    nodes = Nodes.of(allocation, options.sysroot)
    recorder = Recorder(header, sources.meters, journal, clocks, Descendants(), nodes)
    recorder.tick()
    ending = child.start() or _measure(child, recorder, clocks, pace)
    recorder.tick(_last_record(ending))
    troubles = _write_exit_file(options.exit_file, run_id, ending)
    journal.close()
    result = recorder.result()
    if not journal.is_whole:
        troubles += (f"the journal could not be written ({journal.trouble}); the command was not disturbed",)
    return Outcome(ending, result, (*result["notes"], *troubles))


def _measure(child: Child, recorder: Recorder, clocks: Clocks, pace: Pace) -> Ending:
    next_tick_s = pace.next_reading_s(0.0)
    while True:
        now_s = clocks.elapsed_s()
        next_sample_s = recorder.sample(now_s)
        ending = child.wait(min(next_tick_s, next_sample_s) - now_s)
        if ending is not None:
            return ending
        now_s = clocks.elapsed_s()
        if now_s >= next_tick_s:
            recorder.tick()
            next_tick_s = pace.next_reading_s(now_s)


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


def choose_pace(wanted_s: float, sources: Sequence[Source]) -> Pace:
    """The wanted interval, or less where a counter could wrap within twice that time; slower after the first hour."""
    wraps_s = [0.5e-6 * source.range_uj / source.pmax_w for source in sources if source.range_uj is not None]
    shortest_s = min(wanted_s, _SHORTEST_WRAP_INTERVAL_S)
    slow_s = max(wanted_s, _SLOW_S)
    return Pace(max(min([wanted_s, *wraps_s]), shortest_s), max(min([slow_s, *wraps_s]), shortest_s))


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
        self._sampled = [meter for meter in meters if sample_period_s(meter) < _NEVER_S]
        self._shared = [meter for meter in meters if isinstance(meter, Shared)]
        self._failed: set[str] = set()
        self._next_sample_s = 0.0 if self._sampled else _NEVER_S

    def tick(self, end: dict[str, Any] | None = None) -> None:
        """Takes one reading of everything; with ``end``, the last one."""
        job, node = self._workload.read(), self._nodes.all.read()
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
        if self._shared:
            uses = [reading.use if reading else None for reading in readings]
            record["use"] = [[round(seconds, 4) for seconds in use] if use else None for use in uses]
        home = self._nodes.home.read() if self._nodes.home else None
        if home:
            record["home"] = round(home.busy_cpu_s, 2)
        self._failed.clear()
        self._ledger.add(record)
        self._end = end
        self._journal.append(*self._unwritten, record, *([end] if end else []))
        self._unwritten = []

    def sample(self, now_s: float) -> float:
        """Reads the meters that need it oftener, at uneven times; returns when it wants to be called again."""
        if now_s >= self._next_sample_s:
            import random

            pids = self._workload.read().pids if self._shared else frozenset()
            for meter in self._sampled:
                if isinstance(meter, Shared):
                    meter.note_users(pids)
                if meter.sample_period_s is not None and self._read(meter) is None:
                    self._failed.add(meter.source.name)
            period_s = min(sample_period_s(meter) for meter in self._sampled)
            self._next_sample_s = now_s + period_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter, not a secret
        return self._next_sample_s

    def result(self) -> dict[str, Any]:
        """The result; nothing may be recorded after it."""
        self._ledger.close()
        return build(self._header, self._ledger, self._end)

    def _read(self, meter: Meter) -> MeterReading | None:
        """None also where a sample failed since the last record: its energy lacks a part."""
        try:
            reading = meter.read()
        except Unreadable:
            return None
        return None if meter.source.name in self._failed else reading


def sample_period_s(meter: Meter) -> float:
    """Mean time between looks at a meter that needs them between two records; for ever, where it needs none."""
    if meter.sample_period_s is not None:
        return meter.sample_period_s
    return _LOOK_AT_USERS_S if isinstance(meter, Shared) else _NEVER_S


def first_record(
    options: RunOptions, sources: Sources, allocation: Allocation, run_id: str, clocks: Clocks, pace: Pace
) -> dict[str, Any]:
    """The journal's first line: all that a result needs besides the readings."""
    from _blake2 import blake2b  # hashlib would load OpenSSL: 10 ms before the command starts

    machine = sources.machine
    joined = "\0".join(options.argv).encode(errors="surrogateescape")
    return {
        "journal": VERSION,
        "run_id": run_id,
        "plan_id": options.plan_id,
        "tags": dict(options.tags),
        "argv_hash": blake2b(joined, digest_size=8).hexdigest(),
        "host": os.uname().nodename,
        **identity(os.getpid()),
        "start_utc_s": round(clocks.start_utc_s, 3),
        "start_utc": iso_utc(clocks.start_utc_s),
        "interval_s": pace.interval_s,
        "slow_s": pace.slow_s,
        "attribution": options.attribution,
        "threads": machine.threads,
        "allocated_cpus": allocation.cpus,
        "memory_share": allocation.memory_share,
        "package": allocation.package,
        "package_cpus": len(allocation.package_cpus),
        "idle_share": model.family_of(machine).idle_share,
        "unreadable": list(sources.unreadable),
        "notes": list(sources.notes),
        "sources": [source._asdict() for source in (*(meter.source for meter in sources.meters), *sources.models)],
    }


def new_run_id(now_utc_s: float) -> str:
    """A name that sorts by time: ``20260103T100000-1f6a09c2``."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_utc_s))}-{os.urandom(4).hex()}"


def _last_record(ending: Ending) -> dict[str, Any]:
    return {
        "end": "not_started" if ending.why else "ok",
        "exit_status": ending.exit_status,
        "signal": ending.signal,
    }


def _write_exit_file(path: str, run_id: str, ending: Ending) -> tuple[str, ...]:
    if not path:
        return ()
    content = {
        "exit_status": ending.exit_status,
        "signal": ending.signal,
        "ended_utc": iso_utc(time.time()),
        "run_id": run_id,
    }
    try:
        write_json(path, content)
    except OSError as error:
        return (f"{path} could not be written: {error.strerror}",)
    return ()

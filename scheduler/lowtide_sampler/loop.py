"""One run from the first reading to the result: read, record, sleep, until the command ends."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler import model
from lowtide_sampler.child import Child, identity
from lowtide_sampler.files import write_json
from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import VERSION, Journal, default_directory
from lowtide_sampler.meters import Unreadable
from lowtide_sampler.result import build, iso_utc
from lowtide_sampler.sources import find_sources
from lowtide_sampler.usage import NodeUsage, read_allocation
from lowtide_sampler.workload import Descendants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lowtide_sampler.child import Ending
    from lowtide_sampler.meters import Meter, Source
    from lowtide_sampler.options import RunOptions
    from lowtide_sampler.sources import Sources

_NEVER_S = 3600.0
_SHORTEST_WRAP_INTERVAL_S = 0.1


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
        return {"t": round(elapsed_s, 6), "utc": round(time.time(), 3), "boot": round(asleep_s, 3)}


def run(options: RunOptions) -> Outcome:
    """Measures one command; whatever fails on our side leaves the command alone."""
    sources = find_sources(os.environ, options.sysroot)
    run_id = options.run_id or new_run_id(time.time())
    journal = Journal(options.journal_dir or default_directory(os.environ), run_id)
    child = Child(options.argv, options.child_file)
    child.prepare()
    clocks = Clocks()
    interval_s = safe_interval_s(options.interval_s, [meter.source for meter in sources.meters])
    header = first_record(options, sources, run_id, clocks, interval_s)
    recorder = Recorder(header, sources.meters, journal, clocks, options.sysroot)
    recorder.tick()
    ending = child.start() or _measure(child, recorder, clocks, interval_s)
    recorder.tick(_last_record(ending))
    troubles = _write_exit_file(options.exit_file, run_id, ending)
    journal.close()
    result = recorder.result()
    if not journal.is_whole:
        troubles += (f"the journal could not be written ({journal.trouble}); the command was not disturbed",)
    return Outcome(ending, result, (*result["notes"], *troubles))


def _measure(child: Child, recorder: Recorder, clocks: Clocks, interval_s: float) -> Ending:
    next_tick_s = next_reading_s(0.0, interval_s)
    while True:
        now_s = clocks.elapsed_s()
        next_sample_s = recorder.sample(now_s)
        ending = child.wait(min(next_tick_s, next_sample_s) - now_s)
        if ending is not None:
            return ending
        now_s = clocks.elapsed_s()
        if now_s >= next_tick_s:
            recorder.tick()
            next_tick_s = next_reading_s(now_s, interval_s)


class Recorder:
    """Reads the meters, writes each tick into the journal and adds it to the ledger: the same record to both."""

    def __init__(
        self, header: dict[str, Any], meters: Sequence[Meter], journal: Journal, clocks: Clocks, sysroot: str
    ) -> None:
        self._header = header
        self._meters = meters
        self._journal = journal
        self._clocks = clocks
        self._node = NodeUsage(sysroot)
        self._job = Descendants()
        self._ledger = Ledger(header)
        self._unwritten: list[dict[str, Any]] = [header]
        self._end: dict[str, Any] | None = None
        self._sampled = [meter for meter in meters if meter.sample_period_s is not None]
        self._failed: set[str] = set()
        self._next_sample_s = 0.0 if self._sampled else _NEVER_S * 24 * 365

    def tick(self, end: dict[str, Any] | None = None) -> None:
        """Takes one reading of everything; with ``end``, the last one."""
        record: dict[str, Any] = {
            **self._clocks.read(),
            "job": round(self._job.read().cpu_s, 6),
            "busy": round(self._node.read().busy_cpu_s, 2),
            "uj": [self._read(meter) for meter in self._meters],
        }
        self._failed.clear()
        self._ledger.add(record)
        self._end = end
        self._journal.append(*self._unwritten, record, *([end] if end else []))
        self._unwritten = []

    def sample(self, now_s: float) -> float:
        """Reads the meters that need it oftener, at uneven times; returns when it wants to be called again."""
        if now_s >= self._next_sample_s:
            import random

            for meter in self._sampled:
                if self._read(meter) is None:
                    self._failed.add(meter.source.name)
            period_s = min(meter.sample_period_s or _NEVER_S for meter in self._sampled)
            self._next_sample_s = now_s + period_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter, not a secret
        return self._next_sample_s

    def result(self) -> dict[str, Any]:
        """The result; nothing may be recorded after it."""
        self._ledger.close()
        return build(self._header, self._ledger, self._end)

    def _read(self, meter: Meter) -> int | None:
        """None also where a sample failed since the last record: its energy lacks a part."""
        try:
            energy_uj = meter.read().energy_uj
        except Unreadable:
            return None
        return None if meter.source.name in self._failed else energy_uj


def next_reading_s(elapsed_s: float, interval_s: float) -> float:
    """When to read next: at 0.25, 0.5, 1, 2 and 4 s, then after every interval: short runs need readings too."""
    for early_s in (0.25, 0.5, 1.0, 2.0, 4.0):
        if elapsed_s < early_s:
            return min(early_s, elapsed_s + interval_s)
    return elapsed_s + interval_s


def safe_interval_s(wanted_s: float, sources: Sequence[Source]) -> float:
    """The wanted interval, or less where a counter could wrap within twice that time."""
    wraps_s = [0.5e-6 * source.range_uj / source.pmax_w for source in sources if source.range_uj is not None]
    return max(min([wanted_s, *wraps_s]), min(wanted_s, _SHORTEST_WRAP_INTERVAL_S))


def first_record(
    options: RunOptions, sources: Sources, run_id: str, clocks: Clocks, interval_s: float
) -> dict[str, Any]:
    """The journal's first line: all that a result needs besides the readings."""
    from _blake2 import blake2b  # hashlib would load OpenSSL: 10 ms before the command starts

    machine = sources.machine
    allocation = read_allocation(machine.threads, machine.memory_gb, os.environ, options.sysroot)
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
        "interval_s": interval_s,
        "attribution": options.attribution,
        "threads": machine.threads,
        "allocated_share": allocation.cpus / machine.threads,
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

"""One run from the first reading to the result: read, record, sleep, until what is measured ends."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lowtide_sampler import model, slurm
from lowtide_sampler.child import Child, identity
from lowtide_sampler.files import write_json
from lowtide_sampler.integrate import Ledger
from lowtide_sampler.journal import VERSION, Journal, default_directory
from lowtide_sampler.meters import Unreadable
from lowtide_sampler.result import build, iso_utc
from lowtide_sampler.sources import find_sources
from lowtide_sampler.surroundings import look_around
from lowtide_sampler.usage import NodeUsage, read_allocation
from lowtide_sampler.workload import own_workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lowtide_sampler.child import Ending
    from lowtide_sampler.live import LiveLine
    from lowtide_sampler.meters import Meter, Source
    from lowtide_sampler.options import Begun, RunOptions
    from lowtide_sampler.ranks import Seat
    from lowtide_sampler.sections import Sections
    from lowtide_sampler.sources import Sources
    from lowtide_sampler.workload import Workload

_NEVER_S = 3600.0
_SHORTEST_WRAP_INTERVAL_S = 0.1
INTERVAL_OF_LIVE_S = 2.0


class Outcome(NamedTuple):
    """A finished run: how the command ended, the result, and what a person should hear once."""

    ending: Ending
    result: dict[str, Any]
    messages: tuple[str, ...]


class Target(Protocol):
    """What is measured, seen from the loop: a command that it starts, or something that runs already."""

    workload: Workload

    @property
    def argv(self) -> tuple[str, ...]: ...

    def described(self) -> dict[str, Any]:
        """What the journal's first line says of it."""
        ...

    def prepare(self) -> None:
        """Called before the first reading."""
        ...

    def start(self) -> Ending | None:
        """Called after it; an ``Ending`` where there is nothing to measure."""
        ...

    def wait(self, timeout_s: float) -> Ending | None:
        """Sleeps until it ends or the time is over; may return early, with None."""
        ...

    def take_marks(self) -> list[dict[str, Any]]:
        """The begins and ends of sections that came since the last call."""
        ...


class Command(Child):
    """A command that the loop starts."""

    def __init__(self, options: RunOptions) -> None:
        super().__init__(options.argv, options.child_file)
        self.argv = options.argv
        self.workload = own_workload(options.sysroot)

    def described(self) -> dict[str, Any]:
        return {}

    def take_marks(self) -> list[dict[str, Any]]:
        return []


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
        return {"t": round(elapsed_s, 6), "utc": round(time.time(), 3), "boot": round(asleep_s, 3)}

    def of_mark(self, mark: dict[str, Any], not_before_s: float) -> dict[str, Any]:
        """The record of a mark: the clocks of the instant at which it was made, not of that at which it arrived.

        Where a reading was taken between the two, the instant is that reading's.
        """
        now = self.read()
        t_s = min(max(mark["mono"] - self.start_monotonic_s, not_before_s), now["t"])
        clocks = {"t": round(t_s, 6), "utc": round(now["utc"] - (now["t"] - t_s), 3), "boot": now["boot"]}
        return {"mark": mark["mark"], "event": mark["event"], **clocks}


def run(options: RunOptions, target: Target) -> Outcome:
    """Measures one thing to its end; whatever fails on our side leaves it alone."""
    run_id = options.run_id or new_run_id(time.time())
    directory = options.journal_dir or default_directory(os.environ)
    seat = _take_seat(directory, run_id, options.pid)
    sources = find_sources(os.environ, options.sysroot)
    if seat and not seat.is_reader:
        sources = sources._replace(meters=(), models=(), findings=(), unreadable=())
    run_id = seat.run_id if seat else run_id
    journal = Journal(directory, run_id)
    target.prepare()
    clocks = Clocks(options.begun)
    interval_s = safe_interval_s(options.interval_s, [meter.source for meter in sources.meters])
    live = _live_line(options)
    if live:
        interval_s = min(interval_s, INTERVAL_OF_LIVE_S)
    header = first_record(options, target, sources, run_id, clocks, interval_s)
    header.update(seat.described() if seat else {})
    workload = seat.with_peers(target.workload) if seat else target.workload
    recorder = Recorder(header, sources.meters, journal, clocks, workload, options.sysroot)
    recorder.tick(None, target.take_marks(), from_start=options.begun is not None)
    ending = target.start() or _measure(target, recorder, clocks, interval_s, live)
    recorder.tick(_last_record(ending), target.take_marks())
    troubles = _write_exit_file(options.exit_file, run_id, ending)
    if not ending.why and (seat is None or seat.is_reader):
        recorder.tell_slurm(slurm.consumed_energy_j(os.environ, clocks.elapsed_s()))
    journal.close()
    result = recorder.result()
    if seat:
        seat.leave()
        troubles += (seat.trouble,) if seat.trouble else ()
        result = _with_ranks(result, directory, run_id, is_whole=journal.is_whole)
    if not journal.is_whole:
        troubles += (f"the journal could not be written ({journal.trouble}); what is measured was not disturbed",)
    return Outcome(ending, result, (*result["notes"], *troubles))


def _measure(target: Target, recorder: Recorder, clocks: Clocks, interval_s: float, live: LiveLine | None) -> Ending:
    next_tick_s = next_reading_s(0.0, interval_s)
    while True:
        now_s = clocks.elapsed_s()
        next_sample_s = recorder.sample(now_s)
        ending = target.wait(min(next_tick_s, next_sample_s) - now_s)
        if ending is not None:
            if live:
                live.clear()
            return ending
        now_s = clocks.elapsed_s()
        marks = target.take_marks()
        if marks or now_s >= next_tick_s:
            recorder.tick(None, marks)
            if live and live.is_shown:
                live.show(recorder.so_far())
        if now_s >= next_tick_s:
            next_tick_s = next_reading_s(now_s, interval_s)


def _take_seat(directory: str, run_id: str, pid: int) -> Seat | None:
    """This rank's seat beside the other ranks of its node; None where no launcher made several of us."""
    if not any("LOCAL" in name for name in os.environ):
        return None
    from lowtide_sampler.ranks import Seat, find_rank

    rank = find_rank(os.environ)
    return Seat(directory, rank, run_id, pid or os.getpid()) if rank else None


def _with_ranks(result: dict[str, Any], directory: str, run_id: str, *, is_whole: bool) -> dict[str, Any]:
    """The result with the other ranks' CPU seconds, where the journals can be read."""
    from lowtide_sampler.journal import JournalError
    from lowtide_sampler.ranks import replay_run

    try:
        return replay_run(directory, run_id) if is_whole else result
    except (OSError, JournalError):
        return result


def _live_line(options: RunOptions) -> LiveLine | None:
    if not options.live:
        return None
    from lowtide_sampler.live import LiveLine

    live = LiveLine(options.intensity_g_per_kwh, options.pue, options.expected_s)
    return live if live.is_shown else None


class Recorder:
    """Reads the meters, writes each tick into the journal and adds it to the ledger: the same record to both."""

    def __init__(
        self,
        header: dict[str, Any],
        meters: Sequence[Meter],
        journal: Journal,
        clocks: Clocks,
        workload: Workload,
        sysroot: str,
    ) -> None:
        self._header = header
        self._meters = meters
        self._journal = journal
        self._clocks = clocks
        self._node = NodeUsage(sysroot)
        self._workload = workload
        self._ledger = Ledger(header)
        self._unwritten: list[dict[str, Any]] = [header]
        self._end: dict[str, Any] | None = None
        self._sections: Sections | None = None
        self._last_tick: dict[str, Any] | None = None
        self._sampled = [meter for meter in meters if meter.sample_period_s is not None]
        self._failed: set[str] = set()
        self._next_sample_s = 0.0 if self._sampled else _NEVER_S * 24 * 365

    def tick(
        self, end: dict[str, Any] | None = None, marks: Sequence[dict[str, Any]] = (), *, from_start: bool = False
    ) -> None:
        """Takes one reading of everything.

        Args:
            end: How it ended; this is then the last reading.
            marks: What was marked since the last one.
            from_start: A caller asked before this first reading: the time since then is a gap.
        """
        record: dict[str, Any] = {
            **self._clocks.read(),
            "job": round(self._workload.read().cpu_s, 6),
            "busy": round(self._node.read().busy_cpu_s, 2),
            "uj": [self._read(meter) for meter in self._meters],
        }
        self._failed.clear()
        head = [self._head(record)] if from_start else []
        for tick in (*head, record):
            self._ledger.add(tick)
        before = head[0] if head else self._last_tick
        marked = [self._clocks.of_mark(mark, before["t"] if before else 0.0) for mark in marks]
        self._note_marks(marked, before, record)
        self._last_tick = record
        self._end = end
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

    def _head(self, first: dict[str, Any]) -> dict[str, Any]:
        """A record of the instant at which a caller asked to be measured: no meter was read then, so it opens a gap."""
        busy = max(first["busy"] - first["job"], 0.0)
        start = {"t": 0.0, "utc": self._header["start_utc_s"], "boot": 0.0, "job": 0.0, "busy": busy}
        return {**first, **start, "uj": [None] * len(first["uj"])}

    def _note_marks(self, marks: list[dict[str, Any]], before: dict[str, Any] | None, record: dict[str, Any]) -> None:
        if marks and self._sections is None:
            from lowtide_sampler.sections import Sections

            self._sections = Sections(self._header, before)
        if self._sections is not None:
            self._sections.add(marks, record)

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
        result = build(self._header, self._ledger, self._end)
        if self._sections is not None:
            result["sections"] = self._sections.results()
        return result

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
    options: RunOptions, target: Target, sources: Sources, run_id: str, clocks: Clocks, interval_s: float
) -> dict[str, Any]:
    """The journal's first line: all that a result needs besides the readings."""
    from _blake2 import blake2b  # hashlib would load OpenSSL: 10 ms before the command starts

    machine = sources.machine
    allocation = read_allocation(machine.threads, machine.memory_gb, os.environ, options.sysroot)
    surroundings = look_around(os.environ, options.sysroot)
    joined = "\0".join(target.argv).encode(errors="surrogateescape")
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
        "start_monotonic_s": round(clocks.start_monotonic_s, 6),
        "interval_s": interval_s,
        "attribution": options.attribution,
        "scope": options.scope or None,
        "pue": options.pue,
        "threads": machine.threads,
        "allocated_share": allocation.cpus / machine.threads,
        "idle_share": model.family_of(machine).idle_share,
        "exclusive": slurm.is_exclusive(os.environ, machine.threads),
        "container": surroundings.container,
        "flags": list(surroundings.flags),
        **target.described(),
        "unreadable": list(sources.unreadable),
        "notes": list(sources.notes),
        "sources": [source._asdict() for source in (*(meter.source for meter in sources.meters), *sources.models)],
    }


def new_run_id(now_utc_s: float) -> str:
    """A name that sorts by time: ``20260103T100000-1f6a09c2``."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_utc_s))}-{os.urandom(4).hex()}"


def _last_record(ending: Ending) -> dict[str, Any]:
    return {
        "end": "not_started" if ending.why else ending.how,
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

"""One run from the first reading to the result: read, record, sleep, until what is measured ends."""

from __future__ import annotations

import math
import os
import time

from lowtide_sampler import model, slurm
from lowtide_sampler.child import Child, identity
from lowtide_sampler.files import write_whole
from lowtide_sampler.folders import spool_folder
from lowtide_sampler.journal import VERSION, Journal
from lowtide_sampler.machine import read_machine
from lowtide_sampler.recorder import Clocks, Recorder, choose_pace
from lowtide_sampler.result import iso_utc
from lowtide_sampler.sources import Sources, find_sources
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple, Protocol, to_json
from lowtide_sampler.surroundings import look_around
from lowtide_sampler.usage import Nodes, read_allocation
from lowtide_sampler.workload import own_workload

if TYPE_CHECKING:
    from typing import Any

    from lowtide_sampler.child import Ending
    from lowtide_sampler.live import LiveLine
    from lowtide_sampler.options import RunOptions
    from lowtide_sampler.ranks import Seat
    from lowtide_sampler.recorder import Pace
    from lowtide_sampler.usage import Allocation
    from lowtide_sampler.workload import Workload

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

    def prepare(self) -> None:
        """Called before the first reading."""

    def start(self) -> Ending | None:
        """Called after it; an ``Ending`` where there is nothing to measure."""

    def wait(self, timeout_s: float) -> Ending | None:
        """Sleeps until it ends or the time is over; may return early, with None."""

    def take_marks(self) -> list[dict[str, Any]]:
        """The begins and ends of sections that came since the last call."""


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


def run(options: RunOptions, target: Target) -> Outcome:
    """Measures one thing to its end; whatever fails on our side leaves it alone."""
    run_id = options.run_id or new_run_id(time.time())
    directory = options.journal_dir or spool_folder(os.environ)
    seat = _take_seat(directory, run_id, options.pid)
    machine = read_machine(options.sysroot)
    allocation = read_allocation(machine, os.environ, options.sysroot, pid=options.pid)
    reads_counters = seat is None or seat.is_reader
    sources = (
        find_sources(os.environ, options.sysroot, machine=machine, allocation=allocation)
        if reads_counters
        else Sources(machine, (), (), (), ())
    )
    run_id = seat.run_id if seat else run_id
    journal = Journal(directory, run_id)
    target.prepare()
    clocks = Clocks(options.begun)
    live = _live_line(options)
    counters = [meter.source for meter in sources.meters]
    pace = choose_pace(options.interval_s, counters, at_most_s=INTERVAL_OF_LIVE_S if live else math.inf)
    header = first_record(options, target, sources, allocation, run_id, clocks, pace)
    header.update(seat.described() if seat else {})
    workload = seat.with_peers(target.workload) if seat else target.workload
    recorder = Recorder(header, sources.meters, journal, clocks, workload, Nodes.of(allocation, options.sysroot))
    recorder.tick(None, target.take_marks(), from_start=options.begun is not None)
    ending = target.start() or _measure(target, recorder, clocks, pace, live)
    recorder.tick(_last_record(ending), target.take_marks())
    troubles = _write_exit_file(options.exit_file, run_id, ending)
    if reads_counters and not ending.why:
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


def unmeasured(options: RunOptions, command: Command, error: Exception) -> Outcome:
    """Sees a command to its end after the measuring of it failed; its status is told as ever, its energy unknown.

    Raises:
        OSError: It cannot be started at all.
    """
    from lowtide_sampler.unknown import not_measured

    start_s, before = time.monotonic(), os.times()
    ending = command.finish()
    troubles = _write_exit_file(options.exit_file, options.run_id, ending)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    why = f"measuring failed: {type(error).__name__}: {error}"
    result = not_measured(why, max(cpu_s, 0.0), time.monotonic() - start_s, dict(options.tags))
    result.update(exit_status=ending.exit_status, signal=ending.signal)
    return Outcome(ending, result, (why, *troubles))


def _measure(target: Target, recorder: Recorder, clocks: Clocks, pace: Pace, live: LiveLine | None) -> Ending:
    next_tick_s = pace.next_reading_s(0.0)
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
            next_tick_s = pace.next_reading_s(now_s)


def _take_seat(directory: str, run_id: str, pid: int) -> Seat | None:
    """This rank's seat beside the other ranks of its node; None where no launcher made several of us."""
    if not any("LOCAL" in name for name in os.environ):  # as every launcher's number of a rank is called
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


def first_record(
    options: RunOptions,
    target: Target,
    sources: Sources,
    allocation: Allocation,
    run_id: str,
    clocks: Clocks,
    pace: Pace,
) -> dict[str, Any]:
    """The journal's first line: all that a result needs besides the readings."""
    from _blake2 import blake2b  # hashlib would load OpenSSL: 10 ms before the command starts

    machine = sources.machine
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
        "interval_s": pace.interval_s,
        "slow_s": pace.slow_s,
        "attribution": options.attribution,
        "scope": options.scope or None,
        "pue": options.pue,
        "threads": machine.threads,
        "allocated_cpus": allocation.cpus,
        "memory_share": allocation.memory_share,
        "package": allocation.package,
        "package_cpus": len(allocation.package_cpus),
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
        write_whole(path, to_json(content) + "\n")
    except OSError as error:
        return (f"{path} could not be written: {error.strerror}",)
    return ()

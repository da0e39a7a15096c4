"""The journal of a run: JSON lines that survive the death of whoever wrote them.

The first line says what was measured and by whom (``lowtide-journal/2``), each further one holds the readings of one
tick, the last one how the run ended. A result is computed from the records alone, so that a run that ended, one that
was lost and one that is read again next year go through the same code.
"""

from __future__ import annotations

import fcntl
import os
import time

from lowtide_sampler.integrate import Ledger
from lowtide_sampler.machine import boot_id, is_running
from lowtide_sampler.result import build
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSION = "lowtide-journal/2"
READABLE = ("lowtide-journal/1", VERSION)
"""Version 1 has ``allocated_share`` in the place of what the job was given in CPUs, memory and processors."""
FIRST_HOUR_S = 3600.0
"""After it a run is read less often: a week of readings stays a few megabytes."""
SUFFIX = ".jsonl"
_SYNC_EVERY_S = 30.0
_KEPT_BYTES = 4 << 20


class JournalError(Exception):
    """A journal cannot be replayed: its first line is missing, or a newer version wrote it."""


class JournalRecords(NamedTuple):
    """What a journal says, as far as it can be read; ``damaged_lines`` were left aside.

    ``marks`` are the begins and ends of sections, each before the tick that was taken for it.
    """

    header: dict[str, Any] | None
    ticks: list[dict[str, Any]]
    end: dict[str, Any] | None
    damaged_lines: int
    marks: tuple[dict[str, Any], ...] = ()


class Journal:
    """Appends records to a run's file; what cannot be written is kept and tried again with the next record.

    It never raises for a disk that is full, missing or read-only: ``trouble`` says what went wrong last.
    """

    def __init__(self, directory: str, run_id: str) -> None:
        self.path = os.path.join(directory, run_id + SUFFIX)
        self.trouble = ""
        self._fd = -1
        self._unwritten = bytearray()
        self._synced_s = time.monotonic()

    @property
    def is_whole(self) -> bool:
        """Whether every record so far is in the file."""
        return not self._unwritten

    def append(self, *records: dict[str, Any]) -> None:
        """Writes the records, and what is left of earlier ones, with one ``write``."""
        lines = b"".join(encode(record) for record in records)
        if len(self._unwritten) + len(lines) <= _KEPT_BYTES:
            self._unwritten += lines
        try:
            if self._fd < 0:
                self._fd = self._open()
            written = os.write(self._fd, self._unwritten)
            del self._unwritten[:written]
            if time.monotonic() - self._synced_s >= _SYNC_EVERY_S:
                self._synced_s = time.monotonic()
                os.fdatasync(self._fd)
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror}"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL  # never into another run's journal
        fd = os.open(self.path, flags, 0o600)
        try_lock(fd)
        return fd


def encode(record: dict[str, Any]) -> bytes:
    """One record as one line."""
    return to_json(record).encode() + b"\n"


def try_lock(fd: int) -> bool:
    """Whether nobody else holds the journal; a file system without locks answers yes."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def read_journal(path: str | os.PathLike[str]) -> JournalRecords:
    """The records of a journal, which may have been cut off or damaged at any byte.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    header: dict[str, Any] | None = None
    ticks: list[dict[str, Any]] = []
    end: dict[str, Any] | None = None
    damaged = 0
    marks: list[dict[str, Any]] = []
    for line in filter(None, lines):
        record = _decode(line)
        if record is None:
            damaged += 1
        elif "journal" in record:
            header = header or record
        elif "end" in record:
            end = record
        elif "mark" in record:
            marks.append(record)
        else:
            ticks.append(record)
            end = None  # who was taken for lost and still writes was not lost
    return JournalRecords(header, ticks, end, damaged, tuple(marks))


def _decode(line: bytes) -> dict[str, Any] | None:
    import json  # not on the way to the command's start

    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    if "journal" in record:
        return record if _is_header(record) else None
    is_known = "end" in record or _is_mark(record) or _is_tick(record)
    return record if is_known else None


_TICK_KEYS = frozenset({"t", "utc", "boot", "job", "busy", "uj"})
_MARK_KEYS = frozenset({"t", "mark", "event"})
_LONGEST_RUN_S = 1e8
_LAST_UTC_S = 2.5e11
_MOST_CPU_S = 1e13


_HEADER = {"run_id": str, "host": str, "boot_id": str, "pid": int, "start_ticks": int, "threads": int, "sources": list}


def _is_header(record: dict[str, Any]) -> bool:
    """Whether a first line of a version that is read here says who measured, where and when."""
    return record["journal"] not in READABLE or (
        all(isinstance(record.get(key), kind) for key, kind in _HEADER.items())
        and record["threads"] > 0
        and _is_within(record.get("start_utc_s"), _LAST_UTC_S)
        and _is_within(record.get("interval_s"), _LAST_UTC_S)
    )


def _is_tick(record: dict[str, Any]) -> bool:
    """Whether a line can be the record of a reading: a flipped bit leaves JSON that no run can have written."""
    if not record.keys() >= _TICK_KEYS:
        return False
    uses = record.get("use") or []
    return (
        _is_within(record["t"], _LONGEST_RUN_S)
        and _is_within(record["utc"], _LAST_UTC_S)
        and _is_within(record["boot"], _LAST_UTC_S)
        and _is_within(record["job"], _MOST_CPU_S)
        and all(record.get(key) is None or _is_within(record[key], _MOST_CPU_S) for key in ("busy", "home"))
        and isinstance(record["uj"], list)
        and all(reading is None or isinstance(reading, int) for reading in record["uj"])
        and isinstance(uses, list)
        and all(use is None or (isinstance(use, list) and len(use) == _USE_FIELDS) for use in uses)
        and all(_is_within(seconds, _MOST_CPU_S) for use in uses for seconds in use or ())
    )


_USE_FIELDS = 4


def _is_mark(record: dict[str, Any]) -> bool:
    return record.keys() >= _MARK_KEYS and _is_within(record["t"], _LONGEST_RUN_S) and isinstance(record["mark"], str)


def _is_within(value: object, highest: float) -> bool:
    return isinstance(value, (int, float)) and 0.0 <= value <= highest


def replay(records: JournalRecords) -> dict[str, Any]:
    """The result of a run, from its records; ``end`` is ``open`` where the journal has no last line.

    Raises:
        JournalError: The first line is missing, is of another version, or does not hold what it should.
    """
    header = records.header
    if header is None:
        raise JournalError("The journal has no first line: nothing says what its readings mean.")
    if header["journal"] not in READABLE:
        known = " and ".join(READABLE)
        raise JournalError(f"The journal is of version {header['journal']!r}; this program reads {known}.")
    try:
        return _replay(records, header)
    except _NOT_AS_WRITTEN as error:
        raise JournalError(f"The journal is damaged: {type(error).__name__} {error}.") from error


_NOT_AS_WRITTEN = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


def _replay(records: JournalRecords, header: dict[str, Any]) -> dict[str, Any]:
    ledger = Ledger(header)
    for tick in records.ticks:
        ledger.add(tick)
    ledger.close()
    result = build(header, ledger, records.end)
    if records.marks:
        from lowtide_sampler.sections import section_results

        result["sections"] = section_results(records)
    return result


def is_alive(header: Mapping[str, Any]) -> bool:
    """Whether the sampler that wrote this first line still runs: the same boot, process number and start."""
    return bool(header["boot_id"] == boot_id()) and is_running(int(header["pid"]), int(header["start_ticks"]))


def recover(directory: str | os.PathLike[str], *, now_utc_s: float | None = None) -> list[dict[str, Any]]:
    """Closes the journals whose sampler is gone; returns the results of those closed by this call.

    A second call finds nothing to do. Journals of other hosts in a shared folder are left to them.

    Args:
        directory: The spool.
        now_utc_s: The time, which bounds how long a lost job can have gone on unseen; default: the clock's.
    """
    now_s = time.time() if now_utc_s is None else now_utc_s
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
    except OSError:
        return []
    closed = (_close_lost(os.path.join(directory, name), now_s) for name in names)
    return [result for result in closed if result is not None]


def _close_lost(path: str, now_utc_s: float) -> dict[str, Any] | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError:
        return None
    try:
        if not try_lock(fd):
            return None
        records = read_journal(path)
        header = records.header
        if records.end is not None or header is None or header["journal"] not in READABLE:
            return None
        if header["host"] != os.uname().nodename or is_alive(header):
            return None
        tail_s = _tail_s(records, now_utc_s)
        result = replay(records._replace(end={"end": "lost", "tail_s": tail_s}))
        write_lost(fd, tail_s)
        return result
    except (OSError, JournalError, *_NOT_AS_WRITTEN):  # one that nobody can read is left as it is, and keeps no other
        return None
    finally:
        os.close(fd)


def lost_end(records: JournalRecords, now_utc_s: float) -> dict[str, Any]:
    """The last line of a journal that its sampler cannot end any more."""
    return {"end": "lost", "tail_s": _tail_s(records, now_utc_s)}


def write_lost(fd: int, tail_s: float) -> dict[str, Any]:
    """Writes the last line of a run that was lost, and returns it.

    Args:
        fd: The journal, open to read and to append.
        tail_s: How long the job can have gone on after the last record; s.
    """
    end = {"end": "lost", "tail_s": tail_s}
    size = os.fstat(fd).st_size
    is_cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    os.write(fd, (b"\n" if is_cut else b"") + encode(end))
    return end


def longest_interval_s(header: Mapping[str, Any]) -> float:
    """The longest time between two readings of a run, however long it lasts; s."""
    return max(float(header["interval_s"]), float(header.get("slow_s", 0.0)))


def _tail_s(records: JournalRecords, now_utc_s: float) -> float:
    """How long the job can have gone on after the last record and before the next would have been written."""
    header = records.header or {}
    last_utc_s = float(records.ticks[-1]["utc"] if records.ticks else header["start_utc_s"])
    ran_for_s = float(records.ticks[-1]["t"]) if records.ticks else 0.0
    interval_s = longest_interval_s(header) if ran_for_s >= FIRST_HOUR_S else float(header["interval_s"])
    return max(min(interval_s, now_utc_s - last_utc_s), 0.0)

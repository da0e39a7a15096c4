"""Brings journals home that were written on nodes without a way to this one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Carried:
    """One journal of the other spool.

    Attributes:
        what: ``new``; ``grown`` (more of a run that was here); ``known`` (nothing new); ``differs`` (another run of the
            same name is here, which is kept); ``unreadable``.
        is_open: It has no end: its run may go on where it came from.
        result: What it says now; None where it says nothing.
    """

    run_id: str
    what: str
    is_open: bool
    result: dict[str, Any] | None


def carry(source: Path, spool: Path, *, ended: bool) -> tuple[Carried, ...]:
    """Copies the journals of another spool that are not here yet, or have grown; doing it again changes nothing.

    Args:
        source: The other spool: a folder on a stick, or one that was fetched.
        spool: This machine's.
        ended: Nothing of it runs any more: what is open was lost there, and is closed here.
    Raises:
        InputError: The source is no folder, or is this spool.
    """
    if not source.is_dir():
        raise InputError(f"{source} is no folder.", hint="Name the folder that holds the journals (*.jsonl).")
    if spool.exists() and source.samefile(spool):
        raise InputError(
            f"{source} is this machine's own spool.", hint="lowtide recover alone closes what is lost in it."
        )
    paths = sorted(source.glob("*.jsonl"))
    found = {path.stem: _take(path, spool) for path in paths}
    if ended:
        for run_id, what in found.items():
            if what not in ("differs", "unreadable"):
                _close(spool / f"{run_id}.jsonl")
    return tuple(_carried(spool, run_id, what) for run_id, what in found.items())


def _take(path: Path, spool: Path) -> str:
    from lowtide_sampler.journal import read_journal

    try:
        content = path.read_bytes()
        if read_journal(path).header is None:
            return "unreadable"
    except OSError:
        return "unreadable"
    here = spool / path.name
    if here.exists():
        known = here.read_bytes()
        if known.startswith(content):
            return "known"
        if not content.startswith(_as_written(known)):
            return "differs"
        what = "grown"
    else:
        what = "new"
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = spool / f"{path.name}.{os.getpid()}.tmp"
    beside.write_bytes(content)
    beside.replace(here)
    return what


def _as_written(content: bytes) -> bytes:
    """A journal without the last line by which we took it for lost, which its own sampler knows nothing of."""
    body, newline, last = content.rstrip(b"\n").rpartition(b"\n")
    return body + newline if b'"end":"lost"' in last else content


def _close(path: Path) -> None:
    from lowtide_sampler.journal import is_alive, longest_interval_s, read_journal, try_lock, write_lost

    fd = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        records = read_journal(path)
        header = records.header
        if records.end is not None or header is None or not try_lock(fd):
            return
        if header["host"] == os.uname().nodename and is_alive(header):
            return
        write_lost(fd, longest_interval_s(header))
    finally:
        os.close(fd)


def _carried(spool: Path, run_id: str, what: str) -> Carried:
    from lowtide_sampler.journal import JournalError
    from lowtide_sampler.ranks import replay_run

    if what in ("differs", "unreadable"):
        return Carried(run_id, what, is_open=False, result=None)
    try:
        result = replay_run(spool, run_id)
    except (OSError, JournalError):
        return Carried(run_id, "unreadable", is_open=False, result=None)
    return Carried(run_id, what, is_open=result["end"] == "open", result=result)

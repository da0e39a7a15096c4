"""The occurrences of a job that comes again: by the clock on the wall if by days, otherwise by seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count as counting
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError
from lowtide_core.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

_DAY = timedelta(days=1)


def occurrences(
    first: Span, every: timedelta, *, zone: tzinfo, count: int | None = None, until_utc: datetime | None = None
) -> tuple[Span, ...]:
    """From the earliest start to the deadline of every occurrence, in order; each is planned by itself.

    Args:
        first: The earliest start and the deadline of the first occurrence; it is one itself, as it stands.
        every: Whole days repeat the two clock times in the zone, whatever the length of the days; anything else
            repeats after so many seconds.
        zone: Where the clock hangs.
        count: How many, at most; >= 1.
        until_utc: The last one begins before this instant.
    Returns:
        Spans in UTC. A night in which clocks change is as long as the two clock times make it: 23 or 25 hours of a
        day. A clock time that is skipped moves to the first instant after the gap; one that comes twice is the
        first. Where both clock times fall into one gap, the occurrence keeps the length of the first.
    Raises:
        InputError: ``every`` is not positive, neither count nor end is given, or the count is not positive.
    """
    if every <= timedelta(0):
        raise InputError(f"A job cannot come again every {every}.", hint="Give a positive time.", every=every)
    if (count is None and until_utc is None) or (count is not None and count < 1):
        raise InputError(
            f"How often is not said: the count is {count}, the end {until_utc}.",
            hint="Give a count of at least 1, or an end.",
            count=count,
        )
    if until_utc is not None and until_utc.tzinfo is None:
        raise InputError(f"The end {until_utc} has no zone.", hint="Give it one.", until_utc=until_utc)
    spans = _daily(first, every.days, zone) if every % _DAY == timedelta(0) else _steady(first, every)
    begun = spans if until_utc is None else takewhile(lambda span: span.start_utc < until_utc, spans)
    return tuple(begun if count is None else islice(begun, count))


def _steady(first: Span, every: timedelta) -> Iterator[Span]:
    for number in counting():
        yield Span(first.start_utc + number * every, first.end_utc + number * every)


def _daily(first: Span, days: int, zone: tzinfo) -> Iterator[Span]:
    yield first
    start, end = (instant.astimezone(zone).replace(tzinfo=None, fold=0) for instant in (first.start_utc, first.end_utc))
    for number in counting(1):
        start_utc = wall_to_utc(start + number * days * _DAY, zone)
        end_utc = wall_to_utc(end + number * days * _DAY, zone)
        if end_utc <= start_utc:
            end_utc = start_utc + (first.end_utc - first.start_utc)
        yield Span(start_utc, end_utc)


def wall_to_utc(wall: datetime, zone: tzinfo) -> datetime:
    """The instant at which a clock in the zone shows this time for the first time, or the first one to jump past it.

    Args:
        wall: Without a zone, or its zone is ignored.
    """
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None, fold=0):
        return before
    low, high = after, before  # in a gap, fold 0 counts with the offset before it, and so lands behind it
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)

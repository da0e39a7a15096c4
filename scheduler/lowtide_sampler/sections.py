"""Sections of a run: what it used while a part of the program that has a name was under way.

A mark says that a section begins or ends. The readings at that instant lie between those of the ticks before and after
it, on a straight line. A section's time is the union of all times in which at least one of its name was open, so that
it never counts twice, whoever opens it in how many threads; sections of different names may overlap. Each name has a
ledger of its own, which is fed the ticks of that time alone, as if it had run without a break.
"""

from __future__ import annotations

from lowtide_sampler.integrate import Ledger
from lowtide_sampler.result import build
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from lowtide_sampler.journal import JournalRecords

BEGIN, END = "begin", "end"
_AMOUNTS = ("duration_s", "cpu_seconds", "energy_j", "energy_low_j", "energy_high_j")
_SHARES = ("measured_share", "modelled_share", "filled_share")


class Sections:
    """Fed with each tick and with the marks that came before it; the memory is one ledger per name."""

    def __init__(self, header: dict[str, Any], last_tick: dict[str, Any] | None = None) -> None:
        self._header = header
        self._ranges_uj = [source.get("range_uj") for source in header["sources"] if source["kind"] != "model"]
        self._last = last_tick
        self._parts: dict[str, _Part] = {}

    def add(self, marks: list[dict[str, Any]], tick: dict[str, Any]) -> None:
        """One tick, and the marks since the one before it."""
        for mark in marks:
            here = tick if self._last is None else self._between(self._last, tick, float(mark["t"]))
            part = self._parts.get(mark["mark"])
            if part is None:
                part = self._parts[mark["mark"]] = _Part(self._header, self._ranges_uj)
            if mark["event"] == BEGIN:
                part.begin(here)
            else:
                part.end(here)
        for part in self._parts.values():
            part.go_on(tick)
        self._last = tick

    def results(self) -> list[dict[str, Any]]:
        """One entry per name, in the order in which they began; those still open end at the last tick."""
        return [
            {"name": name, "count": part.count, "open": part.depth, **_sum(part.results())}
            for name, part in self._parts.items()
        ]

    def _between(self, before: dict[str, Any], after: dict[str, Any], t_s: float) -> dict[str, Any]:
        span_s = after["t"] - before["t"]
        part = min(max((t_s - before["t"]) / span_s, 0.0), 1.0) if span_s > 0 else 1.0
        here = {key: _on_line(before.get(key), value, part) for key, value in after.items()}
        here["uj"] = [
            _on_circle(one, other, part, range_uj)
            for one, other, range_uj in zip(before["uj"], after["uj"], self._ranges_uj)
        ]
        return here


class _Part:
    """One name: its ledgers, and what of every cumulative figure lay between the times in which it was open.

    One ledger does, as long as every counter is known where the section begins again; else the next one starts there,
    with a gap as its first interval.
    """

    def __init__(self, header: dict[str, Any], ranges_uj: list[int | None]) -> None:
        self.count = self.depth = 0
        self._header = header
        self._ranges_uj = ranges_uj
        self._ledgers: list[Ledger] = []
        self._outside: dict[str, Any] = {}
        self._left: dict[str, Any] = {}

    def begin(self, tick: dict[str, Any]) -> None:
        self.count += 1
        self.depth += 1
        if self.depth > 1:
            return
        if not self._ledgers or None in self._left["uj"] or None in tick["uj"]:
            self._outside = {"job": tick["job"]}  # a ledger takes the CPU seconds of its first record for the run's own
            self._ledgers.append(Ledger(self._header))
            self._feed(tick)
        else:
            break_ = {key: _plus(value, self._left.get(key), -1) for key, value in tick.items()}
            self._outside = {key: _plus(value, self._outside.get(key), 1) for key, value in break_.items()}

    def end(self, tick: dict[str, Any]) -> None:
        if self.depth == 1:
            self._feed(tick)
            self._left = tick
        self.depth = max(self.depth - 1, 0)

    def go_on(self, tick: dict[str, Any]) -> None:
        if self.depth:
            self._feed(tick)

    def results(self) -> list[dict[str, Any]]:
        for ledger in self._ledgers:
            ledger.close()
        return [build(self._header, ledger, {"end": "ok"}) for ledger in self._ledgers]

    def _feed(self, tick: dict[str, Any]) -> None:
        inside = {key: _plus(value, self._outside.get(key), -1) for key, value in tick.items()}
        inside["utc"] = tick["utc"]
        inside["uj"] = [
            reading % range_uj if reading is not None and range_uj else reading
            for reading, range_uj in zip(inside["uj"], self._ranges_uj)
        ]
        self._ledgers[-1].add(inside)


def section_results(records: JournalRecords) -> list[dict[str, Any]]:
    """The sections of a journal; empty where it has no marks or no first line."""
    if records.header is None or not records.marks:
        return []
    sections = Sections(records.header)
    marks = list(records.marks)
    for tick in records.ticks:
        due = [mark for mark in marks if mark["t"] <= tick["t"]]
        marks = marks[len(due) :] if due else marks
        sections.add(due, tick)
    return sections.results()


def last_stretch(records: JournalRecords, at_least_s: float) -> JournalRecords:
    """The records of the newest ``at_least_s`` seconds, or a little more, as a run of their own."""
    ticks = records.ticks
    first = len(ticks) - 1
    while first > 0 and ticks[-1]["t"] - ticks[first]["t"] < at_least_s:
        first -= 1
    before = ticks[first]["job"] if ticks else 0.0
    newest = [{**tick, "job": tick["job"] - before} for tick in ticks[max(first, 0) :]]
    return records._replace(ticks=newest, marks=())


def _on_line(before: Any, after: Any, part: float) -> Any:
    """The cumulative figures at a part of the way; what is unknown at either end is unknown between."""
    if isinstance(after, list):
        pairs = zip(before, after) if isinstance(before, list) else ((None, value) for value in after)
        return [_on_line(one, other, part) for one, other in pairs]
    if isinstance(after, (int, float)) and isinstance(before, (int, float)):
        return before + (after - before) * part
    return None


def _on_circle(before: int | None, after: int | None, part: float, range_uj: int | None) -> int | None:
    """The same for a counter that may have started again at zero between the two; None where it was reset."""
    if part >= 1.0:
        return after
    if before is None or after is None:
        return before if part <= 0.0 else None
    grown = after - before
    if grown < 0:
        if not range_uj:
            return None
        grown += range_uj
    reading = before + round(grown * part)
    return reading % range_uj if range_uj else reading


def _plus(one: Any, other: Any, sign: int) -> Any:
    """Cumulative figures plus or less others; one that is not known changes nothing."""
    if isinstance(one, list) and isinstance(other, list):
        return [_plus(value, offset, sign) for value, offset in zip(one, other)]
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one + sign * other
    return one


def _sum(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of several stretches together; unknown where one is."""
    found: dict[str, Any] = {}
    for key in _AMOUNTS:
        amounts = [result[key] for result in results]
        found[key] = None if None in amounts else sum(amounts)
    for key in _SHARES:
        parts_j = [(result[key] or 0.0) * (result["energy_j"] or 0.0) for result in results]
        found[key] = sum(parts_j) / found["energy_j"] if found["energy_j"] else None
    return found

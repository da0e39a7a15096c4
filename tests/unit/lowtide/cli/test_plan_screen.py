"""The screen of ``lowtide plan``: it fits, and advises only what helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lowtide.asking import Asked, plan_request
from lowtide.assembly.problem import Gathered, build_problem
from lowtide.assembly.quote import Quote
from lowtide.cli import plan as screen
from lowtide.planning.solve import require_plan, solve
from lowtide.planning.types import Segment
from lowtide.wiring import Wiring
from lowtide_core.places import LOCAL, ZoneId
from lowtide_providers.signals.chain import Skipped

NOW = datetime(2026, 11, 24, 14, 43, tzinfo=UTC)
PATH = "gb-neso did not answer (ConnectionError): forecast /intensity/2026-11-24T14:01Z/fw48h."


def quoted(intensity: list[float], *, pausable: bool = False, duration: str = "4h") -> Quote:
    """A quote over an invented day of hourly values."""
    wiring = Wiring()
    asked = Asked(duration=duration, deadline=f"{len(intensity)}h", zone="DE", power="300W", pausable=pausable)
    request = plan_request(asked, wiring.settings, now_utc=NOW)
    gathered = build_problem(request, wiring.chain("climatology", as_of_utc=NOW))
    (candidate,) = gathered.problem.candidates
    series = replace(
        candidate.series,
        start_utc=NOW,
        step_s=3600.0,
        intensity_g_per_kwh=np.array(intensity),
        low_g_per_kwh=None,
        high_g_per_kwh=None,
    )
    candidate = replace(candidate, series=series)
    problem = replace(gathered.problem, candidates=(candidate,), baseline=candidate)
    gathered = replace(gathered, problem=problem, series={candidate.zone: series})
    return Quote(request, gathered, require_plan(solve(problem), problem))


def with_skips(found: Quote, *whys: str) -> Quote:
    skipped = tuple(Skipped(ZoneId("GB"), "gb-neso", why) for why in whys)
    gathered: Gathered = replace(found.gathered, skipped=skipped)
    return replace(found, gathered=gathered)


def told(found: Quote, word: str) -> str:
    """The lines from the one that begins with the word to the next that begins with one."""
    lines = screen.lines(found, NOW)
    first = next(index for index, line in enumerate(lines) if line.startswith(word))
    after = lines[first + 1 :]
    rest = next((count for count, line in enumerate(after) if not line.startswith("  ")), len(after))
    return "\n".join(lines[first : first + 1 + rest])


def test_no_line_is_wider_than_the_screen() -> None:
    found = quoted([300.0] * 24 + [100.0] * 5 + [300.0] * 700)
    note = "a note that goes on, and on, " * 6 + "with " + "one very long part " * 9
    series = {zone: replace(series, note=note) for zone, series in found.gathered.series.items()}
    found = with_skips(replace(found, gathered=replace(found.gathered, series=series)), "it has no " + "value " * 40)
    lines = screen.lines(found, NOW)
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()).count("a note that goes on, and on,") == 6, "nothing is lost"
    assert " ".join(told(found, "start").split()).endswith("before the deadline")


def pieces(count: int, *, every: timedelta) -> tuple[Segment, ...]:
    starts = [datetime(2026, 11, 25, 9, tzinfo=UTC) + every * index for index in range(count)]
    return tuple(Segment(start, start + timedelta(hours=1), LOCAL, ZoneId("DE")) for start in starts)


def runs(segments: tuple[Segment, ...]) -> str:
    found = quoted([300.0] * 240)
    return " ".join(told(replace(found, plan=replace(found.plan, segments=segments)), "runs").split())


def test_the_pieces_name_day_and_clock_once() -> None:
    clock = f"{datetime(2026, 11, 25, 9, tzinfo=UTC).astimezone():%Z}"
    shown = runs(pieces(3, every=timedelta(hours=2)))
    assert shown.count(clock) == 1
    assert shown.count("Nov") == 1
    assert shown.count("-") == 3


def test_of_many_pieces_four_are_shown() -> None:
    shown = runs(pieces(9, every=timedelta(hours=24)))
    assert shown.endswith("... and 5 more, --json lists them")
    assert shown.count("Nov") == 4
    assert "more" not in runs(pieces(4, every=timedelta(hours=2)))


def test_only_what_saves_is_advised() -> None:
    two_lows = [100.0, 100.0, 300.0, 300.0, 300.0, 100.0, 100.0, 300.0]
    assert told(quoted(two_lows), "more:") == "more: --pausable saves 50 points"


def test_a_plan_that_starts_at_once_is_not_held_against_itself() -> None:
    found = quoted([300.0] * 8)
    at_once = replace(found, plan=replace(found.plan, chance_worse=0.0))
    assert "in 100 such plans" not in "\n".join(screen.lines(at_once, NOW))
    later = quoted([300.0] * 4 + [100.0] * 4)
    assert "5 in 100 such plans" in "\n".join(
        screen.lines(replace(later, plan=replace(later.plan, chance_worse=0.05)), NOW)
    )


def test_where_nothing_saves_one_line_says_so() -> None:
    assert told(quoted([300.0] * 8), "more:") == "more: pausing would save nothing", (
        "beyond the series nothing is known"
    )


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        (PATH, "gb-neso did not answer (ConnectionError)"),
        (
            "gb-neso answered something that is not JSON: actual /intensity/x.",
            "gb-neso answered something that is not JSON",
        ),
        ("it covers: nothing of it", "gb-neso: it covers: nothing of it"),
    ],
)
def test_the_request_is_left_out(monkeypatch: pytest.MonkeyPatch, why: str, shown: str) -> None:
    monkeypatch.delenv("LOWTIDE_DEBUG", raising=False)
    assert told(with_skips(quoted([300.0] * 8), why), "not used") == f"not used for GB: {shown}"


def test_the_request_is_shown_to_who_looks_for_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_DEBUG", "1")
    shown = told(with_skips(quoted([300.0] * 8), PATH), "not used")
    assert " ".join(shown.split()) == f"not used for GB: {PATH}"

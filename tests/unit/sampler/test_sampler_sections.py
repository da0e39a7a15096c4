"""Sections: exact for a counter of known power, never more than the run, the same live and replayed."""

from __future__ import annotations

from typing import Any

import pytest

from lowtide_sampler.journal import JournalRecords
from lowtide_sampler.sections import section_results

RANGE_UJ = 262_143_328_850


def header(range_uj: int | None = RANGE_UJ) -> dict[str, Any]:
    source = {
        "name": "powercap:intel-rapl:0",
        "label": "RAPL package",
        "component": "cpu",
        "kind": "counter",
        "pmax_w": 1000.0,
        "range_uj": range_uj,
    }
    return {
        "journal": "lowtide-journal/1",
        "run_id": "r",
        "start_utc_s": 1_700_000_000.0,
        "threads": 2,
        "allocated_share": 1.0,
        "idle_share": 0.2,
        "attribution": "node",
        "sources": [source],
    }


def tick(t_s: float, energy_j: float | None, job_s: float | None = None) -> dict[str, Any]:
    reading = None if energy_j is None else round(1e6 * energy_j) % RANGE_UJ
    job = t_s if job_s is None else job_s
    return {"t": t_s, "utc": 1_700_000_000.0 + t_s, "boot": 0.0, "job": job, "busy": 5.0 + t_s, "uj": [reading]}


def mark(t_s: float, event: str, name: str = "a") -> dict[str, Any]:
    return {"mark": name, "event": event, "t": t_s, "utc": 1_700_000_000.0 + t_s, "boot": 0.0}


def sections(ticks: list[dict[str, Any]], *marks: dict[str, Any], **named: Any) -> dict[str, dict[str, Any]]:
    records = JournalRecords(header(**named), ticks, {"end": "ok"}, 0, marks)
    return {part["name"]: part for part in section_results(records)}


def power(t_s: float) -> float:
    """Joules by then, of 100 W up to 10 s, then 20 W."""
    return 100.0 * min(t_s, 10.0) + 20.0 * max(t_s - 10.0, 0.0)


TICKS = [tick(t_s, power(t_s)) for t_s in range(21)]


def test_a_section_between_ticks_has_the_energy_of_its_own_time() -> None:
    got = sections(TICKS, mark(2.5, "begin"), mark(12.25, "end"))["a"]
    assert got["energy_j"] == pytest.approx(750.0 + 45.0)
    assert got["duration_s"] == pytest.approx(9.75)
    assert got["cpu_seconds"] == pytest.approx(9.75)
    assert (got["count"], got["open"], got["measured_share"]) == (1, 0, 1.0)


def test_what_the_job_used_before_the_section_is_not_the_section_s() -> None:
    late = [tick(t_s, power(t_s), job_s=50.0 + t_s) for t_s in range(21)]
    assert sections(late, mark(5.0, "begin"), mark(6.0, "end"))["a"]["cpu_seconds"] == pytest.approx(1.0)


def test_several_times_of_one_name_add_up_and_what_lies_between_them_does_not() -> None:
    marks = [mark(at_s, event) for at_s, event in ((1.0, "begin"), (2.0, "end"), (9.5, "begin"), (10.5, "end"),
                                                   (15.0, "begin"), (15.25, "end"))]  # fmt: skip
    got = sections(TICKS, *marks)["a"]
    assert got["energy_j"] == pytest.approx(100.0 + 60.0 + 5.0)
    assert (got["duration_s"], got["count"]) == (pytest.approx(2.25), 3)


def test_one_name_open_twice_counts_once_and_other_names_overlap() -> None:
    marks = [mark(1.0, "begin"), mark(2.0, "begin"), mark(2.0, "begin", "b"), mark(3.0, "end"), mark(4.0, "end"),
             mark(5.0, "end", "b")]  # fmt: skip
    got = sections(TICKS, *marks)
    assert (got["a"]["energy_j"], got["a"]["count"]) == (pytest.approx(300.0), 2)
    assert got["b"]["energy_j"] == pytest.approx(300.0)


def test_an_open_section_ends_with_the_run_and_an_end_without_a_begin_is_nothing() -> None:
    got = sections(TICKS, mark(1.0, "end"), mark(18.0, "begin"))["a"]
    assert (got["energy_j"], got["open"], got["count"]) == (pytest.approx(40.0), 1, 1)


@pytest.mark.parametrize("wraps_at_s", [3.25, 5.5, 7.0, 9.75])
def test_a_counter_that_starts_again_changes_nothing(wraps_at_s: float) -> None:
    """Inside, outside and just at the marks."""
    offset_j = 1e-6 * RANGE_UJ - power(wraps_at_s)
    ticks = [tick(t_s, offset_j + power(t_s)) for t_s in range(21)]
    marks = [mark(1.5, "begin"), mark(5.5, "end"), mark(7.5, "begin"), mark(9.0, "end")]
    assert sections(ticks, *marks)["a"]["energy_j"] == pytest.approx(550.0, abs=1e-5)


def test_a_reading_that_is_missing_where_it_begins_again_is_a_gap_and_never_the_time_between() -> None:
    ticks = [tick(t_s, None if t_s in (12, 13) else power(t_s)) for t_s in range(21)]
    marks = [mark(11.0, "begin"), mark(12.0, "end"), mark(13.0, "begin"), mark(16.0, "end")]
    got = sections(ticks, *marks)["a"]
    assert got["duration_s"] == pytest.approx(4.0)
    assert got["filled_share"] > 0
    assert got["energy_low_j"] <= 80.0 <= got["energy_high_j"]


def test_all_of_a_run_in_sections_is_the_run() -> None:
    marks = [mark(t_s, event, name) for t_s, event, name in (
        (0.0, "begin", "a"), (7.3, "end", "a"), (7.3, "begin", "b"), (11.9, "end", "b"), (11.9, "begin", "c"),
        (20.0, "end", "c"))]  # fmt: skip
    got = sections(TICKS, *marks)
    assert sum(part["energy_j"] for part in got.values()) == pytest.approx(power(20.0))
    assert sum(part["duration_s"] for part in got.values()) == pytest.approx(20.0)


def test_a_journal_without_marks_has_none() -> None:
    assert sections(TICKS) == {}
    assert section_results(JournalRecords(None, [], None, 0, (mark(1.0, "begin"),))) == []

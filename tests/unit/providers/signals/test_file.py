"""A user's own file: what it means, what is wrong with it and on which line, days on which clocks change."""

from __future__ import annotations

import builtins
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_core.errors import InputError, NoData
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame
from lowtide_core.spans import Span, iso_utc
from lowtide_providers.signals.file import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DE = ZoneId("DE")
HOUR = timedelta(hours=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
HEAD = "start_utc,intensity_g_per_kwh\n"
EXAMPLES = int(os.environ.get("LOWTIDE_EXAMPLES", "200"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], FileSource]:
    def write(text: str) -> FileSource:
        path = tmp_path / "own.csv"
        path.write_text(text, encoding="utf-8")
        return FileSource(str(path))

    return write


def _hours(count: int, step: timedelta = HOUR) -> str:
    return HEAD + "".join(f"{iso_utc(START + i * step)},{100 + i}\n" for i in range(count))


def _span(first: float, last: float) -> Span:
    return Span(START + first * HOUR, START + last * HOUR)


@pytest.mark.parametrize("minutes", [5, 15, 30, 60, 180])
def test_the_step_is_the_file_s(write: Callable[[str], FileSource], minutes: int) -> None:
    series = write(_hours(24, timedelta(minutes=minutes))).fetch(DE, _span(0, minutes * 24 / 60), "actual")
    assert series.step_s == minutes * 60
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 100.0 + np.arange(24))


def test_actuals_serve_as_a_forecast_and_say_so(write: Callable[[str], FileSource]) -> None:
    source = write(_hours(5))
    assert (
        source.fetch(DE, _span(0, 5), "actual").note
        == "taken as average, lifecycle, consumption: the file does not say"
    )
    series = source.fetch(DE, _span(0, 5), "forecast")
    assert series.kind == "actual"
    assert "known beforehand" in series.note
    assert series.source == "own.csv"


def test_the_frame_is_what_the_file_says(write: Callable[[str], FileSource]) -> None:
    text = "start_utc,intensity_g_per_kwh,basis,scope,accounting\n"
    text += "".join(f"{iso_utc(START + i * HOUR)},1,marginal,direct,production\n" for i in range(2))
    source = write(text)
    assert source.frame == Frame("marginal", "direct", "production")
    assert source.fetch(DE, _span(0, 2), "actual").note == ""


def test_what_the_file_does_not_say_comes_from_the_caller(write: Callable[[str], FileSource]) -> None:
    text = f"start_utc,intensity_g_per_kwh,basis\n{iso_utc(START)},1,marginal\n{iso_utc(START + HOUR)},2,marginal\n"
    assert write(text).frame == Frame("marginal", "lifecycle", "consumption")
    default = Frame("average", "direct", "production")
    assert FileSource(write(_hours(2)).path, default).frame == default


def test_zones_are_apart_and_an_unnamed_one_is_every_zone(write: Callable[[str], FileSource]) -> None:
    rows = [f"{iso_utc(START + i * HOUR)},{value},{zone}" for zone, value in (("DE", 1), ("FR", 2)) for i in range(3)]
    source = write("start_utc,intensity_g_per_kwh,zone\n" + "\n".join(rows))
    assert source.covers(DE)
    assert not source.covers(ZoneId("GB"))
    assert set(source.fetch(ZoneId("FR"), _span(0, 3), "actual").intensity_g_per_kwh) == {2.0}
    with pytest.raises(InputError, match="no rows of zone GB") as caught:
        source.fetch(ZoneId("GB"), _span(0, 3), "actual")
    assert "DE" in caught.value.hint
    assert write(_hours(3)).covers(ZoneId("GB"))


def _issues() -> str:
    lines = ["issued_utc,start_utc,intensity_g_per_kwh"]
    for issue in (0, 6, 12):
        lines += [
            f"{iso_utc(START + issue * HOUR)},{iso_utc(START + (issue + i) * HOUR)},{issue * 100 + i}"
            for i in range(24)
        ]
    return "\n".join(lines)


@pytest.mark.parametrize(("as_of_h", "issue_h"), [(None, 12), (12, 12), (11.99, 6), (6, 6), (0, 0)])
def test_the_newest_issue_that_was_known_is_used(
    write: Callable[[str], FileSource], as_of_h: float | None, issue_h: int
) -> None:
    as_of = None if as_of_h is None else START + as_of_h * HOUR
    source = FileSource(write(_issues()).path, as_of_utc=as_of)
    series = source.fetch(DE, _span(12, 16), "forecast")
    assert series.issued_at == START + issue_h * HOUR
    assert series.kind == "forecast"
    np.testing.assert_array_equal(series.intensity_g_per_kwh, issue_h * 100 + 12 - issue_h + np.arange(4))


def test_a_forecast_is_neither_an_actual_nor_known_before_its_issue(write: Callable[[str], FileSource]) -> None:
    source = write(_issues())
    with pytest.raises(NoData):
        source.fetch(DE, _span(12, 16), "actual")
    with pytest.raises(InputError, match="no forecast issued by 2026-02-28"):
        FileSource(source.path, as_of_utc=START - HOUR).fetch(DE, _span(0, 4), "forecast")


@pytest.mark.parametrize(
    "day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)], ids=["spring", "autumn"]
)
def test_local_times_with_their_offsets_are_one_even_run_of_utc(
    write: Callable[[str], FileSource], day: datetime
) -> None:
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")
    lines = [f"{(day + i * HOUR).astimezone(berlin).isoformat()},{i}" for i in range(24)]
    series = write(HEAD + "\n".join(lines)).fetch(DE, Span(day, day + 24 * HOUR), "actual")
    assert series.step_s == 3600.0
    np.testing.assert_array_equal(series.intensity_g_per_kwh, np.arange(24))


def test_a_span_beyond_the_file_is_clipped_and_one_apart_from_it_refused(write: Callable[[str], FileSource]) -> None:
    source = write(_hours(10))
    assert source.fetch(DE, _span(5.5, 50), "actual").span == _span(5, 10)
    with pytest.raises(InputError, match="it covers 2026-03-01T00:00:00Z–2026-03-01T10:00:00Z"):
        source.fetch(DE, _span(20, 30), "actual")


@pytest.mark.parametrize("hole", ["removed", "empty", "nan"])
def test_a_gap_is_told_where_it_is_asked_for_and_never_filled(write: Callable[[str], FileSource], hole: str) -> None:
    lines = _hours(10).splitlines()
    lines[5] = {"removed": "", "empty": f"{iso_utc(START + 4 * HOUR)},", "nan": f"{iso_utc(START + 4 * HOUR)},nan"}[
        hole
    ]
    source = write("\n".join(lines))
    with pytest.raises(InputError, match="no value for 2026-03-01T04:00:00Z–2026-03-01T05:00:00Z") as caught:
        source.fetch(DE, _span(0, 10), "actual")
    assert caught.value.facts["missing"] == (_span(4, 5),)
    assert source.fetch(DE, _span(5, 10), "actual").covers(_span(5, 10))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD + "2026-03-01T00:00Z,1\n2026-03-01T01:00Z,dear\n", 3, "dear"),
        (HEAD + "2026-03-01T00:00Z,1\n2026-03-01T01:00Z,-2\n", 3, "-2"),
        (HEAD + "2026-03-01T00:00Z,1\n2026-03-01T01:00Z,inf\n", 3, "inf"),
        (HEAD + "2026-03-01T00:00Z,1\n2026-03-01T01:00,1\n", 3, "no zone"),
        (HEAD + "2026-03-01T00:00Z,1\nyesterday,1\n", 3, "yesterday"),
        (HEAD + "2026-03-01T00:00Z,1\n,1\n", 3, "ISO 8601"),
        (HEAD + "2026-03-01T00:00Z,1\n2026-03-01T00:00Z,2\n2026-03-01T01:00Z,2\n", 3, "twice"),
        (HEAD + "2026-03-01T00:00Z,1\n2026-03-01T02:00+02:00,2\n", 3, "twice"),
        (_hours(5) + "2026-03-01T04:30Z,2\n", 7, "step"),
        (_hours(5) + "2026-03-01T05:10Z,2\n", 7, "step"),
        (HEAD + "2026-03-01T00:00Z,1,x\n", 2, "3 cells"),
        (HEAD + "2026-03-01T00:00Z\n", 2, "1 cells"),
        (
            "start_utc,intensity_g_per_kwh,basis\n2026-03-01T00:00Z,1,average\n2026-03-01T01:00Z,1,marginal\n",
            3,
            "marginal",
        ),
        (
            "issued_utc,start_utc,intensity_g_per_kwh\n2026-03-01T00:00Z,2026-03-01T00:00Z,1\n,2026-03-01T01:00Z,1\n",
            3,
            "issued_utc",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    write: Callable[[str], FileSource], text: str, line: int, words: str
) -> None:
    source = write(text)
    with pytest.raises(InputError) as caught:
        source.fetch(DE, _span(0, 5), "forecast")
    assert caught.value.facts["line"] == line
    assert f"{source.path}, line {line}" in caught.value.message
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column start_utc"),
        (HEAD, "no rows"),
        (HEAD + "2026-03-01T00:00Z,1\n", "one row"),
        ("start,intensity_g_per_kwh\n2026-03-01T00:00Z,1\n", "Did you mean start?"),
        ("start_utc,intensity\n2026-03-01T00:00Z,1\n", "Did you mean intensity?"),
        ("start_utc,intensity_g_per_kwh,scope\n2026-03-01T00:00Z,1,total\n2026-03-01T01:00Z,1,total\n", "total"),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_told(write: Callable[[str], FileSource], text: str, words: str) -> None:
    source = write(text)
    with pytest.raises(InputError) as caught:
        source.fetch(DE, _span(0, 5), "forecast")
    assert source.path in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00start")
    for path in (tmp_path / "absent.csv", tmp_path, binary):
        with pytest.raises(InputError, match="cannot be read") as caught:
            FileSource(str(path)).fetch(DE, _span(0, 5), "forecast")
        assert caught.value.facts["path"] == str(path)


def test_a_byte_order_mark_spaces_and_empty_lines_do_no_harm(write: Callable[[str], FileSource]) -> None:
    source = write("\ufeff" + _hours(3).replace(",1", ", 1") + "\n\n")
    assert source.fetch(DE, _span(0, 3), "actual").covers(_span(0, 3))


def test_a_file_that_has_changed_is_read_again(write: Callable[[str], FileSource]) -> None:
    source = write(_hours(3))
    source.fetch(DE, _span(0, 3), "actual")
    write(_hours(9))
    assert source.fetch(DE, _span(0, 9), "actual").intensity_g_per_kwh.size == 9


@given(st.permutations(range(12)))
@settings(max_examples=min(EXAMPLES, 50), deadline=None)
def test_the_order_of_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    lines = _hours(12).splitlines()
    path = tmp_path_factory.mktemp("order") / "own.csv"
    path.write_text("\n".join([lines[0], *(lines[1 + i] for i in order)]))
    series = FileSource(str(path)).fetch(DE, _span(0, 12), "actual")
    np.testing.assert_array_equal(series.intensity_g_per_kwh, 100.0 + np.arange(12))


def test_parquet_says_what_csv_says(write: Callable[[str], FileSource], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    starts = [START + i * HOUR for i in range(5)]
    table = pyarrow.table(
        {
            "start_utc": pyarrow.array(starts, pyarrow.timestamp("us", tz="UTC")),
            "intensity_g_per_kwh": [100.0, 101.0, 102.0, 103.0, 104.0],
        }
    )
    path = tmp_path / "own.parquet"
    parquet.write_table(table, path)
    ours = FileSource(str(path)).fetch(DE, _span(0, 5), "actual")
    theirs = write(_hours(5)).fetch(DE, _span(0, 5), "actual")
    np.testing.assert_array_equal(ours.intensity_g_per_kwh, theirs.intensity_g_per_kwh)
    assert ours.span == theirs.span
    assert ours.frame == LIFECYCLE_CONSUMPTION
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="not Parquet"):
        FileSource(str(torn)).fetch(DE, _span(0, 5), "actual")


def test_parquet_without_its_reader_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **more: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **more)  # type: ignore[arg-type]

    path = tmp_path / "own.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match="pyarrow") as caught:
        FileSource(str(path)).fetch(DE, _span(0, 5), "actual")
    assert "lowtide[parquet]" in caught.value.hint

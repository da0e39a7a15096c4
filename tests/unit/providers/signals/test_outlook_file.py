"""A user's own file of what was expected of the grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide_core.errors import InputError
from lowtide_core.spans import iso_utc, parse_iso_utc
from lowtide_providers.signals.outlook_file import read_outlooks

if TYPE_CHECKING:
    from lowtide_core.outlooks import Outlook

HEAD = "start_utc,wind_megawatt,solar_megawatt,load_megawatt"


def file(folder: Path, *lines: str, head: str = HEAD) -> str:
    path = folder / "expected.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return str(path)


def only(path: str) -> Outlook:
    (outlook,) = read_outlooks(path).values()
    return outlook


def test_rows_become_hours_and_what_is_missing_stays_so(tmp_path: Path) -> None:
    outlook = only(file(tmp_path, "2026-01-01T02:00Z,3,0,", "2026-01-01T00:00Z,1,0,50", "2026-01-01T03:00Z,6,,50"))
    np.testing.assert_array_equal(outlook.wind_megawatt, [1, np.nan, 3, 6])
    np.testing.assert_array_equal(outlook.solar_megawatt, [0, np.nan, 0, np.nan])
    np.testing.assert_array_equal(outlook.load_megawatt, [50, np.nan, np.nan, 50])
    assert outlook.source == "expected.csv"


def test_an_hour_that_stands_twice_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2026-01-01T00:00:00Z twice"):
        read_outlooks(file(tmp_path, "2026-01-01T00:00Z,1,0,50", "2026-01-01T01:00+01:00,2,0,50"))


def test_without_an_issue_a_day_is_known_since_the_evening_before(tmp_path: Path) -> None:
    outlook = only(file(tmp_path, "2026-01-02T00:00Z,1,1,1", "2026-01-02T23:00Z,1,1,1", "2026-01-03T00:00Z,1,1,1"))
    evening = parse_iso_utc("2026-01-01T18:00Z").timestamp()
    assert outlook.published_s[[0, 23, 24]].tolist() == [evening, evening, evening + 86400]


def test_of_several_issues_the_first_counts(tmp_path: Path) -> None:
    rows = (
        "2026-01-02T00:00Z,2,,,2026-01-01T20:00Z",
        "2026-01-02T00:00Z,1,,,2026-01-01T11:00Z",
        "2026-01-02T01:00Z,5,,,2026-01-01T20:00Z",
    )
    outlook = only(file(tmp_path, *rows, head=f"{HEAD},issued_utc"))
    assert outlook.wind_megawatt.tolist() == [1, 5]
    assert [iso_utc(parse_iso_utc(text)) for text in ("2026-01-01T11:00Z", "2026-01-01T20:00Z")] == [
        iso_utc(outlook.start_utc.fromtimestamp(out_s, outlook.start_utc.tzinfo)) for out_s in outlook.published_s
    ]


def test_zones_are_read_apart_and_one_quantity_is_enough(tmp_path: Path) -> None:
    rows = [
        f"2026-01-02T0{hour}:{minute}Z,{hour},{zone}"
        for zone in ("de", "FR")
        for hour in (0, 1)
        for minute in ("00", "30")
    ]
    found = read_outlooks(file(tmp_path, *rows, head="start_utc,wind_megawatt,zone"))
    assert sorted(found) == ["DE", "FR"]
    assert found["DE"].wind_megawatt.tolist() == [0, 1]
    assert np.isnan(found["FR"].load_megawatt).all()


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    starts = [parse_iso_utc(f"2026-01-02T{hour:02d}:00Z") for hour in range(4)]
    path = tmp_path / "expected.parquet"
    write_table(pa.table({"start_utc": starts, "wind_megawatt": [1.0, 2.0, None, 4.0]}), path)
    np.testing.assert_array_equal(only(str(path)).wind_megawatt, [1, 2, np.nan, 4])


@pytest.mark.parametrize(
    ("lines", "head", "told"),
    [
        ((), HEAD, "no rows"),
        (("2026-01-01T00:00Z,1",), "start_utc,wind_mw", "wind, sun or load"),
        (("2026-01-01T00:00Z,,,",), HEAD, "wind, sun or load"),
        (("1",), "wind_megawatt", "no column start_utc"),
        (("2026-01-01T00:00Z,much,,",), HEAD, "line 2.*'much'"),
        (("2026-01-01T00:00Z,inf,,",), HEAD, "line 2"),
        (("2026-01-01T00:00,1,,",), HEAD, "line 2.*no zone"),
        (("2026-01-01T00:00Z,1,,", "2026-01-01T00:07Z,1,,"), HEAD, "steps of 420 s"),
        (("2026-01-01T00:10Z,1,,", "2026-01-01T01:10Z,1,,"), HEAD, "do not fill hours"),
        (
            ("2026-01-01T00:00Z,1,,,", "2026-01-01T01:00Z,1,,,2026-01-01T00:00Z"),
            f"{HEAD},issued_utc",
            "issued_utc is empty",
        ),
    ],
)
def test_what_is_not_understood_is_told(tmp_path: Path, lines: tuple[str, ...], head: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_outlooks(file(tmp_path, *lines, head=head))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_outlooks(str(tmp_path / "none.csv"))

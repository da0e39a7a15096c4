"""AEMO's pre-dispatch: which file is the newest, ends of half hours, interventions, archives that are none."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest

from lowtide_providers.signals.nemweb import Demand, newest_file, read_archive, read_predispatch

COLUMNS = "PREDISPATCHSEQNO,RUNNO,REGIONID,PERIODID,INTERVENTION,TOTALDEMAND,DATETIME,SS_SOLAR_UIGF,SS_WIND_UIGF"
FIRST = "C,NEMP.WORLD,PREDISPATCHIS,AEMO,PUBLIC,2026/11/20,13:02:11,0000000123,PREDISPATCHIS,0000000123\n"
HEAD = f"I,PREDISPATCH,REGION_SOLUTION,4,{COLUMNS}\n"


def _row(
    ends: str, demand: object = 7000, wind: object = 500, solar: object = 250, *, region: str = "NSW1", run: object = 0
) -> str:
    return f'D,PREDISPATCH,REGION_SOLUTION,4,2026112019,1,{region},01,{run},{demand},"{ends}",{solar},{wind}\n'


def _text(*rows: str) -> str:
    other = "I,PREDISPATCH,REGION_PRICES,2,REGIONID,RRP,DATETIME\nD,PREDISPATCH,REGION_PRICES,2,NSW1,50,x\n"
    return FIRST + other + HEAD + "".join(rows) + "C,END OF REPORT,99\n"


def test_the_newest_file_is_that_of_the_last_run_whatever_the_order_and_the_case() -> None:
    folder = '<A HREF="/Reports/CURRENT/PredispatchIS_Reports/'
    names = [
        "PUBLIC_PREDISPATCHIS_202611201330_20261120130211.zip",
        "PUBLIC_PREDISPATCHIS_202611201400_20261120133209.zip",
        "PUBLIC_PREDISPATCHIS_202611201400_20261120133508.ZIP",
        "PUBLIC_PREDISPATCHIS_202611191400_20261119133508.zip",
        "PUBLIC_PREDISPATCH_202612311400_20261231133508.zip",
    ]
    listing = "<html>" + "<br>".join(f'{folder}{name}">{name}</A>' for name in names)
    assert newest_file(listing) == names[2]
    assert newest_file("<html>nothing</html>") is None


def test_a_row_names_the_end_of_its_half_hour_in_the_market_s_time() -> None:
    run = read_predispatch(_text(_row("2026/11/20 13:30:00"), _row("2026/11/20 14:00:00", 7100)), "NSW1")
    assert run.issued_at == datetime(2026, 11, 20, 3, 2, 11, tzinfo=UTC)
    starts = list(run.half_hours)
    assert starts == [datetime(2026, 11, 20, 3, 0, tzinfo=UTC), datetime(2026, 11, 20, 3, 30, tzinfo=UTC)]
    assert all(start.utcoffset() == timedelta(0) for start in starts)
    assert run.half_hours[starts[0]] == Demand(demand_megawatt=7000, wind_megawatt=500, solar_megawatt=250)


def test_the_market_knows_no_summer_time() -> None:
    """Clocks in Sydney change on 4 October 2026 at 02:00; the half hours go on."""
    rows = [_row(f"2026/10/04 {h:02d}:{m}:00") for h in range(1, 5) for m in ("00", "30")]
    starts = list(read_predispatch(_text(*rows), "NSW1").half_hours)
    assert len(starts) == 8
    assert {b - a for a, b in pairwise(starts)} == {timedelta(minutes=30)}


def test_only_the_region_and_the_market_s_own_run_count() -> None:
    rows = [
        _row("2026/11/20 13:30:00", 1, region="VIC1"),
        _row("2026/11/20 13:30:00", 2),
        _row("2026/11/20 13:30:00", 3, run=1),
        _row("2026/11/20 14:00:00", 4, run="1.0"),
    ]
    run = read_predispatch(_text(*rows), "NSW1")
    assert [demand.demand_megawatt for demand in run.half_hours.values()] == [2]


def test_columns_are_found_by_name() -> None:
    swapped = COLUMNS.replace("SS_SOLAR_UIGF,SS_WIND_UIGF", "SS_WIND_UIGF,NEW,SS_SOLAR_UIGF")
    row = 'D,PREDISPATCH,REGION_SOLUTION,5,1,1,NSW1,01,0,7000,"2026/11/20 13:30:00",11,22,33\n'
    text = FIRST + f"I,PREDISPATCH,REGION_SOLUTION,5,{swapped}\n" + row
    assert list(read_predispatch(text, "NSW1").half_hours.values()) == [Demand(7000, 11, 33)]


def test_an_empty_figure_is_unknown() -> None:
    (demand,) = read_predispatch(_text(_row("2026/11/20 13:30:00", wind="")), "NSW1").half_hours.values()
    assert np.isnan(demand.wind_megawatt)
    assert demand.solar_megawatt == 250


@pytest.mark.parametrize(
    "column", ["TOTALDEMAND", "SS_WIND_UIGF", "SS_SOLAR_UIGF", "DATETIME", "INTERVENTION", "REGIONID"]
)
def test_a_renamed_column_is_named(column: str) -> None:
    with pytest.raises(KeyError, match=column):
        read_predispatch(_text(_row("2026/11/20 13:30:00")).replace(column, "RENAMED"), "NSW1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + _row("2026/11/20 13:30:00"), "first row"),
        (FIRST, "table PREDISPATCH,REGION_SOLUTION"),
        ("", "first row"),
        (_text(_row("2026-11-20T13:30")), "2026-11-20T13:30"),
        (_text(_row("2026/11/20 13:30:00", "ND")), "ND"),
        (FIRST.replace("13:02:11", "noon"), "noon"),
    ],
)
def test_what_is_not_such_a_file_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_predispatch(text, "NSW1")


def _archive(name: str = "PUBLIC_PREDISPATCHIS.CSV", content: str = "invented") -> bytes:
    body = BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return body.getvalue()


def test_an_archive_gives_its_text() -> None:
    assert read_archive(_archive(content="a,b\n")) == "a,b\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cannot be read"),
        (b"<html>Service Unavailable</html>", "cannot be read"),
        (_archive()[:40], "cannot be read"),
        (_archive("readme.txt"), "without a CSV"),
        (_archive(content="0" * ((64 << 20) + 1)), "a file of 67108865 bytes"),
    ],
    ids=["empty", "page", "torn", "other", "bomb"],
)
def test_what_is_no_such_archive_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_archive(body)


def test_a_damaged_archive_is_refused() -> None:
    body = bytearray(_archive(content="".join(chr(33 + i * i % 90) for i in range(4000))))
    body[120:140] = bytes(20)
    with pytest.raises(ValueError):
        read_archive(bytes(body))

"""Tables that people write: read, checked, and told apart line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowtide.sheets import read_course, read_sheet, read_widths
from lowtide_core.errors import InputError


def sheet(folder: Path, text: str) -> str:
    path = folder / "sheet.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_blanks_comments_and_empty_lines_do_not_count(tmp_path: Path) -> None:
    path = sheet(tmp_path, "\ufeffName , duration\n# a comment, 1\n\n a , 2h \n")
    assert read_sheet(path, needed=("name", "duration"), known=()) == [(4, {"name": "a", "duration": "2h"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\na\n", "no column 'duration'"),
        ("name,duration,colour\na,2h,red\n", "'colour'"),
        ("name,duration\na\n", "line 2"),
        ("name,duration\n", "no rows"),
        ("name,name,duration\na,b,2h\n", "twice"),
        ("", "no column 'name'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_sheet(sheet(tmp_path, text), needed=("name", "duration"), known=())


def test_widths(tmp_path: Path) -> None:
    path = sheet(tmp_path, "width,throughput,power_w,memory_gb\n4,30,450,96\n1,10,100,10\n2,18,210,40\n0,0,0,0\n")
    table = read_widths(path, whole_steps=True, switch_kwh=0.1, memory_limit_gb=80.0)
    assert table.width == (1, 2)
    assert table.at(2) == (18.0, 210.0)
    assert (table.base, table.whole_steps, table.switch_kwh) == (1, True, 0.1)
    assert table.excluded == ("4: needs 96 GB, there are 80",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,0,100\n", "throughput"),
        ("1,10,-1\n", "power"),
        ("1,10,nan\n", "no number"),
        ("1.5,10,100\n", "width"),
        ("1,10,100\n1,11,100\n", "width"),
        ("0,0,5\n", "width 0"),
        ("0,0,0\n", "no width"),
    ],
)
def test_widths_that_cannot_be(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_widths(sheet(tmp_path, f"width,throughput,power_w\n{rows}"), whole_steps=False, switch_kwh=0.0)


def test_a_course_is_stretched_to_one(tmp_path: Path) -> None:
    course, mean_w = read_course(sheet(tmp_path, "duration,power\n30m,100W\n90m,0.3kW\n"))
    assert mean_w == pytest.approx(250.0)
    assert course == ((0.25, pytest.approx(0.4)), (0.75, pytest.approx(1.2)))


def test_a_course_names_the_line_that_it_does_not_understand(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3"):
        read_course(sheet(tmp_path, "duration,power\n30m,100W\nlong,100W\n"))
    with pytest.raises(InputError, match="draws nothing"):
        read_course(sheet(tmp_path, "duration,power\n30m,0W\n"))

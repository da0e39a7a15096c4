"""The table of errors, and a site's own figures over it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lowtide_sampler.accuracy import ERRORS, TABLE, read_errors

ROOT = Path(__file__).parents[3]


def test_every_line_has_a_share_and_says_who_says_so() -> None:
    for name, entry in TABLE.items():
        assert 0 < entry.error_share <= 0.2, name
        assert "[judgement]" in entry.citation or re.search(r"\d{4}|github|[a-z]-[a-z]|NVML", entry.citation), name


def test_the_page_shows_the_same_table() -> None:
    page = (ROOT / "docs/sampler-sources.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `([a-z-]+)` \| ([0-9.]+) % \|", page, re.MULTILINE))
    assert {name: float(pct) for name, pct in shown.items()} == {
        name: pytest.approx(100 * share) for name, share in ERRORS.items()
    }


def test_own_figures_lie_over_the_table(tmp_path: Path) -> None:
    (tmp_path / "meter_errors.json").write_text(json.dumps({"rapl-dram": 0.4}))
    for environ in (
        {"LOWTIDE_CONFIG": str(tmp_path / "config.toml")},
        {"LOWTIDE_METER_ERRORS": str(tmp_path / "meter_errors.json")},
    ):
        errors, trouble = read_errors(environ)
        assert trouble == ""
        assert errors["rapl-dram"] == 0.4
        assert errors["rapl-psys"] == ERRORS["rapl-psys"]
    (tmp_path / "lowtide").mkdir()
    (tmp_path / "meter_errors.json").rename(tmp_path / "lowtide/meter_errors.json")
    assert read_errors({"XDG_CONFIG_HOME": str(tmp_path)})[0]["rapl-dram"] == 0.4


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "JSON"), ("[]", "no JSON object"), ('{"rapl-dran": 0.1}', "rapl-dran"), ('{"rapl-dram": 15}', "share"),
     ('{"rapl-dram": true}', "share"), ('{"rapl-dram": "0.1"}', "share"), ('{"rapl-dram": NaN}', "share")],
)  # fmt: skip
def test_a_faulty_table_is_left_aside_whole_with_a_word(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "e.json").write_text(text)
    errors, trouble = read_errors({"LOWTIDE_METER_ERRORS": str(tmp_path / "e.json")})
    assert errors == ERRORS
    assert said in trouble


def test_a_table_that_was_named_and_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in read_errors({"LOWTIDE_METER_ERRORS": str(tmp_path / "none")})[1]
    assert read_errors({"XDG_CONFIG_HOME": str(tmp_path)}) == (ERRORS, "")

"""``lowtide backtest --outlook``: what an outlook would have brought on a past, beside the forecaster without it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lowtide.backtest.compare import WITHOUT_OUTLOOK
from lowtide.cli.app import run
from lowtide.testing.grids import START_S, MadeGrid, made_grid
from lowtide_core.spans import from_epoch_s, iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lowtide_core.outlooks import Outlook

DAYS = 161
FROM = ("--from", iso_utc(from_epoch_s(START_S + 86400 * 119)))
ASKED = ("--forecaster", "auto", "--job-hours", "4", "--no-guard")


@cache
def grid(seed: int = 1) -> MadeGrid:
    return made_grid(np.random.default_rng(seed), DAYS)


def iso(hour: float) -> str:
    return iso_utc(from_epoch_s(START_S + 3600 * hour))


def written(path: Path, head: str, rows: Iterable[str]) -> str:
    path.write_text("\n".join([head, *rows]) + "\n")
    return str(path)


def actual(folder: Path, *zones: str) -> str:
    rows = (
        f"{iso(hour)},{value:.2f},{zone}"
        for seed, zone in enumerate(zones, start=1)
        for hour, value in enumerate(grid(seed).intensity_g_per_kwh)
    )
    return written(folder / "actual.csv", "start_utc,intensity_g_per_kwh,zone", rows)


def expected(folder: Path, outlook: Outlook, *, zone: str = "DE", issued: bool = True) -> str:
    columns = zip(*outlook.megawatt, outlook.published_s, strict=True)
    rows = (
        f"{iso(hour)},{wind:.1f},{solar:.1f},{load:.1f},{zone}" + f",{iso_utc(from_epoch_s(out_s))}" * issued
        for hour, (wind, solar, load, out_s) in enumerate(columns)
    )
    head = "start_utc,wind_megawatt,solar_megawatt,load_megawatt,zone" + ",issued_utc" * issued
    return written(folder / "outlook.csv", head, rows)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["backtest", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def good() -> Outlook:
    return grid().outlook(np.random.default_rng(11), 0.2)


def test_what_it_brings_stands_beside_the_forecaster_without_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    came = actual(tmp_path, "DE")
    found = printed(capsys, "--actual", came, *ASKED, *FROM, "--outlook", expected(tmp_path, good()))
    alone = printed(capsys, "--actual", came, *ASKED, *FROM)
    captured = {row["policy"]: row["captured_pct"] for row in found["compare"]}
    assert list(captured) == [WITHOUT_OUTLOOK, "lowtide"]
    assert captured[WITHOUT_OUTLOOK] == pytest.approx(alone["captured_pct"])
    assert captured["lowtide"] == found["captured_pct"] > alone["captured_pct"] + 4
    ranks = {row["policy"]: row["rank_correlation"] for row in found["compare"]}
    assert ranks[WITHOUT_OUTLOOK] == pytest.approx(alone["rank_correlation"])
    assert ranks["lowtide"] == found["rank_correlation"] > alone["rank_correlation"]
    (correction,) = found["corrections"]
    assert correction["chosen"] == "with the outlook"
    assert list(correction["captured_pct"]) == ["of the past alone", "with the outlook"]
    assert found["forecast"] == "auto with outlook.csv"


def test_one_of_another_grid_changes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = grid(5).outlook(np.random.default_rng(11), 0.1)
    asked = ("--actual", actual(tmp_path, "DE"), *ASKED, *FROM)
    found = printed(capsys, *asked, "--outlook", expected(tmp_path, other))
    assert found["corrections"][0]["chosen"] == "of the past alone"
    assert found["captured_pct"] == pytest.approx(printed(capsys, *asked)["captured_pct"])


def test_the_first_job_comes_when_it_was_learned_from_and_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ("--actual", actual(tmp_path, "DE"), *ASKED, "--outlook", expected(tmp_path, good(), issued=False))
    found = printed(capsys, *asked)
    assert found["months"][0]["month"] == "2025-04"
    assert found["corrections"][0]["chosen"] == "with the outlook"


def test_each_zone_has_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ("--actual", actual(tmp_path, "DE", "NL"), *ASKED, "--arrivals", "daily", *FROM)
    found = printed(capsys, *asked, "--outlook", expected(tmp_path, good()), "--compare")
    chosen = {row["zone"]: row["chosen"] for row in found["corrections"]}
    assert chosen["NL"] == "of the past alone"
    assert {WITHOUT_OUTLOOK, "lowtide", "oracle"} < {row["policy"] for row in found["compare"]}


def test_a_queue_is_planned_with_it_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = (f"{iso(24 * 125 + hour)},2h,{1 + hour % 3}" for hour in range(0, 72, 3))
    jobs = written(tmp_path / "jobs.csv", "submit_utc,duration,cpus", rows)
    asked = ("--actual", actual(tmp_path, "DE"), "--forecaster", "auto", "--jobs", jobs, "--capacity", "4", *FROM)
    found = printed(capsys, *asked, "--outlook", expected(tmp_path, good()))
    assert [row["policy"] for row in found["compare"]] == [WITHOUT_OUTLOOK, "lowtide"]


@pytest.mark.parametrize(
    ("zone", "more", "told"),
    [
        ("DE", ("--forecaster", "perfect"), "--outlook is for a forecaster of the past"),
        ("FR", ("--forecaster", "auto"), "no rows of DE"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, zone: str, more: tuple[str, ...], told: str
) -> None:
    asked = ("--actual", actual(tmp_path, "DE"), "--job-hours", "4", "--outlook", expected(tmp_path, good(), zone=zone))
    assert run(["backtest", *asked, *more]) == 2
    assert told in capsys.readouterr().err


def test_of_several_zones_a_file_must_name_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ("--actual", actual(tmp_path, "DE", "NL"), *ASKED, "--outlook", expected(tmp_path, good(), zone=""))
    assert run(["backtest", *asked]) == 2
    assert "does not say of which zone" in capsys.readouterr().err

"""``lowtide backtest``: the keys of its contract, its words, and what it says of wrong input."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from lowtide.backtest.question import Question
from lowtide.backtest.run import BacktestResult, run_backtest
from lowtide.backtest.score import Score
from lowtide.backtest.zones import LeftOut, ZoneResult
from lowtide.cli.app import run
from lowtide.cli.backtest_view import in_words
from lowtide_core.errors import InputError
from lowtide_core.series import LIFECYCLE_CONSUMPTION

START = datetime(2023, 1, 1, tzinfo=UTC)
SCHEMA = json.loads((Path(__file__).parents[4] / "schemas" / "backtest.schema.json").read_text(encoding="utf-8"))
CONTRACT = Draft202012Validator(SCHEMA)
DAYS = 50
QUEUE = ("--forecaster", "auto", "--jobs", "jobs.csv", "--capacity", "8")


def iso(hour: float) -> str:
    return (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%MZ")


def measured(zone_seed: int) -> np.ndarray:
    rng = np.random.default_rng(zone_seed)
    hours = np.arange(24 * DAYS)
    return np.round(250 + 90 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(0, 25, hours.size), 1)


@pytest.fixture
def actual(tmp_path: Path) -> str:
    rows = [
        f"{iso(hour)},{value},{zone}"
        for zone, seed in (("DE", 1), ("GB", 2))
        for hour, value in enumerate(measured(seed))
    ]
    path = tmp_path / "actual.csv"
    path.write_text("\n".join(["start_utc,intensity_g_per_kwh,zone", *rows]) + "\n")
    return str(path)


@pytest.fixture
def forecasts(tmp_path: Path) -> str:
    rng = np.random.default_rng(3)
    rows = []
    for issue in range(0, 24 * (DAYS - 4), 6):
        said = measured(2)[issue : issue + 48] * rng.uniform(0.85, 1.15, 48)
        rows += [f"{iso(issue)},{iso(issue + ahead)},{value:.1f},GB" for ahead, value in enumerate(said)]
    path = tmp_path / "forecasts.csv"
    path.write_text("\n".join(["issued_utc,start_utc,intensity_g_per_kwh,zone", *rows]) + "\n")
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What it prints as JSON, valid against the schema."""
    assert run(["backtest", *arguments, "--json"]) == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    CONTRACT.validate(found)
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = run(["backtest", *arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return status, captured.err


def test_the_keys_that_others_rely_on(capsys: pytest.CaptureFixture[str], actual: str) -> None:
    found = printed(capsys, "--actual", actual, "--forecaster", "auto", "--job-hours", "4", "--slack-hours", "24")
    assert set(found) == {*SCHEMA["$defs"]["score"]["properties"], *SCHEMA["properties"]}
    assert found["jobs"] == sum(zone["jobs"] for zone in found["zones"]) == sum(m["jobs"] for m in found["months"])
    assert 0 < found["saved_pct"] < found["oracle_saved_pct"]
    assert found["captured_pct"] == pytest.approx(100 * found["saved_pct"] / found["oracle_saved_pct"])
    assert found["regret_pct"] > 0
    assert 0 < found["rank_correlation"] < 1
    assert found["plans_per_s"] > 0
    assert (found["basis"], found["scope"], found["accounting"]) == ("average", "lifecycle", "consumption")


def test_the_contract_knows_every_key_and_no_other(
    capsys: pytest.CaptureFixture[str], actual: str, forecasts: str
) -> None:
    asked = ("--actual", actual, "--forecast", forecasts, "--zone", "GB", "--job-hours", "4", "--correct", "--compare")
    found = printed(capsys, *asked)
    Draft202012Validator.check_schema(SCHEMA)
    parts = [found, found["left_out"], *(found[key][0] for key in ("months", "zones", "corrections", "compare"))]
    for part in parts:
        part["another"] = 1
        assert not CONTRACT.is_valid(found)
        del part["another"]
        for key in list(part):
            value = part.pop(key)
            assert not CONTRACT.is_valid(found), key
            part[key] = value
    assert CONTRACT.is_valid(found)
    assert CONTRACT.is_valid(found | {"plans_per_s": None}), "planning may take no time that a clock can tell"


@pytest.mark.parametrize(
    "more",
    [
        ("--replan-hours", "1"),
        ("--pausable",),
        ("--pausable", "--restart", "15m", "--replan-hours", "2"),
        ("--arrivals", "daily"),
        ("--no-guard",),
        ("--from", "2023-01-20T00:00Z", "--to", "2023-02-01T00:00Z"),
    ],
)
def test_the_future_itself_is_worth_all(capsys: pytest.CaptureFixture[str], actual: str, more: tuple[str, ...]) -> None:
    found = printed(capsys, "--actual", actual, "--forecaster", "perfect", "--job-hours", "4", "--zone", "GB", *more)
    assert found["captured_pct"] == pytest.approx(100)
    assert found["worse_than_now_pct"] == 0
    assert found["rank_correlation"] == pytest.approx(1)
    if "--from" in more:
        assert found["jobs"] == 12 * 24
        assert {month["month"] for month in found["months"]} == {"2023-01"}


def test_forecasts_as_they_were_issued(capsys: pytest.CaptureFixture[str], actual: str, forecasts: str) -> None:
    asked = ("--actual", actual, "--forecast", forecasts, "--zone", "GB", "--job-hours", "4")
    once, again = printed(capsys, *asked), printed(capsys, *asked, "--replan-hours", "6")
    assert once["forecast"] == "forecasts.csv"
    assert 60 < once["captured_pct"] < 100
    assert again["plans"] > once["plans"] == once["jobs"]
    # The last is issued on the 46th day at 18:00; jobs come until the 49th day at 20:00, and 45 h later it still helps.
    assert once["left_out"] == {"gap": 0, "unforecast": 30, "unplaced": 0, "never_ran": 0}


def test_forecasts_are_mended_where_that_paid(
    capsys: pytest.CaptureFixture[str], actual: str, forecasts: str, tmp_path: Path
) -> None:
    asked = ("--actual", actual, "--zone", "GB", "--job-hours", "4", "--correct", "--no-guard")
    good = printed(capsys, *asked, "--forecast", forecasts)
    assert set(good["corrections"][0]["captured_pct"]) == {"as issued", "less its bias", "blended with the past"}
    head, *rows = Path(forecasts).read_text().splitlines()
    tilted = [row.split(",") for row in rows]
    wrong = [f"{i},{s},{abs(float(v) + 12 * int(s[11:13]) - 144):.1f},{z}" for i, s, v, z in tilted]
    path = tmp_path / "tilted.csv"
    path.write_text("\n".join([head, *wrong]) + "\n")
    mended = printed(capsys, *asked, "--forecast", str(path))
    as_it_is = printed(capsys, *asked[:-2], "--no-guard", "--forecast", str(path), "--from", "2023-01-29T00:00Z")
    assert mended["corrections"][0]["chosen"] != "as issued"
    assert mended["jobs"] == as_it_is["jobs"]
    assert mended["captured_pct"] > as_it_is["captured_pct"] + 10


def test_without_the_guard_more_is_shifted(capsys: pytest.CaptureFixture[str], actual: str) -> None:
    asked = ("--actual", actual, "--forecaster", "seasonal-naive-24", "--job-hours", "4")
    guarded, free = printed(capsys, *asked), printed(capsys, *asked, "--no-guard")
    assert guarded["guard"]
    assert not free["guard"]
    assert guarded["worse_than_now_pct"] < free["worse_than_now_pct"]


def test_a_person_reads_words_months_zones_and_policies(capsys: pytest.CaptureFixture[str], actual: str) -> None:
    asked = [
        "backtest",
        "--actual",
        actual,
        "--forecaster",
        "auto",
        "--job-hours",
        "4",
        "--zones",
        "GB,DE",
        "--compare",
    ]
    assert run(asked) == 0
    out = capsys.readouterr().out
    assert out.startswith("for 4 h jobs with 1 d of slack in GB, DE, lowtide would have saved ")
    for words in ("possible", "2023-01", "2023-02", "run now", "Let's Wait Awhile", "Carbon-Time", "oracle", "█", "░"):
        assert words in out, words
    assert "average, lifecycle, consumption" in out
    assert all(len(line) <= 100 for line in out.splitlines()[1:])


def test_a_file_of_jobs_free_and_in_a_queue(capsys: pytest.CaptureFixture[str], actual: str, tmp_path: Path) -> None:
    slurm = tmp_path / "jobs.txt"
    rows = ["JobID|Submit|Start|Elapsed|AllocCPUS|ReqTRES"]
    for number in range(40):
        submit = (START + timedelta(days=20, hours=number // 2)).strftime("%Y-%m-%dT%H:%M:%S")
        rows.append(f"{number}|{submit}|{submit}|02:30:00|4|cpu=4,mem=8G")
    rows.append("99|2023-01-22T00:00:00|Unknown|00:00:00|0|cpu=4")
    slurm.write_text("\n".join(rows) + "\n")
    asked = ("--actual", actual, "--forecaster", "auto", "--zone", "GB", "--jobs", str(slurm), "--slack-hours", "12")
    free = printed(capsys, *asked)
    assert (free["jobs"], free["left_out"]["never_ran"]) == (40, 1)
    assert free["saved_pct"] > 0
    queued = printed(capsys, *asked, "--capacity", "8", "--compare")
    assert queued["jobs"] + queued["left_out"]["unplaced"] == 40
    assert queued["saved_pct"] < free["saved_pct"]
    assert {"run now, without limit", "lowtide", "oracle, without limit"} < {row["policy"] for row in queued["compare"]}
    pausing = printed(capsys, *asked, "--pausable")
    assert pausing["jobs"] == 40


def test_what_is_told_of_the_planning_is_what_was_done(
    capsys: pytest.CaptureFixture[str], actual: str, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("submit_utc,duration\n" + "".join(f"{iso(480 + hour)},2h\n" for hour in range(6)))
    asked = ("--actual", actual, "--forecaster", "damped7", "--zone", "GB", "--jobs", str(path))
    keys = ("planned", "replan_hours", "pausable", "guard", "capacity_cpus")
    for more, told, words in (
        ((), ("once", None, False, True, None), "planned once, shifted only where the gain beats the error"),
        (
            ("--pausable", "--replan-hours", "2", "--no-guard"),
            ("again", 2.0, True, False, None),
            "planned anew every 2 h, shifted for any gain",
        ),
        (
            ("--capacity", "8"),
            ("at_arrivals", None, False, False, 8.0),
            "planned anew at each arrival, on 8 CPUs, shifted for any gain",
        ),
    ):
        found = printed(capsys, *asked, *more)
        assert tuple(found[key] for key in keys) == told
        assert run(["backtest", *asked, *more]) == 0
        assert f"forecast damped7 · {words}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("slacks", "words", "slack_hours"),
    [
        (("6h", "2h"), "for the 2 jobs with their own deadlines in GB", None),
        (("6h", ""), "for the 2 jobs with their own deadlines or 5 h of slack in GB", 5.0),
        (("", ""), "for the 2 jobs with 5 h of slack in GB", 5.0),
    ],
)
def test_jobs_with_deadlines_of_their_own(
    capsys: pytest.CaptureFixture[str],
    actual: str,
    tmp_path: Path,
    slacks: tuple[str, str],
    words: str,
    slack_hours: float | None,
) -> None:
    path = tmp_path / "jobs.csv"
    rows = [f"{iso(480 + hour)},2h,{slack}" for hour, slack in enumerate(slacks)]
    path.write_text("\n".join(["submit_utc,duration,slack", *rows]) + "\n")
    asked = ("--actual", actual, "--forecaster", "perfect", "--zone", "GB", "--jobs", str(path), "--slack-hours", "5")
    assert printed(capsys, *asked)["slack_hours"] == slack_hours
    assert run(["backtest", *asked]) == 0
    assert capsys.readouterr().out.startswith(words)


def test_jobs_across_a_gap_are_not_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [f"{iso(hour)},{'' if hour in (700, 701) else value}" for hour, value in enumerate(measured(2))]
    path = tmp_path / "gap.csv"
    path.write_text("\n".join(["start_utc,intensity_g_per_kwh", *rows]) + "\n")
    asked = ("--actual", str(path), "--forecaster", "perfect", "--job-hours", "4", "--from", iso(0))
    found = printed(capsys, *asked)
    assert found["left_out"]["gap"] == 28 + 1
    assert found["jobs"] == 24 * DAYS - 27 - 29
    assert run(["backtest", *asked]) == 0
    assert "not counted: 29 jobs with a gap in what came" in capsys.readouterr().out


def test_hours_may_have_a_unit(capsys: pytest.CaptureFixture[str], actual: str) -> None:
    asked = ("--actual", actual, "--zone", "GB", "--forecaster", "perfect")
    bare = printed(capsys, *asked, "--job-hours", "1.5", "--slack-hours", "24", "--replan-hours", "1")
    told = printed(capsys, *asked, "--job-hours", "90m", "--slack-hours", "1d", "--replan-hours", "1h")
    figures = ("jobs", "job_hours", "slack_hours", "replan_hours", "saved_pct", "captured_pct")
    assert [told[name] for name in figures] == [bare[name] for name in figures]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--job-hours", "4"], ["--forecast", "--forecaster"]),
        (
            ["--job-hours", "4", "--forecaster", "auto", "--forecast", "{forecasts}"],
            ["exclude each other"],
        ),
        (["--forecaster", "auto"], ["--job-hours", "--jobs"]),
        (["--job-hours", "4", "--forecaster", "atuo"], ["'atuo'", "auto"]),
        (["--job-hours", "2000", "--forecaster", "perfect"], ["2000 h", "2023-01-01", "2023-02-20"]),
        (["--job-hours", "0", "--forecaster", "perfect"], ["run for 0 h"]),
        (["--job-hours", "inf", "--forecaster", "perfect"], ["run for inf h"]),
        (["--job-hours", "nan", "--forecaster", "perfect"], ["run for nan h"]),
        (["--job-hours", "4", "--slack-hours", "inf", "--forecaster", "perfect"], ["wait for inf h"]),
        (["--job-hours", "4", "--replan-hours", "1e-6", "--forecaster", "perfect"], ["1e-06 h", "a minute or more"]),
        (["--job-hours", "4", "--slack-hours", "-1", "--forecaster", "perfect"], ["slack"]),
        (["--job-hours", "4", "--forecaster", "auto", "--from", "2023-01-01T05:00Z"], ["no past", "--from"]),
        (["--job-hours", "4", "--forecaster", "auto", "--from", "2024-01-01T00:00Z"], ["2024-01-01", "2023-02-20"]),
        (["--job-hours", "4", "--forecaster", "auto", "--from", "whenever"], ["whenever"]),
        (["--job-hours", "4", "--forecaster", "auto", "--zone", "FR"], ["FR", "DE, GB"]),
        (["--job-hours", "4", "--forecaster", "auto", "--zone", "GB", "--zones", "DE"], ["exclude each other"]),
        (["--job-hours", "4", "--forecast", "{forecasts}"], ["zone DE"]),
        (["--job-hours", "4", "--forecast", "{actual}", "--zone", "GB"], ["holds actuals", "issued_utc"]),
        (["--job-hours", "4", "--forecast", "none.csv", "--zone", "GB"], ["none.csv", "cannot be read"]),
        (["--job-hours", "4", "--forecaster", "auto", "--capacity", "8"], ["--jobs"]),
        ([*QUEUE, "--pausable"], ["--capacity", "--pausable", "one piece"]),
        ([*QUEUE, "--replan-hours", "1"], ["--capacity", "--replan-hours", "at each arrival"]),
        ([*QUEUE, "--guard"], ["--capacity", "--guard", "any gain"]),
        ([*QUEUE, "--no-guard"], ["--capacity", "--no-guard", "any gain"]),
        (["--job-hours", "4", "--forecaster", "auto", "--restart", "15m"], ["--pausable"]),
        (["--job-hours", "4", "--forecaster", "auto", "--replan-hours", "0"], ["every 0 h.", "--replan-hours 1"]),
        (["--job-hours", "4", "--forecaster", "auto", "--replan-hours", "-1"], ["every -1 h.", "--replan-hours 1"]),
        (["--job-hours", "4", "--forecaster", "auto", "--replan-hours", "inf"], ["every inf h.", "--replan-hours 1"]),
        (["--job-hours", "4", "--forecaster", "perfct"], ["'perfct'", "Did you mean perfect?"]),
        (["--job-hours", "4", "--forecaster", "oracle"], ["'oracle'", "There are auto, ", ", perfect."]),
        (["--job-hours", "4", "--jobs", "jobs.csv", "--forecaster", "auto"], ["jobs.csv", "--job-hours"]),
        (["--jobs", "jobs.csv", "--forecaster", "auto", "--capacity", "0"], ["0.0 CPUs", "--capacity 16"]),
        (["--job-hours", "4", "--forecaster", "auto", "--correct"], ["--forecast"]),
        (["--jobs", "none.csv", "--forecaster", "auto"], ["none.csv", "cannot be read"]),
        (["--job-hours", "4", "--forecaster", "auto", "--arrivals", "weekly"], ["weekly", "daily"]),
        (["--jobs", "jobs.csv", "--forecaster", "auto", "--arrivals", "daily"], ["jobs.csv", "--arrivals"]),
        (["--job-hours", "4 parsecs", "--forecaster", "auto"], ["4 parsecs", "bare number is hours"]),
    ],
)
def test_wrong_input_is_told(
    capsys: pytest.CaptureFixture[str], actual: str, forecasts: str, arguments: list[str], words: list[str]
) -> None:
    filled = [argument.format(actual=actual, forecasts=forecasts) for argument in arguments]
    status, text = said(capsys, "--actual", actual, *filled)
    assert (status, [word for word in words if word not in text]) == (2, []), text
    if "Usage:" not in text:
        assert len(text.strip().splitlines()) <= 2


def test_a_resuming_costs_nothing_or_something() -> None:
    question = Question("a.csv", forecaster="auto", job_s=3600.0, pausable=True, restart_s=-900.0)
    with pytest.raises(InputError, match=r"running for -900 s\."):
        run_backtest(question, monotonic_s=lambda: 0.0)


def test_a_frame_that_is_not_the_other_s_is_refused(
    capsys: pytest.CaptureFixture[str], actual: str, tmp_path: Path
) -> None:
    path = tmp_path / "direct.csv"
    rows = [f"{iso(0)},{iso(hour)},100,GB,direct" for hour in range(48)]
    path.write_text("\n".join(["issued_utc,start_utc,intensity_g_per_kwh,zone,scope", *rows]) + "\n")
    status, text = said(capsys, "--actual", actual, "--zone", "GB", "--job-hours", "4", "--forecast", str(path))
    assert status == 2
    assert "average, lifecycle, consumption" in text
    assert "average, direct, consumption" in text


def test_forecasts_without_an_overlap_are_refused(
    capsys: pytest.CaptureFixture[str], actual: str, tmp_path: Path
) -> None:
    path = tmp_path / "later.csv"
    rows = [f"{iso(9000)},{iso(9000 + hour)},100" for hour in range(48)]
    path.write_text("\n".join(["issued_utc,start_utc,intensity_g_per_kwh", *rows]) + "\n")
    status, text = said(capsys, "--actual", actual, "--zone", "GB", "--job-hours", "4", "--forecast", str(path))
    assert status == 2
    assert "No forecast of" in text


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        (0, "no plan was worse than running at once"),
        (1, "fewer than one plan in a hundred was worse"),
        (5, "one plan in 40 was worse"),
        (25, "one plan in eight was worse than running at once"),
        (14, "one plan in 14 was worse"),
        (150, "75 % of the plans were worse"),
    ],
)
def test_how_often_a_plan_was_worse_is_said_as_people_say_it(worse: int, words: str) -> None:
    score = Score(jobs=200, now_g=100.0, planned_g=80.0, oracle_g=70.0, worse=worse)
    result = ZoneResult("GB", score, (), LeftOut())
    question = Question("a.csv", forecaster="auto", job_s=4 * 3600.0)
    found = BacktestResult(question, (result,), result, LIFECYCLE_CONSUMPTION, "a.csv", "auto", None, 0.0)
    assert words in in_words(found)
    assert "lowtide would have saved 20 % (of 30 % possible)" in in_words(found)


def test_where_nothing_can_be_saved_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("start_utc,intensity_g_per_kwh\n" + "".join(f"{iso(hour)},100\n" for hour in range(200)))
    found = printed(capsys, "--actual", str(path), "--forecaster", "auto", "--job-hours", "4")
    assert found["captured_pct"] is None
    assert found["rank_correlation"] is None
    assert run(["backtest", "--actual", str(path), "--forecaster", "auto", "--job-hours", "4"]) == 0
    assert "nothing could be saved" in capsys.readouterr().out


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str], actual: str) -> None:
    assert run(["backtest", "--actual", actual, "--forecaster", "perfect", "--job-hours", "4"]) == 0
    assert capsys.readouterr().err == "", "stderr is no terminal here"


def test_who_knew_it_all_is_tried_on_the_same_jobs_as_a_forecaster(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [f"{iso(hour)},{value}" for hour, value in enumerate(measured(2))]
    path = tmp_path / "came.csv"
    path.write_text("\n".join(["start_utc,intensity_g_per_kwh", *rows]) + "\n")
    asked = ("--actual", str(path), "--job-hours", "4")
    knew, learned = (printed(capsys, *asked, "--forecaster", name) for name in ("perfect", "profile7"))
    assert knew["jobs"] == learned["jobs"]
    assert knew["oracle_saved_pct"] == pytest.approx(learned["oracle_saved_pct"])

"""Every option of ``lowtide plan`` changes what it says it changes, on an invented day; and ``lowtide plan-fleet``."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lowtide.cli.app import run

DAY = [300, 250, 100, 120, 400, 90, 95, 300, 310, 50, 350, 350]
NOW = "2026-03-01T00:00Z"


@pytest.fixture
def day(tmp_path: Path) -> str:
    path = tmp_path / "day.csv"
    rows = "".join(f"2026-03-01T{hour:02d}:00Z,{value}\n" for hour, value in enumerate(DAY))
    path.write_text(f"start_utc,intensity_g_per_kwh\n{rows}", encoding="utf-8")
    return str(path)


@pytest.fixture
def ask(day: str, capsys: pytest.CaptureFixture[str]) -> Any:
    def asked(*options: str, duration: str = "3h", deadline: str = "2026-03-01T12:00Z", power: str = "1kW") -> Any:
        told = ("--power", power) if power else ()
        fixed = ("plan", "--zone", "DE", "--signal", day, "--now", NOW, "--deadline", deadline, "--json")
        status = run([*fixed, "--duration", duration, *told, *options])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return json.loads(captured.out)

    return asked


def hours(plan: Any) -> list[tuple[str, str]]:
    return [(segment["start_utc"][11:16], segment["end_utc"][11:16]) for segment in plan["segments"]]


def test_pauses(ask: Any) -> None:
    assert hours(ask()) == [("01:00", "04:00")]
    free = ask("--pausable")
    assert hours(free) == [("05:00", "07:00"), ("09:00", "10:00")]
    assert free["emissions_g"] == pytest.approx(235)
    dear = ask("--pausable", "--restart-energy", "0.1kWh")
    assert dear["emissions_g"] == pytest.approx(240)
    assert dear["energy_kwh"] == pytest.approx(3.1)
    assert sum(segment["energy_kwh"] for segment in dear["segments"]) == pytest.approx(3.1)
    assert hours(ask("--pausable", "--restart-energy", "50kWh")) == [("01:00", "04:00")]
    assert ask("--pausable", "--max-pauses", "0")["pauses"] == 0
    assert ask("--pausable", "--min-run", "2h")["pauses"] == 0
    assert ask("--pausable", "--min-run", "1h")["pauses"] == 1


def test_start_and_end_cost_energy(ask: Any) -> None:
    plan = ask("--setup-energy", "1kWh", "--teardown-energy", "500Wh", duration="1h")
    assert plan["energy_kwh"] == pytest.approx(2.5)
    assert plan["emissions_g"] == pytest.approx(2.5 * 50)


def test_power_over_the_run(ask: Any, tmp_path: Path) -> None:
    profile = tmp_path / "profile.csv"
    profile.write_text("duration,power\n1h,100W\n1h,1900W\n", encoding="utf-8")
    plan = ask("--power-profile", str(profile), duration="2h", power="")
    assert hours(plan) == [("08:00", "10:00")], "the dear hour of the run falls into the cheapest of the day"
    assert plan["emissions_g"] == pytest.approx(0.1 * 310 + 1.9 * 50)


def test_unknown_duration(ask: Any) -> None:
    plan = ask("--keep-deadline", "100%", duration="1h..3h")
    assert plan["duration_high_s"] == 3 * 3600
    expected = [
        sum(DAY[start + k] * weight for k, weight in enumerate((1.0, 0.75, 0.25))) for start in range(len(DAY) - 2)
    ]
    assert plan["emissions_g"] <= min(expected) + 1e-9, "no start on the hour is better"
    assert ask(duration="1h..3h", deadline="2026-03-01T03:00Z")["segments"][0]["end_utc"] <= "2026-03-01T03:00:00Z"


def test_widths(ask: Any, tmp_path: Path) -> None:
    widths = tmp_path / "widths.csv"
    widths.write_text("width,throughput,power_w\n1,10,100\n2,18,210\n4,30,450\n", encoding="utf-8")
    plan = ask("--widths", str(widths), duration="4h", power="")
    done = sum({1: 10, 2: 18, 4: 30}[s["width"]] * _hours(s) for s in plan["segments"])
    assert done == pytest.approx(40)
    whole = ask("--widths", str(widths), "--whole-steps", duration="4h", power="")
    assert plan["emissions_g"] <= whole["emissions_g"]
    assert ask("--widths", str(widths), "--switch-energy", "1kWh", duration="4h", power="")["energy_kwh"] > 1
    assert whole["explanation"]["width_g"] > 0


def _hours(segment: Any) -> float:
    start, end = (int(segment[key][11:13]) + int(segment[key][14:16]) / 60 + int(segment[key][17:19]) / 3600
                  for key in ("start_utc", "end_utc"))  # fmt: skip
    return end - start


def test_the_explanation_adds_up(ask: Any) -> None:
    plan = ask("--pausable")
    told = plan["explanation"]
    assert told["against_g"] == plan["baseline_g"] == pytest.approx(650)
    assert told["time_g"] + told["pausing_g"] == pytest.approx(plan["baseline_g"] - plan["emissions_g"])
    short = ask(deadline="2026-03-01T03:00Z")
    assert short["explanation"]["hour_more_g"] == pytest.approx(650 - 470)
    assert {"limit": "deadline", "gain_g": pytest.approx(180)} in short["explanation"]["binding"]


def test_the_frontier(ask: Any) -> None:
    points = ask("--frontier")["frontier"]
    assert [round(point["emissions_g"]) for point in points] == [650, 470]
    finishes = [point["finish_utc"] for point in points]
    assert finishes == sorted(finishes)
    with_pauses = ask("--frontier", "--pausable")["frontier"]
    assert with_pauses[-1]["emissions_g"] == pytest.approx(235)
    assert len(with_pauses) > len(points)


REGIONS = ("--regions", "aws:eu-north-1,aws:us-east-1,gcp:europe-west9", "--gpu", "H100", "--signal", "climatology")


@pytest.fixture
def ask_regions(capsys: pytest.CaptureFixture[str]) -> Any:
    def asked(*options: str) -> Any:
        assert run(["plan", "--duration", "6h", "--deadline", "24h", *REGIONS, "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    return asked


def test_places_within_limits(ask_regions: Any) -> None:
    free = ask_regions()
    assert free["segments"][0]["region"] == "aws:eu-north-1"
    american = ask_regions("--residency", "US")
    assert american["segments"][0]["region"] == "aws:us-east-1"
    assert {misfit["limit"] for misfit in american["misfits"]} == {"residency"}
    near = ask_regions("--data", "1GB", "--from", "aws:us-east-1", "--max-latency", "50ms")
    assert near["segments"][0]["region"] == "aws:us-east-1"
    assert {misfit["limit"] for misfit in near["misfits"]} == {"latency"}


def test_money(ask_regions: Any) -> None:
    free = ask_regions()
    cheap = ask_regions("--max-price", str(free["price_usd"] - 0.01))
    assert cheap["price_usd"] < free["price_usd"]
    assert "price" in {misfit["limit"] for misfit in cheap["misfits"]}
    weighed = ask_regions("--carbon-price", "0.01")
    assert weighed["price_usd"] <= free["price_usd"]
    assert ask_regions("--carbon-price", "1000000000")["emissions_g"] == pytest.approx(free["emissions_g"])
    assert weighed["bound_g"] <= weighed["emissions_g"]


def test_moving(ask_regions: Any) -> None:
    free = ask_regions("--pausable", "--checkpoint", "1GB")
    assert free["emissions_g"] <= ask_regions("--pausable")["emissions_g"] + 1e-9
    heavy = ask_regions("--pausable", "--checkpoint", "5TB")
    assert len({segment["region"] for segment in heavy["segments"]}) == 1


def test_the_time_of_a_transfer_counts_where_its_rate_is_known(ask_regions: Any) -> None:
    at_once = ask_regions("--data", "500GB", "--from", "aws:eu-central-1", "--no-guard")
    later = ask_regions("--data", "500GB", "--from", "aws:eu-central-1", "--bandwidth", "100Mbps", "--no-guard")
    assert later["segments"][0]["start_utc"] > at_once["earliest_utc"]


# --- plan-fleet


def fleet(folder: Path, text: str) -> str:
    path = folder / "jobs.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


JOBS = "name,duration,deadline,cpus,power\na,2h,6h,4,400W\nb,2h,12h,4,400W\nc,3h,12h,4,400W\n"


def planned_fleet(
    capsys: pytest.CaptureFixture[str], day: str, path: str, *options: str, status: int = 0
) -> dict[str, Any]:
    said = run(["plan-fleet", path, "--zone", "DE", "--signal", day, "--now", NOW, "--json", *options])
    captured = capsys.readouterr()
    assert said == status, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_a_fleet_shares_a_capacity(capsys: pytest.CaptureFixture[str], day: str, tmp_path: Path) -> None:
    path = fleet(tmp_path, JOBS)
    free = planned_fleet(capsys, day, path)
    tight = planned_fleet(capsys, day, path, "--capacity", "cpus=4")
    assert free["emissions_g"] == pytest.approx(free["uncapped_g"]) == pytest.approx(tight["uncapped_g"])
    assert tight["emissions_g"] > free["emissions_g"]
    assert tight["exact"]
    spans = sorted((job["start_utc"], job["end_utc"]) for job in tight["jobs"])
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    file = tmp_path / "capacities.csv"
    file.write_text("place,resource,capacity,from,until\nDE,cpus,8,,\nDE,cpus,0,2026-03-01T05:00Z,2026-03-01T07:00Z\n")
    shut = planned_fleet(capsys, day, path, "--capacities", str(file))
    assert not any(
        job["start_utc"] < "2026-03-01T07:00" and job["end_utc"] > "2026-03-01T05:00" for job in shut["jobs"]
    )


def test_what_does_not_fit_says_so_and_how_to_relax(
    capsys: pytest.CaptureFixture[str], day: str, tmp_path: Path
) -> None:
    path = fleet(tmp_path, "name,duration,deadline,cpus,priority\nfirst,2h,2h,4,1\nsecond,2h,2h,4,0\n")
    found = planned_fleet(capsys, day, path, "--capacity", "cpus=4", status=3)
    assert [job["name"] for job in found["jobs"]] == ["first"], "the higher priority goes first"
    assert [misfit["name"] for misfit in found["misfits"]] == ["second"]
    assert found["relax"]


def test_jobs_that_wait_for_one_another(capsys: pytest.CaptureFixture[str], day: str, tmp_path: Path) -> None:
    text = "name,duration,deadline,power,after\nprepare,1h,12h,1kW,\ntrain,2h,12h,1kW,prepare\ntest,1h,12h,1kW,train\n"
    found = planned_fleet(capsys, day, fleet(tmp_path, text))
    by_name = {job["name"]: job for job in found["jobs"]}
    assert by_name["prepare"]["end_utc"] <= by_name["train"]["start_utc"]
    assert by_name["train"]["end_utc"] <= by_name["test"]["start_utc"]
    assert found["emissions_g"] == pytest.approx(100 + 90 + 95 + 50)
    circle = fleet(tmp_path, "name,duration,deadline,after\na,1h,12h,b\nb,1h,12h,a\n")
    assert run(["plan-fleet", circle, "--zone", "DE", "--signal", day, "--now", NOW]) == 2


def test_a_recurring_job(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = fleet(tmp_path, "name,duration,earliest,deadline,every,times\nbackup,1h,in 1h,in 9h,1d,3\n")
    assert run(["plan-fleet", path, "--zone", "DE", "--signal", "climatology", "--now", NOW, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [job["name"] for job in found["jobs"]] == ["backup#1", "backup#2", "backup#3"]
    assert [job["start_utc"][:10] for job in found["jobs"]] == ["2026-03-01", "2026-03-02", "2026-03-03"]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("name,duration,deadline\na,2h,1h\n", (), "line 2"),
        ("name,duration,deadline\na,2h,6h\na,2h,6h\n", (), "named 'a'"),
        ("name,duration,deadline\na,2h,6h\n", ("--capacity", "gpus=2"), "no job needs any"),
        ("name,duration,deadline\na,2h,6h\n", ("--capacity", "water=2"), "not a resource"),
        ("name,duration,deadline\na,2h,6h\n", ("--capacity", "FR/cpus=2"), "no job may run there"),
        ("name,duration,deadline,every\na,2h,6h,1d\n", (), "times"),
        ("name,duration\na,2h\n", (), "deadline"),
    ],
)
def test_fleets_that_cannot_be(
    capsys: pytest.CaptureFixture[str], day: str, tmp_path: Path, text: str, options: tuple[str, ...], said: str
) -> None:
    status = run(["plan-fleet", fleet(tmp_path, text), "--zone", "DE", "--signal", day, "--now", NOW, *options])
    captured = capsys.readouterr()
    assert status in (2, 3)
    assert said in captured.err


def test_a_large_fleet_without_any_capacity(capsys: pytest.CaptureFixture[str], day: str, tmp_path: Path) -> None:
    rows = "".join(f"j{number},2h,12h\n" for number in range(60))
    found = planned_fleet(capsys, day, fleet(tmp_path, f"name,duration,deadline\n{rows}"))
    assert len(found["jobs"]) == 60
    assert {job["start_utc"][11:13] for job in found["jobs"]} == {"05"}
    assert found["gap_pct"] == pytest.approx(0.0, abs=1e-9)


def test_a_job_pays_for_the_part_of_the_step_that_it_runs_in(
    capsys: pytest.CaptureFixture[str], day: str, tmp_path: Path
) -> None:
    path = fleet(tmp_path, "name,duration,deadline,power\na,90m,2h,300W\n")
    (job,) = planned_fleet(capsys, day, path)["jobs"]
    assert job["emissions_g"] == pytest.approx(0.3 * 300 + 0.15 * 250)
    assert job["end_utc"] == "2026-03-01T01:30:00Z"


def test_each_job_of_a_fleet_has_a_home_of_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "name,duration,deadline,regions\na,2h,24h,aws:eu-north-1\nb,2h,24h,aws:eu-central-1 aws:eu-north-1\n"
    path = fleet(tmp_path, text)
    assert run(["plan-fleet", path, "--signal", "climatology", "--now", NOW, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["jobs"]
    assert second["region"] == "aws:eu-north-1"
    assert second["at_once_g"] > 3 * first["at_once_g"], "at once it would have run in Germany"


def test_widths_within_a_price(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    signal = tmp_path / "signal.csv"
    rows = "".join(f"2026-03-01T{hour:02d}:00Z,{10 if hour < 2 else 400}\n" for hour in range(12))
    signal.write_text(f"start_utc,intensity_g_per_kwh\n{rows}", encoding="utf-8")
    widths = tmp_path / "widths.csv"
    widths.write_text("width,throughput,power_w\n1,1,1000\n4,2,2500\n", encoding="utf-8")
    asked = [
        "plan",
        "--region",
        "aws:us-east-1",
        "--gpu",
        "A100",
        "--count",
        "8",
        "--signal",
        str(signal),
        "--now",
        NOW,
    ]
    asked += ["--duration", "4h", "--deadline", "12h", "--widths", str(widths), "--json"]
    assert run(asked) == 0
    free = json.loads(capsys.readouterr().out)
    assert run([*asked, "--max-price", "100"]) == 0
    cheap = json.loads(capsys.readouterr().out)
    assert cheap["price_usd"] <= 100 < free["price_usd"]
    assert {segment["width"] for segment in cheap["segments"]} == {1}
    assert cheap["bound_g"] <= cheap["emissions_g"]
    assert not cheap["exact"]


def test_data_goes_along_where_a_job_moves(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--regions", "aws:eu-north-1,aws:eu-west-2", "--duration", "6h", "--deadline", "24h", "--pausable"]
    asked += ["--cpus", "64", "--no-guard", "--signal", "climatology", "--now", NOW, "--json"]
    assert run([*asked, "--checkpoint", "1GB"]) == 0
    light = json.loads(capsys.readouterr().out)
    assert run([*asked, "--checkpoint", "1GB", "--data", "5TB", "--from", "aws:eu-west-2"]) == 0
    heavy = json.loads(capsys.readouterr().out)
    assert len({segment["region"] for segment in heavy["segments"]}) == 1
    assert heavy["emissions_g"] >= light["emissions_g"]
    assert run([*asked, "--checkpoint", "1GB", "--frontier"]) == 2


def test_a_gap_after_the_deadline_does_no_harm(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    signal = tmp_path / "gap.csv"
    rows = "".join(f"2026-03-01T{hour:02d}:00Z,{100 + hour}\n" for hour in range(20) if hour != 13)
    signal.write_text(f"start_utc,intensity_g_per_kwh\n{rows}", encoding="utf-8")
    asked = ["plan", "--zone", "DE", "--signal", str(signal), "--now", NOW, "--duration", "2h", "--deadline", "12h"]
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["segments"][0]["start_utc"].startswith("2026-03-01T00")

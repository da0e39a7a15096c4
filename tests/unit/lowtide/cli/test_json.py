"""What programs read is valid against the schemas that stand in the repository."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lowtide.cli.app import run

SCHEMAS = Path(__file__).parents[4] / "schemas"


def validate(name: str, content: Any) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(content)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(list(arguments)) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--zone", "DE", "--power", "300W"),
        ("--zone", "MX"),
        ("--regions", "aws:eu-north-1,gcp:us-central1,gcp:asia-east2", "--gpu", "T4", "--count", "1"),
        ("--region", "aws:eu-central-1", "--gpu", "A100", "--count", "8", "--data", "50GB", "--from", "aws:us-east-1"),
        ("--zone", "GB", "--pausable", "--earliest", "2h"),
        ("--zone", "GB", "--pausable", "--restart-energy", "20Wh", "--max-pauses", "2"),
        ("--regions", "aws:eu-north-1,gcp:us-central1", "--gpu", "T4", "--frontier", "--residency", "US"),
    ],
)
def test_plan(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    validate("plan", printed(capsys, "plan", "--duration", "4h", "--deadline", "24h", "--json", *arguments))


@pytest.mark.parametrize("arguments", [(), ("--count", "8", "--residency", "EU"), ("--provider", "aws,gcp")])
def test_regions(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    found = printed(capsys, "regions", "--gpu", "H100", "--duration", "10h", "--json", *arguments)
    validate("regions", found)
    totals = [region["emissions_g"] + region["transfer_g"] for region in found]
    assert totals == sorted(totals)
    assert len({(r["basis"], r["scope"], r["accounting"]) for r in found}) == 1


def test_a_job_from_submit_to_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    submit = ("submit", "--duration", "5s", "--deadline", "60s", "--zone", "DE", "--name", "a test", "--json")
    job = printed(capsys, *submit, "--wait", "--", sys.executable, "-c", "print('hello')")
    assert job["state"] == "done", job
    report = printed(capsys, "report", job["job_id"], "--json")
    validate("report", [report])
    assert report["realised"]["state"] == "modelled"
    assert report["captured_pct"] is None
    assert report["possible_g"] is None
    assert report["difference"]["forecast_g"] is None
    parts = [value for value in report["difference"].values() if value is not None]
    gap = report["realised"]["emissions_g"] - report["planned"]["emissions_g"]
    assert sum(parts) == pytest.approx(gap, rel=1e-9, abs=1e-12)
    if not Path("/sys/class/powercap/intel-rapl:0").exists():
        assert report["realised"]["measured_share"] == 0
        assert report["realised"]["energy_low_kwh"] < report["realised"]["energy_high_kwh"]
    everything = printed(capsys, "report", "--json")
    validate("report", everything)
    assert printed(capsys, "jobs", "--json")[0]["job_id"] == job["job_id"]
    moves = "".join(event["move"] for event in printed(capsys, "show", job["job_id"], "--json")["events"])
    assert moves in ("ACDE", "ACE"), "it may have ended before anybody saw it run"
    assert run(["logs", job["job_id"]]) == 0


def test_a_failing_job_ends_submit_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    submit = ["submit", "--duration", "5s", "--deadline", "60s", "--zone", "DE", "--wait", "--"]
    assert run([*submit, sys.executable, "-c", "raise SystemExit(3)"]) == 1
    assert "exit status 3" in capsys.readouterr().out


def test_the_same_key_is_the_same_job(capsys: pytest.CaptureFixture[str]) -> None:
    submit = ("submit", "--duration", "1h", "--deadline", "20h", "--zone", "DE", "--key", "k", "--json", "--", "true")
    assert printed(capsys, *submit)["job_id"] == printed(capsys, *submit)["job_id"]


def test_nobody_to_run_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    submit = ["submit", "--duration", "1h", "--deadline", "20h", "--zone", "DE", "--", "true"]
    assert run(submit) == 0
    assert "nobody will start it yet" in capsys.readouterr().out
    assert run(["tick"]) == 0
    capsys.readouterr()
    assert run(submit) == 0
    assert "lowtide tick ran" in capsys.readouterr().out


def test_a_waiting_job_is_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    job = printed(
        capsys,
        "submit",
        "--duration",
        "1h",
        "--deadline",
        "20h",
        "--earliest",
        "10h",
        "--zone",
        "DE",
        "--json",
        "--",
        "true",
    )
    assert run(["cancel", job["job_id"]]) == 0
    assert "cancelled" in capsys.readouterr().out
    assert run(["cancel", job["job_id"]]) == 5, "it has ended: illegal in this state"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a POSIX system")
def test_run_writes_its_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import subprocess

    target = tmp_path / "run.json"
    command = [str(Path(sys.executable).with_name("lowtide")), "run", "--json", str(target), "--", "sh", "-c", "exit 7"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 7
    validate("run", json.loads(target.read_text()))


@pytest.mark.parametrize("arguments", [(), ("--zone", "DE"), ("--zone", "GB", "--probe")])
def test_signals(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    validate("signals", printed(capsys, "signals", "--json", *arguments))


@pytest.mark.parametrize("arguments", [(), ("--pausable", "--replan-hours", "1"), ("--compare", "--no-guard")])
def test_backtest(capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]) -> None:
    lines = [
        f"2023-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00Z,{300 + 9 * ((hour * 7 + day) % 24)}"
        for day in range(28)
        for hour in range(24)
    ]
    path = tmp_path / "came.csv"
    path.write_text("start_utc,intensity_g_per_kwh\n" + "\n".join(lines) + "\n")
    asked = ("--actual", str(path), "--forecaster", "damped7", "--job-hours", "4", "--slack-hours", "24")
    validate("backtest", printed(capsys, "backtest", "--json", *asked, *arguments))

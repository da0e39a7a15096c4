"""Every wrong input gets one clear message, the exit code of its kind, and no traceback."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from lowtide.cli.app import run

PLAN = ["plan", "--duration", "4h", "--deadline", "24h", "--power", "300W"]
SUBMIT = ["submit", "--duration", "1h", "--deadline", "24h", "--zone", "DE"]
HEAD = "start_utc,intensity_g_per_kwh\n"


def said(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, str]:
    status = run(arguments)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.out == "", "a failure prints nothing on stdout"
    return status, captured.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([*PLAN, "--zone", "DEE"], 2, ["'DEE'", "DE"]),
        ([*PLAN, "--zone", "US-CAL"], 2, ["'US-CAL'", "US-CAL-CISO"]),
        ([*PLAN, "--region", "aws:eu-centrl-1"], 2, ["aws:eu-centrl-1", "eu-central-1"]),
        ([*PLAN, "--region", "Frankfurt"], 2, ["Frankfurt", "aws:eu-central-1", "gcp:europe-west3"]),
        ([*PLAN, "--zone", "DE", "--region", "aws:eu-central-1"], 2, ["exclude each other"]),
        ([*PLAN, "--zone", "DE", "--gpu", "H1000"], 2, ["H1000", "H100"]),
        ([*PLAN, "--zone", "DE", "--gpu", "A100", "--count", "0"], 2, ["--count", "0"]),
        ([*PLAN], 2, ["home is not set", "lowtide config set home DE"]),
        ([*PLAN, "--zone", "DE", "--signal", "climatolgy"], 2, ["climatolgy", "climatology"]),
        ([*PLAN, "--zone", "DE", "--signal", "co2signal"], 2, ["gone", "electricitymaps"]),
        ([*PLAN, "--zone", "DE", "--signal", "none.csv"], 2, ["none.csv", "cannot be read"]),
        ([*PLAN, "--zone", "DE", "--data", "50GB"], 0, []),
        ([*PLAN, "--zone", "DE", "--data", "50"], 2, ["'50'", "50GB"]),
        (["plan", "--duration", "0h", "--deadline", "24h", "--zone", "DE"], 2, ["0h", "zero"]),
        (["plan", "--duration", "4", "--deadline", "24h", "--zone", "DE"], 2, ["'4'", "unit"]),
        (["plan", "--duration", "4h", "--zone", "DE"], 2, ["deadline", "--deadline 24h"]),
        (["plan", "--duration", "4h", "--deadline", "2020-01-01T00:00Z", "--zone", "DE"], 2, ["2020", "past"]),
        (["plan", "--duration", "4h", "--deadline", "3h", "--zone", "DE"], 3, ["4 h", "at least 1 h"]),
        (["plan", "--duration", "4h", "--deadline", "24h", "--zone", "DE", "--power", "3MW"], 2, ["3MW", "300W"]),
        (["plan", "--duration", "4h", "--deadline", "24h", "--zone", "DE", "--power", "0W"], 2, ["0W"]),
        (["regions", "--gpu", "H100", "--provider", "asw"], 2, ["asw", "aws"]),
        (["regions", "--gpu", "H100", "--residency", "Mars"], 2, ["Mars", "EU"]),
        (["regions", "--gpu", "T4", "--count", "999"], 3, ["999 x T4"]),
        (["regions", "--gpu", "H100", "--from", "aws:us-east-1"], 2, ["--data"]),
        ([*SUBMIT, "--", "no-such-program-here"], 2, ["no-such-program-here"]),
        ([*SUBMIT, "--engine", "slurm", "--", "true"], 4, ["Slurm"]),
        ([*SUBMIT, "--engine", "slurm", "--option", "partitoin=a", "--", "true"], 2, ["partitoin", "partition"]),
        ([*SUBMIT, "--option", "partition=a", "--", "true"], 2, ["'local'", "partition"]),
        (["sbatch", "no-such-script.sh"], 2, ["no-such-script.sh"]),
        (["sbatch", "--wait", "--wrap=true"], 2, ["--wait", "submit"]),
        (["sbatch", "--wrap=true"], 2, ["how long", "--time"]),
        (["sbatch", "--time=5", "--zone=DE", "--wrap=true"], 2, ["deadline", "slurm_slack"]),
        ([*SUBMIT, "--working-dir", "/no/such/place", "--", "true"], 2, ["/no/such/place"]),
        ([*SUBMIT, "--retries", "-1", "--", "true"], 2, ["-1"]),
        ([*SUBMIT, "--env", "=x", "--", "true"], 2, ["NAME=VALUE"]),
        (["submit", "--duration", "1h", "--deadline", "9h", "--region", "aws:eu-north-1", "--", "true"], 2, ["--zone"]),
        (["show", "zzz"], 2, ["'zzz'", "lowtide jobs"]),
        (["cancel", "zzz"], 2, ["'zzz'"]),
        (["logs", "zzz"], 2, ["'zzz'"]),
        (["report", "zzz"], 2, ["'zzz'"]),
        (["jobs", "--state", "runing"], 2, ["runing", "running"]),
        (["report", "--since", "long ago"], 2, ["long ago"]),
        (["config", "set", "hme", "DE"], 2, ["'hme'", "home"]),
        (["config", "set", "home", "Atlantis"], 2, ["Atlantis"]),
        (["config", "get", "hme"], 2, ["hme"]),
        (["serve", "--interval", "0s"], 2, ["0s"]),
        (["submit", "--duration", "1h", "--deadline", "9h", "sh", "-c", "true"], 2, ["'-c'", "write -- before"]),
        (["submit", "--duration", "1h", "--deadlin", "9h", "true"], 2, ["'--deadlin'", "--deadline"]),
        (["paln"], 2, ["paln", "plan"]),
    ],
)  # fmt: skip
def test_wrong_input_is_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: list[str]
) -> None:
    if status == 0:
        assert run([*arguments, "--from", "aws:us-east-1", "--json"]) == 0
        return
    found, text = said(capsys, arguments)
    assert (found, [word for word in words if word not in text]) == (status, []), text
    if "Usage:" not in text:
        assert len(text.strip().splitlines()) <= 2, "one line in words, what to do on a second"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["no column start_utc"]),
        (b"start_utc,intensity\n2026-01-01T00:00Z,1\n", ["intensity_g_per_kwh", "intensity"]),
        (b"start_utc;intensity_g_per_kwh\n2026-01-01T00:00Z;1\n", ["no column start_utc", "semicolons"]),
        (HEAD.encode(), ["no rows"]),
        ((HEAD + "2026-01-01T00:00Z,1\n2026-01-01T01:00Z,x\n").encode(), ["line 3", "'x'"]),
        ((HEAD + "2026-01-01T00:00Z,1\n2026-01-01T01:00Z,-5\n").encode(), ["line 3", "-5"]),
        ((HEAD + "2026-01-01T00:00,1\n2026-01-01T01:00,5\n").encode(), ["line 2", "no zone"]),
        ((HEAD + "2026-01-01T00:00Z,1\n2026-01-01T01:00Z,5\n2026-01-01T01:40Z,5\n").encode(), ["step"]),
        ((HEAD + "2026-01-01T00:00Z,1\n2026-01-01T00:00Z,5\n").encode(), ["twice"]),
        (b"\xff\xfe\x00\x01", ["cannot be read"]),
        (
            b"start_utc,intensity_g_per_kwh,basis,scope,accounting\n"
            b"2026-01-01T00:00Z,1,average,lifecycle,consumption\n2026-01-01T01:00Z,1,marginal,lifecycle,consumption\n",
            ["mixes", "marginal"],
        ),
    ],
)
def test_a_wrong_signal_file_is_told_by_name_and_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, words: list[str]
) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    status, text = said(
        capsys, [*PLAN, "--zone", "DE", "--signal", str(tmp_path / "mine.csv"), "--now", "2026-01-01T00:00Z"]
    )
    assert (status, [word for word in [*words, "mine.csv"] if word not in text]) == (2, []), text


def test_a_gap_in_a_signal_file_is_told_with_its_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [f"2026-01-01T{hour:02}:00Z,{100 + hour}\n" for hour in range(24) if hour not in (10, 11)]
    (tmp_path / "mine.csv").write_text(HEAD + "".join(rows))
    arguments = [*PLAN, "--zone", "DE", "--signal", str(tmp_path / "mine.csv"), "--now", "2026-01-01T00:00Z"]
    status, text = said(capsys, arguments)
    assert status == 2
    assert "2026-01-01T10:00:00Z–2026-01-01T12:00:00Z" in text


def test_a_signal_that_ends_too_early_names_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(HEAD + "2026-01-01T00:00Z,100\n2026-01-01T01:00Z,100\n")
    arguments = [*PLAN, "--zone", "DE", "--signal", str(tmp_path / "mine.csv"), "--now", "2026-01-01T00:00Z"]
    status, text = said(capsys, arguments)
    assert status == 4
    assert "no value for 2026-01-01T02:00:00Z" in text


def test_mixed_frames_are_refused_at_the_door(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A marginal file cannot be compared with anything else: where it is demanded it stands alone."""
    head = "start_utc,intensity_g_per_kwh,zone,basis,scope,accounting\n"
    rows = [f"2026-01-01T{hour:02}:00Z,100,DE,marginal,direct,consumption\n" for hour in range(24)]
    (tmp_path / "mine.csv").write_text(head + "".join(rows))
    arguments = ["plan", "--duration", "1h", "--deadline", "20h", "--now", "2026-01-01T00:00Z", "--signal"]
    status, text = said(capsys, [*arguments, str(tmp_path / "mine.csv"), "--zone", "GB"])
    assert status == 2
    assert "no rows of zone GB" in text


@pytest.mark.parametrize("name", ["damaged", "newer", "folder", "foreign"])
def test_a_store_that_cannot_be_used_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "lowtide.db"
    if name == "damaged":
        path.write_bytes(b"this is no database " * 500)
    elif name == "folder":
        path.mkdir()
    elif name == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.close()
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (a)")
        connection.close()
    monkeypatch.setenv("LOWTIDE_DATABASE", str(path))
    status, text = said(capsys, ["jobs"])
    assert status == 2
    assert str(path) in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not write")
def test_without_write_permission_the_folder_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (os.uname().sysname, os.access("/proc/sys/kernel/hostname", os.R_OK)) != ("Linux", True):
        pytest.skip("needs /proc, where even root cannot make a file")
    monkeypatch.setenv("LOWTIDE_DATABASE", "/proc/sys/lowtide.db")
    status, text = said(capsys, ["jobs"])
    assert status == 2
    assert "/proc/sys/lowtide.db" in text


def test_an_unknown_key_in_the_configuration_names_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('homee = "DE"\n')
    monkeypatch.setenv("LOWTIDE_CONFIG", str(tmp_path / "config.toml"))
    status, text = said(capsys, PLAN)
    assert status == 2
    assert "homee" in text
    assert "Did you mean home" in text


def test_a_bug_is_called_a_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("invented")

    monkeypatch.setattr("lowtide.cli.plan.quote", broken)
    status, text = said(capsys, [*PLAN, "--zone", "DE"])
    assert status == 70
    assert "bug" in text
    assert "LOWTIDE_DEBUG" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*PLAN, "--zone", "DE", "--cpus", "inf"], ["--cpus"]),
        ([*PLAN, "--zone", "DE", "--gpu", "H100", "--count", "9" * 24], ["--count"]),
        (["regions", "--gpu", "H100", "--max-price", "nan"], ["--max-price"]),
        (["regions", "--gpu", "H100", "--max-price", "-1"], ["--max-price"]),
        (["regions", "--gpu", "H100", "--deadline", "2199-01-01"], ["2199", "days"]),
        (["plan", "--duration", "4h", "--deadline", "3000d", "--zone", "DE"], ["days"]),
        ([*PLAN, "--zone", "DE", "--signal", "/dev/zero.csv"], ["/dev/zero.csv"]),
        ([*SUBMIT, "--retries", "99999999999999999999", "--", "true"], ["retries"]),
        ([*SUBMIT, "--max-pauses", "2", "--", "true"], ["--max-pauses", "--pausable"]),
        ([*PLAN, "--zone", "DE", "--restart-energy", "1MWh", "--pausable"], ["milli", "kWh"]),
        ([*PLAN, "--zone", "DE", "--keep-deadline", "95%"], ["--keep-deadline", "3h..5h"]),
        (["plan", "--duration", "5h..3h", "--deadline", "24h", "--zone", "DE"], ["3h..5h"]),
        (
            ["plan", "--duration", "4h", "--deadline", "24h", "--zone", "DE", "--widths", "/no/such.csv"],
            ["/no/such.csv"],
        ),
        ([*PLAN, "--zone", "DE", "--whole-steps"], ["--whole-steps", "--widths"]),
        ([*PLAN, "--zone", "DE", "--carbon-price", "0"], ["--carbon-price"]),
        ([*PLAN, "--zone", "DE", "--pausable", "--checkpoint", "5GB"], ["--checkpoint", "--regions"]),
        ([*PLAN, "--regions", "all", "--zone", "DE"], ["exclude each other"]),
        ([*PLAN, "--zone", "DE", "--residency", "Mars"], ["Mars", "residency"]),
        ([*PLAN, "--zone", "DE", "--max-latency", "fast"], ["fast", "50ms"]),
        ([*PLAN, "--zone", "DE", "--bandwidth", "1Gbps"], ["--bandwidth", "--data"]),
        ([*PLAN, "--zone", "DE", "--data", "1GB", "--from", "aws:us-east-1", "--bandwidth", "fast"], ["fast", "1Gbps"]),
        (["plan", "--duration", "like:nobody", "--deadline", "24h", "--zone", "DE"], ["nobody", "3h..5h"]),
        (["plan-fleet", "/no/such.csv"], ["/no/such.csv"]),
        (["jobs", "--limit", "0"], ["--limit"]),
        (["report", "--output", "report.pdf"], ["pdf", ".html"]),
    ],
)
def test_limits_are_told_before_they_hurt(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    status, text = said(capsys, arguments)
    assert (status, [word for word in words if word not in text]) == (2, []), text


def test_a_key_belongs_to_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SUBMIT, "--key", "k", "--", "true"]) == 0
    capsys.readouterr()
    status, text = said(capsys, [*SUBMIT, "--key", "k", "--", "false"])
    assert status == 2
    assert "another command" in text


def test_when_nothing_fits_the_nearest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(capsys, ["regions", "--gpu", "H100", "--duration", "10h", "--max-price", "5"])
    assert status == 3
    assert "cheapest is" in text

"""``lowtide top``: what the journals say while they are written; the samplers are asked nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lowtide.cli.app import run
from lowtide.service.watching import Grid, home_intensity_g_per_kwh, running, runs_of_job, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = [sys.executable, "-m", "lowtide_sampler", "run", "--quiet"]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def live_run(spool: Path) -> Iterator[str]:
    argv = [*RUN, "--run-id", "live", "--interval", "100ms", "--", "sleep", "30"]
    with subprocess.Popen(argv) as sampler:
        deadline_s = time.monotonic() + 20.0
        while not (spool / "live.jsonl").exists() or (spool / "live.jsonl").read_text().count("\n") < 5:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        yield "live"
        sampler.terminate()


def job_of(seconds: float, **plan: float) -> Any:
    start, end = datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(seconds, UTC)
    segments = (SimpleNamespace(start_utc=start, end_utc=end),)
    return SimpleNamespace(job_id="j1", plan=SimpleNamespace(segments=segments, **plan))


def test_what_runs_is_seen_and_what_has_ended_is_not(spool: Path, live_run: str) -> None:
    subprocess.run([*RUN, "--run-id", "ended", "--", "true"], check=True)
    assert running(spool) == (live_run,)
    (seen,) = watch(spool, running(spool), lambda _: None, Grid(300.0, "home"))
    assert seen.end == "open"
    assert seen.power_w
    assert seen.energy_kwh > 0
    assert seen.measured_share is not None
    assert seen.to_json()["measured_share"] == seen.measured_share
    assert seen.emissions_g == pytest.approx(300.0 * seen.energy_kwh)
    assert (seen.left_s, seen.expected_energy_kwh) == (None, None)
    (ended,) = watch(spool, ["ended", "nothing"], lambda _: None, None)
    assert (ended.end, ended.power_w, ended.emissions_g) == ("ok", None, None)


def test_watts_are_of_the_last_seconds_and_the_job_s_plan_gives_grid_and_end(spool: Path) -> None:
    spool.mkdir()
    source = {
        "name": "powercap:0", "label": "RAPL package", "component": "cpu", "kind": "counter", "pmax_w": 1000.0,
    }  # fmt: skip
    header = {
        "journal": "lowtide-journal/1", "run_id": "r", "plan_id": "j1", "host": "another", "pid": 1, "start_ticks": 1,
        "boot_id": "b", "start_utc_s": 0.0,
        "interval_s": 5.0, "threads": 2, "allocated_share": 1.0, "idle_share": 0.2, "attribution": "node",
        "sources": [source],
    }  # fmt: skip
    joules = [100.0 * min(t_s, 60) + 300.0 * max(t_s - 60, 0) for t_s in range(0, 101, 5)]
    ticks = [
        {"t": 5.0 * n, "utc": 5.0 * n, "boot": 0.0, "job": 4.0 * n, "busy": 5.0 * n, "uj": [round(1e6 * joule)]}
        for n, joule in enumerate(joules)
    ]
    (spool / "r.jsonl").write_text("".join(json.dumps(record) + "\n" for record in (header, *ticks)))
    assert running(spool) == ("r",)  # another host's, written just now
    job = job_of(200.0, emissions_g=40.0, energy_kwh=0.1)
    (seen,) = watch(spool, ["r"], lambda name: job if name == "j1" else None, Grid(1.0, "home"))
    assert seen.power_w == pytest.approx(300.0)
    assert seen.energy_kwh == pytest.approx(18_000 / 3.6e6)
    assert (seen.left_s, seen.grid) == (100.0, Grid(400.0, "plan"))
    assert seen.expected_emissions_g == pytest.approx((18_000 + 30_000) / 3.6e6 * 400.0)


def test_the_command_shows_it_once_or_as_json(
    spool: Path, live_run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOWTIDE_HOME", "DE")
    assert run(["top", "--once"]) == 0
    assert live_run in capsys.readouterr().out
    assert run(["top", live_run, "--json"]) == 0
    (seen,) = json.loads(capsys.readouterr().out)
    assert (seen["run_id"], seen["intensity_source"]) == (live_run, "climatology of home")
    assert seen["emissions_g"] > 0
    assert run(["top", "nobody"]) == 2
    assert "no run" in capsys.readouterr().err


def test_nothing_measured_is_said(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["top"]) == 0
    assert "Nothing is being measured" in capsys.readouterr().out


def test_home_is_never_guessed() -> None:
    now_utc = datetime(2026, 3, 1, tzinfo=UTC)
    assert home_intensity_g_per_kwh("", now_utc) is None
    found = home_intensity_g_per_kwh("DE", now_utc)
    assert found is not None
    assert 50 < found < 900


def test_the_runs_of_a_job_are_all_that_its_attempts_have_journals_of(spool: Path) -> None:
    spool.mkdir()
    for name in ("ab.1", "ab.1.t3", "ab.2", "ab.20"):
        (spool / f"{name}.jsonl").touch()
    record = SimpleNamespace(attempts=[SimpleNamespace(key="ab.1"), SimpleNamespace(key="ab.2")])
    assert runs_of_job(spool, record) == ("ab.2", "ab.1", "ab.1.t3")  # type: ignore[arg-type]

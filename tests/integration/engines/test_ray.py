"""Ray from the command line to the report: on a real head where there is one, and on a double always."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.contract.ray_double import RayDouble
from tests.integration.engines.ray_lab import RayLab

from lowtide.cli.app import run
from lowtide.wiring import Wiring
from lowtide_core.errors import Unavailable
from lowtide_core.launches import AttemptKey, Launch
from lowtide_providers.engines.ray import RayEngine
from lowtide_providers.engines.ray_api import RayApi

ASKED = ["--duration", "5s", "--deadline", "10m", "--zone", "DE", "--signal", "climatology", "--engine", "ray"]
WORK = "import sys, time; print('working'); end = time.time() + 1.2\nwhile time.time() < end: pass\nsys.exit(%d)"


@pytest.fixture(params=["double", "real"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("LOWTIDE_OFFLINE", "0")
    if request.param == "real":
        url = request.getfixturevalue("real_ray").url
        monkeypatch.setenv("RAY_ADDRESS", url)
        yield url
        return
    with RayDouble(tmp_path / "ray", resources={"region:aws:eu-north-1"}) as double:
        monkeypatch.setenv("RAY_ADDRESS", double.wire.url)
        yield double.wire.url


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("exit_status", [0, 3])
def test_a_job_runs_on_a_cluster_and_its_energy_comes_back(
    address: str, capsys: pytest.CaptureFixture[str], exit_status: int
) -> None:
    assert run(["submit", *ASKED, "--wait", "--json", "--", "python3", "-c", WORK % exit_status]) == min(exit_status, 1)
    job = told(capsys)
    (attempt,) = job["attempts"]
    assert (job["state"], attempt["exit_status"]) == ("failed" if exit_status else "done", exit_status)
    assert attempt["ref"] == attempt["key"] == f"{job['job_id']}.1"
    assert run(["logs", job["job_id"]]) == 0
    assert "working" in capsys.readouterr().out
    with Wiring().store() as store:
        (result,) = store.readings.of_job(job["job_id"])
    assert result["energy_j"] > 0
    assert (result["run_id"], result["exit_status"]) == (attempt["key"], exit_status)


def test_a_planned_region_is_a_resource_of_nodes(address: str, tmp_path: Path) -> None:
    engine, key = RayEngine(tmp_path, RayApi(address)), AttemptKey(f"{uuid4().hex[:8]}.1")
    engine.submit(Launch("j", ("true",), "/", region=RayLab.region), key)
    give_up_s = time.monotonic() + 60
    while (report := engine.observe([key])[0]).state != "ended" and time.monotonic() < give_up_s:
        time.sleep(0.2)
    assert (report.state, report.exit_status) == ("ended", 0)


def test_what_nobody_has_room_for_stays_pending_even_when_told_to_stop(address: str, tmp_path: Path) -> None:
    engine, key = RayEngine(tmp_path, RayApi(address)), AttemptKey(f"{uuid4().hex[:8]}.1")
    engine.submit(Launch("j", ("true",), "/", region="aws:mars-1"), key)
    engine.cancel(key)
    time.sleep(2.0)
    (report,) = engine.observe([key])
    assert (report.state, report.queued) == ("accepted", True)
    assert report.why.startswith("Ray keeps it pending")


def test_an_address_where_nobody_is(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        RayEngine(tmp_path, RayApi("http://127.0.0.1:9")).observe([AttemptKey("a.1")])

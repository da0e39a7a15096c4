"""Journals from nodes without a way home: copied once, closed only when somebody says so, then settled like others."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lowtide.cli.app import run
from lowtide.service.carrying import carry
from lowtide.service.collect import collect_readings
from lowtide.store import open_store
from lowtide.store.jobs import Attempt, NewPlan
from lowtide.testing.jobs import ZONE, job_spec, plan_at
from lowtide_core.errors import InputError
from lowtide_core.launches import AttemptKey
from lowtide_sampler.journal import read_journal

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lines(run_id: str, seconds: int, end: str | None, **more: Any) -> bytes:
    """A journal of another host: a model of 10 W for so many seconds."""
    source = {"name": "model:cpu", "label": "CPU model", "component": "cpu", "kind": "model", "idle_w": 10.0}
    header = {
        "journal": "lowtide-journal/1", "run_id": run_id, "host": "another-host", "pid": 1, "boot_id": "b",
        "start_ticks": 1, "start_utc_s": T0.timestamp(), "start_monotonic_s": 5.0, "interval_s": 5.0, "threads": 2,
        "allocated_share": 1.0, "idle_share": 0.2, "attribution": "node", "sources": [source], **more,
    }  # fmt: skip
    ticks = [
        {"t": float(t_s), "utc": T0.timestamp() + t_s, "boot": 0.0, "job": 0.5 * t_s, "busy": 1.0 * t_s, "uj": []}
        for t_s in range(seconds + 1)
    ]
    records = [header, *ticks, *([{"end": end, "exit_status": 0, "signal": None}] if end else [])]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "done.jsonl").write_bytes(lines("done", 10, "ok"))
    (folder / "open.jsonl").write_bytes(lines("open", 4, None) + b'{"t":5.0,"utc"')
    return folder


def whats(found: tuple[Any, ...]) -> dict[str, tuple[str, bool]]:
    return {carried.run_id: (carried.what, carried.is_open) for carried in found}


def test_it_is_copied_once_and_again_where_it_has_grown(tmp_path: Path, source: Path) -> None:
    spool = tmp_path / "spool"
    assert whats(carry(source, spool, ended=False)) == {"done": ("new", False), "open": ("new", True)}
    assert whats(carry(source, spool, ended=False)) == {"done": ("known", False), "open": ("known", True)}
    (source / "open.jsonl").write_bytes(lines("open", 4, None) + lines("open", 8, "ok").partition(b'"t": 5.0')[2])
    (source / "open.jsonl").write_bytes(lines("open", 8, "ok"))
    before = (spool / "open.jsonl").read_bytes()
    (spool / "open.jsonl").write_bytes(lines("open", 4, None))
    assert before.startswith(lines("open", 4, None))
    (grown,) = (carried for carried in carry(source, spool, ended=False) if carried.run_id == "open")
    assert (grown.what, grown.is_open) == ("grown", False)
    assert grown.result
    assert grown.result["energy_j"] == pytest.approx(80.0)
    assert sorted(path.name for path in spool.iterdir()) == ["done.jsonl", "open.jsonl"]


def test_what_is_open_is_closed_when_somebody_says_that_nothing_runs(tmp_path: Path, source: Path) -> None:
    spool = tmp_path / "spool"
    for _ in range(2):
        found = {carried.run_id: carried for carried in carry(source, spool, ended=True)}
        assert found["open"].result
        assert found["open"].result["end"] == "lost"
        assert found["open"].result["energy_j"] == pytest.approx(40.0)
    assert (spool / "open.jsonl").read_bytes().count(b'"lost"') == 1
    assert read_journal(spool / "done.jsonl").end == {"end": "ok", "exit_status": 0, "signal": None}
    (source / "open.jsonl").write_bytes(lines("open", 4, None) + b'{"t":5.0,"utc"')
    assert whats(carry(source, spool, ended=False))["open"] == ("known", False)


def test_another_run_of_the_same_name_is_kept(tmp_path: Path, source: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "done.jsonl").write_bytes(lines("done", 3, "ok"))
    (source / "broken.jsonl").write_bytes(b'{"journal"')
    assert whats(carry(source, spool, ended=True)) == {
        "done": ("differs", False),
        "open": ("new", False),
        "broken": ("unreadable", False),
    }
    assert (spool / "done.jsonl").read_bytes() == lines("done", 3, "ok")


def test_a_wrong_folder_is_named(tmp_path: Path, source: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        carry(tmp_path / "nothing", tmp_path / "spool", ended=False)
    with pytest.raises(InputError, match="own spool"):
        carry(source, source, ended=False)


def test_a_carried_run_of_a_job_is_collected_like_any_other(tmp_path: Path, source: Path) -> None:
    """Two nodes, one of them with a second rank: the ranks that read counters have the energy, each once."""
    with open_store(tmp_path / "lowtide.db") as store:
        spec, planned = job_spec(T0), plan_at(T0)
        job_id = store.jobs.add(spec, NewPlan(planned.plan, planned.vintages), "k", T0, "test", "quoted")
        key = AttemptKey(f"{job_id}.1")
        attempt = Attempt(1, key, "local", None, T0, None, None, None, "")
        store.jobs.move(store.jobs.get(job_id), "claim", at_utc=T0, who="t", why="due", attempt=attempt)
        rank = {"job": "j", "local": 0, "world": "0", "reads_counters": True, "cpus": [0]}
        peer = {**rank, "local": 1, "world": "1", "reads_counters": False}
        for name, more in (
            (key, {"rank": rank}),
            (f"{key}.r1", {"rank": peer, "counted_by": "rank_0", "sources": []}),
            (f"{key}.n1", {"rank": rank, "boot_id": "c"}),
        ):
            (source / f"{name}.jsonl").write_bytes(lines(name, 10, "ok", **more))
        spool = tmp_path / "spool"
        carry(source, spool, ended=False)
        for expected in (1, 0):  # what is said once of an attempt is true of all its runs
            told = collect_readings(store, spool, store.jobs.get(job_id), T0)
            assert len(told) == expected
        results = store.readings.of_job(job_id)
    assert {result["run_id"]: result["energy_j"] for result in results} == {
        key: pytest.approx(100.0),
        f"{key}.n1": pytest.approx(100.0),
    }
    assert {result["run_id"]: result["cpu_seconds"] for result in results} == {key: 10.0, f"{key}.n1": 5.0}
    assert ZONE


def test_the_command_says_what_came(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recover", "--spool", str(source)]) == 0
    out = capsys.readouterr().out
    assert "run done: " in out
    assert "run open: " in out
    assert "--ended" in out
    assert run(["recover", "--spool", str(source), "--ended", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["recover", "--ended"]) == 2
    assert os.environ["HOME"]

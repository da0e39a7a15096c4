"""Journals of one attempt in several parts: each counts once, and only when it is known to have ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.lowtide.service.test_carrying import T0, lines

from lowtide.service.collect import collect_readings, journals_in, runs_of
from lowtide.store import open_store
from lowtide.store.jobs import Attempt, AttemptEnd, NewPlan
from lowtide.testing.jobs import job_spec, plan_at
from lowtide_core.launches import AttemptKey

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide.store import Store

RANK = {"job": "j", "local": 0, "world": "0", "reads_counters": True, "cpus": [0]}
PEER = {**RANK, "local": 1, "world": "1", "reads_counters": False}
LATER = T0 + timedelta(hours=1)


def started_on(store: Store, engine: str) -> AttemptKey:
    spec, planned = job_spec(T0), plan_at(T0)
    job_id = store.jobs.add(spec, NewPlan(planned.plan, planned.vintages), "k", T0, "test", "quoted")
    key = AttemptKey(f"{job_id}.1")
    attempt = Attempt(1, key, engine, None, T0, None, None, None, "")
    claimed = store.jobs.move(store.jobs.get(job_id), "claim", at_utc=T0, who="t", why="due", attempt=attempt)
    end = AttemptEnd(T0, None, None)
    store.jobs.move(claimed, "start", at_utc=T0, who="t", why="it runs", owner=claimed.owner, end=end)
    return key


def collected(folder: Path, engine: str, runs: dict[str, tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    """By the part behind the key: (how it ended, its energy in J) of what a second round leaves as it is."""
    spool = folder / "spool"
    spool.mkdir()
    with open_store(folder / "lowtide.db") as store:
        key = started_on(store, engine)
        for part, (end, more) in runs.items():
            (spool / f"{key}{part}.jsonl").write_bytes(lines(f"{key}{part}", 10, end, **more))
        job_id = key.removesuffix(".1")
        collect_readings(store, spool, store.jobs.get(job_id), LATER)
        assert collect_readings(store, spool, store.jobs.get(job_id), LATER) == ()
        results = store.readings.of_job(job_id)
    return {str(got["run_id"]).removeprefix(key): (got["end"], pytest.approx(got["energy_j"])) for got in results}


def test_tasks_and_starts_and_nodes_count_each_and_a_rank_without_counters_does_not(tmp_path: Path) -> None:
    own: dict[str, Any] = {}
    runs = {
        ".t0": ("ok", own),
        ".t1": ("ok", own),
        ".t1.r1": ("ok", own),
        ".r2": ("ok", own),
        "": ("ok", {"rank": RANK}),
        ".n1": ("ok", {"rank": RANK, "boot_id": "c"}),
        ".r1": ("ok", {"rank": PEER, "counted_by": "rank_0", "sources": []}),
    }
    assert collected(tmp_path, "slurm", runs) == dict.fromkeys(runs.keys() - {".r1"}, ("ok", 100.0))


@pytest.mark.parametrize(("engine", "expected"), [("slurm", {"": ("lost", 100.0)}), ("local", {})])
def test_an_open_journal_of_another_node_is_lost_where_the_engine_ran_it_there(
    engine: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    assert collected(tmp_path, engine, {"": (None, {})}) == expected


def test_another_attempt_s_journal_is_not_this_one_s(tmp_path: Path) -> None:
    for name in ("ab.1", "ab.1.t3", "ab.1.t3.r1", "ab.10", "ab.1.r-host-7", "ab.1x"):
        (tmp_path / f"{name}.jsonl").touch()
    assert runs_of(journals_in(tmp_path), AttemptKey("ab.1")) == ["ab.1", "ab.1.t3", "ab.1.t3.r1"]
    assert runs_of(journals_in(tmp_path / "none"), AttemptKey("ab.1")) == []


def test_a_journal_that_never_came_is_told_once(tmp_path: Path) -> None:
    with open_store(tmp_path / "lowtide.db") as store:
        job_id = started_on(store, "slurm").removesuffix(".1")
        (told,) = collect_readings(store, tmp_path, store.jobs.get(job_id), LATER)
        assert "what it used is not known" in told
        assert collect_readings(store, tmp_path, store.jobs.get(job_id), LATER) == ()

"""The store: what is put in comes out, moves compare and set, nothing is overwritten, damage is told."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateTable

from lowtide.jobs.spec import JobSpec
from lowtide.planning.types import ForecastUsed, Misfit, Plan, Segment
from lowtide.store import Store, open_store, tables
from lowtide.store.codec import plan_from_text, plan_to_text, spec_from_text, spec_to_text
from lowtide.store.jobs import Attempt, AttemptEnd, JobRecord, NewPlan
from lowtide.store.tables import metadata
from lowtide_core.errors import IllegalTransition, InputError, StaleOwner
from lowtide_core.launches import AttemptKey, EngineRef
from lowtide_core.places import LOCAL, Place, RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import Span

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
DE = ZoneId("DE")
SPEC = JobSpec(
    argv=("python", "train.py", "--name", "ä b"),
    working_dir="/work",
    duration_s=0.1 + 0.2,
    earliest_utc=NOW,
    deadline_utc=NOW + timedelta(hours=5),
    places=(Place(LOCAL, DE),),
    home=Place(RegionId("aws:eu-north-1"), ZoneId("SE-SE3")),
    power_w=123.456,
    power_basis="given",
    retries=1,
    environment={"PATH": "/bin"},
)


def plan_at(hours: float) -> NewPlan:
    start = NOW + timedelta(hours=hours)
    plan = Plan(
        segments=(Segment(start, start + timedelta(seconds=1), LOCAL, DE),),
        energy_kwh=0.1 + 0.2,
        emissions_g=1 / 3,
        emissions_low_g=None,
        emissions_high_g=0.7,
        at_once_g=1.0,
        baseline_g=None,
        no_baseline_why="because",
        bound_g=1 / 3,
        exact=True,
        chance_worse=0.25,
        price_usd=None,
        forecast=ForecastUsed("invented", "forecast", NOW, LIFECYCLE_CONSUMPTION, NOW + timedelta(days=1)),
        forecast_edge=False,
        pue=1.0,
        transfer_g=0.0,
        baseline_pue=None,
        baseline_transfer_g=None,
        misfits=(Misfit(RegionId("aws:x"), DE, "too far", "deadline", 3.5),),
    )
    return NewPlan(plan, {DE: "0123"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(tmp_path / "lowtide.db")
    yield opened
    opened.database.close()


def add(store: Store, key: str = "k1", hours: float = 1.0, at: datetime = NOW):
    job_id = store.jobs.add(SPEC, plan_at(hours), key, at, "test", "quoted")
    return store.jobs.get(job_id)


def attempt(number: int, job_id: str) -> Attempt:
    return Attempt(number, AttemptKey(f"{job_id}.{number}"), "local", None, NOW, None, None, None, "claimed")


def test_jobs_and_plans_survive_as_json_to_the_last_digit() -> None:
    assert spec_from_text(spec_to_text(SPEC)) == SPEC
    assert plan_from_text(plan_to_text(plan_at(1).plan)) == plan_at(1).plan


def test_a_job_comes_back_as_it_was_put_in(store: Store) -> None:
    record = add(store)
    assert record.spec == SPEC
    assert record.plan == plan_at(1).plan
    assert (record.state, record.why, record.plan_number, record.vintages) == ("waiting", "quoted", 1, {DE: "0123"})
    assert record.submitted_utc == NOW
    assert [e.letter for e in store.jobs.events(record.job_id)] == ["A"]


def test_the_same_key_is_the_same_job(store: Store) -> None:
    assert add(store).job_id == add(store).job_id
    assert len(store.jobs.find()) == 1


def test_a_job_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    record = add(store)
    assert store.jobs.get(record.job_id[:3]).job_id == record.job_id
    for wrong in ("", "zzzzzz", "%", "_" * 6):
        with pytest.raises(InputError, match="no job"):
            store.jobs.get(wrong)


def test_what_is_due_is_asked_by_time(store: Store) -> None:
    late, early = add(store, "k1", 2.0), add(store, "k2", 1.0)
    assert [r.job_id for r in store.jobs.due(NOW + timedelta(hours=3))] == [early.job_id, late.job_id]
    assert [r.job_id for r in store.jobs.due(NOW + timedelta(hours=1))] == [early.job_id]
    assert store.jobs.next_start_utc() == early.plan.start_utc


def test_a_whole_life_leaves_its_trace(store: Store) -> None:
    record = add(store)
    claimed = store.jobs.move(
        record, "claim", at_utc=NOW, who="w", why="due", owner="me", attempt=attempt(1, record.job_id)
    )
    assert (claimed.state, claimed.owner) == ("starting", "me")
    store.jobs.set_ref(claimed, EngineRef("folder"))
    running = store.jobs.move(claimed, "start", at_utc=NOW, who="w", why="it runs", owner="me")
    end = AttemptEnd(NOW, NOW + timedelta(seconds=5), 0)
    done = store.jobs.move(running, "finish", at_utc=NOW, who="w", why="exit 0", end=end)
    assert done.state == "done"
    assert done.attempt == replace(
        attempt(1, record.job_id),
        ref=EngineRef("folder"),
        started_utc=NOW,
        ended_utc=NOW + timedelta(seconds=5),
        exit_status=0,
        why="exit 0",
    )
    assert [e.letter for e in store.jobs.events(record.job_id)] == ["A", "C", "D", "E"]
    assert store.jobs.in_flight() == ()


def test_a_stale_writer_changes_nothing(store: Store) -> None:
    record = add(store)
    store.jobs.move(record, "claim", at_utc=NOW, who="a", why="due", owner="a", attempt=attempt(1, record.job_id))
    with pytest.raises(StaleOwner):
        store.jobs.move(record, "claim", at_utc=NOW, who="b", why="due", owner="b", attempt=attempt(2, record.job_id))
    held = store.jobs.get(record.job_id)
    with pytest.raises(StaleOwner):
        store.jobs.move(replace(held, owner="b"), "start", at_utc=NOW, who="b", why="mine", owner="b")
    assert [a.number for a in held.attempts] == [1]
    assert [e.letter for e in store.jobs.events(record.job_id)] == ["A", "C"]


def test_an_illegal_move_is_refused_before_anything_is_written(store: Store) -> None:
    record = add(store)
    with pytest.raises(IllegalTransition):
        store.jobs.move(record, "finish", at_utc=NOW, who="w", why="?")
    assert store.jobs.get(record.job_id) == record


def test_every_plan_is_kept(store: Store) -> None:
    record = store.jobs.move(add(store), "replan", at_utc=NOW, who="w", why="fresher", planned=plan_at(3))
    assert record.plan_number == 2
    assert record.plan.start_utc == NOW + timedelta(hours=3)
    assert store.jobs.plan(record.job_id, 1).plan == plan_at(1).plan
    assert store.jobs.next_start_utc() == record.plan.start_utc


def test_the_wish_to_cancel_is_kept(store: Store) -> None:
    record = add(store)
    claimed = store.jobs.move(record, "claim", at_utc=NOW, who="w", why="due", owner="me")
    store.jobs.want_cancel(claimed, at_utc=NOW, who="user")
    assert store.jobs.get(record.job_id).cancel_wanted


def running(store: Store) -> JobRecord:
    record = add(store)
    end = AttemptEnd(NOW, None, None)
    claimed = store.jobs.move(record, "claim", at_utc=NOW, who="w", why="due", attempt=attempt(1, record.job_id))
    return store.jobs.move(claimed, "start", at_utc=NOW, who="w", why="it runs", end=end)


def test_the_wish_to_pause_is_kept_and_whoever_does_not_know_of_it_is_stale(store: Store) -> None:
    record = running(store)
    wished = store.jobs.want_pause(record, wanted=True, at_utc=NOW, who="user")
    assert store.jobs.get(record.job_id).pause_wanted
    with pytest.raises(StaleOwner):
        store.jobs.note(record, at_utc=NOW, who="w", why="?")
    assert not store.jobs.want_pause(wished, wanted=False, at_utc=NOW, who="user").pause_wanted


def test_what_was_paused_is_no_run_time(store: Store) -> None:
    def at(minutes: int) -> datetime:
        return NOW + timedelta(minutes=minutes)

    record = running(store)
    paused = store.jobs.move(record, "pause", at_utc=at(12), held_utc=at(10), who="w", why="")
    assert (paused.state, paused.attempt.ran_s(at(60)), paused.attempt.held_s(at(60))) == ("paused", 600, 3000)
    resumed = store.jobs.move(paused, "resume", at_utc=at(30), who="w", why="")
    assert resumed.attempt.ran_s(at(40)) == 20 * 60
    again = store.jobs.move(resumed, "pause", at_utc=at(45), who="w", why="")
    end = AttemptEnd(None, at(50), 137)
    ended = store.jobs.move(again, "fail", at_utc=at(55), who="w", why="killed", end=end).attempt
    assert (ended.ran_s(at(99)), ended.paused_s, ended.paused_utc) == (25 * 60, 25 * 60, None)


def series(**changes: object) -> SignalSeries:
    values = np.array([0.1 + 0.2, float("nan"), 300.0])
    plain = SignalSeries(DE, NOW, 3600.0, values, LIFECYCLE_CONSUMPTION, "forecast", "invented", NOW, NOW)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_the_same_word_twice_is_one_event(store: Store) -> None:
    said = store.jobs.note(add(store), at_utc=NOW, who="w", why="the old plan holds")
    later = NOW + timedelta(minutes=5)
    again = store.jobs.note(said, at_utc=later, who="w", why="the old plan holds")
    assert [(e.letter, e.why) for e in store.jobs.events(said.job_id)] == [("A", "quoted"), ("-", "the old plan holds")]
    assert again.changed_utc == later


def test_old_plans_are_found_until_somebody_has_looked(store: Store) -> None:
    record = add(store)
    later = NOW + timedelta(hours=1)
    assert store.jobs.unrenewed(NOW, NOW) == ()
    assert store.jobs.unrenewed(later, later) == (record,)
    store.jobs.note(record, at_utc=later, who="w", why="nothing fresher")
    assert store.jobs.unrenewed(later, later) == ()


def test_a_job_is_written_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("lowtide.store.jobs._add_event", _crash)
        with pytest.raises(KeyboardInterrupt):
            add(store)
    assert store.jobs.find() == ()
    record = add(store)
    with monkeypatch.context() as patch:
        patch.setattr("lowtide.store.jobs._add_event", _crash)
        with pytest.raises(KeyboardInterrupt):
            store.jobs.move(record, "claim", at_utc=NOW, who="w", why="", owner="w", attempt=attempt(1, record.job_id))
    assert store.jobs.get(record.job_id) == record


def _crash(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_job_that_went_round_and_came_back_is_not_mistaken(store: Store) -> None:
    old = add(store)
    claimed = store.jobs.move(old, "claim", at_utc=NOW, who="a", why="due", owner="a", attempt=attempt(1, old.job_id))
    store.jobs.move(claimed, "retry", at_utc=NOW, who="a", why="lost")
    with pytest.raises(StaleOwner):  # it waits again, without an owner, as ``old`` says: but one attempt later
        store.jobs.move(old, "claim", at_utc=NOW, who="b", why="due", owner="b", attempt=attempt(1, old.job_id))
    assert store.jobs.get(old.job_id).state == "waiting"


def test_vintages_come_back_bit_for_bit_and_are_one_where_they_are_the_same(store: Store) -> None:
    banded = series(low_g_per_kwh=np.array([0.0, 1.0, 2.0]), high_g_per_kwh=np.array([1.0, 2.0, 1 / 3]))
    first = store.signals.add(banded)
    assert store.signals.add(banded) == first
    others = {store.signals.add(series()), store.signals.add(series(fetched_at=NOW + timedelta(seconds=1)))}
    assert len(others | {first}) == 3
    back = store.signals.get(first)
    for name in ("intensity_g_per_kwh", "low_g_per_kwh", "high_g_per_kwh"):
        assert getattr(back, name).tobytes() == getattr(banded, name).tobytes()
    plain = ("zone", "start_utc", "step_s", "frame", "kind", "source", "issued_at", "fetched_at", "note")
    assert [getattr(back, name) for name in plain] == [getattr(banded, name) for name in plain]
    with pytest.raises(InputError, match="no signal vintage"):
        store.signals.get("nothing")


def test_vintages_are_found_by_zone_frame_kind_and_time(store: Store) -> None:
    store.signals.add(series(kind="actual"))
    span = Span(NOW + timedelta(hours=2), NOW + timedelta(hours=9))
    found = store.signals.overlapping(DE, LIFECYCLE_CONSUMPTION, span, ("actual", "estimated"))
    assert [s.kind for s in found] == ["actual"]
    assert not store.signals.overlapping(DE, LIFECYCLE_CONSUMPTION, span, ("forecast",))
    later = Span(NOW + timedelta(hours=3), NOW + timedelta(hours=9))
    assert not store.signals.overlapping(DE, LIFECYCLE_CONSUMPTION, later, ("actual",))


def test_readings_and_settlements_are_only_added(store: Store) -> None:
    record = add(store)
    store.readings.add("run", record.job_id, 1, {"energy_j": 1.5}, NOW)
    store.readings.add("run", record.job_id, 1, {"energy_j": 99}, NOW)
    assert store.readings.of_job(record.job_id) == ({"energy_j": 1.5},)
    assert store.settlements.latest(record.job_id) is None
    store.settlements.add(record.job_id, "provisional", {"n": 1}, NOW)
    store.settlements.add(record.job_id, "settled", {"n": 2}, NOW)
    assert store.settlements.latest(record.job_id) == {"n": 2}


def test_open_is_what_ended_lately_and_is_not_settled(store: Store) -> None:
    def ended(key: str) -> str:
        record = add(store, key)
        job_id = record.job_id
        claimed = store.jobs.move(record, "claim", at_utc=NOW, who="w", why="due", attempt=attempt(1, job_id))
        store.jobs.move(claimed, "finish", at_utc=NOW, who="w", why="exit 0", end=AttemptEnd(NOW, NOW, 0))
        return job_id

    never, provisional, settled = ended("k1"), ended("k2"), ended("k3")
    add(store, "k4")
    store.settlements.add(provisional, "settled", {}, NOW)
    store.settlements.add(provisional, "provisional", {}, NOW)
    store.settlements.add(settled, "settled", {}, NOW)
    assert set(store.settlements.open_jobs(("done",), NOW)) == {never, provisional}
    assert store.settlements.open_jobs(("failed",), NOW) == ()
    assert store.settlements.open_jobs(("done",), NOW + timedelta(seconds=1)) == ()


def test_a_service_is_counted_on_as_long_as_it_says(store: Store) -> None:
    store.services.beat("serve", "host", 7, NOW, NOW + timedelta(minutes=1))
    assert [s.pid for s in store.services.alive(NOW + timedelta(seconds=59))] == [7]
    assert store.services.alive(NOW + timedelta(minutes=2)) == ()
    store.services.leave("serve", "host", 7)
    assert store.services.alive(NOW) == ()


def test_the_migrations_make_the_tables(store: Store, tmp_path: Path) -> None:
    fresh = create_engine(f"sqlite:///{tmp_path / 'metadata.db'}")
    metadata.create_all(fresh)

    def schema(path: Path) -> dict[str, list[tuple[object, ...]]]:
        with sqlite3.connect(path) as connection:
            names = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            tables = {n: connection.execute(f"PRAGMA table_info({n})").fetchall() for n in names if "alembic" not in n}
            query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ix%' ORDER BY 1"
            tables["indexes"] = connection.execute(query).fetchall()
            for name in list(tables):
                if name != "indexes":
                    tables[name + " keys"] = connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()
        connection.close()
        return tables

    assert schema(tmp_path / "lowtide.db") == schema(tmp_path / "metadata.db")
    fresh.dispose()
    assert all(str(CreateTable(table)) for table in metadata.sorted_tables)


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO jobs VALUES ('abcdef', 'k', 'starting', '', '', 0, :spec, 1.0, 1.0, 1.0)",
            {"spec": spec_to_text(SPEC)},
        )
        connection.exec_driver_sql(
            "INSERT INTO plans VALUES ('abcdef', 1, 1.0, :plan, '{}', '')", {"plan": plan_to_text(plan_at(1).plan)}
        )
        connection.exec_driver_sql(
            "INSERT INTO attempts VALUES ('abcdef', 1, 'abcdef.1', 'local', NULL, 1.0, NULL, NULL, NULL, '')"
        )
    engine.dispose()
    with open_store(tmp_path / "old.db") as store:
        record = store.jobs.get("abcdef")
        assert (record.pause_wanted, record.attempt.paused_s, record.attempt.paused_utc) == (False, 0.0, None)


def test_an_up_to_date_store_opens_without_alembic(store: Store, tmp_path: Path) -> None:
    script = (
        "import sys; from lowtide.store import open_store; "
        f"open_store({str(tmp_path / 'lowtide.db')!r}); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_newer_store_is_refused(store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "lowtide.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(InputError, match=r"newer lowtide.*9999") as caught:
        open_store(tmp_path / "lowtide.db")
    assert "Upgrade" in caught.value.hint


@pytest.mark.parametrize("content", [b"this is not a database, it is a text" * 50, b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_store_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.db").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.db cannot be used") as caught:
        open_store(tmp_path / "bad.db")
    assert caught.value.hint


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(InputError, match="holds other tables"):
        open_store(tmp_path / "other.db")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        open_store(tmp_path / "file" / "lowtide.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(InputError, match="unable to open"):
        open_store(tmp_path / "folder.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not write")
def test_a_store_without_write_permission_is_told(store: Store, tmp_path: Path) -> None:
    add(store)
    store.database.close()
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    script = f"""
import os, sqlalchemy.dialects.sqlite
from datetime import UTC, datetime
from lowtide.store import open_store
from lowtide_core.errors import InputError
os.setgid(65534)
os.setuid(65534)  # after the imports: the interpreter itself may be root's alone
try:
    open_store({str(tmp_path / "lowtide.db")!r}).services.beat("serve", "h", 1, datetime.now(UTC), datetime.now(UTC))
except InputError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "cannot be used" in told.stdout, told.stderr
    assert "writable" in told.stdout or "accessible" in told.stdout


def test_a_password_in_the_url_is_never_told() -> None:
    with pytest.raises(InputError) as caught:
        open_store("postgresql+psycopg2://user:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1:1/none" in str(caught.value)

"""Jobs planned one after another see what home has promised before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.asking import Asked, plan_request
from lowtide.assembly.quote import Quote, quote
from lowtide.cli.app import run
from lowtide.jobs.manner import Manner
from lowtide.jobs.widths import WidthTable
from lowtide.service.promises import with_promises
from lowtide.service.replanning import replanner
from lowtide.service.submitting import Order, submit
from lowtide.settings import Settings
from lowtide.store import Store, open_store
from lowtide.store.jobs import OVERDUE, JobRecord
from lowtide.testing.jobs import add_job, job_spec, plan_at
from lowtide.wiring import Wiring
from lowtide_core.errors import InfeasibleError
from lowtide_core.places import LOCAL

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
VALUES = [500, 200, 100, 300, 400, 600, 150, 250, 350, 450, 550, 650]
ONE = Settings(home="DE", home_jobs=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


@pytest.fixture
def signal(tmp_path: Path) -> str:
    """A forecast of twelve hours, hour by hour."""
    file = tmp_path / "signal.csv"
    rows = [f"{NOW - HOUR:%Y-%m-%dT%H:%MZ},{NOW + hour * HOUR:%Y-%m-%dT%H:%MZ},{g}" for hour, g in enumerate(VALUES)]
    file.write_text("\n".join(["issued_utc,start_utc,intensity_g_per_kwh", *rows]) + "\n")
    return str(file)


def quoted(store: Store, signal: str, settings: Settings, *, key: str = "", **asked: object) -> Quote:
    plain = Asked(**{"duration": "1h", "deadline": "10h", "power": "100W", "guard": False, **asked})  # type: ignore[arg-type]
    request = with_promises(plan_request(plain, settings, now_utc=NOW), settings, store, NOW, without_key=key)
    return quote(request, Wiring().chain(signal, as_of_utc=NOW))


def submitted(store: Store, signal: str, settings: Settings, *, key: str = "", **asked: object) -> JobRecord:
    found = quoted(store, signal, settings, key=key, **asked)
    order = Order(("true",), "/", {}, signal=signal, key=key)
    return submit(store, found, order, environ={"PATH": "/bin:/usr/bin"}, now_utc=NOW, who="test")


def hour_of(record: JobRecord) -> float:
    return (record.plan.start_utc - NOW) / HOUR


def test_jobs_fill_the_cheap_hours_one_after_another(store: Store, signal: str) -> None:
    hours = [hour_of(submitted(store, signal, ONE)) for _ in range(10)]
    assert hours == sorted(range(10), key=lambda hour: VALUES[hour])
    with pytest.raises(InfeasibleError) as caught:
        submitted(store, signal, ONE)
    (misfit,) = caught.value.facts["misfits"]
    assert (misfit.limit, misfit.short_by_s) == ("capacity", 3600.0)
    assert "10 jobs are promised" in misfit.why


def test_two_at_once_share_the_cheapest_hour(store: Store, signal: str) -> None:
    two = replace(ONE, home_jobs=2)
    assert [hour_of(submitted(store, signal, two)) for _ in range(4)] == [2, 2, 6, 6]


def test_power_is_shared_too(store: Store, signal: str) -> None:
    shared = Settings(home="DE", home_power=250.0)
    assert [hour_of(submitted(store, signal, shared)) for _ in range(3)] == [2, 2, 6]
    assert hour_of(submitted(store, signal, shared, power="50W")) == 2, "so much is left"
    with pytest.raises(InfeasibleError) as caught:
        submitted(store, signal, shared, power="300W")
    assert "300 W" in caught.value.facts["misfits"][0].why


def test_without_a_limit_nothing_is_asked_and_all_take_the_cheapest(store: Store, signal: str) -> None:
    free = Settings(home="DE")
    assert [hour_of(submitted(store, signal, free)) for _ in range(3)] == [2, 2, 2]
    assert quoted(store, signal, free).promised == 0
    away = replace(quoted(store, signal, ONE, region="aws:eu-central-1").request)
    assert not away.limits, "what home has promised is nothing to other places"


def test_the_quote_says_what_it_was_planned_around(store: Store, signal: str) -> None:
    first = quoted(store, signal, ONE)
    assert (first.promised, first.planned_around_until_utc) == (0, None)
    submitted(store, signal, ONE, pausable=True, duration="2h")
    found = quoted(store, signal, ONE)
    assert found.promised == 1, "a job with two runs is one"
    assert found.planned_around_until_utc == NOW + 7 * HOUR
    assert found.to_json()["promised"] == 1
    roomy = quoted(store, signal, replace(ONE, home_jobs=2))
    assert (roomy.promised, roomy.planned_around_until_utc) == (1, None)


def test_the_same_key_again_is_not_in_its_own_way(store: Store, signal: str) -> None:
    one = submitted(store, signal, ONE, key="mine", deadline="1h")
    assert submitted(store, signal, ONE, key="mine", deadline="1h").job_id == one.job_id
    with pytest.raises(InfeasibleError):
        submitted(store, signal, ONE, key="another", deadline="1h")


def test_a_waiting_job_is_planned_again_around_the_others_but_not_around_itself(store: Store, signal: str) -> None:
    first, second = (submitted(store, signal, ONE) for _ in range(2))
    make_plan = replanner(store, Wiring().chain, ONE)
    assert make_plan(first, NOW).plan.segments == first.plan.segments
    assert make_plan(second, NOW).plan.segments == second.plan.segments
    clashing = add_job(store, replace(first.spec), plan_at(second.plan.start_utc), at_utc=NOW)
    assert clashing.plan.start_utc == second.plan.start_utc
    again = make_plan(second, NOW).plan
    assert (again.start_utc - NOW) / HOUR == 1, (
        "neither the hour of the first job nor that of the one that came between"
    )


def test_what_is_promised_from_now_on(store: Store) -> None:
    table = WidthTable((1, 2), (1.0, 1.8), (100.0, 220.0), base=1, fixed=True)
    course = Manner(course=((0.5, 0.5), (0.5, 1.5)))
    over = add_job(store, job_spec(NOW - 3 * HOUR), plan_at(NOW - 3 * HOUR), at_utc=NOW, key="over")
    add_job(store, job_spec(NOW), plan_at(NOW - HOUR / 2), at_utc=NOW, key="under way")
    add_job(store, job_spec(NOW, manner=course), plan_at(NOW + HOUR), at_utc=NOW, key="to come")
    wide = plan_at(NOW + 2 * HOUR).plan
    wide = replace(wide, segments=tuple(replace(segment, width=2) for segment in wide.segments))
    spec = job_spec(NOW, manner=Manner(widths=table))
    add_job(store, spec, replace(plan_at(NOW), plan=wide), at_utc=NOW, key="wide")
    told = [(one.start_utc - NOW, one.end_utc - NOW, one.power_w) for one in store.jobs.promised(LOCAL, NOW)]
    known = [
        (timedelta(0), HOUR / 2, 100.0),
        (HOUR, 2 * HOUR, pytest.approx(150.0)),
        (2 * HOUR, 3 * HOUR, 220.0),
    ]
    assert told == known
    assert len(store.jobs.promised(LOCAL, NOW, without_key="wide")) == 2
    starting = store.jobs.move(over, "claim", at_utc=NOW, who="test", why="its time has come", owner="me")
    running = store.jobs.move(starting, "start", at_utc=NOW, who="test", why="it runs")
    told = [(one.start_utc - NOW, one.end_utc - NOW, one.power_w) for one in store.jobs.promised(LOCAL, NOW)]
    assert told == [(timedelta(0), OVERDUE, 100.0), *known], "it runs longer than it was planned to"
    store.jobs.move(running, "finish", at_utc=NOW, who="test", why="done")
    assert len(store.jobs.promised(LOCAL, NOW)) == 3


def test_the_commands_plan_around_promises_and_say_so(signal: str, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [f"{now - HOUR:%Y-%m-%dT%H:%MZ},{now + hour * HOUR:%Y-%m-%dT%H:%MZ},300" for hour in range(12)]
    Path(signal).write_text("\n".join(["issued_utc,start_utc,intensity_g_per_kwh", *rows]) + "\n")
    assert run(["config", "set", "home", "DE"]) == 0
    assert run(["config", "set", "home_jobs", "1"]) == 0
    job = ["--duration", "2h", "--deadline", "5h", "--power", "1kW", "--signal", signal]
    assert run(["submit", *job, "--", "true"]) == 0
    capsys.readouterr()
    assert run(["plan", *job, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["promised"] == 1
    assert run(["plan", *job]) == 0
    assert "1 job is promised here until" in capsys.readouterr().out
    assert run(["submit", *job, "--", "true"]) == 0
    assert run(["submit", *job, "--", "true"]) == 3
    assert "2 jobs are promised" in capsys.readouterr().err
    assert run(["plan", *job, "--deadline", "9h", "--frontier"]) == 2

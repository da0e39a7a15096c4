"""Ray when connections break, its head restarts, nobody has what a job asks for, and tokens are wrong; on a double."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract.ray_double import RayDouble
from tests.contract.rigs_remote import JOURNAL, KEY, ray, shell, small_sampler, until

from lowtide_core.errors import InputError, LowtideError, Malformed, NoData, Rejected, Unavailable
from lowtide_core.launches import AttemptKey, EngineReport, Launch, Needs
from lowtide_providers.engines.ray import RayEngine
from lowtide_providers.engines.ray_api import RayApi

Rig = tuple[RayEngine, RayDouble]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with ray(tmp_path) as made:
        yield made


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Rig]:
    """A cluster in which jobs run only by name."""
    with ray(tmp_path, runs_jobs=False) as made:
        yield made


STEPS = (("GET", "/api/jobs/k3"), ("GET", "/packages/"), ("PUT", "/packages/"), ("POST", "/api/jobs/"))


@pytest.mark.parametrize("step", STEPS, ids=["look", "look for the archive", "archive", "submit"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_submit_that_breaks_at_any_step_is_mended_by_the_next(
    still: Rig, tmp_path: Path, step: tuple[str, str], after: bool, status: int
) -> None:
    engine, double = still
    launch = shell("true", small_sampler(tmp_path))
    double.wire.break_next(*step, status, after=after)
    if step[0] == "POST" and after and status == 500:  # as Ray tells that the name is taken
        engine.submit(launch, KEY)
    else:
        with pytest.raises(Unavailable):
            engine.submit(launch, KEY)
    assert engine.observe([KEY])[0].state == ("running" if step[0] == "POST" and after else "absent")
    assert engine.submit(launch, KEY) == engine.submit(launch, KEY) == KEY
    assert [job["status"] for job in double.jobs.values()] == ["RUNNING"]


def test_two_who_submit_at_once_start_one_job(still: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, double = still
    engine.submit(shell("true"), KEY)
    look, answers = RayApi.job, iter([None])
    monkeypatch.setattr(RayApi, "job", lambda *asked: next(answers, look(*asked)))  # the other came after the look
    engine.submit(shell("true"), KEY)
    assert [path for method, path in double.wire.asked if method == "POST"] == ["/api/jobs/", "/api/jobs/"]
    assert len(double.jobs) == 1


@pytest.mark.parametrize("call", ["submit", "observe", "cancel", "log_path", "fetch_journals"])
@pytest.mark.parametrize("down", [False, True], ids=["cut", "down"])
def test_a_lost_connection_is_unavailable_in_every_call(still: Rig, call: str, down: bool) -> None:
    engine, double = still
    engine.submit(shell("true"), KEY)
    arguments = {"submit": (shell("true"), AttemptKey("other.1")), "observe": ([KEY],)}.get(call, (KEY,))
    if down:
        double.wire.stop()
    else:
        for method in ("GET", "POST"):
            double.wire.break_next(method, ".", times=9)
    with pytest.raises(Unavailable) as caught:
        getattr(engine, call)(*arguments)
    assert caught.value.facts["address"] == engine.api.address
    assert "ray_address" in caught.value.hint
    double.wire.faults.clear()
    if down:
        double.start()
    assert engine.observe([KEY])[0].state == "running"


def test_a_head_that_forgot_everything_has_never_heard_of_it(still: Rig) -> None:
    engine, double = still
    engine.submit(shell("true"), KEY)
    double.forget()
    assert engine.observe([KEY]) == (EngineReport(KEY, "absent"),)
    with pytest.raises(NoData, match="Ray has forgotten the job"):
        engine.fetch_journals(KEY)


def test_five_hundred_jobs_cost_one_question_a_round(still: Rig) -> None:
    engine, double = still
    keys = [AttemptKey(f"job{number}.1") for number in range(500)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: engine.submit(shell("true"), key), keys))
    for key in keys[:250]:
        double.end(key, 0)
    double.wire.asked.clear()
    states = [report.state for report in engine.observe(keys)]
    assert double.wire.asked == [("GET", "/api/jobs/")]
    assert (states.count("running"), states.count("ended")) == (250, 250)


@pytest.mark.parametrize("command", ["exit 5", "sleep 60"])
def test_the_journal_comes_back_in_the_log(rig: Rig, tmp_path: Path, command: str) -> None:
    engine, _ = rig
    engine.submit(shell(f"echo hello; touch {tmp_path}/began; {command}", small_sampler(tmp_path)), KEY)
    until(engine, lambda _: (tmp_path / "began").exists())
    if "sleep" in command:
        engine.cancel(KEY)
    report = until(engine, lambda report: report.state == "ended")
    assert report.exit_status == (5 if command == "exit 5" else 143)
    (journal,) = engine.fetch_journals(KEY)
    assert journal.decode() == JOURNAL % (5 if command == "exit 5" else -15)
    assert Path(engine.log_path(KEY)).read_text().splitlines()[1:] == ["hello"]


def test_a_job_that_is_not_measured_has_no_journal(rig: Rig) -> None:
    engine, _ = rig
    engine.submit(shell("true"), KEY)
    until(engine, lambda report: report.state == "ended")
    with pytest.raises(NoData, match=f"The journal of {KEY} is lost: nothing of it is in the log"):
        engine.fetch_journals(KEY)


def test_what_nobody_has_room_for_stays_pending_even_when_told_to_stop(still: Rig) -> None:
    engine, _ = still
    engine.submit(shell("true", resources="region:mars=1"), KEY)
    (report,) = engine.observe([KEY])
    assert (report.state, report.queued, report.started_utc) == ("accepted", True, None)
    assert report.why.startswith("Ray keeps it pending: Job has not started yet.")
    engine.cancel(KEY)
    assert engine.observe([KEY])[0].state == "accepted", "as real Ray was seen to: it is not said to have ended"


@pytest.mark.parametrize(
    ("said", "state", "exit_status", "why"),
    [
        ({"driver_exit_code": -9}, "ended", 137, "ended by signal 9"),
        ({"driver_exit_code": 3}, "ended", 3, ""),
        ({"error_type": "RUNTIME_ENV_SETUP_FAILED", "message": "no pip"}, "ended", 125, "RUNTIME_ENV_SETUP_FAILED: no"),
        ({"error_type": "JOB_SUPERVISOR_ACTOR_DIED", "message": "node died"}, "vanished", None, "Ray cannot say how"),
    ],
)  # fmt: skip
def test_how_a_job_failed(still: Rig, said: dict[str, object], state: str, exit_status: int | None, why: str) -> None:
    engine, double = still
    engine.submit(shell("true"), KEY)
    double.jobs[KEY].update(status="FAILED", end_time=double.jobs[KEY]["start_time"], **said)
    (report,) = engine.observe([KEY])
    assert (report.state, report.exit_status) == (state, exit_status)
    assert report.why.startswith(why)


def test_what_a_job_needs_is_asked_of_its_node(still: Rig, tmp_path: Path) -> None:
    engine, double = still
    double.resources |= {"fast", "region:aws:eu-north-1"}
    environment = tmp_path / "env.json"
    environment.write_text(json.dumps({"pip": ["torch"], "env_vars": {"A": "1"}}))
    options = {"resources": "fast=1", "memory": "16GB", "runtime_env": str(environment)}
    needs = Needs(cpus=2, gpu_count=1)
    sent: list[dict[str, object]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RayApi, "submit", lambda _, body: sent.append(body) or True)
        engine.submit(
            Launch("j", ("echo", "a b"), "/", {"B": "2"}, needs=needs, region="aws:eu-north-1", options=options), KEY
        )
    (body,) = sent
    assert body == {
        "entrypoint": "exec echo 'a b'",
        "submission_id": KEY,
        "runtime_env": {"pip": ["torch"], "env_vars": {"A": "1", "B": "2"}},
        "metadata": {"lowtide_key": KEY, "lowtide_job": "j"},
        "entrypoint_num_cpus": 2,
        "entrypoint_num_gpus": 1,
        "entrypoint_memory": 16_000_000_000,
        "entrypoint_resources": {"fast": 1.0, "region:aws:eu-north-1": 0.001},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resuorces": "a=1"}, "has no option 'resuorces'"),
        ({"resources": "a"}, "resources=a is not usable"),
        ({"num_cpus": "many"}, "num_cpus=many is not usable"),
        ({"runtime_env": "/nowhere.json"}, "cannot be read"),
    ],
)
def test_wrong_options_are_refused_before_anybody_is_asked(still: Rig, options: dict[str, str], message: str) -> None:
    engine, double = still
    with pytest.raises(InputError, match=message):
        engine.check(Launch("j", ("true",), "/", options=options))
    assert double.wire.asked == []


@pytest.mark.parametrize("address", ["ray://head:10001", "auto", "head:6379", "http://"])
def test_an_address_of_another_kind_says_which_is_wanted(address: str) -> None:
    with pytest.raises(InputError, match="is no address of Ray's Jobs API") as caught:
        RayApi(address)
    assert "8265" in caught.value.hint


def test_a_token_is_sent_and_never_told(still: Rig, tmp_path: Path) -> None:
    _, double = still
    double.token = "very-secret"
    with pytest.raises(Rejected) as caught:
        RayEngine(tmp_path, RayApi(double.wire.url, token="wrong-secret")).observe([KEY])
    assert "RAY_AUTH_TOKEN" in caught.value.hint
    assert "wrong-secret" not in str(caught.value) + repr(RayApi(double.wire.url, token="wrong-secret"))
    assert RayEngine(tmp_path, RayApi(double.wire.url, token="very-secret")).observe([KEY])[0].state == "absent"


@pytest.mark.parametrize(("status", "kind"), [(400, InputError), (403, Rejected), (429, Unavailable), (302, Malformed)])
def test_each_refusal_is_of_its_kind(still: Rig, status: int, kind: type[LowtideError]) -> None:
    engine, double = still
    double.wire.break_next("POST", "/api/jobs/", status)
    with pytest.raises(kind):
        engine.submit(shell("true"), KEY)
    assert double.jobs == {}


def test_something_else_at_that_address(still: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, double = still
    monkeypatch.setattr(double, "answer", lambda *_: "<html>hello</html>")
    with pytest.raises(Malformed, match="is not Ray's Jobs API"):
        engine.observe([KEY])


def test_offline_asks_nobody(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        RayEngine(tmp_path, RayApi(offline=True)).observe([KEY])
    assert caught.value.facts["offline"]

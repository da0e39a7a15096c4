"""Kubernetes when connections break, servers restart, pods are put out, and nobody grants a thing; on a double."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract.kube_double import KubeDouble, write_kubeconfig
from tests.contract.rigs_remote import JOURNAL, KEY, kubernetes, shell, small_sampler, until

from lowtide_core.errors import InputError, LowtideError, NoData, Rejected, Unavailable
from lowtide_core.launches import AttemptKey, EngineReport, Launch, Needs
from lowtide_providers.engines.kubernetes import KubernetesEngine
from lowtide_providers.engines.kubernetes_cluster import Access

Rig = tuple[KubernetesEngine, KubeDouble]
IMAGE = {"image": "python:3.12-slim"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with kubernetes(tmp_path) as made:
        yield made


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Rig]:
    """A cluster in which pods run only by name."""
    with kubernetes(tmp_path, runs_pods=False) as made:
        yield made


def ended(engine: KubernetesEngine) -> EngineReport:
    return until(engine, lambda report: report.state in ("ended", "vanished"))


STEPS = (("POST", "/configmaps"), ("POST", "/jobs"), ("PATCH", "/jobs/"))


@pytest.mark.parametrize("step", STEPS, ids=["archive", "create", "release"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("status", [0, 500, 503, 429])
def test_a_submit_that_breaks_at_any_step_is_mended_by_the_next(
    still: Rig, tmp_path: Path, step: tuple[str, str], after: bool, status: int
) -> None:
    engine, kube = still
    launch = shell("true", small_sampler(tmp_path), **IMAGE)
    kube.wire.break_next(*step, status, after=after)
    with pytest.raises(Unavailable):
        engine.submit(launch, KEY)
    began = engine.observe([KEY])[0].state in ("running",)
    assert began == (step[0] == "PATCH" and after), "nothing runs before it is released"
    engine.submit(launch, KEY)
    engine.submit(launch, KEY)
    assert (len(kube.jobs()), len(kube.pods())) == (1, 1)
    assert engine.observe([KEY])[0].state == "running"


@pytest.mark.parametrize("call", ["submit", "observe", "cancel", "suspend", "resume", "log_path", "fetch_journals"])
@pytest.mark.parametrize("down", [False, True], ids=["cut", "down"])
def test_a_lost_connection_is_unavailable_in_every_call(still: Rig, call: str, down: bool) -> None:
    engine, kube = still
    engine.submit(Launch("j", ("true",), "/", options=IMAGE, checkpoints=True), KEY)
    arguments = {"submit": (shell("true", **IMAGE), AttemptKey("other.1")), "observe": ([KEY],)}.get(call, (KEY,))
    if down:
        kube.stop()
    else:
        for method in ("GET", "POST", "PATCH"):
            kube.wire.break_next(method, ".", times=9)
    with pytest.raises(Unavailable) as caught:
        getattr(engine, call)(*arguments)
    assert caught.value.facts["context"] == "here"
    assert "here" in caught.value.message
    assert "0x" not in caught.value.message
    kube.wire.faults.clear()
    if down:
        kube.start()
    assert engine.observe([KEY])[0].state == "running"


def test_a_server_that_restarts_meanwhile_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    engine, kube = rig
    engine.submit(shell(f"while [ ! -e {tmp_path}/end ]; do sleep 0.05; done; exit 4", **IMAGE), KEY)
    until(engine, lambda report: report.state == "running")
    kube.stop()
    (tmp_path / "end").touch()
    with pytest.raises(Unavailable):
        engine.observe([KEY])
    kube.start()
    assert ended(engine).exit_status == 4
    assert len(kube.jobs()) == 1


def test_five_hundred_jobs_cost_two_questions_a_round(still: Rig) -> None:
    engine, kube = still
    keys = [AttemptKey(f"job{number}.1") for number in range(500)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: engine.submit(shell("true", **IMAGE), key), keys))
    for pod in kube.pods()[:250]:
        kube.end_pod(pod["metadata"]["name"], 0)
    kube.wire.asked.clear()
    states = [report.state for report in engine.observe(keys)]
    assert kube.wire.asked == [
        ("GET", "/apis/batch/v1/namespaces/default/jobs"),
        ("GET", "/api/v1/namespaces/default/pods"),
    ]
    assert (states.count("running"), states.count("ended")) == (250, 250)


def test_a_waiting_job_costs_one_question(still: Rig) -> None:
    engine, kube = still
    engine.cancel(KEY)
    kube.wire.asked.clear()
    assert engine.observe([KEY, AttemptKey("other.1")])[1].state == "absent"
    assert len(kube.wire.asked) == 1


@pytest.mark.parametrize("command", ["exit 5", "exec sleep 60"])
def test_the_journal_comes_back_in_the_log(rig: Rig, tmp_path: Path, command: str) -> None:
    engine, _ = rig
    engine.submit(shell(f"echo hello; touch {tmp_path}/began; {command}", small_sampler(tmp_path), **IMAGE), KEY)
    until(engine, lambda report: (tmp_path / "began").exists())
    if "sleep" in command:
        engine.cancel(KEY)  # the pod goes, and its log with it: what it says last is caught
    report = ended(engine)
    assert report.exit_status == (5 if command == "exit 5" else 143)
    (journal,) = engine.fetch_journals(KEY)
    assert journal.decode() == JOURNAL % (5 if command == "exit 5" else -15)
    assert Path(engine.log_path(KEY)).read_text() == "hello\n"


def test_each_run_of_a_held_job_has_its_journal(rig: Rig, tmp_path: Path) -> None:
    engine, _ = rig
    argv = ("/bin/sh", "-c", f"echo run >> {tmp_path}/began; while [ ! -e {tmp_path}/end ]; do sleep 0.05; done")
    engine.submit(Launch("j", argv, "/", checkpoints=True, options=IMAGE, sampler=small_sampler(tmp_path)), KEY)
    until(engine, lambda report: (tmp_path / "began").exists())
    engine.suspend(KEY)
    until(engine, lambda report: report.suspended)
    engine.resume(KEY)
    until(engine, lambda report: (tmp_path / "began").read_text() == "run\nrun\n")
    (tmp_path / "end").touch()
    assert ended(engine).exit_status == 0
    assert [journal.decode() for journal in engine.fetch_journals(KEY)] == [JOURNAL % -15, JOURNAL % 0]


def test_an_image_without_python_runs_the_command_all_the_same(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = rig
    monkeypatch.setenv("PATH", str(tmp_path))  # of the pod too: there is no python3
    engine.submit(shell("echo hello; exit 6", small_sampler(tmp_path), **IMAGE), KEY)
    assert ended(engine).exit_status == 6
    with pytest.raises(NoData, match="there is no python3 in the image"):
        engine.fetch_journals(KEY)
    assert Path(engine.log_path(KEY)).read_text() == "hello\n"


def test_a_journal_that_went_with_its_pod_is_lost_and_says_so(still: Rig) -> None:
    engine, kube = still
    engine.submit(shell("true", **IMAGE), KEY)
    (pod,) = kube.pods()
    kube.end_pod(pod["metadata"]["name"], 0)
    kube.objects.pop(("pods", "default", pod["metadata"]["name"]))
    with pytest.raises(NoData, match=f"The journal of {KEY} is lost: what 1 of its 1 pods printed has gone with them"):
        engine.fetch_journals(KEY)


def test_a_pod_that_is_put_out_is_lost_not_failed(rig: Rig) -> None:
    engine, kube = rig
    engine.submit(shell("sleep 60", **IMAGE), KEY)
    until(engine, lambda report: report.state == "running")
    (pod,) = kube.pods()
    kube.evict(pod["metadata"]["name"])
    report = ended(engine)
    assert (report.state, report.exit_status) == ("vanished", None)
    assert report.why == "Evicted: The node was low on resource: memory."
    assert len(kube.pods()) == 1, "it is not tried again but by dispatch"


def test_a_pod_killed_for_its_memory_says_so(still: Rig) -> None:
    engine, kube = still
    engine.submit(shell("true", memory="1Gi", **IMAGE), KEY)
    kube.end_pod(kube.pods()[0]["metadata"]["name"], 137, reason="OOMKilled")
    report = ended(engine)
    assert (report.exit_status, report.why) == (137, "OOMKilled: it used more memory than it asked for")


def test_a_time_limit_ends_it(rig: Rig) -> None:
    engine, _ = rig
    engine.submit(shell("sleep 60", time_limit="1s", **IMAGE), KEY)
    report = ended(engine)
    assert report.exit_status == 143
    assert report.why == "its time limit of 1 s has passed; ended by SIGTERM"


def test_what_has_no_node_says_so_and_is_not_submitted_again(tmp_path: Path) -> None:
    with kubernetes(tmp_path, schedules=False) as (engine, _):
        engine.submit(shell("true", **IMAGE), KEY)
        (report,) = engine.observe([KEY])
        assert (report.state, report.queued) == ("accepted", True)
        assert report.why == "its pod has no node: 0/3 nodes are available"
        engine.cancel(KEY)
        assert ended(engine).why == "cancelled before it started"


def test_kueue_says_when(still: Rig) -> None:
    engine, kube = still
    ref = engine.submit(shell("true", queue="team-a", **IMAGE), KEY)
    (job,) = kube.jobs()
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert (job["spec"]["suspend"], job["spec"]["parallelism"]) == (True, 1)
    (report,) = engine.observe([KEY])
    assert (report.state, report.queued, report.why) == ("accepted", True, "it waits in Kueue's queue team-a")
    kube.admit(ref.rpartition("/")[2])
    assert engine.observe([KEY])[0].state == "running"
    with pytest.raises(Rejected, match="does not save its work"):
        engine.suspend(KEY)


def test_what_does_not_checkpoint_is_not_held(still: Rig) -> None:
    engine, kube = still
    engine.submit(shell("true", **IMAGE), KEY)
    with pytest.raises(Rejected, match="it does not save its work, and would begin anew"):
        engine.suspend(KEY)
    assert len(kube.pods()) == 1


def test_a_change_by_somebody_else_meanwhile_is_met_again(still: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, kube = still
    create = KubeDouble._create

    def create_and_touch(*arguments: object, **options: object) -> object:
        made = json.loads(json.dumps(create(*arguments, **options)))  # type: ignore[arg-type]
        if made["kind"] == "Job":
            kube.change("jobs", made["metadata"]["name"], lambda job: job["metadata"]["labels"].update(theirs="1"))
        return made

    monkeypatch.setattr(KubeDouble, "_create", create_and_touch)
    engine.submit(shell("true", **IMAGE), KEY)
    assert engine.observe([KEY])[0].state == "running"
    assert kube.jobs()[0]["metadata"]["labels"]["theirs"] == "1"


def test_a_cancel_between_creation_and_release_wins(still: Rig) -> None:
    engine, kube = still
    kube.wire.break_next("PATCH", "/jobs/")
    with pytest.raises(Unavailable):
        engine.submit(shell("true", **IMAGE), KEY)
    engine.cancel(KEY)
    engine.submit(shell("true", **IMAGE), KEY)
    assert kube.pods() == []
    assert ended(engine).why == "cancelled before it started"


@pytest.mark.parametrize(
    ("spoil", "kind", "message", "hint"),
    [
        (lambda kube: kube.namespaces.clear(), Rejected, 'namespaces "default" not found', "kubectl create namespace"),
        (lambda kube: kube.forbidden.add(("create", "jobs")), Rejected, "No right to create a Job", "role of docs/"),
        (lambda kube: setattr(kube, "quota", "gpus, used: 8"), Unavailable, "quota of context here", "ask for less"),
        (lambda kube: kube.wire.break_next("POST", "/jobs", 401), Rejected, "does not know who asks", "Log in again"),
        (lambda kube: kube.wire.break_next("POST", "/jobs", 422), InputError, "refuses to create a Job", "an option"),
        (lambda kube: kube.wire.break_next("POST", "/jobs", 418), LowtideError, "answers 418", ""),
    ],
    ids=["namespace", "rights", "quota", "credentials", "invalid", "strange"],
)
def test_each_refusal_says_what_to_do(
    still: Rig, spoil: Callable[[KubeDouble], None], kind: type[LowtideError], message: str, hint: str
) -> None:
    engine, kube = still
    spoil(kube)
    with pytest.raises(kind) as caught:
        engine.submit(shell("true", **IMAGE), KEY)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert kube.jobs() == kube.pods() == []
    assert "secret-token" not in str(caught.value)


def test_a_name_that_somebody_else_took(still: Rig) -> None:
    engine, kube = still
    engine.submit(shell("true", **IMAGE), KEY)
    kube.change("jobs", "lowtide-k3x9ab-1", lambda job: job["metadata"]["labels"].clear())
    with pytest.raises(InputError, match="is taken in context here, by a Job that is not ours"):
        engine.submit(shell("true", **IMAGE), KEY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no kubeconfig"),
        (": : not yaml [", "is not YAML"),
        ("{}", "cannot be used"),
        (json.dumps({"current-context": "x", "contexts": [], "clusters": [], "users": []}), "cannot be used"),
    ],
    ids=["none", "no yaml", "empty", "no context"],
)
def test_a_kubeconfig_that_does_not_help(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        KubernetesEngine(tmp_path, Access(str(path))).observe([KEY])
    assert caught.value.hint


def test_a_wrong_context_is_answered_with_the_nearest(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {"prod-eu": "http://127.0.0.1:9"})
    engine = KubernetesEngine(tmp_path, Access(str(kubeconfig), contexts=(("aws:eu-central-1", "prod-ue"),)))
    with pytest.raises(InputError, match="has no context 'prod-ue'") as caught:
        engine.observe([KEY])
    assert caught.value.hint == "Did you mean prod-eu?"


def test_offline_asks_nobody(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        KubernetesEngine(tmp_path, Access("/nowhere", offline=True)).observe([KEY])
    assert caught.value.facts["offline"]


def test_a_region_is_a_context_or_a_label_of_nodes(tmp_path: Path) -> None:
    with kubernetes(tmp_path, runs_pods=False) as (_, here), KubeDouble(tmp_path / "there", runs_pods=False) as there:
        urls = {"here": here.wire.url, "there": there.wire.url}
        kubeconfig = write_kubeconfig(tmp_path / "both", urls)
        engine = KubernetesEngine(tmp_path, Access(str(kubeconfig), contexts=(("aws:eu-north-1", "there"),)))
        others = AttemptKey("other.1")
        for key, region in ((KEY, "aws:eu-north-1"), (others, "gcp:europe-west3")):
            engine.submit(Launch("j", ("true",), "/", region=region, options=IMAGE), key)
        assert [report.state for report in engine.observe([KEY, others])] == ["running", "running"]
        assert "nodeSelector" not in there.jobs()[0]["spec"]["template"]["spec"]
        selector = here.jobs()[0]["spec"]["template"]["spec"]["nodeSelector"]
        assert selector == {"topology.kubernetes.io/region": "europe-west3"}
        engine.cancel(KEY)
        assert engine.observe([KEY])[0].state == "ended"


def test_what_a_job_needs_is_asked_of_its_node(still: Rig) -> None:
    engine, kube = still
    options = {
        **IMAGE,
        "memory": "16Gi",
        "node_selector": "pool=gpu",
        "service_account": "trainer",
        "claim": "data:/data",
        "env_from_secret": "keys",
        "image_pull_secret": "registry",
        "working_dir": "/data",
        "keep": "1h",
    }
    needs = Needs(cpus=4, gpu="H100 SXM", gpu_count=2)
    engine.submit(Launch("j", ("true",), "/", {"SEED": "7"}, needs=needs, options=options), KEY)
    (job,) = kube.jobs()
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "16Gi", "nvidia.com/gpu": "2"},
    }
    assert (spec["nodeSelector"], spec["serviceAccountName"]) == ({"pool": "gpu"}, "trainer")
    assert (container["workingDir"], container["env"]) == ("/data", [{"name": "SEED", "value": "7"}])
    assert container["volumeMounts"] == [{"name": "files", "mountPath": "/data", "readOnly": False}]
    assert (job["spec"]["ttlSecondsAfterFinished"], job["spec"]["backoffLimit"]) == (3600, 0)
    assert spec["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs an image"),
        ({**IMAGE, "imgae": "x"}, "has no option 'imgae'"),
        ({**IMAGE, "node_selector": "gpu"}, "'gpu' is not NAME=VALUE"),
        ({**IMAGE, "time_limit": "soon"}, "soon"),
        ({**IMAGE, "claim": "data"}, "is not CLAIM:/path"),
    ],
)
def test_wrong_options_are_refused_before_anybody_is_asked(still: Rig, options: dict[str, str], message: str) -> None:
    engine, kube = still
    with pytest.raises(InputError, match=message):
        engine.check(Launch("j", ("true",), "/", options=options))
    assert kube.wire.asked == []

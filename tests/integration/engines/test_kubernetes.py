"""Kubernetes from the command line to the report, on a double behind the official client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contract.kube_double import KubeDouble, write_kubeconfig

from lowtide.cli.app import run
from lowtide.wiring import Wiring

ASKED = ["--duration", "5s", "--deadline", "10m", "--zone", "DE", "--signal", "climatology"]
WORK = "import sys, time; print('working'); end = time.time() + 1.2\nwhile time.time() < end: pass\nsys.exit(%d)"
MANIFEST = """
apiVersion: batch/v1
kind: Job
metadata:
  name: train
  labels: {team: vision}
  annotations: {lowtide/duration: 1h, lowtide/deadline: 24h}
spec:
  backoffLimit: 3
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: trainer
        image: python:3.12-slim
        command: [python3, -c]
        args: ["print('trained')"]
        resources: {requests: {cpu: 500m, memory: 1Gi}}
"""


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeDouble]:
    pytest.importorskip("kubernetes", reason="needs the official client: pip install 'lowtide[kubernetes]'")
    with KubeDouble(tmp_path / "kube") as double:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", {"lab": double.wire.url})))
        monkeypatch.setenv("LOWTIDE_OFFLINE", "0")
        yield double


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("exit_status", [0, 3])
def test_a_job_runs_in_a_pod_and_its_energy_comes_back(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str], exit_status: int
) -> None:
    submit = ["submit", *ASKED, "--engine", "kubernetes", "--option", "image=python:3.12-slim", "--wait", "--json"]
    assert run([*submit, "--", "python3", "-c", WORK % exit_status]) == min(exit_status, 1)
    job = told(capsys)
    (attempt,) = job["attempts"]
    assert (job["state"], attempt["exit_status"]) == ("failed" if exit_status else "done", exit_status)
    assert attempt["ref"] == f"lab/default/lowtide-{job['job_id']}-1"
    assert run(["logs", job["job_id"]]) == 0
    assert capsys.readouterr().out == "working\n"
    with Wiring().store() as store:
        (result,) = store.readings.of_job(job["job_id"])
    assert result["energy_j"] > 0
    assert result["duration_s"] >= 1
    assert (result["run_id"], result["exit_status"]) == (attempt["key"], exit_status)
    (made,) = kube.jobs()
    assert made["metadata"]["annotations"]["lowtide/parallelism"] == "1"


def test_a_job_whose_journal_is_lost_says_so(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # the pods' images have no python3
    submit = ["submit", *ASKED, "--engine", "kubernetes", "--option", "image=alpine:3", "--wait", "--json"]
    assert run([*submit, "--", "/bin/sh", "-c", "/bin/sleep 1.2"]) == 0
    job = told(capsys)
    assert job["state"] == "done"
    assert "is lost: there is no python3 in the image" in job["why"]


def test_a_job_ahead_of_its_time_waits_in_the_cluster_and_is_moved_there(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    submit = [
        "submit",
        *ASKED[:6],
        "--signal",
        "climatology",
        "--engine",
        "kubernetes",
        "--option",
        "image=x",
        "--json",
    ]
    later = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    assert run([*submit, "--earliest", later, "--", "true"]) == 0
    job = told(capsys)
    assert job["state"] == "starting"
    assert (kube.pods(), kube.jobs()[0]["spec"]["suspend"]) == ([], True)
    assert run(["tick"]) == 0
    assert run(["show", job["job_id"], "--json"]) == 0
    capsys_out = capsys.readouterr().out
    assert "its engine begins it at" in capsys_out
    assert kube.pods() == []
    assert run(["cancel", job["job_id"]]) == 0
    deadline = time.monotonic() + 20
    while kube.jobs()[0]["status"].get("conditions") is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert run(["tick"]) == 0
    capsys.readouterr()
    assert run(["show", job["job_id"], "--json"]) == 0
    assert told(capsys)["state"] == "cancelled"
    assert kube.pods() == []


def test_a_manifest_waits_runs_and_is_measured(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(MANIFEST)
    asked = ["kube", "submit", str(tmp_path / "job.yaml"), "--zone", "DE", "--signal", "climatology"]
    assert run([*asked, "--duration", "5s", "--deadline", "60s", "--json"]) == 0
    job = told(capsys)
    (made,) = kube.jobs()
    assert made["metadata"]["name"] == "train"
    assert (
        made["metadata"]["labels"] | {"lowtide/key": f"{job['job_id']}.1", "team": "vision"}
        == made["metadata"]["labels"]
    )
    assert made["spec"]["backoffLimit"] == 0
    give_up = time.monotonic() + 30
    while job["state"] not in ("done", "failed") and time.monotonic() < give_up:
        assert run(["tick"]) == 0
        capsys.readouterr()
        assert run(["show", job["job_id"], "--json"]) == 0
        job = told(capsys)
    assert (job["state"], job["attempts"][0]["ref"]) == ("done", "lab/default/train")
    assert run(["logs", job["job_id"]]) == 0
    assert capsys.readouterr().out == "trained\n"
    with Wiring().store() as store:
        assert len(store.readings.of_job(job["job_id"])) == 1


def test_a_dry_run_prints_the_manifest_and_asks_nobody(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import yaml

    (tmp_path / "job.yaml").write_text(MANIFEST.replace("team: vision", "kueue.x-k8s.io/queue-name: vision"))
    asked = ["kube", "submit", str(tmp_path / "job.yaml"), "--zone", "DE", "--signal", "climatology", "--dry-run"]
    assert run(asked) == 0
    out = yaml.safe_load(capsys.readouterr().out)
    assert (kube.wire.asked, kube.jobs()) == ([], [])
    assert (out["spec"]["suspend"], out["spec"]["backoffLimit"]) == (True, 0)
    told_on = out["metadata"]["annotations"]
    assert told_on["lowtide/duration"] == "1h"
    assert told_on["lowtide/queue"] == "vision"
    assert "kueue.x-k8s.io/queue-name" not in out["metadata"]["labels"], "Kueue is told when its time has come"
    container = out["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][-3:] == ["python3", "-c", "print('trained')"]
    assert "args" not in container


def test_what_the_cluster_refuses_leaves_nothing(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(MANIFEST)
    kube.forbidden.add(("create", "jobs"))
    asked = ["kube", "submit", str(tmp_path / "job.yaml"), "--zone", "DE", "--signal", "climatology"]
    assert run(asked) == 4
    assert "No right to create a Job in context lab, namespace default" in capsys.readouterr().err
    assert kube.jobs() == []
    assert run(["jobs", "--json"]) == 0
    assert [job["state"] for job in told(capsys)] == ["cancelled"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: Job", "kind: Deployment"), "is a batch/v1 Deployment, not a batch/v1 Job"),
        (("  name: train", "  generateName: train-"), "has no metadata.name"),
        (("image: python:3.12-slim", "imag: x"), "has no container with an image"),
        (("cpu: 500m", "cpu: lots"), "'lots' is not a quantity"),
        (("lowtide/duration: 1h, ", ""), "How long train takes is not said"),
        (("cpu: 500m", "nvidia.com/gpu: 8"), "asks for 8 accelerators and does not say of which model"),
        (("kind: Job", "kind: [Job"), "is not YAML in line"),
        (("apiVersion: batch/v1", "a: 1\n---\napiVersion: batch/v1"), "holds 2 documents, not one"),
    ],
)
def test_a_manifest_that_does_not_help_says_what_to_do(
    kube: KubeDouble, capsys: pytest.CaptureFixture[str], tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    (tmp_path / "job.yaml").write_text(MANIFEST.replace(*change).strip() + "\n")
    assert run(["kube", "submit", str(tmp_path / "job.yaml"), "--zone", "DE", "--signal", "climatology"]) == 2
    assert message in capsys.readouterr().err


def test_pauses_need_a_job_that_goes_on(kube: KubeDouble, capsys: pytest.CaptureFixture[str]) -> None:
    submit = ["submit", *ASKED, "--engine", "kubernetes", "--option", "image=x", "--pausable"]
    assert run([*submit, "--", "true"]) == 2
    assert "Add --checkpoints" in capsys.readouterr().err

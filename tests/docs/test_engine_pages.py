"""The guides of engines: their commands are run on the doubles, and they know every option, setting and message."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.contract.kube_double import KubeDouble, write_kubeconfig
from tests.contract.ray_double import RayDouble
from tests.docs.test_readme import CONSOLE, ROOT, environment

from lowtide_providers.engines import kubernetes_objects, ray

KUBERNETES = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
RAY = (ROOT / "docs" / "ray.md").read_text(encoding="utf-8")
MANIFEST = """
apiVersion: batch/v1
kind: Job
metadata: {name: train, annotations: {lowtide/duration: 2h, lowtide/deadline: 24h}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: trainer, image: "python:3.12-slim", command: [python3, train.py], resources: {requests: {cpu: "4"}}}
"""


def run_as_written(page: str, folder: Path, **told: str) -> str:
    """Everything that the commands of the page print."""
    printed = ""
    commands = [line[2:] for block in CONSOLE.findall(page) for line in block.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 3
    for command in commands:
        ran = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env={**environment(folder), "LOWTIDE_OFFLINE": "0", **told},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        printed += ran.stdout + ran.stderr
    return printed


def same_words(page: str, printed: str) -> list[str]:
    """The lines of the page's transcripts that nothing printed resembles: ids, times and figures aside.

    A double is never slow: that a job is pending it does not say.
    """

    def bare(text: str) -> str:
        text = re.sub(r"\b(waits for|starts at once)\b", "comes", text)  # the best hour depends on the time of day
        return " ".join(re.findall(r"[A-Za-z]{4,}", re.sub(r"^(job )?[a-z0-9]{6}\b", "", text)))

    known = [bare(line) for line in printed.splitlines()]
    shown = [line for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    heads = [" ".join(bare(line).split()[:2]) for line in shown if bare(line) and "keeps it pending" not in line]
    return [head for head in heads if not any(line.startswith(head) for line in known)]


def test_the_page_on_kubernetes_is_true(tmp_path: Path) -> None:
    pytest.importorskip("kubernetes", reason="needs the official client: pip install 'lowtide[kubernetes]'")
    (tmp_path / "job.yaml").write_text(MANIFEST)
    with KubeDouble(tmp_path / "kube") as kube:
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {"lab": kube.wire.url})
        printed = run_as_written(KUBERNETES, tmp_path, KUBECONFIG=str(kubeconfig))
    assert same_words(KUBERNETES, printed) == []
    assert "suspend: true" in printed


def test_the_page_on_ray_is_true(tmp_path: Path) -> None:
    with RayDouble(tmp_path / "ray") as double:
        printed = run_as_written(RAY, tmp_path, RAY_ADDRESS=double.wire.url)
    assert same_words(RAY, printed) == []


@pytest.mark.parametrize(
    ("page", "options", "sources"),
    [(KUBERNETES, kubernetes_objects.OPTIONS, "kubernetes*.py"), (RAY, ray.OPTIONS, "ray*.py")],
    ids=["kubernetes", "ray"],
)
def test_the_pages_know_every_option_and_no_message_that_is_none(
    page: str, options: dict[str, str], sources: str
) -> None:
    assert not [name for name in options if f"`{name}`" not in page]
    source = "".join(path.read_text() for path in (ROOT / "providers/lowtide_providers/engines").glob(sources))
    messages = re.findall(
        r"^\| (?!message|-)([A-Za-z][^|]*?) \|", page[page.index("## When it does not") :], re.MULTILINE
    )
    assert len(messages) >= 6
    assert not [
        message for message in messages if not re.search(" ".join(re.sub(r" \d.*", "", message).split()[:2]), source)
    ]

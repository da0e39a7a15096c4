"""What the tests of remote engines share: a cluster's double with an engine before it, and a sampler of a few lines."""

from __future__ import annotations

import time
import zipapp
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.contract.kube_double import KubeDouble, write_kubeconfig
from tests.contract.ray_double import RayDouble

from lowtide_core.launches import SPOOL_WORD, AttemptKey, EngineReport, Launch, NodeProgram
from lowtide_core.ports import Engine
from lowtide_providers.engines.kubernetes import KubernetesEngine
from lowtide_providers.engines.kubernetes_cluster import Access
from lowtide_providers.engines.ray import RayEngine
from lowtide_providers.engines.ray_api import RayApi

KEY = AttemptKey("k3x9ab.1")

# In the sampler's place: writes two lines, runs the command, passes TERM on, writes a third.
SMALL_SAMPLER = """
import os, signal, subprocess, sys
end = sys.argv.index("--")
options, command = sys.argv[1:end], sys.argv[end + 1 :]
name = os.path.join(options[options.index("--journal") + 1], options[options.index("--run-id") + 1] + ".jsonl")
with open(name, "w") as journal:
    journal.write('{"run_id":"%s","journal":"small/1"}\\n{"tick":1}\\n' % options[options.index("--run-id") + 1])
child = subprocess.Popen(command)
signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
status = child.wait()
with open(name, "a") as journal:
    journal.write('{"end":%d}\\n' % status)
sys.exit(status if status >= 0 else 128 - status)
"""
JOURNAL = '{"run_id":"k3x9ab.1","journal":"small/1"}\n{"tick":1}\n{"end":%d}\n'


def small_sampler(folder: Path) -> NodeProgram:
    source = folder / "small-sampler"
    source.mkdir(exist_ok=True)
    (source / "__main__.py").write_text(SMALL_SAMPLER)
    zipapp.create_archive(source, folder / "small-sampler.pyz")
    return NodeProgram(str(folder / "small-sampler.pyz"), ("--run-id", KEY, "--journal", SPOOL_WORD, "--"))


def shell(command: str, sampler: NodeProgram | None = None, **options: str) -> Launch:
    return Launch("k3x9ab", ("/bin/sh", "-c", command), "/", options=options, sampler=sampler)


@contextmanager
def kubernetes(folder: Path, **switches: bool) -> Iterator[tuple[KubernetesEngine, KubeDouble]]:
    pytest.importorskip("kubernetes", reason="needs the official client: pip install 'lowtide[kubernetes]'")
    with KubeDouble(folder / "kube", **switches) as kube:
        kubeconfig = write_kubeconfig(folder / "kubeconfig", {"here": kube.wire.url})
        yield KubernetesEngine(folder / "engine", Access(str(kubeconfig))), kube


@contextmanager
def ray(folder: Path, **switches: bool) -> Iterator[tuple[RayEngine, RayDouble]]:
    with RayDouble(folder / "ray", **switches) as double:
        yield RayEngine(folder / "engine", RayApi(double.wire.url)), double


def until(engine: Engine, holds: Callable[[EngineReport], bool]) -> EngineReport:
    """The first report of the one attempt of which this holds."""
    give_up_s = time.monotonic() + 30
    while time.monotonic() < give_up_s:
        (report,) = engine.observe([KEY])
        if holds(report):
            return report
        time.sleep(0.02)
    raise AssertionError(f"it is still {report}")

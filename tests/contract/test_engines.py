"""What every engine owes its caller: once per key, the same answer however often it is asked."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import pytest
from tests.contract.kube_double import KubeDouble, write_kubeconfig
from tests.contract.ray_double import RayDouble

from lowtide.testing.engines import FakeEngine
from lowtide_core.launches import AttemptKey, EngineReport, Launch
from lowtide_core.ports import Engine, Restarting, Suspendable
from lowtide_providers.engines.kubernetes import KubernetesEngine
from lowtide_providers.engines.kubernetes_cluster import Access
from lowtide_providers.engines.local import LocalEngine
from lowtide_providers.engines.ray import RayEngine
from lowtide_providers.engines.ray_api import RayApi
from lowtide_providers.engines.slurm import SlurmEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = AttemptKey("20261124-ab12.1")
OTHER = AttemptKey("20261124-ab12.2")
SOON_S = 120.0
"""Never waited for where all is well: a real Ray takes seconds for each job, and more on a busy machine."""

# Says that it began, and goes on saying that it is awake; ends as it is told by a file, with that status.
COMMAND = """
import os, sys, time
with open("starts", "a") as file:
    file.write(sys.argv[1] + "\\n")
while not os.path.exists("end-" + sys.argv[1]):
    time.sleep(0.01)
    with open("beats-" + sys.argv[1], "a") as file:
        file.write(".")
with open("end-" + sys.argv[1]) as file:
    sys.exit(int(file.read()))
"""


class Rig(Protocol):
    """An engine, and the hand that moves what it runs."""

    engine: Engine
    many: int

    def launch(self, key: AttemptKey) -> Launch:
        """A command that runs until it is told to end."""

    def end(self, key: AttemptKey, exit_status: int) -> None: ...

    def starts(self) -> list[str]:
        """The keys that really began, in order."""

    def is_awake(self, key: AttemptKey) -> bool:
        """Whether it gets anything done."""


@dataclass
class LocalRig:
    folder: Path
    engine: Engine = field(init=False)
    many: int = 50

    def __post_init__(self) -> None:
        self.engine = LocalEngine(self.folder / "engine")

    def launch(self, key: AttemptKey) -> Launch:
        return Launch("20261124-ab12", (sys.executable, "-S", "-c", COMMAND, key), str(self.folder))

    def end(self, key: AttemptKey, exit_status: int) -> None:
        written = self.folder / "written"
        written.write_text(str(exit_status))
        written.rename(self.folder / f"end-{key}")

    def starts(self) -> list[str]:
        noted = self.folder / "starts"
        return noted.read_text().split() if noted.exists() else []

    def is_awake(self, key: AttemptKey) -> bool:
        beats = self.folder / f"beats-{key}"
        before = beats.stat().st_size if beats.exists() else 0
        time.sleep(0.2)
        return beats.exists() and beats.stat().st_size > before


@dataclass
class SlurmRig(LocalRig):
    """The same commands, as jobs of a real Slurm."""

    def __post_init__(self) -> None:
        self.engine = SlurmEngine(self.folder / "engine")

    def is_awake(self, key: AttemptKey) -> bool:
        return any(LocalRig.is_awake(self, key) for _ in range(3))  # the daemon of its node takes a moment


@dataclass
class FakeRig:
    engine: FakeEngine = field(default_factory=FakeEngine)
    many: int = 50

    def launch(self, key: AttemptKey) -> Launch:
        return Launch("20261124-ab12", ("true",), "/")

    def end(self, key: AttemptKey, exit_status: int) -> None:
        self.engine.end(key, exit_status)

    def starts(self) -> list[str]:
        return [key for key, _ in self.engine.starts]

    def is_awake(self, key: AttemptKey) -> bool:
        (report,) = self.engine.observe([key])
        return report.state == "running" and not report.suspended


@dataclass
class KubernetesRig(LocalRig):
    """A cluster's double, behind the official client and a kubeconfig."""

    honours_suspend: bool = True
    kube: KubeDouble = field(init=False)

    def __post_init__(self) -> None:
        pytest.importorskip("kubernetes", reason="needs the official client: pip install 'lowtide[kubernetes]'")
        self.kube = KubeDouble(self.folder / "kube", honours_suspend=self.honours_suspend)
        self.kube.__enter__()
        kubeconfig = write_kubeconfig(self.folder / "kubeconfig", {"here": self.kube.url})
        self.engine = KubernetesEngine(self.folder / "engine", Access(str(kubeconfig)))

    def launch(self, key: AttemptKey) -> Launch:
        command = f"import os; os.chdir({str(self.folder)!r})\n{COMMAND}"
        argv = (sys.executable, "-S", "-c", command, key)
        return Launch("20261124-ab12", argv, "/", checkpoints=True, options={"image": "python:3.12-slim"})

    def is_awake(self, key: AttemptKey) -> bool:
        """What is resumed is started anew: that takes a moment."""
        return any(super(KubernetesRig, self).is_awake(key) for _ in range(10))

    def close(self) -> None:
        self.kube.__exit__()


@dataclass
class RayRig(LocalRig):
    """The Jobs API of a double."""

    ray: RayDouble = field(init=False)

    def __post_init__(self) -> None:
        self.ray = RayDouble(self.folder / "ray")
        self.ray.__enter__()
        self.engine = RayEngine(self.folder / "engine", RayApi(self.ray.wire.url))

    def launch(self, key: AttemptKey) -> Launch:
        argv = (sys.executable, "-S", "-c", COMMAND, key)
        return Launch("20261124-ab12", argv, "/", options={"working_dir": str(self.folder)})

    def close(self) -> None:
        self.ray.__exit__()


@dataclass
class RealRayRig(RayRig):
    """The Jobs API of a real head. Its jobs outlive a test: each has keys of its own."""

    ray: RayDouble = field(init=False, repr=False)
    address: str = ""
    many: int = 3

    def __post_init__(self) -> None:
        self.engine = RayEngine(self.folder / "engine", RayApi(self.address))

    def close(self) -> None:
        """The head goes on."""


@pytest.fixture(params=["local", "fake", "slurm", "kubernetes", "kubernetes without suspend", "ray", "real ray"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made: Rig
    if request.param == "slurm":
        request.getfixturevalue("slurm_lab")
        made = SlurmRig(tmp_path)
    elif request.param == "ray":
        made = RayRig(tmp_path)
    elif request.param == "real ray":
        made = RealRayRig(tmp_path, address=request.getfixturevalue("real_ray").url)
        for name in ("KEY", "OTHER"):
            monkeypatch.setattr(sys.modules[__name__], name, AttemptKey(f"{uuid4().hex[:8]}.1"))
    elif request.param.startswith("kubernetes"):
        made = KubernetesRig(tmp_path, honours_suspend=request.param == "kubernetes")
    else:
        made = LocalRig(tmp_path) if request.param == "local" else FakeRig()
    yield made
    for key in {*made.starts(), KEY, OTHER}:  # nothing of a failed test is left running
        made.engine.cancel(AttemptKey(key))
    if isinstance(made, KubernetesRig | RayRig):
        made.close()


def until(engine: Engine, key: AttemptKey, holds: Callable[[EngineReport], bool]) -> EngineReport:
    """The first report of which it holds."""
    give_up_s = time.monotonic() + SOON_S
    while time.monotonic() < give_up_s:
        (report,) = engine.observe([key])
        if holds(report):
            return report
        time.sleep(0.01)
    raise AssertionError(f"it is still {report}")


def until_begun(rig: Rig, key: AttemptKey | None = None) -> EngineReport:
    key = key or KEY
    return until(rig.engine, key, lambda report: report.state == "running" and key in rig.starts())


def until_held(rig: Rig, key: AttemptKey | None = None) -> EngineReport:
    return until(rig.engine, key or KEY, lambda report: report.suspended)


def until_ended(rig: Rig, key: AttemptKey | None = None) -> EngineReport:
    return until(rig.engine, key or KEY, lambda report: report.state == "ended")


def test_it_is_an_engine(rig: Rig) -> None:
    assert isinstance(rig.engine, Engine)


def test_a_key_that_it_never_heard_of_is_absent(rig: Rig) -> None:
    assert rig.engine.observe([KEY]) == (EngineReport(KEY, "absent"),)
    assert rig.engine.observe([]) == ()


@pytest.mark.parametrize("exit_status", [0, 1, 3, 125, 143, 255])
def test_a_launch_runs_and_its_exit_status_is_kept(rig: Rig, exit_status: int) -> None:
    ref = rig.engine.submit(rig.launch(KEY), KEY)
    running = until_begun(rig)
    assert (running.key, running.ref, running.exit_status) == (KEY, ref, None)
    rig.end(KEY, exit_status)
    ended = until_ended(rig)
    assert (ended.key, ended.ref, ended.exit_status) == (KEY, ref, exit_status)
    assert ended.started_utc is not None
    assert ended.ended_utc is not None
    assert ended.started_utc <= ended.ended_utc
    assert rig.engine.observe([KEY]) == (ended,)


def test_reports_come_in_the_order_of_the_keys(rig: Rig) -> None:
    rig.engine.submit(rig.launch(OTHER), OTHER)
    until_begun(rig, OTHER)
    reports = rig.engine.observe([KEY, OTHER, KEY])
    assert [(report.key, report.state) for report in reports] == [(KEY, "absent"), (OTHER, "running"), (KEY, "absent")]


def test_a_key_runs_once_however_often_it_is_submitted(rig: Rig) -> None:
    refs = {rig.engine.submit(rig.launch(KEY), KEY) for _ in range(3)}
    until_begun(rig)
    refs.add(rig.engine.submit(rig.launch(KEY), KEY))
    rig.end(KEY, 0)
    ended = until_ended(rig)
    refs.add(rig.engine.submit(rig.launch(KEY), KEY))
    assert rig.engine.observe([KEY]) == (ended,)
    assert refs == {ended.ref}
    assert rig.starts() == [KEY]


def test_two_keys_are_two_runs(rig: Rig) -> None:
    for key in (KEY, OTHER):
        rig.engine.submit(rig.launch(key), key)
        until_begun(rig, key)
    rig.end(OTHER, 4)
    assert until_ended(rig, OTHER).exit_status == 4
    assert rig.engine.observe([KEY])[0].state == "running"


def test_cancelling_what_runs_ends_it(rig: Rig) -> None:
    rig.engine.submit(rig.launch(KEY), KEY)
    until_begun(rig)
    rig.engine.cancel(KEY)
    rig.engine.cancel(KEY)
    ended = until_ended(rig)
    assert ended.exit_status == 143
    assert "SIGTERM" in ended.why
    rig.engine.submit(rig.launch(KEY), KEY)
    assert rig.starts() == [KEY]


def test_what_is_cancelled_before_it_is_submitted_never_starts(rig: Rig) -> None:
    rig.engine.cancel(KEY)
    rig.engine.submit(rig.launch(KEY), KEY)
    report = rig.engine.observe([KEY])[0]
    assert (report.state, report.exit_status, report.started_utc) == ("ended", None, None)
    assert report.why == "cancelled before it started"
    assert rig.starts() == []


def test_cancelling_what_has_ended_changes_nothing(rig: Rig) -> None:
    rig.engine.submit(rig.launch(KEY), KEY)
    until_begun(rig)
    rig.end(KEY, 7)
    ended = until_ended(rig)
    rig.engine.cancel(KEY)
    assert rig.engine.observe([KEY]) == (ended,)


def test_a_cancel_that_meets_the_start_leaves_one_truth(rig: Rig) -> None:
    rig.engine.submit(rig.launch(KEY), KEY)
    rig.engine.cancel(KEY)
    ended = until_ended(rig)
    assert (ended.exit_status is None) == (ended.started_utc is None)
    assert len(rig.starts()) <= 1


def holding(rig: Rig) -> Suspendable:
    if not isinstance(rig.engine, Suspendable):
        pytest.skip("this engine holds nothing that runs")
    return rig.engine


def test_what_is_suspended_runs_and_gets_nothing_done_until_it_is_resumed(rig: Rig) -> None:
    engine = holding(rig)
    rig.engine.submit(rig.launch(KEY), KEY)
    begun = until_begun(rig)
    assert (begun.suspended, begun.suspended_utc) == (False, None)
    for _ in range(2):
        engine.suspend(KEY)
        engine.suspend(KEY)
        held = until_held(rig)
        assert (held.state, held.started_utc, held.exit_status) == ("running", begun.started_utc, None)
        assert held.suspended_utc is not None
        assert not rig.is_awake(KEY)
        engine.suspend(KEY)
        assert rig.engine.observe([KEY]) == (held,), "it is held since the first time"
        engine.resume(KEY)
        engine.resume(KEY)
        assert rig.is_awake(KEY)
        assert rig.engine.observe([KEY]) == (begun,)
    rig.end(KEY, 5)
    assert until_ended(rig).exit_status == 5
    times = 3 if isinstance(engine, Restarting) else 1
    assert rig.starts() == [KEY] * times


def test_suspending_one_leaves_the_others(rig: Rig) -> None:
    engine = holding(rig)
    for key in (KEY, OTHER):
        rig.engine.submit(rig.launch(key), key)
        until_begun(rig, key)
    engine.suspend(KEY)
    until_held(rig)
    assert rig.is_awake(OTHER)
    assert not rig.engine.observe([OTHER])[0].suspended


def test_suspending_and_resuming_the_absent_leaves_nothing(rig: Rig) -> None:
    engine = holding(rig)
    engine.suspend(KEY)
    engine.resume(KEY)
    assert rig.engine.observe([KEY]) == (EngineReport(KEY, "absent"),)
    rig.engine.submit(rig.launch(KEY), KEY)
    until_begun(rig)
    assert rig.is_awake(KEY)


def test_suspending_and_resuming_what_has_ended_changes_nothing(rig: Rig) -> None:
    engine = holding(rig)
    rig.engine.submit(rig.launch(KEY), KEY)
    until_begun(rig)
    rig.end(KEY, 0)
    ended = until_ended(rig)
    engine.suspend(KEY)
    engine.resume(KEY)
    assert rig.engine.observe([KEY]) == (ended,)


def test_cancelling_what_is_suspended_ends_it(rig: Rig) -> None:
    engine = holding(rig)
    rig.engine.submit(rig.launch(KEY), KEY)
    until_begun(rig)
    engine.suspend(KEY)
    until_held(rig)
    rig.engine.cancel(KEY)
    engine.suspend(KEY)
    ended = until_ended(rig)
    assert (ended.exit_status, ended.suspended) == (143, False)


def test_many_at_once(rig: Rig) -> None:
    keys = [AttemptKey(f"{KEY.partition('.')[0]}-{number}.1") for number in range(rig.many)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: rig.engine.submit(rig.launch(key), key), keys))
    for number, key in enumerate(keys):
        until_begun(rig, key)
        rig.end(key, number)
    assert [until_ended(rig, key).exit_status for key in keys] == list(range(rig.many))
    assert sorted(rig.starts()) == sorted(keys)

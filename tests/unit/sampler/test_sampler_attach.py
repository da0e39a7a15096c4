"""``attach``: true processes and control groups that ran before the sampler, and go on or end as they like."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lowtide_sampler import cgroups, workload
from lowtide_sampler.attach import Attached, NotThere
from lowtide_sampler.journal import read_journal, recover, replay
from lowtide_sampler.options import RunOptions
from lowtide_sampler.surroundings import look_around
from lowtide_sampler.workload import Cgroup, OwnGroup, ProcessTree

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLER = [sys.executable, "-m", "lowtide_sampler"]
READY_S = 20.0
BURN = """import os, signal, subprocess, sys, time
def burn(s):
    end = time.process_time() + s
    while time.process_time() < end: pass
"""
"""The begin of a job's program."""


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


class Job:
    """A job that does its first part, waits for a word, and does its second."""

    def __init__(self, first: str, second: str) -> None:
        script = f"{BURN}{first}\nprint('ready', flush=True)\nsys.stdin.readline()\n{second}"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-Sc", script], stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def go_on(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


@pytest.fixture
def job() -> Iterator[type[Job]]:
    made: list[Job] = []

    class Kept(Job):
        def __init__(self, first: str = "", second: str = "") -> None:
            super().__init__(first, second)
            made.append(self)

    yield Kept
    for one in made:
        one.process.kill()
        one.process.communicate()


def attach(*argv: str) -> subprocess.Popen[str]:
    """The sampler, once it has written its first reading."""
    run_id = f"a{time.monotonic_ns()}"
    command = [*SAMPLER, "attach", "--json", "-", "--run-id", run_id, "--interval", "200ms", *argv]
    sampler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = Path(os.environ["LOWTIDE_SPOOL"], f"{run_id}.jsonl")
    wait_until(lambda: journal.exists() and bool(read_journal(journal).ticks))
    return sampler


def wait_until(is_so, within_s: float = READY_S) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def result_of(sampler: subprocess.Popen[str]) -> dict:
    out, _ = sampler.communicate(timeout=READY_S)
    assert sampler.returncode == 0
    return json.loads(out)


def test_what_was_used_before_is_not_counted_and_what_comes_is(job: type[Job]) -> None:
    one = job("burn(0.6)", "burn(0.4)")
    sampler = attach(str(one.process.pid))
    one.go_on()
    result = result_of(sampler)
    assert result["cpu_seconds"] == pytest.approx(0.4, abs=0.08)
    assert (result["end"], result["exit_status"]) == ("ok", None)
    assert result["energy_j"] > 0


@pytest.mark.parametrize(
    "children",
    [
        "for _ in range(3): subprocess.run([sys.executable, '-Sc', CHILD])",
        """several = [subprocess.Popen([sys.executable, '-Sc', CHILD]) for _ in range(3)]
[one.wait() for one in several]""",
        """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
ended, held = os.pipe()
for _ in range(3):
    if not os.fork(): burn(0.3); time.sleep(0.5); os._exit(0)
os.close(held)
os.read(ended, 1)
""",
        """
ended, held = os.pipe()
for _ in range(3):
    if not os.fork():
        if not os.fork(): burn(0.3); time.sleep(0.5); os._exit(0)
        time.sleep(0.5); os._exit(0)
    os.wait()
os.close(held)
os.read(ended, 1)
""",
    ],
    ids=["waited-for", "parallel", "nobody-waits", "orphans"],
)
def test_children_count_whoever_waits_for_them(job: type[Job], children: str) -> None:
    one = job("CHILD = 'import time\\nwhile time.process_time() < 0.3: pass'", children)
    sampler = attach(str(one.process.pid))
    one.go_on()
    assert result_of(sampler)["cpu_seconds"] == pytest.approx(0.9, abs=0.25)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_ends_the_measurement_and_leaves_the_job_alone(job: type[Job], name: str) -> None:
    one = job("", "print('still here', flush=True)")
    sampler = attach(str(one.process.pid))
    sampler.send_signal(getattr(signal, f"SIG{name}"))
    result = result_of(sampler)
    assert result["end"] == "detached"
    one.go_on()
    assert one.process.stdout
    assert one.process.stdout.readline() == "still here\n"
    assert one.process.wait(timeout=READY_S) == 0


def test_its_death_is_seen_at_once(job: type[Job]) -> None:
    one = job()
    sampler = attach(str(one.process.pid), "--interval", "30s")
    killed_s = time.monotonic()
    one.process.kill()
    assert result_of(sampler)["end"] == "ok"
    assert time.monotonic() - killed_s < 5.0


def test_without_a_descriptor_of_the_process_it_is_looked_for(job: type[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    one = job()
    target = Attached(RunOptions(pid=one.process.pid))
    assert target.wait(0.05) is None
    one.process.kill()
    ending = target.wait(READY_S)
    assert ending is not None
    assert ending.how == "ok"


def test_a_killed_sampler_disturbs_nobody_and_its_journal_is_closed(job: type[Job], spool: Path) -> None:
    one = job("", "print('still here', flush=True)")
    sampler = attach(str(one.process.pid))
    sampler.kill()
    sampler.communicate()
    (lost,) = recover(spool)
    assert lost["end"] == "lost"
    one.go_on()
    assert one.process.stdout
    assert one.process.stdout.readline() == "still here\n"


def test_who_is_not_there_is_named(job: type[Job]) -> None:
    one = job()
    one.process.kill()
    wait_until(lambda: Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    for argv in ([str(one.process.pid)], ["--cgroup", "no/such/group"], ["999999999"]):
        got = subprocess.run([*SAMPLER, "attach", *argv], capture_output=True, text=True, check=False)
        assert got.returncode == 125
        assert got.stderr.startswith("lowtide: there is no ")
    with pytest.raises(NotThere):
        Attached(RunOptions(pid=999999999))


def test_the_result_is_what_the_journal_says(job: type[Job], spool: Path) -> None:
    one = job("", "burn(0.2)")
    sampler = attach(str(one.process.pid), "--tag", "k=v", "--scope", "node", "--pue", "1.2")
    one.go_on()
    result = result_of(sampler)
    records = read_journal(spool / f"{result['run_id']}.jsonl")
    assert replay(records) == result
    assert records.header
    assert records.header["attached"]["pid"] == one.process.pid
    assert (records.header["scope"], records.header["pue"], result["tags"]) == ("node", 1.2, {"k": "v"})


def made_of(table: dict[int, workload._Process], children: dict[int, list[int]], patch: pytest.MonkeyPatch) -> None:
    patch.setattr(workload, "_read_process", lambda pid: table.get(pid))
    patch.setattr(workload, "_children", lambda pid: children.get(pid, []))


def test_a_number_that_another_process_has_meanwhile_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    process = workload._Process
    table = {10: process(1, 1, 5.0, 0.0), 11: process(2, 10, 1.0, 0.0)}
    children = {10: [11]}
    made_of(table, children, monkeypatch)
    tree = ProcessTree(10)
    table[11] = process(2, 10, 1.5, 0.0)
    assert tree.read() == (0.5, frozenset({10, 11}))
    table[11], children[10] = process(99, 1, 70.0, 0.0), []  # 11 ended, and a stranger has its number
    table[10] = process(1, 1, 5.0, 1.5)
    assert tree.read() == (0.5, frozenset({10}))


def test_a_child_that_ends_between_the_looks_at_parent_and_child_is_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = workload._Process
    table = {10: process(1, 1, 0.0, 0.0), 11: process(2, 10, 3.0, 0.0)}
    children = {10: [11]}
    made_of(table, children, monkeypatch)
    tree = ProcessTree(10)
    del table[11]  # gone, and its parent's figure does not show it yet
    children[10] = []
    assert tree.read().cpu_s == 0.0
    table[10] = process(1, 1, 0.0, 3.25)
    assert tree.read().cpu_s == pytest.approx(0.25)
    assert tree.read().cpu_s == pytest.approx(0.25)


def test_what_nobody_waited_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    process = workload._Process
    table = {10: process(1, 1, 0.0, 0.0), 11: process(2, 10, 0.0, 0.0)}
    children = {10: [11]}
    made_of(table, children, monkeypatch)
    tree = ProcessTree(10)
    table[11] = process(2, 10, 2.0, 0.0)
    assert tree.read().cpu_s == 2.0
    del table[11]
    children[10] = []
    for _ in range(4):
        assert tree.read().cpu_s == 2.0
    table[10] = process(1, 1, 1.0, 0.0)
    assert tree.read().cpu_s == 3.0


def test_groups_of_both_versions_are_read(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / "cgroup.procs").write_text("12\n13\n")
    (new / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (old / "cpuacct.usage").write_text("1500000000\n")
    assert (cgroups.used_cpu_s(str(new)), cgroups.used_cpu_s(str(old))) == (2.5, 1.5)
    group = Cgroup(str(new))
    (new / "cpu.stat").write_text("usage_usec 4000000\n")
    (new / "below").mkdir()
    (new / "below" / "cgroup.procs").write_text("14\n")
    assert group.read() == (1.5, frozenset({12, 13, 14}))
    (new / "cpu.stat").unlink()
    assert group.read().cpu_s == 1.5
    assert cgroups.used_cpu_s(str(tmp_path)) is None


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of our own."""
    made = None
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpuacct"):
        folder = Path(mount, f"lowtide-test-{os.getpid()}-{time.monotonic_ns()}")
        try:
            folder.mkdir()
        except OSError:
            continue
        if cgroups.used_cpu_s(str(folder)) is not None:
            made = folder
            break
        folder.rmdir()
    if made is None:
        pytest.skip("no control group can be made here")
    yield made
    for pid in cgroups.members(str(made)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not cgroups.members(str(made)))
    made.rmdir()


def test_a_group_is_measured_until_nobody_is_in_it(group: Path) -> None:
    burn = f"{BURN}burn(0.3); time.sleep(1.0)"
    started = subprocess.Popen(
        ["sh", "-c", f'echo $$ > {group}/cgroup.procs; read go; exec "$@"', "sh", sys.executable, "-Sc", burn],
        stdin=subprocess.PIPE,
    )
    wait_until(lambda: bool(cgroups.members(str(group))))
    sampler = attach("--cgroup", str(group))
    assert started.stdin
    started.stdin.write(b"\n")
    started.stdin.close()
    result = result_of(sampler)
    started.wait()
    assert result["cpu_seconds"] == pytest.approx(0.33, abs=0.15)
    assert result["end"] == "ok"


def test_a_run_alone_in_its_group_counts_by_the_group(group: Path) -> None:
    forgotten = """signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(4):
    if not os.fork(): burn(0.2); os._exit(0)
    time.sleep(0.3)
try: os.wait()
except ChildProcessError: pass
"""
    run = [*SAMPLER, "run", "--json", "-", "--quiet", "--", sys.executable, "-Sc", BURN + forgotten]
    inside = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *run]
    got = json.loads(subprocess.run(inside, capture_output=True, check=True).stdout)
    assert got["cpu_seconds"] == pytest.approx(0.83, abs=0.2)
    outside = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
    assert outside["cpu_seconds"] < 0.7  # what the tree cannot see


def test_a_stranger_in_the_group_turns_it_over_to_the_tree(group: Path) -> None:
    script = (
        f"import os, sys, time, json\nopen('{group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from lowtide_sampler.cgroups import group_of_its_own\nfrom lowtide_sampler.workload import OwnGroup\n"
        f"assert group_of_its_own(os.getpid()) == '{group}'\n"
        "group = OwnGroup(group_of_its_own(os.getpid()))\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        "group.read(); first = group.read().cpu_s\n"
        "print(first, group._has_strangers, flush=True)\nsys.stdin.readline()\n"
        "print(group.read().cpu_s - first)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as watcher:
        assert watcher.stdin
        assert watcher.stdout
        assert watcher.stdout.readline() == "ready\n"
        join = f'echo $$ > {group}/cgroup.procs; exec "$@"'
        busy = [sys.executable, "-Sc", "while True: pass"]
        stranger = subprocess.Popen(["sh", "-c", join, "sh", *busy])
        wait_until(lambda: len(cgroups.members(str(group))) == 2)
        watcher.stdin.write("\n")
        watcher.stdin.flush()
        assert watcher.stdout.readline().split()[1] == "True"
        time.sleep(0.3)
        watcher.stdin.write("\n")
        watcher.stdin.flush()
        assert float(watcher.stdout.readline()) < 0.05
        stranger.kill()
        stranger.wait()
    assert OwnGroup is not None


def test_nobody_takes_the_machine_s_own_group_for_a_job_s() -> None:
    assert cgroups.group_of_its_own(1) == ""


def test_containers_and_their_files_are_recognised(tmp_path: Path) -> None:
    proc = tmp_path / "proc/self"
    proc.mkdir(parents=True)
    (proc / "ns").mkdir()
    os.symlink("cgroup:[4026531835]", proc / "ns/cgroup")
    assert look_around({}, str(tmp_path)) == ("", ())
    (proc / "mounts").write_text("proc /proc proc rw 0 0\nlxcfs /proc/stat fuse.lxcfs rw 0 0\n")
    assert look_around({}, str(tmp_path)).flags == ("proc_stat_of_container",)
    (proc / "ns/cgroup").unlink()
    os.symlink("cgroup:[4026532281]", proc / "ns/cgroup")
    assert look_around({}, str(tmp_path)).container == "namespace"
    (tmp_path / ".dockerenv").touch()
    assert look_around({}, str(tmp_path)).container == "docker"
    assert look_around({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, str(tmp_path)).container == "kubernetes"

"""``lowtide.track``: true programs that measure themselves, crash, fork, raise, and never notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lowtide_sampler.journal import read_journal, replay

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "schemas/run.schema.json").read_text(encoding="utf-8"))
READY_S = 20.0
HEAD = """
import json, os, sys, time
import lowtide
def burn(s):
    end = time.process_time() + s
    while time.process_time() < end: pass
def say(**what): print(json.dumps(what), flush=True)
"""


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


def ran(script: str, *options: str, status: int = 0, **environ: str) -> list[dict[str, Any]]:
    """What a program said, line by line."""
    command = [sys.executable, *options, "-c", HEAD + script]
    got = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environ}
    )
    assert got.returncode == status, got.stderr
    return [json.loads(line) for line in got.stdout.splitlines()]


def journals(spool: Path, *, ended: bool = True, count: int = 1) -> list[Path]:
    """The journals, once each has its end: a helper outlives its caller by a moment."""
    deadline_s = time.monotonic() + READY_S
    while True:
        paths = sorted(spool.glob("*.jsonl"))
        read = [read_journal(path) for path in paths]
        if len(read) >= count and all(records.end or (records.ticks and not ended) for records in read):
            return paths
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_block_gives_a_result_with_its_sections(spool: Path) -> None:
    (result,) = ran("""
with lowtide.track("train", interval="100ms", tags={"model": "m"}) as run:
    for number in range(3):
        with run.section("epoch"):
            burn(0.2)
    burn(0.3)
say(**run.result)
""")
    jsonschema.validate(result, SCHEMA)
    assert (result["end"], result["tags"]) == ("ok", {"name": "train", "model": "m"})
    assert result["cpu_seconds"] == pytest.approx(0.9, abs=0.12)
    (epoch,) = result["sections"]
    assert (epoch["name"], epoch["count"], epoch["open"]) == ("epoch", 3, 0)
    assert epoch["cpu_seconds"] == pytest.approx(0.6, abs=0.12)
    assert 0 < epoch["energy_j"] < result["energy_j"]
    (path,) = journals(spool)
    assert replay(read_journal(path)) == result


def test_the_time_before_the_helper_is_up_is_in_the_result(spool: Path) -> None:
    (said,) = ran("""
before = time.monotonic()
with lowtide.track() as run:
    burn(0.5)
say(took=time.monotonic() - before, result=run.result)
""")
    assert said["result"]["duration_s"] == pytest.approx(said["took"], abs=0.1)
    assert said["result"]["cpu_seconds"] == pytest.approx(0.5, abs=0.06)
    assert said["result"]["tags"] == {}


def test_a_program_that_is_gone_before_the_helper_is_up_leaves_a_journal_all_the_same(spool: Path) -> None:
    for end in ("", "os.kill(os.getpid(), 9)"):
        script = f"run = lowtide.track('x')\nrun.start()\nburn(0.1)\n{end}\nrun.stop()"
        subprocess.run([sys.executable, "-c", HEAD + script], check=False, timeout=60)
    results = [replay(read_journal(path)) for path in journals(spool, count=2)]
    assert sorted(result["end"] for result in results) == ["caller-died", "ok"]
    (whole,) = (result for result in results if result["end"] == "ok")
    assert whole["cpu_seconds"] == pytest.approx(0.1, abs=0.05)


def test_functions_are_measured_call_by_call_and_inside_of_a_block_as_sections(spool: Path) -> None:
    first, second, whole = ran("""
import asyncio
@lowtide.track
def plain(a, *, b=2):
    "Doc."
    return a + b
@lowtide.track("named")
async def later():
    await asyncio.sleep(0.05)
    return 7
say(got=plain(1, b=3), name=plain.__name__, doc=plain.__doc__)
say(got=asyncio.run(later()))
with lowtide.track("outer") as run:
    plain(1)
    plain(1)
    with lowtide.track("inner") as inner:
        burn(0.2)
say(whole=run.result, inner=inner.result)
""")
    assert first == {"got": 4, "name": "plain", "doc": "Doc."}
    assert second == {"got": 7}
    counts = {part["name"]: part["count"] for part in whole["whole"]["sections"]}
    assert counts == {"plain": 2, "inner": 1}
    assert whole["inner"] == next(part for part in whole["whole"]["sections"] if part["name"] == "inner")
    names = sorted(read_journal(path).header["tags"]["name"] for path in journals(spool))  # type: ignore[index]
    assert names == ["named", "outer", "plain"]


def test_marks_follow_one_another() -> None:
    (result,) = ran("""
with lowtide.track("x") as run:
    for number in range(2):
        run.mark(f"epoch {number}")
        time.sleep(0.2)
    run.mark()
    time.sleep(0.2)
    run.mark("last")
say(**run.result)
""")
    parts = {part["name"]: part for part in result["sections"]}
    assert list(parts) == ["epoch 0", "epoch 1", "last"]
    assert parts["epoch 0"]["duration_s"] == pytest.approx(0.2, abs=0.1)
    assert parts["last"]["open"] == 1


def test_an_exception_passes_unchanged(spool: Path) -> None:
    (said,) = ran("""
class Own(Exception): pass
error = Own("why")
try:
    with lowtide.track("x") as run:
        with run.section("s"):
            raise error
except Own as caught:
    (part,) = run.result["sections"]
    say(same=caught is error, context=repr(caught.__context__), end=run.result["end"], open=part["open"])
""")
    assert said == {"same": True, "context": "None", "end": "ok", "open": 0}


@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "os._exit(0)", "os.abort()"])
def test_a_caller_that_dies_leaves_a_whole_journal(spool: Path, death: str) -> None:
    script = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    script += f"lowtide.track('x').start()\nburn(0.5)\ntime.sleep(0.3)\n{death}"
    subprocess.run([sys.executable, "-c", HEAD + script], check=False, timeout=60)
    (path,) = journals(spool)
    result = replay(read_journal(path))
    assert result["end"] == "caller-died"
    assert 0.1 <= result["cpu_seconds"] <= 0.6  # its last moments went with it, where its parent was quick


def test_a_program_that_becomes_another_one_ends_the_measurement(spool: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", HEAD + "lowtide.track('x').start()\ntime.sleep(0.3)\nos.execvp('true', ['true'])"],
        check=True,
        timeout=60,
    )
    (path,) = journals(spool)
    assert read_journal(path).end == {"end": "caller-died", "exit_status": None, "signal": None}


def test_forks_of_the_caller_do_not_end_the_measurement_nor_keep_it_going(spool: Path) -> None:
    (said,) = ran("""
import multiprocessing
def work(number):
    burn(0.15)
    return number
with lowtide.track("x") as run:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        got = pool.map(work, range(4))
    pid = os.fork()
    if pid == 0:                    # leaves the block in a child, as a careless program does
        run.section("child").__enter__()
        run.stop()
        sys.exit(0 if run.result is None else 1)
    status = os.waitpid(pid, 0)[1]
    burn(0.2)
    if os.fork() == 0:              # outlives everybody with all that it inherited
        time.sleep(3)
        os._exit(0)
say(got=got, status=status, result=run.result)
""")
    assert (said["got"], said["status"]) == ([0, 1, 2, 3], 0)
    result = said["result"]
    assert (result["end"], result["sections"]) == ("ok", [])
    assert result["cpu_seconds"] == pytest.approx(0.8, abs=0.3)
    assert len(journals(spool)) == 1


def test_more_marks_than_a_socket_holds_come_all(spool: Path) -> None:
    (said,) = ran("""
import signal
run = lowtide.track("x")
run.start()
import pathlib
spool = pathlib.Path(os.environ["LOWTIDE_SPOOL"])
while not list(spool.glob("*.jsonl")): time.sleep(0.01)
time.sleep(0.2)
(journal,) = spool.glob("*.jsonl")
helper = json.loads(journal.read_text().splitlines()[0])["pid"]
os.kill(helper, signal.SIGSTOP)
before = time.monotonic()
for _ in range(3000):
    with run.section("s"): pass
took = time.monotonic() - before
os.kill(helper, signal.SIGCONT)
time.sleep(0.2)
run.stop()
say(took=took, result=run.result)
""")
    assert [(part["count"], part["open"]) for part in said["result"]["sections"]] == [(3000, 0)]
    assert said["took"] < 2.0  # nobody waits for a helper that stands still


def test_threads_mark_at_once() -> None:
    (result,) = ran("""
import threading
with lowtide.track("x") as run:
    def work(number):
        for _ in range(50):
            with run.section(f"t{number}"): pass
    several = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    [one.start() for one in several]
    [one.join() for one in several]
say(**run.result)
""")
    assert {part["name"]: (part["count"], part["open"]) for part in result["sections"]} == {
        f"t{number}": (50, 0) for number in range(4)
    }


def test_the_caller_s_children_and_signals_are_its_own() -> None:
    (said,) = ran("""
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_DFL)
with lowtide.track("x") as run:
    try:
        os.waitpid(-1, os.WNOHANG)
        children = True
    except ChildProcessError:
        children = False
    time.sleep(0.3)
say(children=children, end=run.result["end"])
""")
    assert said == {"children": False, "end": "ok"}


def helper_of(path: Path) -> int:
    header = read_journal(path).header
    assert header
    return int(header["pid"])


def test_a_killed_helper_is_told_of_once_and_the_program_goes_on(spool: Path) -> None:
    script = """
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)   # a write into nothing would end this program
run = lowtide.track("x")
run.start()
sys.stdin.readline()
for _ in range(3):
    with run.section("s"): pass
burn(0.2)
run.stop()
say(**run.result)
say(again=run.result["end"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        (path,) = journals(spool, ended=False)
        os.kill(helper_of(path), signal.SIGKILL)
        out, err = program.communicate("go\n", timeout=30)
    assert program.returncode == 0, err
    result, again = (json.loads(line) for line in out.splitlines())
    jsonschema.validate(result, SCHEMA)
    assert (result["end"], again["again"], result["energy_j"]) == ("not_measured", "not_measured", None)
    assert result["cpu_seconds"] >= 0.15
    assert "ended without a result" in result["notes"][0]
    assert err.count("RuntimeWarning") == 1


@pytest.mark.parametrize(
    "break_it",
    [
        "sys.executable = '/usr/bin/blender'; sys.exec_prefix = '/nowhere'",
        "os.posix_spawn = lambda *a, **n: (_ for _ in ()).throw(OSError(11, 'no more processes'))",
        "sys.executable = '/bin/false/python3'; sys.exec_prefix = '/nowhere'",
        "import lowtide_sampler.track as t; t._home = lambda: '/nowhere'",
    ],
)
@pytest.mark.parametrize("options", [(), ("-W", "error")])
def test_a_helper_that_cannot_start_changes_nothing_but_the_result(break_it: str, options: tuple[str, ...]) -> None:
    (result,) = ran(
        f"{break_it}\nwith lowtide.track('x') as run:\n    with run.section('s'): burn(0.1)\nsay(**run.result)",
        *options,
    )
    jsonschema.validate(result, SCHEMA)
    assert (result["end"], result["energy_j"]) == ("not_measured", None)
    assert result["notes"][0].startswith("the helper that measures")
    assert result["cpu_seconds"] == pytest.approx(0.1, abs=0.05)


def test_the_same_run_again_and_one_after_the_other(spool: Path) -> None:
    first, second = ran("""
run = lowtide.track("x")
for _ in range(2):
    with run: burn(0.1)
    say(run_id=run.result["run_id"], cpu=run.result["cpu_seconds"])
""")
    assert first["run_id"] != second["run_id"]
    assert max(first["cpu"], second["cpu"]) < 0.2


def test_importing_and_starting_loads_next_to_nothing() -> None:
    (loaded,) = ran("""
before = set(sys.modules)
run = lowtide.track("x"); run.start(); run.stop()
say(new=sorted(set(sys.modules) - before))
""")
    assert set(loaded["new"]) <= {"lowtide_sampler", "lowtide_sampler.track", "_socket", "_json"}


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "<&- >&-", "<&-"])
def test_a_program_without_standard_streams_is_measured(closed: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("""
import json, lowtide, os
with lowtide.track("x") as run:
    sum(range(10**6))
with open(os.environ["SAID"], "w") as file:
    json.dump(run.result, file)
""")
    said = tmp_path / "said.json"
    line = f"{sys.executable} {script} {closed}"
    subprocess.run(["sh", "-c", line], check=True, env={**os.environ, "SAID": str(said)}, timeout=60)
    result = json.loads(said.read_text(encoding="utf-8"))
    assert result["end"] == "ok"
    assert result["energy_j"] > 0


def test_a_program_that_closes_all_descriptors_gets_no_mark_in_its_own(spool: Path) -> None:
    (said,) = ran("""
import socket, warnings
warnings.simplefilter("ignore")
run = lowtide.track("x")
run.start()
os.closerange(3, 256)
own = [end for _ in range(4) for end in socket.socketpair()]
run.mark("a")
run.stop()
end = run.result["end"]
got = []
for one in own:
    one.setblocking(False)
    try: got.append(one.recv(1000).decode())
    except BlockingIOError: pass
say(end=end, got=got, still=[os.fstat(one.fileno()).st_ino > 0 for one in own])
""")
    assert said == {"end": "not_measured", "got": [], "still": [True] * 8}


def test_a_program_that_goes_to_another_folder_finds_its_helper(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    for name in ("lowtide_sampler",):
        (app / name).symlink_to(ROOT / "scheduler" / name)
    script = """
import sys; sys.path.insert(0, "app")
from lowtide_sampler.track import track
import os; os.chdir("/")
with track("x") as run: pass
print(run.result["end"])
"""
    command = [sys.executable, "-S", "-E", "-c", script]
    got = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert got.stdout == "ok\n", got.stderr

"""``run`` as a process: status, signals and streams are the command's own; the result is what the journal says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowtide_sampler.journal import read_journal, replay

RUN = [sys.executable, "-m", "lowtide_sampler", "run"]
READY_S = 20.0


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


def run(*argv: str, **named) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*RUN, *argv], capture_output=True, check=False, timeout=60, **named)


def wait_for(path: Path) -> str:
    """The content of a file that another process is about to write."""
    deadline_s = time.monotonic() + READY_S
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline_s, f"{path} never came"
        time.sleep(0.01)
    return path.read_text()


@pytest.mark.parametrize("status", [0, 1, 2, 7, 125, 126, 127, 128, 137, 254, 255])
def test_the_exit_status_is_the_commands(status: int) -> None:
    assert run("--", "sh", "-c", f"exit {status}").returncode == status


FATAL = (
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "SEGV",
    "PIPE",
    "ALRM",
    "TERM",
    "USR1",
    "USR2",
    "XCPU",
)


@pytest.mark.parametrize("name", FATAL)
def test_a_command_that_dies_of_a_signal_looks_as_if_run_bare(name: str) -> None:
    command = ["sh", "-c", f"ulimit -c 0; kill -{name} $$"]
    bare = subprocess.run(command, check=False, timeout=60)
    assert run("--quiet", "--", *command).returncode == bare.returncode < 0


def test_streams_pass_through_untouched() -> None:
    command = ["sh", "-c", "cat; printf 'a\\000\\377b'; printf 'c\\001' >&2; exit 3"]
    given = bytes(range(256)) * 100
    bare = subprocess.run(command, input=given, capture_output=True, check=False)
    wrapped = run("--quiet", "--", *command, input=given)
    assert (wrapped.returncode, wrapped.stdout, wrapped.stderr) == (bare.returncode, bare.stdout, bare.stderr)


def test_environment_signal_mask_and_ignored_signals_pass_through_untouched() -> None:
    show = """
import os, signal
print(sorted(os.environb.items()), sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
print([number for number in sorted(signal.valid_signals()) if signal.getsignal(number) == signal.SIG_IGN])
"""
    env = {**os.environ, "LC_ALL": "", "LANG": "", "ODD": "\udcff"}
    env.pop("LC_CTYPE", None)
    shell = ["sh", "-c", 'trap "" HUP USR1; exec "$@"', "sh"]
    bare = subprocess.run([*shell, sys.executable, "-Sc", show], capture_output=True, check=True, env=env)
    wrapped = subprocess.run(
        [*shell, *RUN, "--quiet", "--", sys.executable, "-Sc", show], capture_output=True, check=True, env=env
    )
    assert wrapped.stdout == bare.stdout


def test_not_found_is_127_and_not_executable_126(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    missing, forbidden = run("--quiet", "no-such-command-here"), run(str(plain))
    assert (missing.returncode, forbidden.returncode) == (127, 126)
    assert b"no-such-command-here" in missing.stderr
    assert run("--no-such-option").returncode == 125
    assert run().returncode == 125


def test_a_script_without_a_first_line_is_the_shells(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo $1; exit 5\n")
    script.chmod(0o755)
    got = run("--quiet", "script", "word", env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (got.returncode, got.stdout) == (5, b"word\n")


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_signals_are_passed_on_once(name: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap 'echo got; exit 9' {name}; echo x > {ready}; while :; do sleep 0.05; done"
    with subprocess.Popen([*RUN, "--quiet", "--", "sh", "-c", script], stdout=subprocess.PIPE) as wrapped:
        wait_for(ready)
        wrapped.send_signal(getattr(signal, f"SIG{name}"))
        out, _ = wrapped.communicate(timeout=30)
    assert (wrapped.returncode, out) == (9, b"got\n")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for_state(pid: int, *states: str) -> None:
    deadline_s = time.monotonic() + READY_S
    while state_of(pid) not in states:
        assert time.monotonic() < deadline_s, f"{pid} is never in {states}"
        time.sleep(0.01)


def test_a_stop_from_the_terminal_stops_both_and_continuing_goes_on(tmp_path: Path) -> None:
    child_file, go = tmp_path / "child", tmp_path / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.05; done; exit 4"
    argv = [*RUN, "--quiet", "--child-file", str(child_file), "--", "sh", "-c", script]
    # A group of its own, whose parent stands outside: in an orphaned group the kernel lets nobody be stopped.
    with subprocess.Popen(argv, process_group=0) as wrapped:
        try:
            child = json.loads(wait_for(child_file))["pid"]
            wrapped.send_signal(signal.SIGTSTP)
            wait_for_state(child, "T")
            wait_for_state(wrapped.pid, "T")
        finally:
            go.touch()
            wrapped.send_signal(signal.SIGCONT)
        assert wrapped.wait(timeout=30) == 4


def test_the_files_for_other_programs_say_who_ran_and_how_it_ended(tmp_path: Path) -> None:
    child_file, exit_file = tmp_path / "c.json", tmp_path / "e.json"
    got = run("--run-id", "r1", "--child-file", str(child_file), "--exit-file", str(exit_file), "--", "sh", "-c",
              f"cat {child_file}; echo $$; kill -TERM $$")  # fmt: skip
    assert got.returncode == -signal.SIGTERM
    text, _, pid = got.stdout.decode().strip().rpartition("\n")
    child = json.loads(text)
    assert child["pid"] == int(pid)
    assert child["start_ticks"] > 0
    assert len(child["boot_id"]) == 36
    ended = json.loads(exit_file.read_text())
    assert (ended["exit_status"], ended["signal"], ended["run_id"]) == (143, 15, "r1")
    assert ended["ended_utc"].endswith("Z")


def test_the_result_is_what_the_journal_says(tmp_path: Path, spool: Path) -> None:
    out = tmp_path / "r.json"
    got = run("--json", str(out), "--run-id", "r2", "--plan", "p9", "--tag", "k=v", "--", "sh", "-c", "exit 3")
    result = json.loads(out.read_text())
    assert replay(read_journal(spool / "r2.jsonl")) == result
    assert result["exit_status"] == got.returncode == 3
    assert (result["run_id"], result["plan_id"], result["tags"], result["end"]) == ("r2", "p9", {"k": "v"}, "ok")
    assert got.stderr.startswith(b"lowtide: ")
    assert got.stderr.count(b"\n") == 1


def test_the_result_on_standard_output_comes_after_the_commands() -> None:
    got = run("--quiet", "--json", "-", "--", "echo", "hello")
    first, _, rest = got.stdout.partition(b"\n")
    assert first == b"hello"
    assert json.loads(rest)["exit_status"] == 0


def test_a_counter_that_the_command_drives_is_measured_to_the_joule(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, content in (("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "1000000")):
        (zone / name).write_text(content)
    got = run("--quiet", "--json", "-", "--attribution", "node", "--sysroot", str(tmp_path), "--", "sh", "-c",
              f"printf 51000000 > {zone}/energy_uj")  # fmt: skip
    cpu = json.loads(got.stdout)["components"]["cpu"]
    assert cpu["energy_j"] == pytest.approx(50.0)
    assert cpu["measured_share"] == 1.0


def test_cpu_seconds_hold_children_grandchildren_and_orphans() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    script = f"for i in 1 2; do {sys.executable} -Sc '{burn}'; done; ({sys.executable} -Sc '{burn}'; echo) & wait"
    orphan = f"(setsid {sys.executable} -Sc '{burn}; print(1, flush=True)' &) | cat"
    result = json.loads(run("--quiet", "--json", "-", "--", "sh", "-c", f"({script}; {orphan}) > /dev/null").stdout)
    assert 1.2 <= result["cpu_seconds"] <= 1.9


def test_every_source_is_listed_with_what_is_missing() -> None:
    got = subprocess.run(
        [sys.executable, "-m", "lowtide_sampler", "sources", "--json"], capture_output=True, check=True
    )
    names = {entry["name"].partition(":")[0] for entry in json.loads(got.stdout)}
    assert names >= {"powercap", "nvml"}


def test_nothing_heavy_is_imported_before_the_command() -> None:
    probe = "import sys, lowtide_sampler.main as m; m.run_main(['--quiet', '--', 'true']); print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True).stdout.decode().split())
    heavy = {
        "argparse",
        "subprocess",
        "dataclasses",
        "pathlib",
        "hashlib",
        "datetime",
        "asyncio",
        "pynvml",
        "numpy",
        "click",
        "typing",
        "enum",
        "re",
        "json",
        "signal",
    }
    assert loaded & heavy <= {name for name in heavy if name in _bare_modules()}
    assert not {name for name in loaded if name.split(".")[0] in {"lowtide", "lowtide_core"}}


def _bare_modules() -> set[str]:
    shown = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, check=True)
    return set(shown.stdout.decode().split())


def test_an_empty_name_is_not_found() -> None:
    assert run("").returncode == 127


def test_a_closed_standard_output_takes_the_result_and_not_the_status(tmp_path: Path) -> None:
    line = f"{sys.executable} -m lowtide_sampler run --json - -- sh -c 'exit 8' >&-"
    got = subprocess.run(["sh", "-c", line], capture_output=True)
    assert got.returncode == 8
    assert b"closed" in got.stderr


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_fault_of_ours_is_not_the_commands(when: str, tmp_path: Path) -> None:
    script = f"""
import sys
from lowtide_sampler import main, loop
from lowtide_sampler.recorder import Recorder
def fail(*args, **named): raise ZeroDivisionError("ours")
real = Recorder.tick
if {when!r} == "before": loop.find_sources = fail
elif {when!r} == "during": Recorder.tick = lambda self, *a, **n: fail() if self._last_tick else real(self, *a, **n)
else: Recorder.result = fail
sys.exit(main.main(["run", "--json", "-", "--exit-file", sys.argv[1], "--", "sh", "-c", "sleep 0.4; exit 7"]))
"""
    exit_file = tmp_path / "exit.json"
    got = subprocess.run([sys.executable, "-c", script, str(exit_file)], capture_output=True)
    assert got.returncode == 7
    assert json.loads(exit_file.read_text())["exit_status"] == 7
    result = json.loads(got.stdout)
    assert (result["end"], result["energy_j"], result["exit_status"]) == ("not_measured", None, 7)
    assert b"ZeroDivisionError: ours" in got.stderr
    assert b"Traceback" not in got.stderr


def test_an_interrupt_from_the_terminal_before_the_command_is_there_reaches_it() -> None:
    pid, fd = os.forkpty()
    if pid == 0:
        from lowtide_sampler.child import Child

        child = Child(["sleep", "5"])
        child.prepare()
        os.write(1, b"ready")
        time.sleep(0.3)
        ending = child.start()
        while ending is None:
            ending = child.wait(5.0)
        os._exit(ending.signal or 99)
    while b"ready" not in os.read(fd, 100):
        pass
    os.write(fd, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    assert os.WEXITSTATUS(status) == signal.SIGINT

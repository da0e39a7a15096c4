"""The local engine when processes are killed, files are damaged and disks are full."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lowtide_core.errors import InputError, Unavailable
from lowtide_core.launches import AttemptKey, EngineReport, Launch
from lowtide_providers.engines import local, local_child, local_family
from lowtide_providers.engines.local import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = AttemptKey("20261124-ab12.1")
SOON_S = 30.0
NOTE_AND_WAIT = "open('starts', 'a').write('one\\n'); import time; time.sleep(60)"
IGNORE_TERM_AND_WAIT = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('starts', 'a').write('one\\n');"
    " time.sleep(60)"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = LocalEngine(tmp_path / "engine")
    yield made
    for child in (tmp_path / "engine").glob("*/child.json"):  # nothing of a failed test is left running
        who = json.loads(child.read_bytes()) if child.stat().st_size > 30 else {}
        if who and local_family.is_alive(who):
            os.killpg(who["pid"], signal.SIGKILL)


def python(folder: Path, script: str, **options: Any) -> Launch:
    return Launch("20261124-ab12", (sys.executable, "-S", "-c", script), str(folder), **options)


def until(holds: Callable[[], object], what: str) -> None:
    give_up_s = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < give_up_s, f"not within {SOON_S} s: {what}"
        time.sleep(0.01)


def state(engine: LocalEngine) -> str:
    return engine.observe([KEY])[0].state


def ended(engine: LocalEngine) -> EngineReport:
    until(lambda: state(engine) == "ended", "its end")
    return engine.observe([KEY])[0]


def running(engine: LocalEngine, tmp_path: Path, script: str = NOTE_AND_WAIT, **options: Any) -> None:
    """Submits and waits until the command itself has begun."""
    engine.submit(python(tmp_path, script, **options), KEY)
    until(lambda: (tmp_path / "starts").exists() and state(engine) == "running", "its start")


def pid_in(tmp_path: Path, name: str) -> int:
    return int(json.loads((tmp_path / "engine" / KEY / name).read_bytes())["pid"])


def kill_supervisor(tmp_path: Path) -> None:
    claim = json.loads((tmp_path / "engine" / KEY / "claim.json").read_bytes())
    os.kill(claim["pid"], signal.SIGKILL)
    until(lambda: not local_family.is_alive(claim), "the end of the supervisor")


def kill_command(tmp_path: Path) -> None:
    child = json.loads((tmp_path / "engine" / KEY / "child.json").read_bytes())
    os.killpg(child["pid"], signal.SIGKILL)
    until(lambda: not local_family.is_alive(child), "the end of the command")


def supervise_here(engine: LocalEngine) -> int:
    """A supervisor within this process, which afterwards has its signals and its folder again."""
    mask, folder = signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getcwd()
    try:
        return local_child.main(str(engine.root / KEY))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.chdir(folder)


def test_the_job_outlives_whoever_started_it(engine: LocalEngine, tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(engine.root), KEY, "1"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert starter.stdout is not None
    with starter.stdout:
        assert starter.stdout.readline() == "submitted\n"
    starter.kill()
    starter.wait()
    until(lambda: (tmp_path / "starts").exists(), "its start")
    assert state(engine) == "running"
    (tmp_path / "go").touch()
    assert ended(engine).exit_status == 5


STARTER = """
import sys, time
from pathlib import Path
from lowtide_core.launches import Launch
from lowtide_providers.engines.local import LocalEngine
root, key, stays = sys.argv[1:]
script = '''
import os, sys, time
with open("starts", "a") as file:
    file.write("one\\\\n")
while not os.path.exists("go"):
    time.sleep(0.01)
sys.exit(5)
'''
LocalEngine(Path(root)).submit(Launch("job", (sys.executable, "-S", "-c", script), str(Path.cwd())), key)
print("submitted", flush=True)
time.sleep(60 * int(stays))
"""


def test_many_processes_that_submit_one_key_run_it_once(engine: LocalEngine, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(engine.root), KEY, "0"]
    starters = [subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path) for _ in range(4)]
    assert [starter.wait() for starter in starters] == [0] * 4
    (tmp_path / "go").touch()
    assert ended(engine).exit_status == 5
    assert (tmp_path / "starts").read_text() == "one\n"


def test_many_threads_that_submit_one_key_run_it_once(engine: LocalEngine, tmp_path: Path) -> None:
    launch = python(tmp_path, "open('starts', 'a').write('one\\n')")
    with ThreadPoolExecutor(8) as pool:
        refs = set(pool.map(lambda _: engine.submit(launch, KEY), range(16)))
    assert len(refs) == 1
    assert ended(engine).exit_status == 0
    assert (tmp_path / "starts").read_text() == "one\n"


def test_a_starter_that_died_before_the_supervisor_began_is_mended_by_asking_again(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = python(tmp_path, "raise SystemExit(9)")
    with monkeypatch.context() as patch:
        patch.setattr(local, "_spawn", lambda folder: None)
        engine.submit(launch, KEY)
    assert state(engine) == "accepted"
    engine.submit(launch, KEY)
    assert ended(engine).exit_status == 9


def test_what_is_cancelled_before_its_supervisor_began_never_starts(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = python(tmp_path, NOTE_AND_WAIT)
    with monkeypatch.context() as patch:
        patch.setattr(local, "_spawn", lambda folder: None)
        engine.submit(launch, KEY)
    engine.cancel(KEY)
    assert supervise_here(engine) == 0  # the supervisor that was late
    assert engine.observe([KEY])[0].why == "cancelled before it started"
    assert not (tmp_path / "starts").exists()


def test_without_its_supervisor_a_command_runs_on_and_its_end_is_unknown(engine: LocalEngine, tmp_path: Path) -> None:
    running(engine, tmp_path)
    kill_supervisor(tmp_path)
    assert state(engine) == "running"
    engine.submit(python(tmp_path, NOTE_AND_WAIT), KEY)
    kill_command(tmp_path)
    until(lambda: state(engine) == "vanished", "that nobody knows its end")
    report = engine.observe([KEY])[0]
    assert report.exit_status is None
    assert report.started_utc is not None
    engine.submit(python(tmp_path, NOTE_AND_WAIT), KEY)
    assert state(engine) == "vanished"
    assert (tmp_path / "starts").read_text() == "one\n"


def test_without_its_supervisor_a_command_is_cancelled_all_the_same(engine: LocalEngine, tmp_path: Path) -> None:
    running(engine, tmp_path)
    kill_supervisor(tmp_path)
    engine.cancel(KEY)
    until(lambda: state(engine) == "vanished", "its end")


def test_without_its_supervisor_a_stubborn_command_is_killed_by_the_next_cancel_after_the_grace(
    engine: LocalEngine, tmp_path: Path
) -> None:
    running(engine, tmp_path, IGNORE_TERM_AND_WAIT, stop_grace_s=1000.0)
    kill_supervisor(tmp_path)
    engine.cancel(KEY)
    engine.cancel(KEY)
    assert state(engine) == "running"
    long_ago_s = time.time() - 2000.0
    os.utime(engine.root / KEY / "cancel", (long_ago_s, long_ago_s))
    engine.cancel(KEY)
    until(lambda: state(engine) == "vanished", "its end")


SUPERVISOR_KILLED_BY_ITS_CHILD = """
import os, signal, sys, time
from lowtide_providers.engines import local_child
whole = local_child.write_whole
def after_the_kill(path, content, **options):
    if path.endswith("child.json"):
        supervisor = os.getppid()
        os.kill(supervisor, signal.SIGKILL)
        while os.getppid() == supervisor:
            time.sleep(0.001)
    return whole(path, content, **options)
local_child.write_whole = after_the_kill
local_child.main(sys.argv[1])
"""


def test_a_command_that_nobody_could_have_seen_does_not_begin(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(local, "_spawn", lambda folder: None)
        engine.submit(python(tmp_path, NOTE_AND_WAIT), KEY)
    killed = subprocess.run([sys.executable, "-c", SUPERVISOR_KILLED_BY_ITS_CHILD, str(engine.root / KEY)], check=False)
    assert killed.returncode == -signal.SIGKILL
    child = engine.root / KEY / "child.json"
    until(
        lambda: child.exists() and not local_family.is_alive(json.loads(child.read_bytes())),
        "the end of what was begun",
    )
    assert state(engine) == "vanished"
    assert not (tmp_path / "starts").exists()


def test_after_a_reboot_what_ran_has_vanished(engine: LocalEngine, tmp_path: Path) -> None:
    running(engine, tmp_path)
    for name in ("claim.json", "child.json"):
        file = engine.root / KEY / name
        who = json.loads(file.read_bytes())
        file.write_text(json.dumps({**who, "boot_id": "that of yesterday"}))
    assert state(engine) == "vanished"
    engine.cancel(KEY)  # the numbers belong to others now: nobody is signalled
    os.kill(who["pid"], 0)
    os.killpg(who["pid"], signal.SIGKILL)


def test_a_stubborn_command_is_killed_after_the_grace(engine: LocalEngine, tmp_path: Path) -> None:
    running(engine, tmp_path, IGNORE_TERM_AND_WAIT, stop_grace_s=0.2)
    engine.cancel(KEY)
    report = ended(engine)
    assert report.exit_status == 137
    assert "SIGKILL" in report.why
    assert report.started_utc is not None
    assert report.ended_utc is not None
    assert report.ended_utc - report.started_utc >= timedelta(seconds=0.2)


def test_what_the_command_started_is_cancelled_with_it(engine: LocalEngine, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {IGNORE_TERM_AND_WAIT!r}])\n"
        "open('grandchild', 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    running(engine, tmp_path, script, stop_grace_s=0.2)
    grandchild = local_family.identity(int((tmp_path / "grandchild").read_text()))
    assert grandchild is not None
    engine.cancel(KEY)
    assert ended(engine).exit_status == 143
    until(lambda: not local_family.is_alive(grandchild), "the end of what it started")


def test_a_cancelled_command_leaves_nobody_for_whose_end_it_is_waited(engine: LocalEngine, tmp_path: Path) -> None:
    child = "import time; open('starts', 'a').write('one\\n'); time.sleep(60)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    running(engine, tmp_path, script, stop_grace_s=3600.0)
    engine.cancel(KEY)  # the child becomes an orphan, and ours, and ends: a zombie is nobody to wait for
    assert ended(engine).exit_status == 143


def test_a_machine_that_shuts_down_leaves_a_record(engine: LocalEngine, tmp_path: Path) -> None:
    running(engine, tmp_path)
    os.kill(pid_in(tmp_path, "claim.json"), signal.SIGTERM)
    report = ended(engine)
    assert report.exit_status == 143
    assert report.why == "told to stop; ended by SIGTERM"


@pytest.mark.parametrize(
    ("number", "why"),
    [(signal.SIGKILL, "ended by SIGKILL"), (signal.SIGRTMIN + 1, f"ended by signal {signal.SIGRTMIN + 1}")],
)
def test_a_signal_is_an_exit_status_with_a_name(engine: LocalEngine, tmp_path: Path, number: int, why: str) -> None:
    engine.submit(python(tmp_path, f"import os; os.kill(os.getpid(), {int(number)})"), KEY)
    report = ended(engine)
    assert (report.exit_status, report.why) == (128 + number, why)


def test_the_command_has_the_signals_that_the_starter_had(engine: LocalEngine, tmp_path: Path) -> None:
    script = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGHUP))"
    engine.submit(python(tmp_path, script), KEY)
    ended(engine)
    assert (engine.root / KEY / "output.log").read_text() == f"set() {signal.SIG_DFL}\n"


def test_what_it_prints_is_kept_and_its_environment_is_added_to_ours(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_THE_STARTER", "here")
    words = "os.environ['FROM_THE_STARTER'], os.environ['MINE'], os.getcwd()"
    script = f"import os, sys; print({words}, flush=True); sys.exit('oh')"
    engine.submit(python(tmp_path, script, environment={"MINE": "ä\n"}), KEY)
    assert ended(engine).exit_status == 1
    with open(engine.log_path(KEY), encoding="utf-8") as log:
        assert log.read() == f"here ä\n {tmp_path}\noh\n"
    assert (engine.root / KEY).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("argv", "working_dir", "exit_status"),
    [
        (("no-such-command-at-all",), ".", 127),
        (("/etc/passwd",), ".", 126),
        (("true",), "no-such-folder", 125),
    ],
)
def test_what_cannot_be_started_ends_as_env_says(
    engine: LocalEngine, tmp_path: Path, argv: tuple[str, ...], working_dir: str, exit_status: int
) -> None:
    engine.submit(Launch("job", argv, str(tmp_path / working_dir)), KEY)
    report = ended(engine)
    assert report.exit_status == exit_status
    assert (argv[0] if exit_status > 125 else working_dir) in report.why
    assert report.why in (engine.root / KEY / "output.log").read_text()


def test_a_module_in_the_users_folder_is_not_taken_for_ours(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    engine.submit(Launch("job", ("true",), str(tmp_path)), KEY)
    assert ended(engine).exit_status == 0


@pytest.mark.parametrize("key", ["", "..", "../x", "a/b", "a\nb", ".hidden", "x" * 101, "/etc"])
def test_a_key_is_no_path(engine: LocalEngine, tmp_path: Path, key: str) -> None:
    for call in (
        lambda: engine.submit(python(tmp_path, ""), AttemptKey(key)),
        lambda: engine.observe([AttemptKey(key)]),
        lambda: engine.cancel(AttemptKey(key)),
        lambda: engine.log_path(AttemptKey(key)),
        lambda: engine.suspend(AttemptKey(key)),
        lambda: engine.resume(AttemptKey(key)),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.facts["key"] == key
    assert not engine.root.exists()


@pytest.mark.parametrize(
    "launch",
    [Launch("j", (), "/"), Launch("j", ("a\0b",), "/"), Launch("j", ("true",), "/", {"A=B": "c"})],
    ids=["nothing", "NUL", "name"],
)
def test_a_command_that_no_system_can_start_is_refused(engine: LocalEngine, launch: Launch) -> None:
    with pytest.raises(InputError):
        engine.submit(launch, KEY)
    assert state(engine) == "absent"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe", b'{"exit_status": null}'])
@pytest.mark.parametrize("name", ["launch.json", "claim.json", "child.json", "exit.json"])
def test_damaged_files_never_make_it_run_again(engine: LocalEngine, tmp_path: Path, name: str, damage: bytes) -> None:
    launch = python(tmp_path, "open('starts', 'a').write('one\\n')")
    engine.submit(launch, KEY)
    before = ended(engine)
    (engine.root / KEY / name).write_bytes(damage)
    expected = "vanished" if name == "exit.json" else "ended"
    until(lambda: state(engine) == expected, expected)  # the supervisor lives for a moment after it has written
    engine.cancel(KEY)
    engine.submit(launch, KEY)
    if name != "exit.json":
        assert engine.observe([KEY])[0] == before
    assert (tmp_path / "starts").read_text() == "one\n"


def test_a_claim_that_cannot_be_read_is_a_claim_all_the_same(engine: LocalEngine, tmp_path: Path) -> None:
    (engine.root / KEY).mkdir(parents=True)
    (engine.root / KEY / "claim.json").write_bytes(b"{")
    engine.submit(python(tmp_path, NOTE_AND_WAIT), KEY)
    assert state(engine) == "vanished"
    assert not (tmp_path / "starts").exists()


def test_a_launch_that_cannot_be_read_ends_and_says_so(engine: LocalEngine, tmp_path: Path) -> None:
    (engine.root / KEY).mkdir(parents=True)
    (engine.root / KEY / "launch.json").write_bytes(b'{"argv": 1}')
    engine.submit(python(tmp_path, ""), KEY)
    report = ended(engine)
    assert report.exit_status == 125
    assert "launch.json" in report.why


def test_a_full_disk_is_an_engine_that_is_not_available(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_child.os, "fsync", full_disk)
    for call in (lambda: engine.submit(python(tmp_path, ""), KEY), lambda: engine.cancel(KEY)):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.provider == "local"
        assert isinstance(caught.value.__cause__, OSError)
    assert [file.name for file in engine.root.glob("*/*")] == []


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "invented")


def test_files_that_cannot_be_looked_at_are_not_taken_for_absent(engine: LocalEngine) -> None:
    (engine.root / KEY / "exit.json").mkdir(parents=True)
    with pytest.raises(Unavailable):
        engine.observe([KEY])


def test_an_end_is_kept_as_soon_as_the_disk_has_space_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s: list[float] = []

    def write_after_two(path: str, content: dict[str, object]) -> bool:
        if len(slept_s) < 2:
            full_disk()
        return whole(path, content)

    whole = local_child.write_whole
    monkeypatch.setattr(local_child, "write_whole", write_after_two)
    monkeypatch.setattr(local_child.time, "sleep", slept_s.append)
    local_child._keep(str(tmp_path / "exit.json"), {"exit_status": 3})
    assert json.loads((tmp_path / "exit.json").read_bytes()) == {"exit_status": 3}
    assert len(slept_s) == 2


def test_a_supervisor_on_a_full_disk_claims_nothing_and_starts_nothing(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(local, "_spawn", lambda folder: None)
        engine.submit(python(tmp_path, NOTE_AND_WAIT), KEY)
    with monkeypatch.context() as patch:
        patch.setattr(local_child.os, "fsync", full_disk)
        assert supervise_here(engine) == 1
    assert "cannot be claimed" in capfd.readouterr().err
    assert state(engine) == "accepted"
    assert not (tmp_path / "starts").exists()


def test_times_are_those_of_the_run(engine: LocalEngine, tmp_path: Path) -> None:
    before_utc = datetime.now(UTC)
    engine.submit(python(tmp_path, ""), KEY)
    report = ended(engine)
    assert report.started_utc is not None
    assert report.ended_utc is not None
    assert before_utc <= report.started_utc <= report.ended_utc <= datetime.now(UTC)


BEAT = "import time\nwhile True:\n    open({name!r}, 'a').write('.'); time.sleep(0.01)\n"
START_IN_A_SESSION_OF_ITS_OWN = """
import os, sys
os.setsid()
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, "-S", "-c", sys.argv[1]])
"""


def beating(tmp_path: Path, *names: str) -> bool:
    """Whether all of them have got something done meanwhile; None of them: False; an error where they differ."""

    def sizes() -> list[int]:
        return [os.path.getsize(tmp_path / name) if (tmp_path / name).exists() else 0 for name in names]

    before = sizes()
    time.sleep(0.2)
    awake = {now > then for now, then in zip(sizes(), before, strict=True)}
    assert len(awake) == 1, f"some of {names} are awake"
    return awake.pop()


def begun(engine: LocalEngine, tmp_path: Path, launch: Launch, *names: str) -> None:
    engine.submit(launch, KEY)
    until(lambda: all((tmp_path / name).exists() for name in names), f"that {names} begin")


def is_held(engine: LocalEngine) -> bool:
    (report,) = engine.observe([KEY])
    return report.suspended


def test_everything_that_the_command_started_is_held_with_it(engine: LocalEngine, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-S', '-c', {BEAT.format(name='child')!r}])\n"
        f"far = [{START_IN_A_SESSION_OF_ITS_OWN!r}, {BEAT.format(name='far')!r}]\n"
        "subprocess.run([sys.executable, '-S', '-c', *far])\n"
        f"{BEAT.format(name='own')}"
    )
    names = ("own", "child", "far")
    begun(engine, tmp_path, python(tmp_path, script, stop_grace_s=1.0), *names)
    engine.suspend(KEY)
    assert is_held(engine)
    assert not beating(tmp_path, *names)
    engine.resume(KEY)
    assert beating(tmp_path, *names)
    engine.suspend(KEY)
    engine.cancel(KEY)
    ended(engine)
    for process in local_family.everybody():
        if str(tmp_path) == _working_dir(process.pid):
            os.kill(process.pid, signal.SIGKILL)  # what left the group outlives a cancel
            assert process.state not in "Tt", "nobody is left held for ever"


def _working_dir(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def test_a_wrapper_stays_awake(engine: LocalEngine, tmp_path: Path) -> None:
    script = (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-S', '-c', {BEAT.format(name='command')!r}])\n"
        f"{BEAT.format(name='wrapper')}"
    )
    begun(engine, tmp_path, python(tmp_path, script, wrapped=True), "command", "wrapper")
    engine.suspend(KEY)
    assert is_held(engine)
    assert not beating(tmp_path, "command")
    assert beating(tmp_path, "wrapper")
    engine.resume(KEY)
    assert beating(tmp_path, "command")


def test_what_forks_all_the_time_is_held(engine: LocalEngine, tmp_path: Path) -> None:
    script = (
        "import os, time\n"
        "while True:\n"
        "    if os.fork() == 0:\n"
        "        open('own', 'a').write('.'); time.sleep(0.005); os._exit(0)\n"
        "    time.sleep(0.001)\n"
        "    try:\n"
        "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
        "    except ChildProcessError: pass\n"
    )
    begun(engine, tmp_path, python(tmp_path, script), "own")
    engine.suspend(KEY)
    assert is_held(engine)
    assert not beating(tmp_path, "own")
    engine.resume(KEY)
    assert beating(tmp_path, "own")


@pytest.mark.parametrize("held_first", [True, False])
def test_without_its_supervisor_a_command_is_held_and_cancelled_all_the_same(
    engine: LocalEngine, tmp_path: Path, held_first: bool
) -> None:
    begun(engine, tmp_path, python(tmp_path, BEAT.format(name="own")), "own")
    if held_first:
        engine.suspend(KEY)
    kill_supervisor(tmp_path)
    engine.suspend(KEY)
    assert is_held(engine)
    assert not beating(tmp_path, "own")
    engine.resume(KEY)
    assert beating(tmp_path, "own")
    engine.suspend(KEY)
    engine.cancel(KEY)
    until(lambda: state(engine) == "vanished", "its end")


def test_a_wish_that_came_before_the_command_is_kept_when_it_begins(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(local, "_spawn", lambda folder: None)
        engine.submit(python(tmp_path, BEAT.format(name="own")), KEY)
    engine.suspend(KEY)
    assert not (engine.root / KEY / "suspend").exists(), "what does not run is not held"
    (engine.root / KEY / "suspend").touch()  # as by somebody who saw the claim, and nothing else yet
    engine.submit(python(tmp_path, ""), KEY)
    until(lambda: is_held(engine), "that it is held")
    assert not beating(tmp_path, "own")
    engine.resume(KEY)
    assert beating(tmp_path, "own")


class Crash(BaseException):
    """The process dies here."""


def test_a_wish_outlives_whoever_died_before_it_came_true(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise Crash

    begun(engine, tmp_path, python(tmp_path, BEAT.format(name="own")), "own")
    for act, held in ((engine.suspend, True), (engine.resume, False)):
        with monkeypatch.context() as patch:
            patch.setattr(local_family.Family, "follow", dies)
            with pytest.raises(Crash):
                act(KEY)
        until(lambda wanted=held: is_held(engine) is wanted and beating(tmp_path, "own") is not wanted, f"held {held}")


def test_of_two_who_wish_differently_the_later_wins(engine: LocalEngine, tmp_path: Path) -> None:
    begun(engine, tmp_path, python(tmp_path, BEAT.format(name="own")), "own")
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            pool.submit(engine.suspend if number % 2 else engine.resume, KEY)
    wished = (engine.root / KEY / "suspend").exists()
    until(lambda: is_held(engine) is wished and beating(tmp_path, "own") is not wished, f"held: {wished}")


def test_a_machine_that_shuts_down_ends_what_is_held(engine: LocalEngine, tmp_path: Path) -> None:
    begun(engine, tmp_path, python(tmp_path, BEAT.format(name="own")), "own")
    engine.suspend(KEY)
    os.kill(pid_in(tmp_path, "claim.json"), signal.SIGTERM)
    assert ended(engine).why == "told to stop; ended by SIGTERM"


def test_a_wish_that_cannot_be_kept_is_an_engine_that_is_not_available(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(engine, tmp_path, python(tmp_path, BEAT.format(name="own")), "own")
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "touch", full_disk)
        with pytest.raises(Unavailable) as caught:
            engine.suspend(KEY)
    assert caught.value.operation == "suspend"
    assert beating(tmp_path, "own")

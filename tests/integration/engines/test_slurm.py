"""The Slurm engine against real daemons: crashes on either side, times, arrays, many jobs at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.engines.slurm_lab import CPUS_PER_NODE

from lowtide_core.errors import InputError, ProviderError, Rejected, Unavailable
from lowtide_core.launches import AttemptKey, EngineReport, Launch
from lowtide_providers.engines.slurm import SlurmEngine
from lowtide_providers.engines.slurm_commands import SlurmCommands

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.engines.slurm_lab import SlurmLab

KEY = AttemptKey("7xk2ab.1")
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("slurm_lab")


@dataclass(frozen=True, slots=True)
class Counting(SlurmCommands):
    """Remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    def ask(self, *argv: str) -> str:
        self.asked.append(argv[0])
        return SlurmCommands.ask(self, *argv)


@pytest.fixture
def engine(tmp_path: Path) -> SlurmEngine:
    return SlurmEngine(tmp_path / "engine", Counting())


def script(folder: Path, text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"cd {folder}; {text}")


def launch(
    folder: Path, text: str = "echo x >> starts; while [ ! -e end ]; do sleep 0.05; done", **changes: object
) -> Launch:
    plain = Launch("7xk2ab", script(folder, text), str(folder))
    return replace(plain, **changes)  # type: ignore[arg-type]


def starts(folder: Path) -> int:
    noted = folder / "starts"
    return len(noted.read_text().split()) if noted.exists() else 0


def until(engine: SlurmEngine, holds: Callable[[EngineReport], bool], key: AttemptKey = KEY) -> EngineReport:
    give_up_s = time.monotonic() + 60
    while time.monotonic() < give_up_s:
        (report,) = engine.observe([key])
        if holds(report):
            return report
        time.sleep(0.1)
    raise AssertionError(f"it is still {report}")


def until_begun(engine: SlurmEngine, folder: Path) -> EngineReport:
    return until(engine, lambda report: report.state == "running" and starts(folder) > 0)


def ended(engine: SlurmEngine, key: AttemptKey = KEY) -> EngineReport:
    return until(engine, lambda report: report.state in ("ended", "vanished"), key)


def jobs(lab: SlurmLab) -> list[str]:
    return lab.ask("squeue", "-h", "-t", "all", "-o", "%A").split()


def path_with(folder: Path, name: str, text: str) -> str:
    """A PATH on which a command is another one."""
    stand_in = folder / "bin" / name
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(f"#!/bin/sh\n{text}\n")
    stand_in.chmod(0o755)
    return f"{stand_in.parent}:{os.environ['PATH']}"


SUBMIT = """
import sys
from pathlib import Path
from lowtide_core.launches import AttemptKey, Launch
from lowtide_providers.engines.slurm import SlurmEngine
folder, root, key = sys.argv[1:]
command = f"cd {folder}; echo x >> starts; while [ ! -e end ]; do sleep 0.05; done"
print(SlurmEngine(Path(root)).submit(Launch("7xk2ab", ("/bin/sh", "-c", command), folder), AttemptKey(key)))
"""


@pytest.mark.parametrize(
    "deadly",
    [
        ("squeue", "kill -9 $PPID"),
        ("sbatch", "kill -9 $PPID"),
        ("sbatch", "{real} \"$@\" > /dev/null; kill -9 $PPID"),
        ("sbatch", "{real} \"$@\"; kill -9 $PPID"),
    ],
    ids=["at the lookup", "before sbatch", "sbatch answered nobody", "before the answer is kept"],
)  # fmt: skip
def test_a_service_killed_at_any_step_of_submit_starts_it_once(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab, deadly: tuple[str, str]
) -> None:
    name, text = deadly
    path = path_with(tmp_path, name, text.format(real=shutil.which(name)))
    argv = [sys.executable, "-c", SUBMIT, str(tmp_path), str(engine.root), KEY]
    died = subprocess.run(argv, env={**os.environ, "PATH": path, "PYTHONPATH": ":".join(sys.path)}, capture_output=True)
    assert died.returncode == -9, died.stderr
    ref = engine.submit(launch(tmp_path), KEY)
    running = until_begun(engine, tmp_path)
    assert running.ref == ref
    assert engine.submit(launch(tmp_path), KEY) == ref
    (tmp_path / "end").touch()
    assert ended(engine).exit_status == 0
    assert jobs(slurm_lab) == [ref]
    assert starts(tmp_path) == 1


def test_many_who_submit_the_same_key_at_once_start_it_once(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    with ThreadPoolExecutor(6) as pool:
        refs = set(pool.map(lambda _: engine.submit(launch(tmp_path), KEY), range(6)))
    assert len(refs) == 1
    until_begun(engine, tmp_path)
    (tmp_path / "end").touch()
    ended(engine)
    assert (len(jobs(slurm_lab)), starts(tmp_path)) == (1, 1)


def test_a_second_job_of_the_same_key_does_not_run_it_again(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    ref = engine.submit(launch(tmp_path), KEY)
    until_begun(engine, tmp_path)
    folder = engine.root / KEY
    (folder / "job").unlink()  # as if sbatch had been too slow for whoever asked it, and was asked again
    engine.commands.sbatch(*engine._arguments(folder, KEY, {"options": {}, "working_dir": "/tmp", "name": ""}))
    until(
        engine,
        lambda _: len(jobs(slurm_lab)) == 2 and "COMPLETED" in slurm_lab.ask("squeue", "-h", "-t", "all", "-o", "%T"),
    )
    (report,) = engine.observe([KEY])
    assert (report.state, report.ref, starts(tmp_path)) == ("running", ref, 1)
    (tmp_path / "end").touch()
    assert ended(engine).exit_status == 0


def test_a_controller_that_is_away_is_told_of_in_every_call_and_loses_nothing(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    ref = engine.submit(launch(tmp_path), KEY)
    begun = until_begun(engine, tmp_path)
    slurm_lab.stop_controller()
    other = AttemptKey("7xk2ab.2")
    calls: dict[str, Callable[[], object]] = {
        "submit": lambda: engine.submit(launch(tmp_path, "echo y >> starts"), other),
        "observe": lambda: engine.observe([KEY]),
        "cancel": lambda: engine.cancel(KEY),
        "suspend": lambda: engine.suspend(KEY),
        "resume": lambda: engine.resume(KEY),
        "move": lambda: engine.move(KEY, None),
    }
    for name, call in calls.items():
        with pytest.raises(Unavailable, match="does not answer") as caught:
            call()
        assert caught.value.provider == "slurm", name
    slurm_lab.start_controller()
    assert engine.observe([KEY, other])[1].state == "absent"
    engine.submit(launch(tmp_path, "echo y >> starts"), other)
    assert ended(engine, other).exit_status == 0
    assert until(engine, lambda report: report.state == "running") == begun
    (tmp_path / "end").touch()
    assert (ended(engine).ref, starts(tmp_path)) == (ref, 2)


def test_what_ends_while_the_controller_is_away_is_known_afterwards(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    engine.submit(launch(tmp_path, "echo x >> starts; while [ ! -e end ]; do sleep 0.05; done; exit 6"), KEY)
    until_begun(engine, tmp_path)
    slurm_lab.stop_controller()
    (tmp_path / "end").touch()
    time.sleep(1.0)
    slurm_lab.start_controller()
    assert ended(engine).exit_status == 6


def test_a_controller_killed_before_it_noted_the_start_runs_nothing_twice(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    time.sleep(6.0)  # it saves every few seconds: the job as waiting, and then its start
    engine.submit(launch(tmp_path), KEY)
    until_begun(engine, tmp_path)
    slurm_lab.stop_controller(crash=True)
    slurm_lab.start_controller()
    time.sleep(6.0)
    (tmp_path / "end").touch()
    ended(engine)  # Slurm may have ended it to start it anew: then it is lost, and the user is asked
    assert starts(tmp_path) == 1


def test_a_controller_that_forgot_everything_leaves_what_the_node_said(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    lost = AttemptKey("7xk2ab.3")
    engine.submit(launch(tmp_path, "exit 4"), KEY)
    engine.submit(launch(tmp_path, "true", begin_utc=datetime.now(UTC) + HOUR), lost)
    until(engine, lambda _: (engine.root / KEY / "exit.json").exists(), lost)
    slurm_lab.forget()
    first, second = engine.observe([KEY, lost])
    assert (first.state, first.exit_status) == ("ended", 4)
    assert (second.state, second.why) == ("vanished", f"Slurm no longer knows job {second.ref}")


def test_it_begins_at_its_time_and_can_be_moved_held_and_let_go(engine: SlurmEngine, tmp_path: Path) -> None:
    begin_utc = (datetime.now(UTC) + HOUR).replace(microsecond=0)
    engine.submit(launch(tmp_path, begin_utc=begin_utc, name="train"), KEY)
    report = until(engine, lambda report: report.begin_utc is not None)
    assert (report.state, report.queued, report.suspended) == ("accepted", True, False)
    assert abs(report.begin_utc - begin_utc) <= timedelta(seconds=3)
    later_utc = begin_utc + HOUR
    engine.move(KEY, later_utc)
    until(engine, lambda report: report.begin_utc == later_utc)
    engine.move(KEY, None)
    engine.move(KEY, None)
    held = until(engine, lambda report: report.suspended)
    assert (held.state, held.queued) == ("accepted", True)
    engine.move(KEY, later_utc)
    until(engine, lambda report: not report.suspended and report.begin_utc == later_utc)
    engine.move(KEY, datetime.now(UTC) - HOUR)
    begun = until_begun(engine, tmp_path)
    engine.move(KEY, later_utc)
    assert engine.observe([KEY])[0] == begun, "what runs is not moved"


def test_times_are_the_same_whatever_the_zone_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: SlurmEngine
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    begin_utc = (datetime.now(UTC) + HOUR).replace(microsecond=0)
    engine.submit(launch(tmp_path, begin_utc=begin_utc), KEY)
    report = until(engine, lambda report: report.begin_utc is not None)
    assert abs(report.begin_utc - begin_utc) <= timedelta(seconds=3)
    engine.move(KEY, begin_utc - HOUR / 2)
    assert until(engine, lambda r: r.begin_utc != report.begin_utc).begin_utc == begin_utc - HOUR / 2


def test_options_reach_slurm_and_the_report_says_where_it_ran(engine: SlurmEngine, tmp_path: Path) -> None:
    options = {"partition": "south", "account": "lab", "cpus-per-task": "3", "time": "5", "comment": "a 'b' $(c) ;d"}
    engine.submit(launch(tmp_path, 'echo "$SLURM_CPUS_PER_TASK" > cpus', options=options), KEY)
    report = ended(engine)
    assert report.exit_status == 0
    assert report.identity == {
        "slurm_job": report.ref,
        "cluster": "lab",
        "partition": "south",
        "account": "lab",
        "node": "south-1",
    }
    assert (tmp_path / "cpus").read_text().strip() == "3"


def test_what_it_prints_is_kept_where_its_options_say(engine: SlurmEngine, tmp_path: Path) -> None:
    other = AttemptKey("7xk2ab.2")
    engine.submit(launch(tmp_path, "echo said"), KEY)
    engine.submit(launch(tmp_path, "echo there", options={"output": "out-%j.txt"}), other)
    assert not Path(engine.log_path(AttemptKey("nobody.1"))).exists()
    for key, text in ((KEY, "said"), (other, "there")):
        ref = ended(engine, key).ref
        assert Path(engine.log_path(key)).read_text().split() == [text]
    assert engine.log_path(other) == str(tmp_path / f"out-{ref}.txt")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"partition": "mars"}, InputError, "invalid partition"),
        ({"constraint": "nowhere"}, InputError, "Invalid feature"),
        ({"mem": "900G"}, InputError, "can not be satisfied"),
        ({"gres": "gpu:h100:1"}, InputError, "generic resource"),
        ({"reservation": "none"}, InputError, "reservation is invalid"),
        ({"time": "soon"}, InputError, "time"),
        ({"begin": "now"}, InputError, "'begin'"),
        ({"partitoin": "north"}, InputError, "partitoin"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_leaves_no_job(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab, options: dict[str, str], error: type, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        engine.submit(launch(tmp_path, options=options), KEY)
    assert caught.value.hint
    assert slurm_lab.ask("squeue", "-h", "-o", "%A") == ""
    (report,) = engine.observe([KEY])
    assert (report.state == "absent") or (report.state, report.started_utc) == ("ended", None)


def test_without_slurms_commands_it_says_so(tmp_path: Path) -> None:
    engine = SlurmEngine(tmp_path / "engine", SlurmCommands({"PATH": str(tmp_path)}))
    for call in (lambda: engine.check(launch(tmp_path)), lambda: engine.observe([KEY])):
        with pytest.raises(Rejected, match="There is no command"):
            call()


def test_an_array_is_one_attempt_with_the_worst_of_its_ends(engine: SlurmEngine, tmp_path: Path) -> None:
    options = {"array": "0-4%3"}
    text = 'echo "$1" > run-$SLURM_ARRAY_TASK_ID; exit $((SLURM_ARRAY_TASK_ID == 3 ? 9 : 0))'
    argv = (*script(tmp_path, text), "sh", KEY)
    engine.submit(launch(tmp_path, argv=argv, run_id_at=len(argv) - 1, options=options), KEY)
    report = ended(engine)
    assert (report.state, report.exit_status) == ("ended", 9)
    assert report.why == "1 of 5 tasks failed (3)"
    runs = [(tmp_path / f"run-{task}").read_text().strip() for task in range(5)]
    assert runs == [f"{KEY}.t{task}" for task in range(5)]
    engine.cancel(KEY)
    assert engine.observe([KEY]) == (report,)


def test_an_array_that_is_cancelled_ends_as_a_whole(engine: SlurmEngine, tmp_path: Path) -> None:
    engine.submit(launch(tmp_path, options={"array": "0-3%2"}), KEY)
    until(engine, lambda _: starts(tmp_path) == 2)
    engine.cancel(KEY)
    report = ended(engine)
    assert (report.state, report.exit_status) == ("ended", 143)
    assert starts(tmp_path) == 2


DENIED = 'if [ "$1" = suspend ]; then echo "Access/permission denied for job $2" >&2; exit 1; fi; exec {real} "$@"'


def test_without_an_operators_rights_a_job_that_checkpoints_is_requeued(engine: SlurmEngine, tmp_path: Path) -> None:
    path = path_with(tmp_path, "scontrol", DENIED.format(real=shutil.which("scontrol")))
    plain = replace(engine, commands=SlurmCommands({**os.environ, "PATH": path}))
    text = "trap 'echo saved >> saves; exit 0' TERM; echo $1 >> starts; while [ ! -e end ]; do sleep 0.05; done; exit 5"
    argv = (*script(tmp_path, text), "sh", KEY)
    plain.submit(launch(tmp_path, argv=argv, run_id_at=len(argv) - 1, checkpoints=True), KEY)
    begun = until_begun(plain, tmp_path)
    plain.suspend(KEY)
    plain.suspend(KEY)
    held = until(plain, lambda report: report.suspended)
    assert (held.state, held.ref) == ("running", begun.ref)
    assert (tmp_path / "saves").read_text().split() == ["saved"]
    assert starts(tmp_path) == 1
    plain.resume(KEY)
    until(plain, lambda report: not report.suspended and starts(tmp_path) == 2)
    assert (tmp_path / "starts").read_text().split() == [KEY, f"{KEY}.r1"]
    (tmp_path / "end").touch()
    assert ended(plain).exit_status == 5


def test_without_an_operators_rights_any_other_job_runs_on(engine: SlurmEngine, tmp_path: Path) -> None:
    path = path_with(tmp_path, "scontrol", DENIED.format(real=shutil.which("scontrol")))
    plain = replace(engine, commands=SlurmCommands({**os.environ, "PATH": path}))
    plain.submit(launch(tmp_path), KEY)
    begun = until_begun(plain, tmp_path)
    with pytest.raises(Rejected, match="does not let you suspend") as caught:
        plain.suspend(KEY)
    assert "--checkpoints" in caught.value.hint
    assert plain.observe([KEY]) == (begun,)


def test_slurm_cannot_start_it_a_second_time_by_itself(
    engine: SlurmEngine, tmp_path: Path, slurm_lab: SlurmLab
) -> None:
    ref = engine.submit(launch(tmp_path), KEY)
    until_begun(engine, tmp_path)
    slurm_lab.ask("scontrol", "update", f"JobId={ref}", "Requeue=1")  # an operator's doing
    slurm_lab.ask("scontrol", "requeue", ref)
    slurm_lab.ask("scontrol", "update", f"JobId={ref}", "StartTime=now")
    report = ended(engine)
    assert starts(tmp_path) == 1
    assert report.exit_status in (143, None)


def test_a_death_without_a_word_is_told_from_slurms_books(engine: SlurmEngine, tmp_path: Path) -> None:
    engine.submit(launch(tmp_path, "echo x >> starts; kill -9 $PPID; sleep 1"), KEY)
    report = ended(engine)
    assert (report.state, report.exit_status) == ("ended", 137)
    assert report.started_utc is not None
    assert report.ended_utc is not None


def patiently(call: Callable[[], object]) -> None:
    """As a later round would: a controller with much to do lets a question fall now and then."""
    for _ in range(5):
        try:
            call()
        except Unavailable:
            time.sleep(0.5)
        else:
            return
    call()


@pytest.mark.parametrize("count", [500])
def test_five_hundred_at_once_and_one_question_a_round(engine: SlurmEngine, tmp_path: Path, count: int) -> None:
    keys = [AttemptKey(f"job-{number}.1") for number in range(count)]
    begin_utc = datetime.now(UTC) + HOUR
    with ThreadPoolExecutor(4) as pool:
        order = launch(tmp_path, "true", begin_utc=begin_utc)
        list(pool.map(lambda key: patiently(lambda: engine.submit(order, key)), keys))
    asked = engine.commands.asked  # type: ignore[attr-defined]
    asked.clear()
    reports = engine.observe(keys)
    assert asked == ["squeue"]
    assert {(report.state, report.queued) for report in reports} == {("accepted", True)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: patiently(lambda: engine.move(key, datetime.now(UTC))), keys))
    give_up_s = time.monotonic() + 240
    while {report.state for report in reports} != {"ended"} and time.monotonic() < give_up_s:
        time.sleep(1.0)
        asked.clear()
        try:
            reports = engine.observe(keys)
        except Unavailable:
            continue
        assert asked in (["squeue"], [])
    assert {(report.state, report.exit_status) for report in reports} == {("ended", 0)}
    assert len({report.ref for report in reports}) == count
    assert count > CPUS_PER_NODE, "they had to wait for each other"


def test_energy_is_asked_of_the_books_and_none_is_no_error(engine: SlurmEngine, tmp_path: Path) -> None:
    engine.submit(launch(tmp_path, "true"), KEY)
    ended(engine)
    assert engine.energies_j([KEY, AttemptKey("nobody.1")]) == {}, "the lab has no slurmdbd"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = SlurmEngine(tmp_path / "file" / "engine")
    with pytest.raises(ProviderError, match="cannot submit"):
        engine.submit(launch(tmp_path), KEY)

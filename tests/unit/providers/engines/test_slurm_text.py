"""What Slurm prints and takes, read and written; every line here is invented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from lowtide_core.errors import InputError, Malformed, Rejected, Unavailable
from lowtide_core.launches import AttemptKey
from lowtide_providers.engines.slurm_commands import NotPossible, complaint_of
from lowtide_providers.engines.slurm_options import (
    arguments_of,
    check_options,
    cpus_of,
    gpus_of,
    limit_s,
    read_script,
    read_words,
)
from lowtide_providers.engines.slurm_reports import Attempt, report_of
from lowtide_providers.engines.slurm_text import (
    QueueRow,
    job_name,
    read_array,
    read_energies_j,
    read_exit,
    read_job,
    read_queue,
    read_time,
    write_time,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = AttemptKey("7xk2ab.1")


def test_lines_of_squeue() -> None:
    text = (
        "12|N/A|PENDING|2026-03-01T12:00:00|gpu|(null)||BeginTime|train.lowtide-7xk2ab.1\n"
        "13|4|RUNNING|2026-03-01T11:00:00|gpu|lab|n[1-2]|None|a|b\n"
        "14|N/A|PENDING|N/A|gpu|lab||JobHeldUser|lowtide-9.2\n"
    )
    first, second, third = read_queue(text)
    assert (first.key, first.begin_utc, first.account, first.held) == (KEY, NOON, "", False)
    assert (second.key, second.name, second.task, second.begin_utc) == (None, "a|b", "4", None)
    assert (third.key, third.held, third.begin_utc) == (AttemptKey("9.2"), True, None)
    assert second.identity == {"slurm_job": "13", "partition": "gpu", "account": "lab", "node": "n[1-2]"}
    assert read_queue("") == []


@pytest.mark.parametrize("text", ["12|PENDING\n", "1|N/A|PENDING|yesterday|p|a||None|n\n"])
def test_a_line_of_another_kind_is_told(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_queue(text)
    assert caught.value.provider == "slurm"


@pytest.mark.parametrize("name", ["", "train", "lowtide-x.1", "a b/c|d", "x" * 300, "é"])
@pytest.mark.parametrize("key", ["7xk2ab.1", "a.lowtide-b.2", "9"])
def test_a_name_gives_its_key_back(name: str, key: str) -> None:
    made = job_name(name, AttemptKey(key))
    row = QueueRow("1", "", "PENDING", None, "", "", "", "", made)
    assert row.key == key
    assert made.isascii()
    assert "|" not in made


def test_times_are_utc_and_never_early() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert write_time(datetime(2026, 3, 1, 21, 0, 0, 1, tzinfo=tokyo)) == "2026-03-01T12:00:01"
    assert read_time(write_time(NOON)) == NOON
    assert read_time("Unknown") is None


@pytest.mark.parametrize(
    ("text", "status"),
    [("0:0", 0), ("3:0", 3), ("0:9", 137), ("0:15", 143), ("0:125", 137), ("", None), ("none", None)],
)
def test_exit_codes(text: str, status: int | None) -> None:
    assert read_exit(text) == status


def test_a_job_of_scontrol() -> None:
    line = "JobId=1 JobName=x y JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0 NodeList=(null) B:S:C=0:0"
    assert read_job(line)["ExitCode"] == "3:0"
    assert read_job(line)["NodeList"] == ""


def test_energy_of_steps_is_not_added_up() -> None:
    rows = "12|\n12.batch|392\n12.0|390\n12.extern|18446744073709551614\n13.batch|0\n14_2.batch|7\n"
    assert read_energies_j(rows) == {"12": 392.0, "14": 7.0}


@pytest.mark.parametrize(
    ("text", "tasks"), [("0-3", (0, 1, 2, 3)), ("1,7,5%2", (1, 5, 7)), ("0-9:4", (0, 4, 8)), ("5", (5,))]
)
def test_the_tasks_of_an_array(text: str, tasks: tuple[int, ...]) -> None:
    assert read_array(text) == tasks


@pytest.mark.parametrize("text", ["", "a", "3-1", "0-5:0", "0-9999999", "1;2"])
def test_what_is_no_array(text: str) -> None:
    with pytest.raises(InputError):
        read_array(text)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("squeue: error: slurm_load_jobs: Unable to contact slurm controller (connect failure)", Unavailable),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", Unavailable),
        ("slurm_msg_sendto: address:port=127.0.0.1:1 msg_type=2003: Unexpected missing socket error", Unavailable),
        ("sbatch: error: invalid partition specified: mars", InputError),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", InputError),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", InputError),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", InputError),
        ("sbatch: unrecognized option '--gpsu=1'", InputError),
        ("Access/permission denied for job 3", Rejected),
        ("sbatch: error: Munge encode failed: Failed to access socket", Rejected),
        ("slurm_load_jobs error: Invalid job id specified", NotPossible),
        ("Job is not suspended for job 13", NotPossible),
        ("something nobody has ever seen", Rejected),
        ("", Rejected),
    ],
)
def test_complaints_are_one_table(said: str, kind: type) -> None:
    assert type(complaint_of("sbatch", said)) is kind


SCRIPT = """#!/bin/bash
#SBATCH -J "my job" -t 1-12 --gres=gpu:a100:2   # two of them
#SBATCH --begin now+1hour
# a comment
#SBATCH -N2 --exclusive --ntasks-per-node=4 -c 3

module load cuda
#SBATCH --time=1
"""


def test_the_lines_of_a_script() -> None:
    assert read_script(SCRIPT).values == {
        "job-name": "my job",
        "time": "1-12",
        "gres": "gpu:a100:2",
        "begin": "now+1hour",
        "nodes": "2",
        "exclusive": "yes",
        "ntasks-per-node": "4",
        "cpus-per-task": "3",
    }
    assert cpus_of(read_script(SCRIPT).values) == 24


@pytest.mark.parametrize("line", ["#SBATCH --tiem=4", '#SBATCH -J "a', "#SBATCH --time", "#SBATCH -y", "#SBATCH what"])
def test_a_line_that_cannot_be_read_is_told(line: str) -> None:
    with pytest.raises(InputError) as caught:
        read_script(f"#!/bin/sh\n{line}\n")
    assert caught.value.hint


def test_a_command_line_ends_where_the_script_begins() -> None:
    words = ["-p", "gpu", "--time=5", "--exclusive", "--slack", "4h", "train.sh", "--time=9", "-p"]
    assert read_words(words, also=("slack",)) == (
        {"partition": "gpu", "time": "5", "exclusive": "yes", "slack": "4h"},
        ["train.sh", "--time=9", "-p"],
    )
    assert read_words(["--", "train.sh"]) == ({}, ["train.sh"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("4:00:00", 14400), ("1-12", 129600), ("2-00:30:15", 174615), ("UNLIMITED", None)],
)
def test_time_limits(text: str, seconds: float | None) -> None:
    assert limit_s(text) == seconds


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ("", 0)),
        ({"gres": "gpu:2"}, ("", 2)),
        ({"gres": "lustre:1,gpu:a100:2(S:0)", "nodes": "2"}, ("a100", 4)),
        ({"gpus": "h100:8"}, ("h100", 8)),
        ({"gpus-per-node": "v100"}, ("v100", 1)),
        ({"gpus-per-task": "1", "ntasks": "3"}, ("", 3)),
        ({"gres": "lustre:1"}, ("", 0)),
    ],
)
def test_accelerators(options: dict[str, str], found: tuple[str, int]) -> None:
    assert gpus_of(options) == found


def test_each_option_is_one_word() -> None:
    options = {"comment": "a; rm -rf 'x' $(y)", "exclusive": "yes", "overcommit": "yes", "python": "/usr/bin/python3"}
    check_options(options)
    assert arguments_of(options) == ["--comment=a; rm -rf 'x' $(y)", "--exclusive", "--overcommit"]


@pytest.mark.parametrize("options", [{"begin": "now"}, {"x": "1"}, {"time": ""}, {"comment": "a\nb"}, {"array": "x"}])
def test_options_that_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        check_options(options)
    assert caught.value.hint


def row(state: str, **changes: str) -> QueueRow:
    known = {"reason": "None", "nodes": "", **changes}
    return QueueRow("12", "", state, NOON, "gpu", "lab", known["nodes"], known["reason"], "lowtide-7xk2ab.1")


CLAIM = {"": {"claimed_s": NOON.timestamp(), "identity": {"slurm_job": "12"}}}


def exit_of(status: int | None, why: str = "") -> dict[str, dict[str, object]]:
    at_s = NOON.timestamp()
    return {"": {"exit_status": status, "why": why, "started_s": at_s, "ended_s": at_s + 60}}


def asked_nobody(job: str) -> dict[str, str]:
    raise AssertionError("the books were not needed")


def test_reports() -> None:
    def of(**known: object):
        return report_of(Attempt(KEY, "12", **known), NOON.timestamp() + 120, asked_nobody)  # type: ignore[arg-type]

    assert report_of(Attempt(KEY, ""), 0.0, asked_nobody).state == "absent"
    assert report_of(Attempt(KEY, "", cancelled=True), 0.0, asked_nobody).why == "cancelled before it started"
    assert of(rows=(row("PENDING", reason="Priority"),)).why == ""
    assert of(rows=(row("PENDING", reason="QOSMaxJobsPerUserLimit"),)).why.endswith("QOSMaxJobsPerUserLimit")
    assert of(rows=(row("CONFIGURING"),)).state == "accepted"
    assert of(rows=(row("RUNNING"),)).state == "running"
    assert not of(rows=(row("SUSPENDED"),), suspended_s=NOON.timestamp() + 119).suspended, "it may still be awake"
    assert of(rows=(row("SUSPENDED"),), suspended_s=NOON.timestamp()).suspended
    assert of(rows=(row("PENDING"),), claims=CLAIM, again=True).suspended
    assert of(rows=(row("COMPLETED"),), claims=CLAIM, exits=exit_of(3)).exit_status == 3
    assert of(rows=(row("CANCELLED"),), exits=exit_of(None, "Slurm started it a second time")).state == "vanished"


def test_whose_signal_it_was_is_asked_of_slurm() -> None:
    ends = {"claims": CLAIM, "exits": exit_of(143, "told to stop")}
    soon_s, late_s = NOON.timestamp() + 70, NOON.timestamp() + 600
    leaving = Attempt(KEY, "12", rows=(row("COMPLETING"),), **ends)  # type: ignore[arg-type]
    assert report_of(leaving, soon_s, asked_nobody).state == "running"
    assert report_of(leaving, late_s, asked_nobody).exit_status == 143
    over = Attempt(KEY, "12", rows=(row("TIMEOUT"),), **ends)  # type: ignore[arg-type]
    assert report_of(over, soon_s, asked_nobody).why == "told to stop; Slurm says TIMEOUT"


@pytest.mark.parametrize(
    ("books", "state", "status", "why"),
    [
        (("COMPLETED", "0:0", "n1"), "ended", 0, ""),
        (("FAILED", "3:0", "n1"), "ended", 3, ""),
        (("TIMEOUT", "0:0", "n1"), "ended", 143, "Slurm says TIMEOUT"),
        (("OUT_OF_MEMORY", "0:125", "n1"), "ended", 137, "Slurm says OUT_OF_MEMORY"),
        (("CANCELLED by 0", "0:15", "n1"), "ended", 143, "told to stop; ended by SIGTERM"),
        (("CANCELLED", "0:0", ""), "ended", None, "cancelled before it started"),
        (("DEADLINE", "0:0", ""), "ended", None, "it never started: Slurm says DEADLINE"),
        (("NODE_FAIL", "0:0", "n1"), "vanished", None, "Slurm says NODE_FAIL"),
        ((), "vanished", None, "Slurm no longer knows job 12"),
    ],
)
def test_what_the_books_say(books: tuple[str, ...], state: str, status: int | None, why: str) -> None:
    told = dict(zip(("JobState", "ExitCode", "NodeList"), books, strict=False))
    report = report_of(Attempt(KEY, "12"), NOON.timestamp(), lambda _: told)
    assert (report.state, report.exit_status, report.why) == (state, status, why)

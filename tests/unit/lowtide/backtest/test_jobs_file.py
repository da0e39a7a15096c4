"""Jobs that really ran: a table of one's own, and what sacct prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.backtest.jobs_file import GPU_W, read_past_jobs
from lowtide_core.errors import InputError

from .cases import HOUR_S, START_S, came

if TYPE_CHECKING:
    from pathlib import Path

SACCT = "JobID|JobName|Submit|Start|Elapsed|AllocCPUS|ReqTRES|State\n"


def write(folder: Path, text: str) -> str:
    path = folder / "jobs.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_table_of_one_s_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "submit_utc,duration,power,cpus,deadline_utc,slack\n"
        "2023-01-01T02:30Z,90m,400W,4,,\n"
        "2023-01-01T01:00Z,1h,200W,2,2023-01-01T05:00Z,\n"
        "2023-01-01T04:00Z,1h,200W,2,,2h\n",
    )
    jobs = read_past_jobs(path).on(came([1.0] * 24), 6 * HOUR_S)
    assert (jobs.earliest_s / HOUR_S).tolist() == [1, 2.5, 4]
    assert (jobs.end_by_s / HOUR_S).tolist() == [5, 2.5 + 1.5 + 6, 4 + 1 + 2]
    assert jobs.power_kw.tolist() == [0.2, 0.4, 0.2]
    assert jobs.cpus.tolist() == [2, 4, 2]


def test_what_sacct_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path,
        SACCT
        + "7|train|2023-01-01T03:00:00|2023-01-01T03:05:00|1-02:03:04|8|cpu=8,gres/gpu:a100=2,mem=64G|COMPLETED\n"
        "7.batch|batch|2023-01-01T03:05:00|2023-01-01T03:05:00|1-02:03:04|8||COMPLETED\n"
        "7.0|python|2023-01-01T03:05:00|2023-01-01T03:05:00|1-02:03:04|8||COMPLETED\n"
        "8|gone|2023-01-01T04:00:00|Unknown|00:00:00|0|cpu=4|CANCELLED by 1000\n"
        "6|index|2023-01-01T01:00:00|2023-01-01T01:00:00|00:30:00|2|cpu=2|COMPLETED\n",
    )  # fmt: skip
    past = read_past_jobs(path)
    assert past.skipped == 1
    assert [job.submit_s - START_S for job in past.jobs] == [HOUR_S, 3 * HOUR_S]
    assert [job.duration_s for job in past.jobs] == [1800, 26 * HOUR_S + 184]
    assert [job.cpus for job in past.jobs] == [2, 8]
    gpu_w = past.jobs[1].power_w - 4 * past.jobs[0].power_w
    assert gpu_w == pytest.approx(2 * GPU_W)


def test_slurm_s_clock_is_that_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        row = "1|a|2023-07-01T12:00:00|2023-07-01T12:00:00|00:30:00|2|cpu=2|COMPLETED\n"
        (job,) = read_past_jobs(write(tmp_path, SACCT + row)).jobs
        (epoch,) = read_past_jobs(write(tmp_path, SACCT + row.replace("2023-07-01T12:00:00", "1688205600"))).jobs
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
    assert job.submit_s == epoch.submit_s == 1_688_205_600  # 10:00 UTC


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("submit_utc,duration\n2023-01-01T00:00,1h\n", ["line 2", "no zone"]),
        ("submit_utc,duration\n2023-01-01T00:00Z,4\n", ["line 2", "unit"]),
        ("submit_utc\n2023-01-01T00:00Z\n", ["'duration'"]),
        ("submit_utc,duration,deadline_utc\n2023-01-01T00:00Z,4h,2023-01-01T02:00Z\n", ["line 2", "deadline"]),
        ("submit_utc,duration,cpus\n2023-01-01T00:00Z,4h,0\n", ["line 2", "0 CPUs"]),
        ("JobID|Submit|Start\n1|2023-01-01T00:00:00|Unknown\n", ["Elapsed", "--format"]),
        (SACCT + "1|a|2023-01-01T00:00:00|2023-01-01T00:00:00|90m|1|cpu=1|COMPLETED\n", ["line 2", "'90m'"]),
        (SACCT + "1|a|yesterday|2023-01-01T00:00:00|00:01:00|1|cpu=1|COMPLETED\n", ["line 2", "yesterday"]),
        (SACCT + "1|a|b|2023-01-01T00:00:00|2023-01-01T00:00:00|00:01:00|1|cpu=1|COMPLETED\n", ["line 2", "9 cells"]),
        (SACCT + "8|a|2023-01-01T04:00:00|Unknown|00:00:00|0|cpu=4|CANCELLED\n", ["no job that ran"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        read_past_jobs(write(tmp_path, text))
    told = str(refused.value)
    assert not [word for word in words if word not in told], told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_past_jobs(str(tmp_path / "none.csv"))


def test_jobs_of_another_time_are_refused(tmp_path: Path) -> None:
    past = read_past_jobs(write(tmp_path, "submit_utc,duration\n2022-01-01T00:00Z,1h\n"))
    with pytest.raises(InputError, match="2022-01-01"):
        past.on(came([1.0] * 24), 0.0)


def test_only_the_jobs_of_the_time_are_taken(tmp_path: Path) -> None:
    text = "submit_utc,duration\n2022-12-31T23:00Z,1h\n2023-01-01T01:00Z,1h\n2023-01-03T01:00Z,1h\n"
    jobs = read_past_jobs(write(tmp_path, text)).on(came([1.0] * 24), 0.0)
    assert jobs.earliest_s.tolist() == [HOUR_S]
    assert np.isfinite(jobs.power_kw).all()

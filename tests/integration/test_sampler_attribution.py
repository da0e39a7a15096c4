"""The CPU seconds that ``lowtide run`` counts for a job, against the kernel's book of the control group it runs in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.cpu_account import CpuAccount, Job, jobs, why_not

RUN = [sys.executable, "-m", "lowtide_sampler", "run", "--quiet", "--json"]
SHORT = jobs(0.08)
_START_S = 0.015
"""What a fork costs before the job enters its group, and one clock tick: all that the two books may differ by."""


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "groups can be made")
@pytest.mark.parametrize("job", SHORT, ids=[job.title for job in SHORT])
def test_every_cpu_second_of_a_job_is_counted(job: Job, tmp_path: Path) -> None:
    account = CpuAccount(str(SHORT.index(job)))
    try:
        argv = [*RUN, str(tmp_path / "run.json"), "--journal", str(tmp_path / "spool"), "--", *account.argv(job.argv)]
        ran = subprocess.run(argv, check=False, timeout=60)
        true_s = account.cpu_s()
    finally:
        account.close()
    assert ran.returncode == job.status
    result = json.loads((tmp_path / "run.json").read_text())
    assert true_s > 0.03
    assert result["cpu_seconds"] == pytest.approx(true_s, rel=0.01, abs=_START_S)

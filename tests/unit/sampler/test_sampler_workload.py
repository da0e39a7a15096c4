"""Who belongs to a job: long lists of children, and numbers of another namespace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lowtide_sampler.workload import tree_cpu_s

MANY = 900


def test_a_list_of_children_longer_than_a_page_is_read_to_its_end() -> None:
    pids = []
    try:
        for _ in range(MANY):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            pids.append(pid)
        assert set(pids) <= tree_cpu_s(os.getpid())[1]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-pf", "true"], capture_output=True).returncode != 0,
    reason="needs a process namespace of its own",
)
def test_numbers_of_another_namespace_are_not_taken_for_ours(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "lowtide_sampler", "run", "--quiet", "--json", str(path), "--", "true"]
    subprocess.run(["unshare", "-pf", *command], check=True, env={**os.environ, "LOWTIDE_SPOOL": str(tmp_path)})
    assert json.loads(path.read_text())["cpu_seconds"] < 1.0

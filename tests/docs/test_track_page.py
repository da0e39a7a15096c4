"""The blocks of the page on measuring are run as written, and it tells of every option."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lowtide_sampler.options import ATTACH_USAGE, USAGE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "track.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for block in CONSOLE.findall(PAGE) for line in block.splitlines() if line.startswith("$ ")]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "HOME": str(folder), "PATH": path, "LOWTIDE_OFFLINE": "1", "TZ": "UTC"}


@pytest.mark.parametrize("block", PYTHON.findall(PAGE))
def test_every_python_block_runs(tmp_path: Path, block: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    assert ran.stdout


def test_every_command_works_as_written(tmp_path: Path) -> None:
    assert set(re.findall(r"\blowtide ([a-z]+)", "\n".join(COMMANDS))) >= {"attach", "top", "sampler", "recover"}
    for command in COMMANDS:
        ran = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"


def test_it_tells_of_every_option_of_run_and_attach() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    flags = set(re.findall(r"--[a-z-]+", USAGE + ATTACH_USAGE)) - {"--help"}
    assert {"--scope", "--cgroup", "--live"} < flags
    assert not sorted(flag for flag in flags if f"`{flag}" not in PAGE + reference)

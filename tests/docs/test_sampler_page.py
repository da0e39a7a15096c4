"""The commands of the sampler's page are run as written, and it tells of every key, rule and way to end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lowtide_sampler.journal import VERSION, JournalRecords, replay
from lowtide_sampler.result import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sampler.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for block in CONSOLE.findall(PAGE) for line in block.splitlines() if line.startswith("$ ")]
# Who and where a run was: told of in the reference, and not what was measured.
_IDENTITY = {"schema", "run_id", "plan_id", "argv_hash", "host", "tags", "scope", "start_utc", "end_utc", "rank"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Runs every command of the page, in one home; returns the result that the first of them wrote."""
    home = tmp_path_factory.mktemp("sampler")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**kept, "HOME": str(home), "PATH": path, "LOWTIDE_OFFLINE": "1", "TZ": "UTC"}
    for command in COMMANDS:
        done = subprocess.run(command, shell=True, cwd=home, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    result: dict[str, Any] = json.loads((home / "run.json").read_text())
    return result


def test_every_command_works_as_written(ran: dict[str, Any]) -> None:
    assert len(COMMANDS) >= 5
    assert ran["end"] == "ok"


def test_it_tells_of_every_key_of_a_result(ran: dict[str, Any]) -> None:
    assert {"energy_j", "components", "buckets"} <= set(ran)
    assert not [key for key in set(ran) - _IDENTITY if f"`{key}`" not in PAGE]
    assert not [name for name in ran["components"] if f"`{name}`" not in PAGE]


def test_it_tells_of_every_rule_and_end() -> None:
    assert not [rule for rule in RULES if f"| `{rule}` |" not in PAGE]
    header = {"journal": VERSION, "run_id": "r", "start_utc_s": 0, "threads": 1, "interval_s": 5.0,
              "allocated_share": 1.0, "idle_share": 0.2, "sources": []}  # fmt: skip
    ends = {replay(JournalRecords(header, [], end, 0))["end"] for end in (None, {"end": "lost"}, {"end": "ok"})}
    assert ends == {"open", "lost", "ok"}
    assert not [end for end in (*ends, "not_started") if f"`{end}`" not in PAGE]


def test_it_names_the_bench() -> None:
    assert "make bench-sampler" in PAGE
    assert re.search(r"^bench-sampler:", (ROOT / "Makefile").read_text(), re.MULTILINE)

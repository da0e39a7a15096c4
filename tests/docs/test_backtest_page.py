"""The commands of the backtest's page are run as written, and it tells of every option, key and policy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lowtide.backtest.compare import policies, queue_policies, without_outlook
from lowtide.backtest.issued import Came
from lowtide.backtest.jobs import alike_jobs
from lowtide.backtest.made import perfect
from lowtide.backtest.replay import Rules, replay
from lowtide_core.series import LIFECYCLE_CONSUMPTION

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backtest.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for block in CONSOLE.findall(PAGE) for line in block.splitlines() if line.startswith("$ ")]
SCHEMA = json.loads((ROOT / "schemas" / "backtest.schema.json").read_text(encoding="utf-8"))
START = datetime(2025, 3, 1, tzinfo=UTC)
HOURS = 24 * 42


def iso(hour: float) -> str:
    return (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%MZ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A past, forecasts of it, and a day of jobs; all invented."""
    folder = tmp_path_factory.mktemp("backtest")
    rng = np.random.default_rng(4)
    hours = np.arange(HOURS + 48)
    came = 300 + 120 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(0, 30, hours.size)
    rows = [f"{iso(hour)},{came[hour]:.1f}" for hour in range(HOURS)]
    (folder / "past.csv").write_text("\n".join(["start_utc,intensity_g_per_kwh", *rows]) + "\n")
    rows = [
        f"{iso(issue)},{iso(issue + ahead)},{came[issue + ahead] * rng.uniform(0.9, 1.1):.1f}"
        for issue in range(24 * 4, HOURS, 6)
        for ahead in range(48)
    ]
    (folder / "past-forecasts.csv").write_text("\n".join(["issued_utc,start_utc,intensity_g_per_kwh", *rows]) + "\n")
    rows = [f"{iso(hour)},{5000 - 10 * came[hour]:.0f},{hour % 24 * 100}" for hour in range(HOURS)]
    (folder / "expected.csv").write_text("\n".join(["start_utc,wind_megawatt,load_megawatt", *rows]) + "\n")
    rows = ["JobID|Submit|Start|Elapsed|AllocCPUS|ReqTRES"]
    for number in range(12):
        submit = (START + timedelta(days=35, hours=number)).strftime("%Y-%m-%dT%H:%M:%S")
        rows.append(f"{number}|{submit}|{submit}|02:10:00|4|cpu=4,mem=8G")
    (folder / "sacct.txt").write_text("\n".join(rows) + "\n")
    return folder


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "HOME": str(folder), "PATH": path, "LOWTIDE_OFFLINE": "1", "TZ": "UTC"}


def test_every_command_works_as_written(folder: Path) -> None:
    assert len(COMMANDS) >= 7
    for command in COMMANDS:
        ran = subprocess.run(command, shell=True, cwd=folder, env=environment(folder), capture_output=True, text=True)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        assert "lowtide would have saved" in ran.stdout


def keys_of(schema: Any) -> Iterator[str]:
    """Every key that the schema knows, on whatever level."""
    if isinstance(schema, list):
        for part in schema:
            yield from keys_of(part)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys_of(part)


def test_it_tells_of_every_option() -> None:
    from lowtide.cli.backtest import command

    flags = [flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)]
    assert {"--guard", "--no-guard", "--capacity"} < set(flags)
    assert not [flag for flag in flags if not re.search(rf"{flag}\b", PAGE)]


def test_it_tells_of_every_key_of_the_contract() -> None:
    keys = set(keys_of(SCHEMA))
    assert {"rank_correlation", "plans_per_s", "never_ran", "policy", "chosen"} < keys
    assert not sorted(key for key in keys if f"`{key}`" not in PAGE)


def test_it_tells_of_every_policy_and_of_no_other() -> None:
    values = 300 + 100 * np.sin(np.arange(96) / 24 * 2 * np.pi)
    past = Came("XX", START.timestamp(), 3600.0, values, LIFECYCLE_CONSUMPTION, "made up")
    jobs = alike_jobs(np.arange(24, 48) * 3600.0, duration_s=2 * 3600.0, slack_s=12 * 3600.0)
    forecasts = perfect(past, 16)
    named: set[str] = set()
    for rules in (Rules(), Rules(3600.0, pausable=True, restart_s=900.0)):
        found = replay(past, forecasts, jobs, rules)
        named |= {policy.name for policy in policies(past, forecasts, jobs, rules, found)}
    once = replay(past, forecasts, jobs, Rules())
    named |= {policy.name for policy in queue_policies(past, jobs, 99.0, once)}
    named.add(without_outlook(past, forecasts, jobs, Rules(), once).name)
    tables = re.findall(r"^\| policy \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert len(tables) == 3
    assert {row.split("|")[1].strip() for table in tables for row in table.splitlines()} == named

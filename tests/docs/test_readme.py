"""The README's commands are run, in order, in a home of their own, and its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for block in CONSOLE.findall(README) for line in block.splitlines() if line.startswith("$ ")]


PLANNING = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")


FLEET = "name,duration,deadline,cpus,power\nindex,2h,24h,4,400W\ntrain,6h,24h,8,900W\nreport,1h,12h,2,150W\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the zone that the README sets first, so that each test here may also run alone."""
    home = tmp_path_factory.mktemp("readme")
    set_home = next(command for command in COMMANDS if command.startswith("lowtide config set home"))
    subprocess.run(set_home.split(), cwd=home, env=environment(home), capture_output=True, check=True)
    return home


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "HOME": str(folder), "PATH": path, "LOWTIDE_OFFLINE": "1", "TZ": "UTC"}


def test_there_is_something_to_run() -> None:
    verbs = {command.split()[1] for command in COMMANDS if command.startswith("lowtide ")}
    assert verbs >= {"config", "plan", "regions", "submit", "jobs", "report", "run"}
    assert "make demo" in README
    assert "make test" in README


def test_every_command_works_as_written(folder: Path) -> None:
    for command in COMMANDS:
        # The README is ours, and its lines are what a person types into a shell.
        ran = subprocess.run(command, shell=True, cwd=folder, env=environment(folder), capture_output=True, text=True)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr
    assert (folder / "run.json").exists()


def test_every_command_of_the_planner_s_page_works_as_written(folder: Path) -> None:
    commands = [line[2:] for block in CONSOLE.findall(PLANNING) for line in block.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 7
    for command in commands:
        ran = subprocess.run(
            command, shell=True, cwd=ROOT / "examples", env=environment(folder), capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"


def test_the_page_on_signals_knows_every_source_and_its_commands_work(folder: Path) -> None:
    from lowtide_providers.signals.registry import BUILT_IN, HISTORY

    page = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    assert not [name for name in (*BUILT_IN, HISTORY) if f"| `{name}` |" not in page]
    commands = [line[2:] for block in CONSOLE.findall(page) for line in block.splitlines() if line.startswith("$ ")]
    assert commands
    for command in commands:
        ran = subprocess.run(command.split(), cwd=folder, env=environment(folder), capture_output=True, text=True)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"


def test_the_planner_s_page_knows_every_option_and_column() -> None:
    from lowtide.asking_fleet import KNOWN, NEEDED
    from lowtide.cli.options import MORE
    from lowtide.cli.plan import command

    assert not [name for name in (*NEEDED, *KNOWN) if f"`{name}`" not in PLANNING]
    rare = {name for names in MORE.values() for name in names}
    flags = [(parameter.opts + parameter.secondary_opts)[-1] for parameter in command.params if parameter.name in rare]
    assert len(flags) == len(rare)
    assert not [flag for flag in flags if flag not in PLANNING]


def test_the_transcripts_have_the_lines_that_the_commands_print(folder: Path) -> None:
    """Asked as on the day of which they tell, since the advice at the end depends on it."""
    for name, command in (
        ("plan", "lowtide plan --duration 4h --deadline 2026-11-25T18:00Z --power 300W --zone DE"),
        ("fleet", "lowtide plan-fleet jobs.csv --capacity cpus=8 --zone DE"),
        ("regions", "lowtide regions --gpu H100 --duration 10h --data 50GB --from aws:us-east-1"),
    ):
        (folder / "jobs.csv").write_text(FLEET, encoding="utf-8")
        shown = transcript(name)
        asked = [*command.split(), "--now", "2026-11-24T15:04Z"]
        ran = subprocess.run(asked, cwd=folder, env=environment(folder), capture_output=True, text=True)
        first_words = [line.split()[0].rstrip(",:") for line in ran.stdout.splitlines() if line[:1].isalpha()]
        assert first_words, ran.stderr
        missing = [word for word in first_words if not re.search(rf"^ *{re.escape(word)}\b", shown, re.MULTILINE)]
        assert not missing, f"the transcript of {name} lacks {missing}"


def transcript(name: str) -> str:
    match = re.search(rf"<!-- transcript: {name} -->\n+```text\n(.*?)```", README, re.DOTALL)
    assert match, f"the README has no transcript of {name}"
    return match[1]


def test_the_python_block_runs(folder: Path) -> None:
    (block,) = PYTHON.findall(README)
    ran = subprocess.run([sys.executable, "-c", block], env=environment(folder), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert re.match(r"\d{4}-\d\d-\d\d .* \d", ran.stdout)


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_verb_is_told_of() -> None:
    from lowtide.cli.app import VERBS

    told = README + "".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/*.md"))
    assert not [verb for verb in VERBS if not re.search(rf"(lowtide|make) {verb}\b", told)]


def test_every_setting_and_exit_code_is_told_of() -> None:
    from dataclasses import fields

    from lowtide.settings import Settings
    from lowtide_core import errors

    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert not [item.name for item in fields(Settings) if f"| `{item.name}` |" not in page]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LowtideError)]
    codes = {kind.exit_code for kind in kinds} | {0, 1, 130}
    assert not [code for code in codes if f"| {code} |" not in page]
    for heading in ("## Exit codes", "## Settings", "## Files", "## Signal files"):
        assert heading in page

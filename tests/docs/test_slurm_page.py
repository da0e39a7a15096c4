"""The transcript of the page on Slurm is run on a real one, and the page tells of every option."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.engines.slurm_lab import SlurmLab

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "slurm.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(TRAIN,) = re.findall(r"^```bash\n(#!/bin/bash\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ENTRY = "import sys; from lowtide.entry import main; sys.exit(main())"


def test_the_transcript_is_what_comes(slurm_lab: SlurmLab, tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text(TRAIN, encoding="utf-8")
    program = tmp_path / "bin" / "lowtide"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -P -c '{ENTRY}' \"$@\"\n", encoding="utf-8")
    program.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE_", "XDG_"))},
        **slurm_lab.environment,
        "HOME": str(tmp_path),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        "LOWTIDE_OFFLINE": "1",
        "TZ": "UTC",
    }
    came = []
    for line in BLOCK.splitlines():
        if line.startswith("$ "):
            ran = subprocess.run(
                line[2:],
                shell=True,
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            came += [line, *ran.stdout.replace(str(tmp_path), "~").splitlines()]
    assert [plain(line) for line in came] == [plain(line) for line in BLOCK.splitlines()]


def plain(line: str) -> str:
    """The line without what differs from day to day: hours, figures, the ids of jobs."""
    if line.startswith("$ "):
        return line
    line = re.sub(r"\b(job |lowtide-)[2-9a-z]{6}\b", r"\1ID", line)
    line = re.sub(r"begins .* ·", "begins ... ·", line)
    return re.sub(r" +", " ", re.sub(r"-?\d[\d.,:]*(e-\d+)?( (mg|g|kg|Wh|kWh))?", "N", line)).strip()


def test_the_page_tells_of_every_option_of_its_own() -> None:
    from lowtide.service.batch import _NOT_HERE, OWN_OPTIONS

    assert not [name for name in (*OWN_OPTIONS, *_NOT_HERE) if f"--{name}" not in PAGE and name != "delay-boot"]

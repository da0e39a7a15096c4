"""Writes the README's transcripts anew: runs its commands in an empty home and puts what they print under their names.

python bench/transcripts.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
AN_AFTERNOON = "--now 2026-11-24T15:04Z"
"""What the README shows does not depend on the hour at which it is written."""

COMMANDS = {
    "plan": [f'lowtide plan --duration 4h --deadline "tomorrow 18:00" --power 300W {AN_AFTERNOON}'],
    "fleet": [
        "printf 'name,duration,deadline,cpus,power\\nindex,2h,24h,4,400W\\ntrain,6h,24h,8,900W\\n"
        f"report,1h,12h,2,150W\\n' > jobs.csv; lowtide plan-fleet jobs.csv --capacity cpus=8 {AN_AFTERNOON}"
    ],
    "regions": [f"lowtide regions --gpu H100 --duration 10h --data 50GB --from aws:us-east-1 {AN_AFTERNOON}"],
    "submit": [
        'lowtide submit --duration 1m --deadline 5m --name hello --wait -- sh -c "echo hello; sleep 2"',
        "lowtide jobs",
        "lowtide report",
    ],
}


def main() -> None:
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE_", "XDG_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**kept, "HOME": home, "PATH": path, "LOWTIDE_OFFLINE": "1", "LOWTIDE_HOME": "DE"}
        for name, commands in COMMANDS.items():
            printed = []
            for command in commands:
                ran = subprocess.run(
                    command,
                    shell=True,
                    cwd=home,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                printed.append(ran.stdout.rstrip() if len(commands) == 1 else f"$ {command}\n{ran.stdout.rstrip()}")
            block = f"<!-- transcript: {name} -->\n\n```text\n{chr(10).join(printed)}\n```\n"
            pattern = rf"<!-- transcript: {name} -->\n(\n```text\n.*?```\n)?"
            text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)  # type: ignore[misc]
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

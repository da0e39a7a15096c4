"""The CPU seconds of a job by the kernel's own book: a control group that the job, and nothing else, runs in."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

_V1 = Path("/sys/fs/cgroup/cpuacct")
_V2 = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_ENTER = ["sh", "-c", 'echo $$ > "$0" && exec "$@"']


class CpuAccount:
    """One group; ``argv`` runs a command in it, ``cpu_s`` tells what all that ran there has used."""

    def __init__(self, name: str) -> None:
        self._folder = _home() / f"lowtide-{os.getpid()}-{name}"
        self._folder.mkdir()

    def argv(self, command: list[str]) -> list[str]:
        return [*_ENTER, str(self._folder / "cgroup.procs"), *command]

    def cpu_s(self) -> float:
        if (self._folder / "cpuacct.usage").exists():
            return 1e-9 * int((self._folder / "cpuacct.usage").read_text())
        fields = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return 1e-6 * int(fields["usage_usec"])

    def close(self) -> None:
        deadline_s = time.monotonic() + 5
        while True:  # a process that just ended is still on the list for a moment
            try:
                return self._folder.rmdir()
            except OSError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)


@functools.cache
def why_not() -> str:
    """Why no group can be made here; "" where it can."""
    try:
        account = CpuAccount("probe")
    except OSError as error:
        return f"no control group can be made: {error}"
    try:
        account.cpu_s()
    except (OSError, KeyError) as error:
        return f"a control group does not count CPU seconds: {error}"
    finally:
        account.close()
    return ""


def _home() -> Path:
    """Where groups are made: version 1's accounting where it is mounted, else version 2's tree."""
    if (_V1 / "cgroup.procs").exists():
        return _V1
    for folder in _V2:
        with contextlib.suppress(OSError):
            if (folder / "cpu.stat").exists() or "cpu.stat" in os.listdir(folder):
                return folder
    return _V2[0]


class Job(NamedTuple):
    """One row of the specification's table of attribution."""

    title: str
    argv: list[str]
    status: int = 0


def jobs(scale: float = 1.0) -> list[Job]:
    """The seven jobs; ``scale`` shortens them."""
    python = [sys.executable, "-S", "-c"]

    def burn(seconds: float) -> str:
        return f"import time\nend = time.process_time() + {seconds * scale!r}\nwhile time.process_time() < end: pass\n"

    forked = (
        "import os\nif os.fork() == 0:\n os.setsid()\n if os.fork(): os._exit(0)\n exec({!r})\n os._exit(0)\nos.wait()"
    )
    hashing = (
        "import hashlib, threading, time\nblock = bytes(1 << 20)\n"
        f"def work():\n end = time.thread_time() + {3.0 * scale!r}\n"
        " while time.thread_time() < end: hashlib.sha256(block).digest()\n"
        "threads = [threading.Thread(target=work) for _ in range(2)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\n"
    )
    waits = f"import os, time\nread, write = os.pipe()\n{forked.format(burn(3.4))}\nos.close(write)\nos.read(read, 1)"
    return [
        Job("one process, 8 s", [*python, burn(8)]),
        Job("one process, 0.5 s", [*python, burn(0.5)]),
        Job("40 children of 0.2 s", ["sh", "-c", 'for i in $(seq 40); do "$@"; done', "sh", *python, burn(0.2)]),
        Job("a worker forked twice", [*python, waits]),
        Job("two workers in parallel", ["sh", "-c", '"$@" & "$@" & wait', "sh", *python, burn(3)]),
        Job("two hashing threads", [*python, hashing]),
        Job("fails with 7 after 3 s", [*python, burn(3) + "raise SystemExit(7)"], 7),
    ]

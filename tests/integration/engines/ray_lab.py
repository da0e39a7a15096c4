"""The head of a real Ray for tests: of its own environment, folder and ports, and ended by the ids of its processes.

``ray stop`` is never called: it ends every Ray of the machine by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

_UP_WITHIN_S = 180.0
_TRIES = 3
"""Ray itself gives up after 30 s, which a busy machine may need."""


def why_not() -> str:
    """Why there is no Ray here; empty where there is."""
    program = os.environ.get("LOWTIDE_TEST_RAY", "")
    if not program:
        return "LOWTIDE_TEST_RAY is not set; make test-engines installs Ray and names its program there"
    return "" if os.access(program, os.X_OK) else f"{program} is no program"


@dataclass
class RayLab:
    """One head on this machine, with a region of its own as a custom resource."""

    region: str = "aws:eu-north-1"
    _folder: str = ""
    _head: subprocess.Popen[bytes] | None = None
    _ports: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[1]}"

    def __enter__(self) -> RayLab:
        for tries_left in reversed(range(_TRIES)):
            self._start()
            try:
                self._wait_until_up()
            except BaseException as error:
                self.__exit__()
                if not tries_left or not isinstance(error, RuntimeError):
                    raise
            else:
                break
        return self

    def _start(self) -> None:
        program = Path(os.environ["LOWTIDE_TEST_RAY"]).absolute()
        self._folder = tempfile.mkdtemp(prefix="rl", dir="/tmp")  # short: the path of a socket has 107 bytes at most
        self._ports = _free_ports(2)
        with open(f"{self._folder}/out", "wb") as out:
            self._head = subprocess.Popen(
                [
                    *(program, "start", "--head", "--block", "--disable-usage-stats"),
                    *("--node-ip-address=127.0.0.1", f"--port={self._ports[0]}", f"--temp-dir={self._folder}"),
                    *("--dashboard-host=127.0.0.1", f"--dashboard-port={self._ports[1]}"),
                    *("--num-cpus=8", "--object-store-memory=100000000"),
                    f"--resources={json.dumps({f'region:{self.region}': 1})}",
                ],
                env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def __exit__(self, *_: object) -> None:
        left = self._processes()
        for number, patience_s in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 4.0)):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            give_up_s = time.monotonic() + patience_s
            while (left := {pid for pid in left if _lives(pid)}) and time.monotonic() < give_up_s:
                if self._head is not None:
                    self._head.poll()
                time.sleep(0.05)
        if self._head is not None:
            self._head.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_until_up(self) -> None:
        """Until a job can be submitted: the agent that starts jobs answers later than the dashboard."""
        give_up_s = time.monotonic() + _UP_WITHIN_S
        while time.monotonic() < give_up_s:
            if self._head is not None and self._head.poll() is not None:
                break
            with contextlib.suppress(OSError):
                body = json.dumps({"entrypoint": "true", "submission_id": f"lab-{time.monotonic_ns()}"}).encode()
                asked = urllib.request.Request(f"{self.url}/api/jobs/", body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(asked, timeout=30):
                    return
            time.sleep(0.5)
        raise RuntimeError(f"Ray is not up: {Path(self._folder, 'out').read_text()[-2000:]}")

    def _processes(self) -> set[int]:
        """The head, what carries its folder in its command line, and the children of all these."""
        if not self._folder:
            return set()
        parents, ours = {}, {self._head.pid} if self._head is not None else set()
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, IndexError):
                parents[int(name)] = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
                if self._folder in Path("/proc", name, "cmdline").read_text() and int(name) != os.getpid():
                    ours.add(int(name))
        while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= more
        return ours


def _lives(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

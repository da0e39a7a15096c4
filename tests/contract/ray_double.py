"""A double of Ray's Jobs API. It is not Ray: it says so in its version.

It answers as Ray 2.60 was seen to answer: what a taken id, an unknown job, a pending job that is told to stop and one
that is stopped look like. Entrypoints run as processes of this machine, with the packages of ``py_modules`` on their
path. What Ray does and this does not: clusters, resources beyond a yes or no, runtime environments of other kinds.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
import signal
import subprocess
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.double_server import Handler, Refusal, Wire

Object = dict[str, Any]
VERSION = {"version": "4", "ray_version": "2.60.0-a-double-of-lowtide"}

_PATH = re.compile(r"/api/jobs/(?:([^/]+)(?:/(stop|logs))?)?")
_PACKAGE = "/api/packages/gcs/"
_KILL_AFTER_S = 3.0


@dataclass
class RayDouble:
    """One cluster.

    Attributes:
        resources: Custom resources that somebody has; jobs that ask for others stay pending.
        runs_jobs: False: jobs are said to run, and nothing does; ``end`` ends them.
        token: What every request must carry, where there is one.
        wire: The server: faults, and every request so far.
    """

    folder: Path
    resources: set[str] = field(default_factory=set)
    runs_jobs: bool = True
    token: str = ""
    wire: Wire = field(default_factory=Wire)
    jobs: dict[str, Object] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> RayDouble:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.stop()
        with self._lock:
            left = list(self._processes.values())
        for process in left:
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def start(self) -> None:
        double = self

        class ThisHandler(Handler):
            wire = double.wire

            def answer(self, method: str, path: str, query: dict[str, str], content: bytes) -> Any:
                if double.token and self.headers.get("Authorization") != f"Bearer {double.token}":
                    raise Refusal(401, "Unauthorized", "Unauthorized: Missing authentication token")
                with double._lock:
                    return copy.deepcopy(double.answer(method, path, content))

            @staticmethod
            def failure(refusal: Refusal) -> str:
                return str(refusal)

        self.wire.start(ThisHandler)

    def end(self, key: str, exit_code: int) -> None:
        """The job ends, where nothing runs behind it."""
        with self._lock:
            self._ended(key, exit_code)

    def forget(self) -> None:
        """The head has lost its books: a restart without a store of its own."""
        with self._lock:
            self.jobs.clear()

    def answer(self, method: str, path: str, content: bytes) -> Any:
        if path == "/api/version":
            return VERSION
        if path.startswith(_PACKAGE):
            return self._package(method, path.removeprefix(_PACKAGE), content)
        match = _PATH.fullmatch(path)
        if not match:
            raise Refusal(404, "", "404: Not Found")
        key, verb = match.groups()
        if key is None:
            return list(self.jobs.values()) if method == "GET" else self._submit(json.loads(content))
        if key not in self.jobs:
            raise Refusal(404, "", f"Job {key} does not exist")
        if verb == "stop":
            return {"stopped": self._stop(key)}
        if verb == "logs":
            log = self.folder / f"{key}.log"
            return {"logs": log.read_text() if log.exists() else ""}
        return self.jobs[key]

    def _package(self, method: str, name: str, content: bytes) -> Any:
        if method == "PUT":
            self.packages[name] = content
        elif name not in self.packages:
            raise Refusal(404, "", f"Package gcs://{name} does not exist")
        return ""

    def _submit(self, body: Object) -> Object:
        if "entrypoint" not in body:
            raise Refusal(400, "", _traceback("TypeError: __init__() missing 1 required argument: 'entrypoint'"))
        key = body["submission_id"]
        if key in self.jobs:
            raise Refusal(500, "", _traceback(f"ValueError: Job with submission_id {key} already exists."))
        job: Object = {
            "type": "SUBMISSION",
            "submission_id": key,
            "status": "PENDING",
            "entrypoint": body["entrypoint"],
            "message": "Job has not started yet. It may be waiting for resources to become available.",
            "error_type": None,
            "start_time": _now_ms(),
            "end_time": None,
            "metadata": body.get("metadata"),
            "runtime_env": body.get("runtime_env"),
            "driver_node_id": None,
            "driver_exit_code": None,
        }
        self.jobs[key] = job
        if set(body.get("entrypoint_resources") or ()) <= self.resources:
            self._run(key, body)
        return {"job_id": key, "submission_id": key}

    def _run(self, key: str, body: Object) -> None:
        job = self.jobs[key]
        job.update(status="RUNNING", message="Job is currently running.", driver_node_id="a-node")
        if not self.runs_jobs:
            return
        runtime_env = body.get("runtime_env") or {}
        path = [str(self._unpacked(address)) for address in runtime_env.get("py_modules", ())]
        environment = {**os.environ, **runtime_env.get("env_vars", {}), "PYTHONPATH": ":".join(path)}
        with (self.folder / f"{key}.log").open("wb") as log:
            log.write(f"Running entrypoint for job {key}: {body['entrypoint']}\n".encode())
            log.flush()
            process = subprocess.Popen(
                ["/bin/bash", "-c", body["entrypoint"]],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes[key] = process
        threading.Thread(target=lambda: self._reap(key, process), daemon=True).start()

    def _unpacked(self, address: str) -> Path:
        name = address.removeprefix("gcs://")
        folder = self.folder / name.removesuffix(".zip")
        if not folder.exists():
            zipfile.ZipFile(io.BytesIO(self.packages[name])).extractall(folder)
        return folder

    def _reap(self, key: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        with self._lock:
            self._processes.pop(key, None)
            self._ended(key, status)

    def _ended(self, key: str, status: int) -> None:
        job = self.jobs.get(key)
        if job is None:
            return
        job["end_time"] = _now_ms()
        if job.pop("_told_to_stop", False):
            job.update(status="STOPPED", message="Job was intentionally stopped.")
        elif status == 0:
            job.update(status="SUCCEEDED", message="Job finished successfully.", driver_exit_code=0)
        else:
            message = f"Job entrypoint command failed with exit code {status}"
            job.update(status="FAILED", message=message, driver_exit_code=status)
            job["error_type"] = "JOB_ENTRYPOINT_COMMAND_ERROR"

    def _stop(self, key: str) -> bool:
        """TERM to what runs, KILL after Ray's grace; what is pending stays pending, as it was seen to."""
        job, process = self.jobs[key], self._processes.get(key)
        if job["status"] in ("SUCCEEDED", "FAILED", "STOPPED"):
            return False
        if job["status"] == "RUNNING":
            job["_told_to_stop"] = True
            if process is None:
                self._ended(key, -15)
            else:
                _signal_group(process, signal.SIGTERM)
                timer = threading.Timer(_KILL_AFTER_S, _signal_group, (process, signal.SIGKILL))
                timer.daemon = True
                timer.start()
        return True


def _traceback(last: str) -> str:
    return f'Traceback (most recent call last):\n  File "job_head.py", line 1, in submit_job\n{last}\n'


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _now_ms() -> int:
    return int(time.time() * 1000)

"""Runs launches as jobs of a Ray cluster, which keeps the truth about them: nothing of it is kept here.

A job's ``submission_id`` is our key, which Ray takes once. It can neither start a job later nor hold one: dispatch
submits it when its time has come. A job that waits for resources that nobody has is not ended by Ray's ``stop``; it is
then reported as what it is, and told to stop at every round.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError, NoData, nearest
from lowtide_core.launches import EngineRef, EngineReport
from lowtide_core.places import LOCAL
from lowtide_core.quantities import parse_size_gb
from lowtide_core.spans import from_epoch_s
from lowtide_providers.engines import journal_log
from lowtide_providers.engines.kept import keep_log
from lowtide_providers.engines.node_archive import PACKAGE, node_archive, node_words
from lowtide_providers.engines.ray_api import DEFAULT_ADDRESS, RayApi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide_core.launches import AttemptKey, Launch
    from lowtide_providers.engines.ray_api import Object
    from lowtide_providers.engines.registry import EngineSettings

OPTIONS = {
    "num_cpus": "of the entrypoint, instead of --cpus; tasks and actors ask for their own",
    "num_gpus": "of the entrypoint, instead of --count",
    "memory": "of the entrypoint: 16GB",
    "resources": "custom resources of the entrypoint: accelerator_type:A100=0.001,fast=1",
    "working_dir": "the folder on the node in which it runs",
    "runtime_env": "a file of JSON: Ray's runtime environment (pip, env_vars, working_dir, ...)",
}
"""What ``--option`` may name, and what it means."""

TOLD_TO_STOP = 143
_OWN_FAILURE = 125
_CANCELLED = "lowtide_cancelled"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_A_LITTLE = 0.001
_NEVER_BEGAN = ("RUNTIME_ENV_SETUP_FAILED", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "JOB_SUPERVISOR_ACTOR_START_FAILURE")


def api_of(settings: EngineSettings) -> RayApi:
    """The way to the cluster, from what was set.

    Raises:
        InputError: The address is none, or the headers are not JSON.
    """
    headers: object = {}
    if settings.ray_headers:
        try:
            headers = json.loads(settings.ray_headers)
        except ValueError:
            headers = None
    if not isinstance(headers, dict):
        raise InputError("RAY_JOB_HEADERS is not a JSON object.", hint='Write {"X-Auth": "..."}.')
    return RayApi(
        settings.ray_address or DEFAULT_ADDRESS,
        token=settings.ray_token,
        headers={str(name): str(value) for name, value in headers.items()},
        offline=settings.offline,
    )


@dataclass(frozen=True, slots=True)
class RayEngine:
    """One Ray job per attempt.

    Attributes:
        root: Folder of the logs that were fetched.
    """

    root: Path
    api: RayApi

    def check(self, launch: Launch) -> None:
        unknown = next((name for name in launch.options if name not in OPTIONS), None)
        if unknown is not None:
            raise InputError(
                f"The engine 'ray' has no option {unknown!r}.",
                hint=nearest(unknown, OPTIONS) or f"It has {', '.join(OPTIONS)}.",
                option=unknown,
            )
        _resources(launch)
        _runtime_env(launch)

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        _require_key(key)
        self.check(launch)
        known = self.api.job(key)
        if known is None:
            self.api.submit(self._body(launch, key))
        return _ref(key)

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        if not keys:
            return ()
        found = {str(job.get("submission_id")): job for job in self.api.jobs()}
        return tuple(_report(key, found[key]) if key in found else EngineReport(key, "absent") for key in keys)

    def cancel(self, key: AttemptKey) -> None:
        _require_key(key)
        if self.api.stop(key):
            return
        # Also for the absent: a job of nothing holds the name, so that a submit that comes later starts nothing.
        told = {"lowtide_key": key, _CANCELLED: "before it started"}
        if not self.api.submit({"entrypoint": "true", "submission_id": key, "metadata": told}):
            self.api.stop(key)

    def log_path(self, key: AttemptKey) -> str:
        path = self.root / f"{key}.log"
        log = self.api.log(key)
        if log:
            keep_log("ray", path, journal_log.without(log))
        return str(path)

    def fetch_journals(self, key: AttemptKey) -> tuple[bytes, ...]:
        log = self.api.log(key)
        carried = journal_log.unpack(log or b"", key)
        if carried.content:
            return (carried.content,)
        raise NoData(
            f"The journal of {key} is lost: {carried.why if log is not None else 'Ray has forgotten the job'}.",
            provider="ray",
            operation="fetch the journal",
            key=key,
        )

    def _body(self, launch: Launch, key: AttemptKey) -> Object:
        runtime_env = _runtime_env(launch)
        argv = launch.argv
        if launch.sampler is not None:
            archive = node_archive(launch.sampler.path)
            address = self.api.bring(f"_ray_pkg_lowtide_{archive.digest}.zip", archive.content)
            runtime_env["py_modules"] = [*runtime_env.get("py_modules", ()), address]
            argv = ("python3", "-m", PACKAGE, *node_words(launch, key))
        runtime_env["env_vars"] = {**runtime_env.get("env_vars", {}), **launch.environment}
        folder = launch.options.get("working_dir")
        command = f"exec {shlex.join(argv)}"
        return {
            "entrypoint": f"cd {shlex.quote(folder)} && {command}" if folder else command,
            "submission_id": key,
            "runtime_env": runtime_env,
            "metadata": {"lowtide_key": key, "lowtide_job": launch.job_id},
            **_resources(launch),
        }


def _report(key: AttemptKey, job: Mapping[str, Any]) -> EngineReport:
    """The attempt as Ray tells it."""
    status, ref = job.get("status"), _ref(key)
    if _CANCELLED in (job.get("metadata") or {}):
        return EngineReport(key, "ended", ref, why="cancelled before it started")
    said = " ".join(str(job.get("message") or "").split())
    if status == "PENDING":
        return EngineReport(key, "accepted", ref, queued=True, why=f"Ray keeps it pending: {said}")
    started_utc, ended_utc = _instant(job.get("start_time")), _instant(job.get("end_time"))
    if status == "RUNNING":
        return EngineReport(key, "running", ref, started_utc)
    if status == "SUCCEEDED":
        return EngineReport(key, "ended", ref, started_utc, ended_utc, 0)
    if status == "STOPPED":
        if job.get("driver_node_id") is None:
            return EngineReport(key, "ended", ref, why="cancelled before it started")
        return EngineReport(key, "ended", ref, started_utc, ended_utc, TOLD_TO_STOP, "told to stop; ended by SIGTERM")
    exit_code, kind = job.get("driver_exit_code"), str(job.get("error_type") or "")
    if isinstance(exit_code, int):
        by_signal = exit_code < 0
        why = f"ended by signal {-exit_code}" if by_signal else ""
        return EngineReport(key, "ended", ref, started_utc, ended_utc, 128 - exit_code if by_signal else exit_code, why)
    if kind in _NEVER_BEGAN:
        return EngineReport(key, "ended", ref, started_utc, ended_utc, _OWN_FAILURE, f"{kind}: {said}")
    why = f"Ray cannot say how it ended: {kind or status}: {said or 'no more is said'}"
    return EngineReport(key, "vanished", ref, started_utc, ended_utc, why=why)


def _resources(launch: Launch) -> Object:
    """What the entrypoint asks of its node; a region that was planned is a custom resource of its nodes."""
    needs, options = launch.needs, launch.options
    custom = {}
    for part in filter(None, options.get("resources", "").split(",")):
        name, _, amount = part.rpartition("=")
        custom[name.strip()] = _number("resources", part, amount)
    if launch.region != LOCAL:
        custom.setdefault(f"region:{launch.region}", _A_LITTLE)
    found: Object = {}
    cpus = _number("num_cpus", options["num_cpus"]) if options.get("num_cpus") else needs.cpus
    gpus = _number("num_gpus", options["num_gpus"]) if options.get("num_gpus") else needs.gpu_count
    memory_gb = parse_size_gb(options["memory"]) if options.get("memory") else needs.memory_gb
    if cpus is not None:
        found["entrypoint_num_cpus"] = cpus
    if gpus:
        found["entrypoint_num_gpus"] = gpus
    if memory_gb is not None:
        found["entrypoint_memory"] = round(memory_gb * 1e9)
    if custom:
        found["entrypoint_resources"] = custom
    return found


def _number(option: str, text: str, digits: str | None = None) -> float:
    try:
        value = float(text if digits is None else digits)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InputError(f"{option}={text} is not usable.", hint="Give a number of 0 or more.", option=option)
    return value


def _runtime_env(launch: Launch) -> Object:
    """The runtime environment that the user wrote, as a new value."""
    path = launch.options.get("runtime_env")
    if not path:
        return {}
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise InputError(f"The runtime environment {path} cannot be read: {reason}.", hint="Mend it.") from error
    if not isinstance(found, dict):
        raise InputError(f"The runtime environment {path} is no object.", hint='Write {"pip": ["torch"]}.')
    return found


def _require_key(key: AttemptKey) -> None:
    if not _KEY.fullmatch(key):
        raise InputError(
            f"{key!r} is not the key of an attempt.",
            hint="Keys are letters, digits, dots and dashes, at most 100.",
            key=key,
        )


def _ref(key: AttemptKey) -> EngineRef:
    return EngineRef(key)


def _instant(epoch_ms: object) -> datetime | None:
    return from_epoch_s(epoch_ms / 1e3) if isinstance(epoch_ms, int | float) else None

"""What a Job and its pods say of an attempt. No cluster is asked here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide_core.launches import EngineRef, EngineReport
from lowtide_core.spans import parse_iso_utc
from lowtide_providers.engines.kubernetes_objects import (
    BEGAN,
    CANCELLED,
    CONTAINER,
    HELD,
    KEY,
    NEVER,
    QUEUE,
    QUEUE_LABEL,
    RELEASED,
    START,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide_core.launches import AttemptKey
    from lowtide_providers.engines.kubernetes_cluster import Object

TOLD_TO_STOP = 143
"""The exit status of what was ended by TERM, where its pod has gone and cannot say."""

_LIVE = ("Pending", "Running", "Unknown")
_LOST = ("Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "UnexpectedAdmissionError")
"""Reasons of a pod that the cluster ended, not the job."""


def job_report(key: AttemptKey, ref: EngineRef, job: Object, pods: Sequence[Object], now_utc: datetime) -> EngineReport:
    """The attempt as the Job and its pods tell it.

    Args:
        pods: Those of this Job; none is enough where ``needs_pods`` says so.
    """
    told, spec, status = told_on(job), job.get("spec") or {}, job.get("status") or {}
    live = [pod for pod in pods if _phase(pod) in _LIVE]
    newest = max(pods, key=lambda pod: (_phase(pod) == "Failed", _made(pod)), default=None)
    began_utc = _began_utc(told, pods)
    if CANCELLED in told:
        return _cancelled(key, ref, job, began_utc, live, newest)
    if (end := condition(job, "Complete")) is not None:
        ended_utc = _instant(status.get("completionTime")) or _instant(end.get("lastTransitionTime"))
        return EngineReport(key, "ended", ref, began_utc or _instant(status.get("startTime")), ended_utc, 0)
    if (end := condition(job, "Failed")) is not None:
        return _failed(key, ref, job, end, began_utc, newest)
    if RELEASED not in told:
        return _waiting(key, ref, told, now_utc)
    if HELD in told and not live and began_utc is not None:
        held_utc = _instant(told[HELD])
        return EngineReport(key, "running", ref, began_utc, suspended=True, suspended_utc=held_utc)
    if began_utc is not None:
        return EngineReport(key, "running", ref, began_utc)
    return EngineReport(key, "accepted", ref, queued=True, why=_waits_for(job, spec, newest))


def _waiting(key: AttemptKey, ref: EngineRef, told: Mapping[str, str], now_utc: datetime) -> EngineReport:
    """A Job that nobody has released: before its time that is as it should be."""
    if told.get(START) == NEVER:
        return EngineReport(key, "accepted", ref, queued=True, suspended=True, why="it is held")
    begin_utc = _instant(told.get(START))
    ahead = begin_utc is not None and begin_utc > now_utc
    return EngineReport(key, "accepted", ref, queued=ahead, begin_utc=begin_utc if ahead else None)


def needs_pods(job: Object) -> bool:
    """Whether the Job alone does not tell all: it runs, has failed, or is being ended."""
    return RELEASED in told_on(job) and not (condition(job, "Complete") and BEGAN in told_on(job))


def is_finished(job: Object) -> bool:
    """Whether the Job will start no pod any more."""
    return condition(job, "Complete") is not None or condition(job, "Failed") is not None


def condition(job: Object, kind: str) -> Object | None:
    """The condition of that type, where it is true."""
    found = (job.get("status") or {}).get("conditions") or []
    return next((item for item in found if item.get("type") == kind and item.get("status") == "True"), None)


def told_on(item: Object) -> dict[str, str]:
    """Those of an object; an object without any has none."""
    return item["metadata"].get("annotations") or {}


def key_of(item: Object) -> str:
    """The attempt's key in the labels of a Job or a pod."""
    return str((item["metadata"].get("labels") or {}).get(KEY, ""))


def container_of(pod: Object) -> str:
    """The container that is the job: ours, else the first."""
    names = [str(container["name"]) for container in pod["spec"]["containers"]]
    return CONTAINER if CONTAINER in names else names[0]


def began_utc_of(pod: Object) -> str:
    """When the pod's container began, as the cluster writes it; empty where it has not."""
    state = _container_state(pod)
    return str((state.get("running") or state.get("terminated") or {}).get("startedAt") or "")


def _cancelled(
    key: AttemptKey, ref: EngineRef, job: Object, began_utc: datetime | None, live: list[Object], newest: Object | None
) -> EngineReport:
    if began_utc is None and not live:
        return EngineReport(key, "ended", ref, why="cancelled before it started")
    if live:
        return EngineReport(key, "running", ref, began_utc, why="it is being ended")
    terminated = _container_state(newest).get("terminated") or {} if newest is not None else {}
    status, why = terminated.get("exitCode"), "told to stop"
    if not isinstance(status, int):
        status, why = TOLD_TO_STOP, "told to stop; ended by SIGTERM"
    elif status == TOLD_TO_STOP:
        why += "; ended by SIGTERM"
    end = condition(job, "Failed") or condition(job, "Complete") or {}
    ended_utc = _instant(terminated.get("finishedAt")) or _instant(end.get("lastTransitionTime"))
    return EngineReport(key, "ended", ref, began_utc, ended_utc, status, why)


def _failed(
    key: AttemptKey, ref: EngineRef, job: Object, end: Object, began_utc: datetime | None, newest: Object | None
) -> EngineReport:
    """A Job that has failed: by its command, by its time limit, or because the cluster took its pod away."""
    ended_utc = _instant(end.get("lastTransitionTime"))
    reason = str(end.get("reason") or "")
    if reason == "DeadlineExceeded":
        limit = (job.get("spec") or {}).get("activeDeadlineSeconds")
        began_utc = began_utc or _instant((job.get("status") or {}).get("startTime"))
        why = f"its time limit of {limit} s has passed; ended by SIGTERM"
        return EngineReport(key, "ended", ref, began_utc, ended_utc, TOLD_TO_STOP, why)
    if newest is None:
        why = f"its pod has gone, and with it how it ended ({reason or 'no reason is given'})"
        return EngineReport(key, "vanished", ref, began_utc, ended_utc, why=why)
    lost = _taken_away(newest)
    if lost:
        return EngineReport(key, "vanished", ref, began_utc, ended_utc, why=lost)
    terminated = _container_state(newest).get("terminated") or {}
    status = terminated.get("exitCode")
    if not isinstance(status, int):
        why = f"its pod failed without an exit status: {_pod_says(newest) or reason}"
        return EngineReport(key, "vanished", ref, began_utc, ended_utc, why=why)
    ended_utc = _instant(terminated.get("finishedAt")) or ended_utc
    return EngineReport(key, "ended", ref, began_utc or ended_utc, ended_utc, status, _why_so(terminated))


def _why_so(terminated: Object) -> str:
    reason = str(terminated.get("reason") or "")
    if reason == "OOMKilled":
        return "OOMKilled: it used more memory than it asked for"
    if reason in ("", "Error", "Completed"):
        return ""
    return f"{reason}: {terminated.get('message') or 'no more is said'}"


def _taken_away(pod: Object) -> str:
    """Why the cluster ended the pod; empty where it did not."""
    status = pod.get("status") or {}
    disrupted = next(
        (
            item
            for item in status.get("conditions") or []
            if item.get("type") == "DisruptionTarget" and item.get("status") == "True"
        ),
        None,
    )
    if disrupted is not None:
        return f"{disrupted.get('reason')}: {disrupted.get('message') or 'its pod was taken away'}"
    return _pod_says(pod) if status.get("reason") in _LOST else ""


def _pod_says(pod: Object) -> str:
    status = pod.get("status") or {}
    return ": ".join(filter(None, (str(status.get("reason") or ""), str(status.get("message") or ""))))


def _waits_for(job: Object, spec: Object, newest: Object | None) -> str:
    """Why what was released has not begun."""
    queue = told_on(job).get(QUEUE) or (job["metadata"].get("labels") or {}).get(QUEUE_LABEL)
    if spec.get("suspend") and queue:
        return f"it waits in Kueue's queue {queue}"
    if newest is None:
        return "the cluster has not made its pod yet"
    waiting = _container_state(newest).get("waiting") or {}
    if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
        return f"its pod waits: {waiting['reason']}: {waiting.get('message') or 'no more is said'}"
    for item in (newest.get("status") or {}).get("conditions") or []:
        if item.get("type") == "PodScheduled" and item.get("status") == "False":
            return f"its pod has no node: {item.get('message') or item.get('reason')}"
    return "its pod is being made ready"


def _began_utc(told: Mapping[str, str], pods: Sequence[Object]) -> datetime | None:
    """When it first began: written down when it was held, else the word of its first pod."""
    return _instant(told.get(BEGAN) or min(filter(None, map(began_utc_of, pods)), default=None))


def _made(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def _container_state(pod: Object) -> Object:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    name = container_of(pod)
    return next((item.get("state") or {} for item in statuses if item.get("name") == name), {})


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _instant(text: object) -> datetime | None:
    return parse_iso_utc(text) if isinstance(text, str) and text else None

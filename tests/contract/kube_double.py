"""A double of the part of Kubernetes that the engine uses. It is not Kubernetes: it says so in its version.

It speaks the API server's wire protocol, so that the official client talks to it, and does in one process what the
controllers and a kubelet would: Jobs with suspension, back-off and time limits, and their pods, whose first container
runs as a process of this machine. What Kubernetes does and this does not: scheduling, images, volumes other than
ConfigMaps (their folder is made, and their path in the command replaced), admission, time to live.

    with KubeDouble(tmp_path) as kube: write_kubeconfig(path, {"here": kube.url})
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.contract.double_server import Handler, Refusal, Wire

Object = dict[str, Any]
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0-a-double-of-lowtide"}

_PATH = re.compile(r"/(?:api/v1|apis/batch/v1)/namespaces/([^/]+)/(jobs|pods|configmaps)(?:/([^/]+))?(?:/(log))?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KINDS = {"jobs": ("batch/v1", "Job"), "pods": ("v1", "Pod"), "configmaps": ("v1", "ConfigMap")}
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


@dataclass
class KubeDouble:
    """One cluster.

    Attributes:
        honours_suspend: False drops the field, as servers before 1.21 do.
        runs_pods: False: pods are said to run, and nothing does; ``end_pod`` ends them.
        schedules: False: pods stay without a node.
        kueue: Suspended Jobs with a queue's label wait for ``admit``.
        forbidden: Verbs and kinds for which there is no right. quota: Message with which creation is refused.
        wire: The server: faults, and every request so far.
    """

    folder: Path
    honours_suspend: bool = True
    runs_pods: bool = True
    schedules: bool = True
    namespaces: set[str] = field(default_factory=lambda: {"default"})
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    quota: str = ""
    wire: Wire = field(default_factory=Wire)
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _version: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # -- the server ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> KubeDouble:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with self._lock:
            left = list(self._processes.values())
        for process in left:
            _signal_group(process, signal.SIGKILL)
            process.wait()

    @property
    def url(self) -> str:
        return self.wire.url

    def start(self) -> None:
        """Begins to answer, on the same port as before."""
        double = self

        class ThisHandler(_Handler):
            kube = double
            wire = double.wire
            failure = staticmethod(_status)

            def answer(self, method: str, path: str, query: dict[str, str], content: bytes) -> Object | Path:
                return double.answer(method, path, query, json.loads(content or b"{}"))

        self.wire.start(ThisHandler)

    def stop(self) -> None:
        """Answers no more; what it knows stays, and pods run on."""
        self.wire.stop()

    # -- the hand of a test -------------------------------------------------------------------------------------------

    def jobs(self) -> list[Object]:
        with self._lock:
            return [copy.deepcopy(item) for (kind, _, _), item in self.objects.items() if kind == "jobs"]

    def pods(self) -> list[Object]:
        with self._lock:
            return [copy.deepcopy(item) for (kind, _, _), item in self.objects.items() if kind == "pods"]

    def end_pod(self, name: str, exit_code: int, **said: str) -> None:
        """The pod's container ends, where nothing runs behind it."""
        with self._lock:
            self._ended(self.objects["pods", "default", name], exit_code, **said)

    def evict(self, name: str, message: str = "The node was low on resource: memory.") -> None:
        """The node puts the pod out."""
        with self._lock:
            pod = self.objects["pods", "default", name]
            pod["status"].update(phase="Failed", reason="Evicted", message=message)
            process = self._processes.get(name)
        if process is not None:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        with self._lock:
            self._sync(self._job_of(pod))

    def admit(self, name: str) -> None:
        """What Kueue does when the quota has room."""
        with self._lock:
            job = self.objects["jobs", "default", name]
            job["spec"]["suspend"] = False
            self._sync(job)

    def change(self, kind: str, name: str, change: Callable[[Object], None]) -> None:
        """Somebody else writes an object."""
        with self._lock:
            item = self.objects[kind, "default", name]
            change(item)
            self._touch(item)

    # -- requests -----------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Object) -> Object | Path:
        with self._lock:
            return copy.deepcopy(self._answer(method, path, query, body))

    def _answer(self, method: str, path: str, query: dict[str, str], body: Object) -> Object | Path:
        if path == "/version/":
            return VERSION
        match = _PATH.fullmatch(path)
        if not match:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        namespace, kind, name, log = match.groups()
        if (_VERBS[method], kind) in self.forbidden:
            who = "system:serviceaccount:default:lowtide"
            message = f'{kind} is forbidden: User "{who}" cannot {_VERBS[method]} resource "{kind}"'
            raise Refusal(403, "Forbidden", message)
        if method == "POST":
            return self._create(kind, namespace, body, dry_run="dryRun" in query)
        if name is None:
            found = [
                item
                for (is_kind, is_in, _), item in self.objects.items()
                if (is_kind, is_in) == (kind, namespace) and _selected(item, query.get("labelSelector", ""))
            ]
            listed = {"kind": f"{_KINDS[kind][1]}List", "metadata": {"resourceVersion": str(self._version)}}
            return {**listed, "items": found}
        item = self.objects.get((kind, namespace, name))
        if item is None:
            raise Refusal(404, "NotFound", f'{kind} "{name}" not found')
        if log:
            return self._log(name)
        if method == "PATCH":
            return self._patch(kind, item, body)
        if method == "DELETE":
            self._delete(kind, item)
        return item

    def _create(self, kind: str, namespace: str, body: Object, *, dry_run: bool) -> Object:
        if namespace not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        name = body["metadata"]["name"]
        if (kind, namespace, name) in self.objects:
            raise Refusal(409, "AlreadyExists", f'{kind} "{name}" already exists')
        if self.quota and kind == "jobs":
            raise Refusal(403, "Forbidden", f'jobs.batch "{name}" is forbidden: exceeded quota: {self.quota}')
        if kind == "jobs":
            _require_job(body)
            body["spec"].setdefault("backoffLimit", 6)
            body["spec"].setdefault("parallelism", 1)
            body["spec"]["suspend"] = body["spec"].get("suspend", False)
            if not self.honours_suspend:
                del body["spec"]["suspend"]
        api, word = _KINDS[kind]
        body.update(apiVersion=api, kind=word)
        body["metadata"].update(namespace=namespace, uid=str(uuid.uuid4()), creationTimestamp=_now())
        if dry_run:
            return body
        self.objects[kind, namespace, name] = body
        self._touch(body)
        if kind == "jobs":
            body["status"] = {}
            self._sync(body)
        return body

    def _patch(self, kind: str, item: Object, body: Object) -> Object:
        wanted = body.get("metadata", {}).pop("resourceVersion", None)
        if wanted is not None and wanted != item["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict", "the object has been modified")
        if kind == "jobs" and not self.honours_suspend:
            body.get("spec", {}).pop("suspend", None)
        if "template" in body.get("spec", {}):
            raise Refusal(422, "Invalid", "spec.template: Invalid value: field is immutable")
        _merge(item, body)
        self._touch(item)
        if kind == "jobs":
            self._sync(item)
        return item

    def _delete(self, kind: str, item: Object) -> None:
        name = item["metadata"]["name"]
        if kind == "pods":
            self._take_down(item)
            return
        del self.objects[kind, item["metadata"]["namespace"], name]
        if kind == "jobs":
            for pod in self._pods_of(item):
                self._take_down(pod)

    def _log(self, pod: str) -> Path:
        path = self.folder / f"{pod}.log"
        if not path.exists():
            raise Refusal(400, "BadRequest", f'container "main" in pod "{pod}" is waiting to start')
        return path

    def _touch(self, item: Object) -> None:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)

    # -- the Job controller -------------------------------------------------------------------------------------------

    def _sync(self, job: Object) -> None:
        spec, status = job["spec"], job["status"]
        if any(item["type"] in ("Complete", "Failed") for item in status.get("conditions", [])):
            return
        live = [pod for pod in self._pods_of(job) if pod["status"]["phase"] in ("Pending", "Running")]
        staying = [pod for pod in live if "deletionTimestamp" not in pod["metadata"]]
        waits = bool(spec.get("suspend"))
        if status.get("succeeded", 0) >= spec.get("completions", 1):
            status["completionTime"] = _now()
            self._conclude(job, "Complete", "CompletionsReached")
        elif status.get("failed", 0) > spec["backoffLimit"]:
            self._conclude(job, "Failed", "BackoffLimitExceeded")
        elif waits or len(staying) > spec["parallelism"]:
            for pod in staying[0 if waits else spec["parallelism"] :]:
                self._take_down(pod)
            if waits:
                status.pop("startTime", None)
        else:
            if "startTime" not in status:
                status["startTime"] = _now()
                status["_started_s"] = time.monotonic()
            if "activeDeadlineSeconds" in spec and not self._past_limit(job, staying):
                return
            if not live and spec["parallelism"] > 0:
                self._start_pod(job)
        status["active"] = len([pod for pod in self._pods_of(job) if pod["status"]["phase"] in ("Pending", "Running")])
        self._touch(job)

    def _past_limit(self, job: Object, staying: list[Object]) -> bool:
        """Ends the Job where its time is over, else comes back then; whether it may go on."""
        left_s = job["status"]["_started_s"] + job["spec"]["activeDeadlineSeconds"] - time.monotonic()
        if left_s <= 0:
            for pod in staying:
                self._take_down(pod)
            self._conclude(job, "Failed", "DeadlineExceeded")
            return False

        def look_again() -> None:
            with self._lock:
                self._sync(job)

        timer = threading.Timer(left_s + 0.01, look_again)
        timer.daemon = True
        timer.start()
        return True

    def _conclude(self, job: Object, kind: str, reason: str) -> None:
        at = {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": _now(), "message": reason}
        job["status"].setdefault("conditions", []).append(at)
        job["status"]["active"] = 0
        self._touch(job)

    def _pods_of(self, job: Object) -> list[Object]:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        return [
            item
            for (kind, is_in, _), item in self.objects.items()
            if (kind, is_in) == ("pods", namespace) and item["metadata"]["labels"].get("job-name") == name
        ]

    def _job_of(self, pod: Object) -> Object | None:
        return self.objects.get(("jobs", pod["metadata"]["namespace"], pod["metadata"]["labels"]["job-name"]))

    # -- the kubelet --------------------------------------------------------------------------------------------------

    def _start_pod(self, job: Object) -> None:
        template, namespace = job["spec"]["template"], job["metadata"]["namespace"]
        name = f"{job['metadata']['name']}-{uuid.uuid4().hex[:5]}"
        labels = {**(template.get("metadata", {}).get("labels") or {}), "job-name": job["metadata"]["name"]}
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "creationTimestamp": _now(fine=True)},
            "spec": copy.deepcopy(template["spec"]),
            "status": {"phase": "Pending"},
        }
        self.objects["pods", namespace, name] = pod
        if not self.schedules:
            why = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes are available",
            }
            pod["status"]["conditions"] = [why]
            return
        if self.runs_pods and not self._run(pod):
            return
        state = {"running": {"startedAt": _now()}}
        pod["status"] = {"phase": "Running", "startTime": _now(), "containerStatuses": [_container(pod, state)]}

    def _run(self, pod: Object) -> bool:
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        command = [*container.get("command", []), *container.get("args", [])]
        for mount in container.get("volumeMounts", []):
            source = self._mounted(pod, mount["name"])
            command = [word.replace(mount["mountPath"] + "/", f"{source}/") for word in command]
        environment = {**os.environ, **{item["name"]: item["value"] for item in container.get("env", [])}}
        with (self.folder / f"{name}.log").open("wb") as log:
            try:
                process = subprocess.Popen(
                    command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )
            except OSError as error:
                log.write(f"exec failed: {error}\n".encode())
                threading.Timer(0, self._ended, (pod, 128), {"reason": "StartError", "message": str(error)}).start()
                return True
        self._processes[name] = process
        threading.Thread(target=self._reap, args=(pod, process), daemon=True).start()
        return True

    def _mounted(self, pod: Object, volume: str) -> Path:
        """The folder of a volume: a ConfigMap's files are written into it."""
        folder = self.folder / f"{pod['metadata']['name']}-{volume}"
        folder.mkdir()
        (source,) = (item for item in pod["spec"]["volumes"] if item["name"] == volume)
        if "configMap" in source:
            config = self.objects["configmaps", pod["metadata"]["namespace"], source["configMap"]["name"]]
            for file, content in config["binaryData"].items():
                (folder / file).write_bytes(base64.b64decode(content))
        return folder

    def _reap(self, pod: Object, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        _signal_group(process, signal.SIGKILL)  # with a container's first process all others go
        self._ended(pod, status if status >= 0 else 128 - status)

    def _ended(self, pod: Object, exit_code: int, reason: str = "", message: str = "") -> None:
        with self._lock:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            self._processes.pop(name, None)
            job, going = self._job_of(pod), "deletionTimestamp" in pod["metadata"]
            if going:
                self.objects.pop(("pods", namespace, name), None)
            if pod["status"].get("reason") != "Evicted":
                began = next(iter(pod["status"].get("containerStatuses", [])), {}).get("state", {}).get("running", {})
                state = {
                    "exitCode": exit_code,
                    "startedAt": began.get("startedAt", _now()),
                    "finishedAt": _now(),
                    "reason": reason or ("Completed" if exit_code == 0 else "Error"),
                    "message": message,
                }
                pod["status"].update(
                    phase="Failed" if exit_code else "Succeeded",
                    containerStatuses=[_container(pod, {"terminated": state})],
                )
            if job is not None:
                if not going:
                    counter = "succeeded" if pod["status"]["phase"] == "Succeeded" else "failed"
                    job["status"][counter] = job["status"].get(counter, 0) + 1
                self._sync(job)

    def _take_down(self, pod: Object) -> None:
        """TERM to the container's first process, KILL after the grace; then the pod goes, and its log with it."""
        name = pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            return
        pod["metadata"]["deletionTimestamp"] = _now()
        process = self._processes.get(name)
        if process is None:
            self.objects.pop(("pods", pod["metadata"]["namespace"], name), None)
            return
        os.kill(process.pid, signal.SIGTERM)
        grace_s = pod["spec"].get("terminationGracePeriodSeconds", 30)
        timer = threading.Timer(grace_s, _signal_group, (process, signal.SIGKILL))
        timer.daemon = True
        timer.start()


class _Handler(Handler):
    kube: KubeDouble

    def send_file(self, path: Path, query: dict[str, str]) -> None:
        follow = query.get("follow", "").lower() == "true"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for content in _growing(path, lambda: follow and path.stem in self.kube._processes):
            self.wfile.write(content)


def write_kubeconfig(path: Path, urls: dict[str, str], *, namespace: str = "") -> Path:
    """A kubeconfig with one context for each address; the first is the current one."""
    inside = {"namespace": namespace} if namespace else {}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(urls)),
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in urls.items()],
        "users": [{"name": "me", "user": {"token": "secret-token"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me", **inside}} for name in urls],
    }
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def _growing(path: Path, grows: Callable[[], bool]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while True:
            more = grows()
            content = file.read()
            if content:
                yield content
            if not more:
                return
            time.sleep(0.02)


def _require_job(body: Object) -> None:
    spec = body.get("spec", {})
    pod = spec.get("template", {}).get("spec", {})
    name = body["metadata"].get("name", "")
    if not _NAME.fullmatch(name) or len(name) > 63:
        raise Refusal(422, "Invalid", f'Job.batch "{name}" is invalid: metadata.name: Invalid value')
    if not pod.get("containers") or pod.get("restartPolicy") not in ("Never", "OnFailure"):
        raise Refusal(422, "Invalid", f'Job.batch "{name}" is invalid: spec.template.spec: Required value')
    for value in body["metadata"].get("labels", {}).values():
        if not re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value):
            raise Refusal(422, "Invalid", f'Job.batch "{name}" is invalid: metadata.labels: Invalid value: "{value}"')


def _selected(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    for name, values in _terms(selector):
        if name not in labels or (values is not None and labels[name] not in values):
            return False
    return True


def _terms(selector: str) -> list[tuple[str, list[str] | None]]:
    terms: list[tuple[str, list[str] | None]] = []
    for term in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        name, within, values = term.partition(" in ")
        if within:
            terms.append((name.strip(), values.strip("() ").split(",")))
        else:
            name, equals, value = term.partition("=")
            terms.append((name.strip(), [value.lstrip("=")] if equals else None))
    return terms


def _merge(item: Object, change: Object) -> None:
    """RFC 7386: for what the engine changes a strategic merge comes to the same."""
    for name, value in change.items():
        if value is None:
            item.pop(name, None)
        elif isinstance(value, dict) and isinstance(item.get(name), dict):
            _merge(item[name], value)
        elif isinstance(value, dict):
            item[name] = {}
            _merge(item[name], value)
        else:
            item[name] = value


def _container(pod: Object, state: Object) -> Object:
    return {"name": pod["spec"]["containers"][0]["name"], "restartCount": 0, "ready": False, "state": state}


def _status(refusal: Refusal) -> Object:
    told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(refusal)}
    return {**told, "reason": refusal.reason, "code": refusal.status}


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _now(*, fine: bool = False) -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if fine else "%Y-%m-%dT%H:%M:%SZ")

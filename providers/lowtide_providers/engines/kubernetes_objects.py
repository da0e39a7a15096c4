"""The objects that the Kubernetes engine makes, and what it writes on them: names, labels, annotations."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest
from lowtide_core.places import LOCAL
from lowtide_core.quantities import parse_duration_s
from lowtide_core.spans import iso_utc
from lowtide_providers.engines.journal_log import MARK
from lowtide_providers.engines.node_archive import kill_after_s, node_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lowtide_core.launches import AttemptKey, Launch
    from lowtide_providers.engines.kubernetes_cluster import Object
    from lowtide_providers.engines.node_archive import NodeArchive

MANAGED = {"app.kubernetes.io/managed-by": "lowtide"}
KEY = "lowtide/key"
JOB = "lowtide/job"
START = "lowtide/start-utc"
NEVER = "never"
RELEASED = "lowtide/released-utc"
CANCELLED = "lowtide/cancelled"
HELD = "lowtide/held-utc"
BEGAN = "lowtide/began-utc"
RUN = "lowtide/run"
PARALLELISM = "lowtide/parallelism"
CHECKPOINTS = "lowtide/checkpoints"
QUEUE = "lowtide/queue"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
CONTAINER = "main"

OPTIONS = {
    "image": "the image of its container; needed",
    "queue": "the local queue of Kueue, which is then left in charge of quotas",
    "memory": "what it asks for and may not exceed: 16Gi",
    "cpu": "instead of --cpus: 4, 500m",
    "gpu_resource": "the name of its accelerators: nvidia.com/gpu unless set",
    "node_selector": "labels of the node: pool=gpu,zone=b",
    "service_account": "under which it runs",
    "image_pull_secret": "the secret with which its image is fetched",
    "env_from_secret": "the secret whose entries become variables",
    "claim": "a volume of files: CLAIM:/path",
    "working_dir": "the folder in the container",
    "time_limit": "after which the cluster ends it: 6h",
    "keep": "how long the ended object stays: 7d unless set",
    "manifest": "the name of a Job that is there already: lowtide kube submit makes it so",
}
"""What ``--option`` may name, and what it means."""

_KEEP_S = 7 * 86400
_PLAIN_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\.[0-9]{1,4}")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_MOUNT = "/lowtide"
_ARCHIVE = "node.pyz"
_MOST_ARCHIVE_BYTES = 1 << 20
_UNDER_SAMPLER = f"""\
if command -v python3 >/dev/null 2>&1; then exec python3 {_MOUNT}/{_ARCHIVE} "$@"; fi
echo "{MARK.decode()} $1 none there is no python3 in the image"
shift $((4 + $4)); exec "$@"
"""
"""Measured where the image has a Python; run all the same where it has none."""


def object_name(key: AttemptKey) -> str:
    """The Job's name: ``lowtide-JOB-N``; other keys than dispatch makes are told apart by a digest.

    Raises:
        InputError: It cannot stand in a label.
    """
    if not _LABEL_VALUE.fullmatch(key):
        raise InputError(
            f"{key!r} is not the key of an attempt.",
            hint="Keys are letters, digits, dots and dashes, at most 63.",
            key=key,
        )
    if _PLAIN_KEY.fullmatch(key):
        return f"lowtide-{key.replace('.', '-')}"
    readable = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:32].strip("-")
    return f"lowtide-{readable}-{sha256(key.encode()).hexdigest()[:10]}"


def check_options(launch: Launch) -> None:
    """Refuses what can be refused without asking anybody.

    Raises:
        InputError: An option that there is not, that is missing, or whose value is not usable.
    """
    unknown = next((name for name in launch.options if name not in OPTIONS), None)
    if unknown is not None:
        raise InputError(
            f"The engine 'kubernetes' has no option {unknown!r}.",
            hint=nearest(unknown, OPTIONS) or f"It has {', '.join(OPTIONS)}.",
            option=unknown,
        )
    if not launch.options.get("image") and not launch.options.get("manifest"):
        raise InputError(
            "The engine 'kubernetes' needs an image to run the job in.",
            hint="Give --option image=python:3.12-slim.",
            option="image",
        )
    pairs(launch.options.get("node_selector", ""), "node_selector")
    for name in ("time_limit", "keep"):
        if launch.options.get(name):
            parse_duration_s(launch.options[name])
    claim = launch.options.get("claim", "")
    if claim and not re.fullmatch(r"[a-z0-9.-]+:/.+", claim):
        raise InputError(f"The claim {claim!r} is not CLAIM:/path.", hint="Write claim=data:/data.", option="claim")


def pairs(text: str, where: str) -> dict[str, str]:
    """``a=b,c=d``.

    Args:
        where: The option or setting, for the message.
    Raises:
        InputError: A part without ``=``.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise InputError(f"{where}: {part!r} is not NAME=VALUE.", hint="Write a=b,c=d.", name=where)
        found[name] = value
    return found


def job_object(launch: Launch, key: AttemptKey, *, archive: NodeArchive | None, by_label: bool) -> Object:
    """The Job, made so that no server starts it: suspended, and of no pods where a server drops ``suspend``.

    Args:
        archive: What its pod runs the command under.
        by_label: The region that was planned is one of this cluster's: its nodes are found by their label.
    """
    options = launch.options
    labels = {**MANAGED, KEY: key, JOB: launch.job_id}
    spec: Object = {
        "suspend": True,
        "parallelism": 0,
        "completions": 1,
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": round(parse_duration_s(options["keep"])) if options.get("keep") else _KEEP_S,
        "template": {"metadata": {"labels": labels}, "spec": _pod_spec(launch, key, archive, by_label=by_label)},
    }
    if options.get("time_limit"):
        spec["activeDeadlineSeconds"] = round(parse_duration_s(options["time_limit"]))
    annotations = {PARALLELISM: "1", RUN: "1", **({CHECKPOINTS: "true"} if launch.checkpoints else {})}
    if launch.begin_utc is not None:
        annotations[START] = begin_text(launch.begin_utc)
    if options.get("queue"):  # Kueue counts a Job by its parallelism; it is told of it when its time has come
        spec["parallelism"] = 1
        annotations[QUEUE] = options["queue"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": object_name(key), "labels": labels, "annotations": annotations},
        "spec": spec,
    }


def begin_text(begin_utc: datetime | None) -> str:
    """How a Job says when it is to begin; None: not until somebody says so."""
    return NEVER if begin_utc is None else iso_utc(begin_utc.replace(microsecond=0))


def tombstone(key: AttemptKey) -> Object:
    """A Job that is complete from its beginning: it holds the name of a key that must never start."""
    pod = {"restartPolicy": "Never", "containers": [{"name": CONTAINER, "image": "none"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": object_name(key),
            "labels": {**MANAGED, KEY: key},
            "annotations": {CANCELLED: "before it started"},
        },
        "spec": {
            "suspend": True,
            "parallelism": 0,
            "completions": 0,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _KEEP_S,
            "template": {"metadata": {"labels": {**MANAGED, KEY: key}}, "spec": pod},
        },
    }


def archive_name(archive: NodeArchive) -> str:
    """Name of the ConfigMap of that archive: one for each version, for all jobs of a namespace."""
    return f"lowtide-node-{archive.digest}"


def archive_object(archive: NodeArchive) -> Object:
    """The ConfigMap by which the archive comes to the node.

    Raises:
        InputError: It is larger than a ConfigMap may be.
    """
    if len(archive.content) > _MOST_ARCHIVE_BYTES * 3 // 4:
        raise InputError(
            f"The sampler for the node has {len(archive.content)} bytes: too many for a ConfigMap.",
            hint="Build it again without extra packages.",
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": archive_name(archive), "labels": dict(MANAGED)},
        "immutable": True,
        "binaryData": {_ARCHIVE: b64encode(archive.content).decode()},
    }


def _pod_spec(launch: Launch, key: AttemptKey, archive: NodeArchive | None, *, by_label: bool) -> Object:
    options = launch.options
    container: Object = {
        "name": CONTAINER,
        "image": options["image"],
        "command": list(launch.argv),
        "env": [{"name": name, "value": value} for name, value in launch.environment.items()],
        "resources": _resources(launch),
    }
    if options.get("working_dir"):
        container["workingDir"] = options["working_dir"]
    if options.get("env_from_secret"):
        container["envFrom"] = [{"secretRef": {"name": options["env_from_secret"]}}]
    spec: Object = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": kill_after_s(launch),
        "containers": [container],
    }
    selector = pairs(options.get("node_selector", ""), "node_selector")
    if by_label and launch.region != LOCAL:
        selector["topology.kubernetes.io/region"] = launch.region.rpartition(":")[2]
    if selector:
        spec["nodeSelector"] = selector
    if options.get("service_account"):
        spec["serviceAccountName"] = options["service_account"]
    if options.get("image_pull_secret"):
        spec["imagePullSecrets"] = [{"name": options["image_pull_secret"]}]
    if options.get("claim"):
        claim, _, path = options["claim"].partition(":")
        _mount(spec, container, "files", {"persistentVolumeClaim": {"claimName": claim}}, path, read_only=False)
    if archive is not None:
        put_under_sampler(spec, container, launch, key, archive)
    return spec


def put_under_sampler(spec: Object, container: Object, launch: Launch, key: AttemptKey, archive: NodeArchive) -> None:
    """Has the container run ``launch.argv`` under the sampler that the archive brings."""
    container["command"] = ["/bin/sh", "-c", _UNDER_SAMPLER, "lowtide", *node_words(launch, key)]
    container.pop("args", None)
    _mount(spec, container, "lowtide", {"configMap": {"name": archive_name(archive)}}, _MOUNT, read_only=True)


def _mount(spec: Object, container: Object, name: str, source: Object, path: str, *, read_only: bool) -> None:
    spec.setdefault("volumes", []).append({"name": name, **source})
    container.setdefault("volumeMounts", []).append({"name": name, "mountPath": path, "readOnly": read_only})


def _resources(launch: Launch) -> Object:
    """What it asks of its node; memory and accelerators are limits too, processors are not."""
    needs, options = launch.needs, launch.options
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    cpu = options.get("cpu") or (f"{needs.cpus:g}" if needs.cpus is not None else "")
    memory = options.get("memory") or (f"{needs.memory_gb * 1000:.0f}M" if needs.memory_gb is not None else "")
    if cpu:
        requests["cpu"] = cpu
    if memory:
        requests["memory"] = limits["memory"] = memory
    if needs.gpu_count:
        requests[_gpu_resource(options)] = limits[_gpu_resource(options)] = str(needs.gpu_count)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _gpu_resource(options: Mapping[str, str]) -> str:
    return options.get("gpu_resource") or "nvidia.com/gpu"

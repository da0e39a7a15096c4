"""A user's own Job manifest: what it says of the job, and the manifest that waits for its hour. No cluster is asked."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError
from lowtide_core.launches import Launch, Needs
from lowtide_core.spans import iso_utc
from lowtide_providers.engines.kubernetes_objects import (
    CHECKPOINTS,
    JOB,
    KEY,
    MANAGED,
    PARALLELISM,
    QUEUE,
    QUEUE_LABEL,
    RUN,
    START,
    put_under_sampler,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lowtide_core.launches import AttemptKey, NodeProgram
    from lowtide_providers.engines.kubernetes_cluster import Object
    from lowtide_providers.engines.node_archive import NodeArchive

DURATION = "lowtide/duration"
DEADLINE = "lowtide/deadline"
ASKED = {DURATION: "duration", DEADLINE: "deadline", "lowtide/power": "power", "lowtide/earliest": "earliest"}
"""Annotations in which a manifest may say what the command's options say."""

_GPU = re.compile(r"(?:[a-z0-9.-]+/)?gpu|[a-z0-9.-]+/(?:mig-.*)")
_MODELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator")
_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """A Job as its user wrote it.

    Attributes:
        argv: The command of its first container with its arguments; empty where the image says what runs.
        needs: What one pod asks for. Of the accelerator's model only the name in a node selector is known.
        asked: What annotations say of the question, by the names of the options.
        checkpoints: An annotation says that it goes on from what it has saved.
        pods: How many run at once.
    """

    content: Object
    name: str
    image: str
    argv: tuple[str, ...]
    needs: Needs
    asked: Mapping[str, str]
    checkpoints: bool
    pods: int


def read_manifest(path: str) -> Manifest:
    """The one Job in a file of YAML or JSON.

    Raises:
        InputError: It cannot be read, is not one Job, or has no container.
    """
    content = _loaded(path)
    if content.get("kind") != "Job" or content.get("apiVersion") != "batch/v1":
        what = f"{content.get('apiVersion')} {content.get('kind')}"
        raise InputError(f"{path} is a {what}, not a batch/v1 Job.", hint="Give the manifest of one Job.", path=path)
    metadata, spec = content.get("metadata") or {}, content.get("spec") or {}
    try:
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        image = str(container["image"])
    except (KeyError, IndexError, TypeError):
        raise InputError(
            f"{path} has no container with an image in spec.template.spec.", hint="kubectl explain job.spec", path=path
        ) from None
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{path} has no metadata.name.", hint="Give it one: generateName is not known beforehand.")
    told = metadata.get("annotations") or {}
    return Manifest(
        content=content,
        name=name,
        image=image,
        argv=(*map(str, container.get("command") or ()), *map(str, container.get("args") or ()))
        if container.get("command")
        else (),
        needs=_needs(container.get("resources") or {}, pod.get("nodeSelector") or {}, path),
        asked={option: str(told[label]) for label, option in ASKED.items() if label in told},
        checkpoints=str(told.get(CHECKPOINTS)) == "true",
        pods=int(spec.get("parallelism", 1)),
    )


def waiting_job(
    manifest: Manifest,
    key: AttemptKey,
    job_id: str,
    start_utc: datetime,
    *,
    checkpoints: bool,
    sampler: NodeProgram | None,
    archive: NodeArchive | None,
) -> Object:
    """The manifest that waits: suspended, with our labels, one try, and its first container under the sampler."""
    job: Object = copy.deepcopy(manifest.content)
    metadata, spec = job["metadata"], job["spec"]
    ours = {**MANAGED, KEY: key, JOB: job_id}
    metadata["labels"] = {**(metadata.get("labels") or {}), **ours}
    told = {START: iso_utc(start_utc.replace(microsecond=0)), PARALLELISM: str(manifest.pods), RUN: "1"}
    if checkpoints:
        told[CHECKPOINTS] = "true"
    queue = metadata["labels"].pop(QUEUE_LABEL, None)  # Kueue is told of it when its time has come
    if queue:
        told[QUEUE] = queue
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **told}
    spec.update(suspend=True, backoffLimit=0)
    template = spec["template"]
    template["metadata"] = {**(template.get("metadata") or {})}
    template["metadata"]["labels"] = {**(template["metadata"].get("labels") or {}), **ours}
    if archive is not None and sampler is not None and manifest.argv:
        launch = Launch(job_id, manifest.argv, "/", sampler=sampler)
        put_under_sampler(template["spec"], template["spec"]["containers"][0], launch, key, archive)
    return job


def manifest_text(job: Object) -> str:
    """As YAML, in the order in which people write it."""
    yaml = _yaml()

    class Dumper(yaml.SafeDumper):  # type: ignore[misc, name-defined]
        """Writes texts of several lines as they are."""

    def write_text(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, write_text)
    text: str = yaml.dump(job, Dumper=Dumper, sort_keys=False, width=100)
    return text


def _loaded(path: str) -> Object:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"The manifest {path} cannot be read: {reason}.", hint="Check its path.", path=path) from error
    try:
        documents = [json.loads(text)]
    except ValueError:
        documents = _yaml_documents(text, path)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError(
            f"{path} holds {len(documents)} documents, not one.",
            hint="Give the Job in a file of its own, and apply the others with kubectl.",
            path=path,
        )
    return documents[0]


def _yaml_documents(text: str, path: str) -> list[object]:
    yaml = _yaml()
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where is not None else ""
        raise InputError(f"{path} is not YAML{line}.", hint="Mend it.", path=path) from error


def _yaml() -> Any:
    try:
        return import_module("yaml")
    except ModuleNotFoundError as error:
        raise InputError(
            "Manifests in YAML need the official client's parser, which is not installed.",
            hint="pip install 'lowtide[kubernetes]'",
        ) from error


def _needs(resources: Object, selector: Object, path: str) -> Needs:
    """Of requests, and of limits where nothing is requested, as Kubernetes itself takes it."""
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    gpus = sum(int(_quantity(amount, path)) for name, amount in asked.items() if _GPU.fullmatch(str(name)))
    model = next((str(selector[label]) for label in _MODELS if label in selector), "")
    return Needs(
        cpus=_quantity(asked["cpu"], path) if "cpu" in asked else None,
        memory_gb=_quantity(asked["memory"], path) / 1e9 if "memory" in asked else None,
        gpu=model if gpus else "",
        gpu_count=gpus,
    )


def _quantity(amount: object, path: str) -> float:
    """A number as Kubernetes writes it: ``500m``, ``16Gi``, ``4``."""
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)(m|[kMGT]i?|Ki)?", str(amount))
    if not match:
        raise InputError(f"{path}: {amount!r} is not a quantity.", hint="Write 4, 500m or 16Gi.", path=path)
    unit = match[2] or ""
    return float(match[1]) * (0.001 if unit == "m" else _UNITS.get(unit, 1.0))

"""Runs launches as Jobs of Kubernetes clusters, which keep the truth about them: nothing of it is kept here.

A Job is made suspended and then released, so that nothing runs before it is known under its key. What happens to it is
written on it: each step is one change that names the version it rests on, so that of a release and a cancel that meet
one wins and the other sees it. A cancelled Job stays, without pods, until its time to live is over: its name is taken.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, LowtideError, NoData, Rejected, Unavailable
from lowtide_core.launches import AttemptKey, EngineRef, EngineReport
from lowtide_core.spans import iso_utc
from lowtide_providers.engines import journal_log
from lowtide_providers.engines.kept import keep_log
from lowtide_providers.engines.kubernetes_cluster import Access, connect, connect_all
from lowtide_providers.engines.kubernetes_objects import (
    BEGAN,
    CANCELLED,
    CHECKPOINTS,
    HELD,
    KEY,
    PARALLELISM,
    QUEUE,
    QUEUE_LABEL,
    RELEASED,
    RUN,
    START,
    archive_object,
    begin_text,
    check_options,
    job_object,
    object_name,
    pairs,
    tombstone,
)
from lowtide_providers.engines.kubernetes_reports import (
    began_utc_of,
    container_of,
    is_finished,
    job_report,
    key_of,
    needs_pods,
    told_on,
)
from lowtide_providers.engines.node_archive import node_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lowtide_core.launches import Launch
    from lowtide_providers.engines.kubernetes_cluster import Cluster, Object
    from lowtide_providers.engines.node_archive import NodeArchive
    from lowtide_providers.engines.registry import EngineSettings

_TRIES = 8
"""Changes of one Job that meet are settled after a few; who meets more has lost the cluster."""

_NAMED_KEYS = 40
"""More keys than this are not named in the question: all of ours are asked for."""

_LOOK_AGAIN_S = 600.0
"""So long the archive that was brought to a cluster is taken to be still there."""

_LAST_WORDS_S = 20.0
"""So long a pod that is told to stop may take to print its journal."""


def access_of(settings: EngineSettings) -> Access:
    """Where clusters are found, from what was set.

    Raises:
        InputError: A context is not ``REGION=CONTEXT``.
    """
    return Access(
        kubeconfig=settings.kubeconfig,
        contexts=tuple(pairs(",".join(settings.kubernetes_contexts), "kubernetes_contexts").items()),
        namespace=settings.kubernetes_namespace,
        in_cluster=settings.in_cluster,
        offline=settings.offline,
    )


@dataclass(frozen=True, slots=True)
class KubernetesEngine:
    """One Job per attempt.

    Attributes:
        root: Folder of what was printed, fetched from pods before they go.
        access: Where the clusters are found.
    """

    root: Path
    access: Access

    @property
    def restarts(self) -> bool:
        return True

    def check(self, launch: Launch) -> None:
        check_options(launch)
        connect(self.access, launch.region)

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        check_options(launch)
        object_name(key)
        cluster = connect(self.access, launch.region)
        manifest = launch.options.get("manifest")
        job = _theirs(cluster, manifest, key) if manifest else self._made(cluster, launch, key)

        def change(job: Object) -> Object | None:
            return _begin_at(job, launch.begin_utc) if _is_ahead(launch.begin_utc) else _release(job)

        return _ref(cluster, _settle(cluster, job, change))

    def adopt(self, job: Object, region: str, archive: NodeArchive | None) -> EngineRef:
        """Makes a Job of its user's own, which waits: ``submit`` of its key finds it.

        Raises:
            InputError: Its name is taken, or it is of another namespace than the context.
        """
        cluster = connect(self.access, region)
        metadata = job["metadata"]
        if metadata.get("namespace", cluster.namespace) != cluster.namespace:
            raise InputError(
                f"The manifest is of namespace {metadata['namespace']}, the context {cluster.context} of "
                f"{cluster.namespace}.",
                hint="Name the namespace in kubernetes_namespace, or a context of its own.",
                namespace=metadata["namespace"],
            )
        if archive is not None:
            _bring(cluster, archive, int(time.monotonic() / _LOOK_AGAIN_S))
        tried = cluster.create("job", job, dry_run=True)
        if tried is not None and tried["spec"].get("suspend") is None:  # the server drops it: no pods, then
            job = {**job, "spec": {**job["spec"], "parallelism": 0}}
        made = None if tried is None else cluster.create("job", job)
        made = made or cluster.read("job", metadata["name"])
        if made is None or key_of(made) != key_of(job):
            raise InputError(
                f"There is a Job {metadata['name']} in context {cluster.context} already.",
                hint=f"Delete it, or give another name: kubectl delete job {metadata['name']}.",
                name=metadata["name"],
            )
        return _ref(cluster, made)

    def move(self, key: AttemptKey, begin_utc: datetime | None) -> None:
        for cluster, job in self._found(key):
            _settle(cluster, job, lambda job: _begin_at(job, begin_utc))

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        """One question for all Jobs of a cluster, and one for their pods where the Jobs do not tell all."""
        if not keys:
            return ()
        found: dict[str, EngineReport] = {}
        wanted, now_utc = set(keys), datetime.now(UTC)
        for cluster in connect_all(self.access):
            jobs = [job for job in cluster.list("job", _selector(keys)) if key_of(job) in wanted]
            pods = _pods_by_key(cluster, keys) if any(map(needs_pods, jobs)) else {}
            for job in jobs:
                key = AttemptKey(key_of(job))
                found[key] = job_report(key, _ref(cluster, job), job, pods.get(key, []), now_utc)
        return tuple(found.get(key, EngineReport(key, "absent")) for key in keys)

    def cancel(self, key: AttemptKey) -> None:
        found = self._found(key)
        for cluster in () if found else connect_all(self.access):
            if cluster.create("job", tombstone(key)) is None:  # it has come meanwhile
                found += [(cluster, job) for job in cluster.list("job", _selector([key]))]
        for cluster, job in found:
            self._cancel(cluster, job, key)

    def suspend(self, key: AttemptKey) -> None:
        for cluster, job in self._found(key):
            self._suspend(cluster, job, key)

    def resume(self, key: AttemptKey) -> None:
        for cluster, job in self._found(key):

            def change(job: Object) -> Object | None:
                told = told_on(job)
                if HELD not in told or CANCELLED in told or is_finished(job):
                    return None
                return _change(job, {HELD: None, RUN: str(_runs(job) + 1)}, _running(job))

            _settle(cluster, job, change)

    def log_path(self, key: AttemptKey) -> str:
        for cluster, job in self._found(key):
            self._keep_log(cluster, job, key)
        printed = b"".join(journal_log.without(log) for log in self._kept_logs(key))
        path = self.root / f"{key}.log"
        if printed:
            keep_log("kubernetes", path, printed)
        return str(path)

    def fetch_journals(self, key: AttemptKey) -> tuple[bytes, ...]:
        runs = 1
        for cluster, job in self._found(key):
            runs = _runs(job)
            self._keep_log(cluster, job, key)
        carried = [journal_log.unpack(log, key) for log in self._kept_logs(key)]
        found = tuple(item.content for item in carried if item.content)
        if found:
            return found
        why = [item.why for item in carried]
        if len(carried) < runs:
            why.append(f"what {runs - len(carried)} of its {runs} pods printed has gone with them")
        raise NoData(
            f"The journal of {key} is lost: {'; '.join(why)}.",
            provider="kubernetes",
            operation="fetch the journal",
            key=key,
        )

    def _found(self, key: AttemptKey) -> list[tuple[Cluster, Object]]:
        """Where the key's Job is: in one cluster, or nowhere yet."""
        object_name(key)
        return [(cluster, job) for cluster in connect_all(self.access) for job in cluster.list("job", _selector([key]))]

    def _made(self, cluster: Cluster, launch: Launch, key: AttemptKey) -> Object:
        """The key's Job: made now, or by an earlier call."""
        archive = None if launch.sampler is None else node_archive(launch.sampler.path)
        if archive is not None:
            _bring(cluster, archive, int(time.monotonic() / _LOOK_AGAIN_S))
        by_label = launch.region not in dict(self.access.contexts)
        job = cluster.create("job", job_object(launch, key, archive=archive, by_label=by_label))
        if job is None:
            job = cluster.read("job", object_name(key))
        if job is None or key_of(job) != key:
            raise InputError(
                f"The name {object_name(key)} is taken in context {cluster.context}, by a Job that is not ours.",
                hint=f"kubectl delete job {object_name(key)} makes room.",
                key=key,
            )
        return job

    def _cancel(self, cluster: Cluster, job: Object, key: AttemptKey) -> None:
        """Ends it by a time limit of no length: its pods go, the Job stays and holds its name."""
        if CANCELLED in told_on(job) or is_finished(job):
            return
        pods = _pods_by_key(cluster, [key]).get(key, [])
        began = next(filter(None, map(began_utc_of, pods)), None)

        def change(job: Object) -> Object | None:
            if CANCELLED in told_on(job) or is_finished(job):
                return None
            spec: Object = {"parallelism": 0, "activeDeadlineSeconds": 1}
            first = told_on(job).get(BEGAN) or began
            wished = _change(job, {CANCELLED: "true", **({BEGAN: first} if first else {})}, spec)
            if QUEUE_LABEL in _labels(job) and job["spec"].get("suspend"):
                wished["metadata"]["labels"] = {QUEUE_LABEL: None}  # or Kueue would have it begin
            elif job["spec"].get("suspend"):
                spec["suspend"] = False  # only what is not suspended can come to its end
            return wished

        with self._last_words(cluster, job, pods, key):
            _settle(cluster, job, change)

    def _suspend(self, cluster: Cluster, job: Object, key: AttemptKey) -> None:
        pods = _pods_by_key(cluster, [key]).get(key, [])
        began = next(filter(None, map(began_utc_of, pods)), "")
        if not began:
            return

        def change(job: Object) -> Object | None:
            told = told_on(job)
            if RELEASED not in told or CANCELLED in told or HELD in told or is_finished(job):
                return None
            spec = {"parallelism": 0} if job["spec"].get("suspend") is None else {"suspend": True}
            return _change(job, {HELD: _now(), BEGAN: told.get(BEGAN) or began}, spec)

        if change(job) is None:
            return
        _require_holdable(job, key)
        with self._last_words(cluster, job, pods, key):
            _settle(cluster, job, change)

    @contextmanager
    def _last_words(self, cluster: Cluster, job: Object, pods: Sequence[Object], key: AttemptKey) -> Iterator[None]:
        """Keeps what the pod of a Job prints until it has gone: its log goes with it."""
        printed: list[bytes] = []

        def listen(pod: Object) -> None:
            with suppress(LowtideError):  # then it is lost, and whoever asks for it is told
                printed.extend(cluster.log_until_end(pod["metadata"]["name"], container_of(pod), _LAST_WORDS_S))

        speaking = [pod for pod in pods if began_utc_of(pod)][:1]
        listeners = [threading.Thread(target=listen, args=(pod,), daemon=True) for pod in speaking]
        for listener in listeners:
            listener.start()
        yield
        for listener in listeners:
            listener.join(_LAST_WORDS_S)
        if printed:
            keep_log("kubernetes", self._log_file(key, _runs(job)), b"".join(printed))

    def _keep_log(self, cluster: Cluster, job: Object, key: AttemptKey) -> None:
        """Brings what the newest pod has printed."""
        pods = _pods_by_key(cluster, [key]).get(key, [])
        newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)
        log = None if newest is None else cluster.log(newest["metadata"]["name"], container_of(newest))
        if log:
            keep_log("kubernetes", self._log_file(key, _runs(job)), log)

    def _log_file(self, key: AttemptKey, run: int) -> Path:
        return self.root / f"{key}.{run:04d}.raw"

    def _kept_logs(self, key: AttemptKey) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.root.glob(f"{key}.[0-9][0-9][0-9][0-9].raw"))]


def _theirs(cluster: Cluster, name: str, key: AttemptKey) -> Object:
    """The Job that was made from its user's own manifest, before its time."""
    job = cluster.read("job", name)
    if job is not None and key_of(job) == key:
        return job
    why = "has been deleted" if job is None else "is of another attempt: a manifest's Job is tried once"
    raise InputError(
        f"The Job {name} in context {cluster.context} {why}.", hint="lowtide kube submit makes it anew.", key=key
    )


def _settle(cluster: Cluster, job: Object, change: Callable[[Object], Object | None]) -> Object:
    """Brings a Job to where ``change`` wants it, whoever else changes it meanwhile; the Job as it is then.

    Args:
        change: The change of the version that it is given; None where nothing is to be done.
    """
    name = job["metadata"]["name"]
    for _ in range(_TRIES):
        wished = change(job)
        if wished is None:
            return job
        done = cluster.patch("job", name, wished)
        if done is not None:
            return done
        read = cluster.read("job", name)
        if read is None:
            return job
        job = read
    raise Unavailable(
        f"The Job {name} changes faster than it can be changed.",
        provider="kubernetes",
        operation="change a job",
        hint="See who else writes it: kubectl get job --show-managed-fields.",
    )


def _is_ahead(begin_utc: datetime | None) -> bool:
    return begin_utc is not None and begin_utc > datetime.now(UTC)


def _begin_at(job: Object, begin_utc: datetime | None) -> Object | None:
    """What has a Job wait until then; None where it does, or waits no more."""
    told = told_on(job)
    if CANCELLED in told or RELEASED in told or is_finished(job) or told.get(START) == begin_text(begin_utc):
        return None
    return _change(job, {START: begin_text(begin_utc)}, {})


def _release(job: Object) -> Object | None:
    """What lets a Job start; None where it has been done, or must not be."""
    told = told_on(job)
    if CANCELLED in told or RELEASED in told or is_finished(job):
        return None
    if QUEUE not in told:
        return _change(job, {RELEASED: _now()}, _running(job))
    change = _change(job, {RELEASED: _now()}, {})
    change["metadata"]["labels"] = {QUEUE_LABEL: told[QUEUE]}  # from here on Kueue says when
    return change


def _running(job: Object) -> Object:
    """The part of the specification that has it run; a server that dropped ``suspend`` is not sent it."""
    parallelism = {"parallelism": int(told_on(job).get(PARALLELISM, "1"))}
    return parallelism if job["spec"].get("suspend") is None else {"suspend": False, **parallelism}


def _change(job: Object, told: Mapping[str, str | None], spec: Object) -> Object:
    """A change of that very version of the Job: where somebody was faster the cluster refuses it."""
    metadata = {"resourceVersion": job["metadata"]["resourceVersion"], "annotations": dict(told)}
    return {"metadata": metadata, **({"spec": spec} if spec else {})}


def _require_holdable(job: Object, key: AttemptKey) -> None:
    told = told_on(job)
    why = ""
    if CHECKPOINTS not in told:
        why = "it does not save its work, and would begin anew"
    elif QUEUE in told or QUEUE_LABEL in _labels(job):
        why = "Kueue is in charge of it"
    if why:
        raise Rejected(
            f"{key} is not held: {why}.",
            provider="kubernetes",
            operation="suspend",
            hint="Submit it with --pausable if it goes on from what it has saved.",
            key=key,
        )


def _pods_by_key(cluster: Cluster, keys: Sequence[AttemptKey]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for pod in cluster.list("pod", _selector(keys)):
        found.setdefault(key_of(pod), []).append(pod)
    return found


@lru_cache(maxsize=64)
def _bring(cluster: Cluster, archive: NodeArchive, _: int) -> None:
    """Puts the archive into the cluster; once in a while it is looked whether it is still there."""
    cluster.create("config_map", archive_object(archive))


def _selector(keys: Sequence[AttemptKey]) -> str:
    return KEY if len(keys) > _NAMED_KEYS else f"{KEY} in ({','.join(sorted(set(keys)))})"


def _ref(cluster: Cluster, job: Object) -> EngineRef:
    return EngineRef(f"{cluster.context}/{cluster.namespace}/{job['metadata']['name']}")


def _labels(job: Object) -> Mapping[str, str]:
    return job["metadata"].get("labels") or {}


def _runs(job: Object) -> int:
    """How often it has been started."""
    return int(told_on(job).get(RUN, "1"))


def _now() -> str:
    return iso_utc(datetime.now(UTC))

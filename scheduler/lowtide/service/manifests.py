"""A user's own Kubernetes manifest as a job of ours: planned, kept, and made to wait in the cluster for its hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowtide.dispatch.actor import attempt_key
from lowtide.dispatch.reconcile import request_cancel
from lowtide.dispatch.remote import node_program
from lowtide.dispatch.start import hand_over
from lowtide.service.submitting import Order, submit
from lowtide_core.errors import LowtideError
from lowtide_core.launches import AttemptKey
from lowtide_providers.engines.kubernetes_manifest import waiting_job
from lowtide_providers.engines.node_archive import node_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lowtide.assembly.quote import Quote
    from lowtide.dispatch.actor import Actor
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide_providers.engines.kubernetes import KubernetesEngine
    from lowtide_providers.engines.kubernetes_manifest import Manifest
    from lowtide_providers.engines.node_archive import NodeArchive

ENGINE = "kubernetes"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How the Job of a manifest is made.

    Attributes:
        sampler: The single file under which its first container runs; None: it is not measured.
    """

    manifest: Manifest
    checkpoints: bool
    sampler: str | None

    @property
    def archive(self) -> NodeArchive | None:
        """What brings the sampler to the node."""
        return None if self.sampler is None else node_archive(self.sampler)

    def job(self, key: AttemptKey, job_id: str, start_utc: datetime) -> dict[str, Any]:
        """The manifest as it is to be applied."""
        return waiting_job(
            self.manifest,
            key,
            job_id,
            start_utc,
            checkpoints=self.checkpoints,
            sampler=None if self.sampler is None else node_program(self.sampler, key, job_id),
            archive=self.archive,
        )


def submit_manifest(
    store: Store,
    actor: Actor,
    found: Quote,
    waiting: Waiting,
    *,
    signal: str,
    environ: Mapping[str, str],
    now_utc: datetime,
) -> JobRecord:
    """Keeps the job, makes its Job, and gives it to the engine, which has it wait; all of it or nothing.

    Raises:
        InputError: The cluster will never accept it.
        ProviderError: The cluster does not take it now.
    """
    manifest = waiting.manifest
    order = Order(
        argv=manifest.argv or (manifest.image,),
        working_dir="/",
        environment={},
        engine=ENGINE,
        name=manifest.name,
        signal=signal,
        options={"manifest": manifest.name, "image": manifest.image},
        checkpoints=waiting.checkpoints,
        cpus=manifest.needs.cpus,
        elsewhere=True,
    )
    record = submit(store, found, order, environ=environ, now_utc=now_utc, who=actor.who)
    engine: KubernetesEngine = actor.engine(ENGINE)  # type: ignore[assignment]
    try:
        job = waiting.job(attempt_key(record), record.job_id, record.plan.start_utc)
        engine.adopt(job, record.plan.segments[0].region, waiting.archive)
    except LowtideError:
        request_cancel(actor, record, now_utc)
        raise
    return hand_over(actor, record, now_utc)

"""Puts the parts together for one process: settings, clock, sources, store, engines. No logic of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from lowtide.settings import Paths, Settings, cache_path, load_settings, paths, state_path
from lowtide_core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowtide.asking import Asked
    from lowtide.assembly.links import Links
    from lowtide.assembly.request import PlanRequest
    from lowtide.dispatch.actor import Actor
    from lowtide.histories import Histories
    from lowtide.service.recording import Recorder
    from lowtide.service.ticks import TickContext, TickReport
    from lowtide.store import Store
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import Engine, SignalSource
    from lowtide_providers.engines.registry import EngineSettings
    from lowtide_providers.signals.chain import Chain
    from lowtide_providers.signals.keys import FoundKey
    from lowtide_providers.signals.registry import SignalSettings


@dataclass(frozen=True)
class Wiring:
    """What one process works with; parts are made when they are first asked for."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @cached_property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    @cached_property
    def paths(self) -> Paths:
        return paths(self.environ)

    def now_utc(self) -> datetime:
        return datetime.now(UTC)

    @cached_property
    def keys(self) -> dict[str, FoundKey]:
        """The keys of sources that are set, by the names of their settings."""
        from lowtide_providers.signals.keys import find_keys

        return find_keys(self.settings.keys, self.environ)

    def signal_settings(self, as_of_utc: datetime | None = None, *, tries: int = 4) -> SignalSettings:
        """What sources need, from settings and environment."""
        from lowtide_providers.signals.registry import SignalSettings

        return SignalSettings(
            keys={setting: found.value for setting, found in self.keys.items()},
            offline=self.settings.offline,
            timeout_s=self.settings.http_timeout_s,
            retries=tries - 1,
            as_of_utc=as_of_utc,
            cache_dir=f"{cache_path(self.environ)}/signals",
        )

    def chain(
        self, signal: str = "", *, embedded: bool = False, as_of_utc: datetime | None = None, tries: int = 4
    ) -> Chain:
        """The sources to try.

        Args:
            signal: One source or file that the user demands; nothing else is tried then.
            embedded: Only what needs no network.
            as_of_utc: The time of planning, for files of forecasts; None is now.
            tries: How often the network is asked before the next link.
        Raises:
            InputError: A name is not a source.
        """
        return self.links(as_of_utc, tries=tries).chain(signal, embedded=embedded)

    def links(self, as_of_utc: datetime | None = None, *, tries: int = 4) -> Links:
        """The sources of this process, and what is known of them."""
        from lowtide.assembly.links import Links

        settings = self.signal_settings(as_of_utc, tries=tries)
        return Links(settings, f"{state_path(self.environ)}/histories", self.settings.signals)

    @property
    def histories(self) -> Histories:
        """The files of what was recorded."""
        return self.links().histories

    def recorder(self, store: Store) -> Recorder:
        """Keeps what the sources say."""
        from lowtide.service.judging import Judge
        from lowtide.service.recording import Recorder
        from lowtide_providers.signals.climatology import ClimatologySource

        judge = Judge(store, (ClimatologySource(),), self.histories.outlooks)
        return Recorder(store, self.histories, self.links().recorded(), judge.learn)

    def record(self, store: Store) -> Callable[[datetime], TickReport] | None:
        """A round of recording for ``serve`` and ``tick``; None where there is no zone, or no network, to ask."""
        zones = self.zones_to_record()
        if not zones or self.settings.offline:
            return None
        from functools import partial

        from lowtide.service.recording import round_of

        return partial(round_of, self.recorder(store), zones)

    def zones_to_record(self) -> tuple[ZoneId, ...]:
        """The zones that the user set, else home's."""
        from lowtide.assembly.request import home_place, local_place

        if self.settings.record:
            return tuple(local_place(zone).zone for zone in self.settings.record)
        home = home_place(self.settings.home)
        return () if home is None else (home.zone,)

    def with_history(self, asked: Asked) -> Asked:
        """The question with the durations of like jobs looked up, where its duration is ``like:NAME``.

        Raises:
            InputError: No job of that name has ended well.
        """
        name = asked.duration.removeprefix("like:")
        if name == asked.duration:
            return asked
        from dataclasses import replace

        from lowtide.service.history import durations_s

        with self.store() as store:
            return replace(asked, seen_s=durations_s(store, name))

    def store(self) -> Store:
        """The job store, opened; close it, or use it as a context."""
        from lowtide.store import open_store

        return open_store(self.settings.database or self.paths.database)

    def with_promises(self, request: PlanRequest, now_utc: datetime, *, key: str = "") -> PlanRequest:
        """The request with what home has promised to other jobs; the store is opened only where home has a limit.

        Args:
            key: The submission's own name: a job that is submitted again is not in its own way.
        """
        from lowtide.service.promises import limited, with_promises

        if not limited(request, self.settings).limits:
            return request
        with self.store() as store:
            return with_promises(request, self.settings, store, now_utc, without_key=key)

    def sources(self, signal: str = "") -> tuple[SignalSource, ...]:
        """Every source that could have actuals, the one that a job demanded first."""
        return self.links().actuals(signal)

    def actor(self, store: Store, who: str) -> Actor:
        """This process as one that dispatches."""
        from lowtide.dispatch.actor import Actor
        from lowtide.service.collect import exit_in_journal
        from lowtide.service.owner import owner_token

        spool = self.paths.spool
        return Actor(
            jobs=store.jobs,
            engine=self.engine,
            who=who,
            owner=owner_token(),
            spool=spool,
            exit_in_journal=lambda key: exit_in_journal(spool, key),
            node_sampler=self.node_sampler,
        )

    def tick_context(self, store: Store, who: str) -> TickContext:
        """All that a round of ``serve``, ``tick`` or ``submit --wait`` works with."""
        from lowtide.service.replanning import replanner
        from lowtide.service.settling import Settling
        from lowtide.service.ticks import TickContext
        from lowtide_providers.signals.climatology import ClimatologySource

        settling = Settling(store, self.sources, ClimatologySource(), self.paths.spool, self.engine)
        return TickContext(
            actor=self.actor(store, who),
            make_plan=replanner(store, self.chain, self.settings),
            fetch=settling.fetch,
            collect=settling.collect,
            settle=settling.settle,
        )

    def engine(self, name: str) -> Engine:
        """The engine of that name."""
        from lowtide_providers.engines.registry import build_engine

        return build_engine(name, self.paths.engine(name), self.engine_settings)

    @property
    def engine_settings(self) -> EngineSettings:
        """What engines need, from settings and environment; the names that their own tools use work too."""
        from lowtide_providers.engines.registry import EngineSettings

        settings, environ = self.settings, self.environ
        return EngineSettings(
            kubeconfig=environ.get("KUBECONFIG") or f"{environ.get('HOME', '~')}/.kube/config",
            kubernetes_contexts=settings.kubernetes_contexts,
            kubernetes_namespace=settings.kubernetes_namespace,
            in_cluster="KUBERNETES_SERVICE_HOST" in environ,
            ray_address=settings.ray_address or environ.get("RAY_API_SERVER_ADDRESS") or environ.get("RAY_ADDRESS", ""),
            ray_token=settings.ray_token or environ.get("RAY_AUTH_TOKEN", ""),
            ray_headers=environ.get("RAY_JOB_HEADERS", ""),
            offline=settings.offline,
        )

    def node_sampler(self) -> str:
        """The single-file sampler, for engines that share no files with us: built once, kept in the state folder.

        Raises:
            Unavailable: It cannot be written; it may be later.
        """
        from lowtide.sampler_file import sampler_file

        try:
            return str(sampler_file(self.paths.state).path)
        except OSError as error:
            raise Unavailable(
                f"The sampler for nodes cannot be written: {error.strerror} ({error.filename}).",
                provider="sampler",
                operation="build",
                hint=f"Make {self.paths.state} writable.",
            ) from error

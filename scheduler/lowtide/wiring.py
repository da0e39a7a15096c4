"""Puts the parts together for one process: settings, clock, sources, store, engines. No logic of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from lowtide.settings import Paths, Settings, load_settings, paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.store import Store
    from lowtide_core.ports import Engine
    from lowtide_providers.signals.chain import Chain
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

    def signal_settings(self, as_of_utc: datetime | None = None) -> SignalSettings:
        """What sources need, from settings and environment."""
        from lowtide_providers.signals.registry import SignalSettings, token_in

        return SignalSettings(
            electricitymaps_token=self.settings.electricitymaps_token or token_in(self.environ)[0],
            offline=self.settings.offline,
            timeout_s=self.settings.http_timeout_s,
            as_of_utc=as_of_utc,
        )

    def chain(self, signal: str = "", *, embedded: bool = False, as_of_utc: datetime | None = None) -> Chain:
        """The sources to try.

        Args:
            signal: One source or file that the user demands; nothing else is tried then.
            embedded: Only what needs no network.
            as_of_utc: The time of planning, for files of forecasts; None is now.
        Raises:
            InputError: A name is not a source.
        """
        from lowtide_providers.signals.chain import Chain
        from lowtide_providers.signals.registry import DEFAULT_CHAIN, EMBEDDED, build_source

        names = (signal,) if signal else EMBEDDED if embedded else self.settings.signals or DEFAULT_CHAIN
        return Chain(tuple(build_source(name, self.signal_settings(as_of_utc)) for name in names))

    def store(self) -> Store:
        """The job store, opened; close it, or use it as a context."""
        from lowtide.store import open_store

        return open_store(self.settings.database or self.paths.database)

    def engine(self, name: str) -> Engine:
        """The engine of that name."""
        from lowtide_providers.engines.registry import build_engine

        return build_engine(name, self.paths.local_engine)

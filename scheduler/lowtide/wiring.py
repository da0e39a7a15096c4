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

    from lowtide_providers.signals.chain import Chain


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

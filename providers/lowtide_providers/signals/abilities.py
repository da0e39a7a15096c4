"""What some sources can tell beside the port, also through the cache that keeps their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lowtide_providers.signals.cache import CachedSource

if TYPE_CHECKING:
    from datetime import datetime

    from lowtide_core.outlooks import Outlook
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource
    from lowtide_core.series import Frame
    from lowtide_core.spans import Span


@runtime_checkable
class TellsAccess(Protocol):
    """A service that says what a key opens."""

    def capabilities(self, zone: ZoneId) -> frozenset[str] | None:
        """Endpoints that the key opens for the zone, ``*`` for all; None: the service does not say.

        Raises:
            NoData: It has no such zone. Otherwise as ``SignalSource.fetch``.
        """
        ...


@runtime_checkable
class StatedByUser(Protocol):
    """A source whose figures mean what its user says they mean."""

    @property
    def stated_frame(self) -> Frame | None:
        """None where nothing is said."""
        ...


@runtime_checkable
class TellsOutlook(Protocol):
    """A source that says before it comes what wind, sun and load are expected to be."""

    def outlook(self, zone: ZoneId, span: Span) -> Outlook:
        """The part of the span that it has; at least one of the three quantities.

        Raises:
            NoData: Nothing is out, or it has no such zone. Otherwise as ``SignalSource.fetch``.
        """
        ...


def known_frame(source: SignalSource) -> Frame | None:
    """The frame of its figures; None where only the user could say it, and did not."""
    inner = _inner(source)
    return inner.stated_frame if isinstance(inner, StatedByUser) else source.frame


def access(source: SignalSource, zone: ZoneId) -> frozenset[str] | None:
    """As ``TellsAccess.capabilities``; None too where the source has nothing that could be asked."""
    inner = _inner(source)
    return inner.capabilities(zone) if isinstance(inner, TellsAccess) else None


def outlook_teller(source: SignalSource) -> TellsOutlook | None:
    """The source as one that has an outlook; None where it has none. Its answers are not cached: only records ask."""
    inner = _inner(source)
    return inner if isinstance(inner, TellsOutlook) else None


def last_success_utc(source: SignalSource) -> datetime | None:
    """When it last answered anybody on this machine, as far as that is kept."""
    return source.last_success_utc() if isinstance(source, CachedSource) else None


def _inner(source: SignalSource) -> SignalSource:
    return source.inner if isinstance(source, CachedSource) else source

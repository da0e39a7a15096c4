"""The doors to the outside world: at most three methods each; optional abilities stand apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide_core.launches import AttemptKey, EngineRef, EngineReport, Launch
    from lowtide_core.offers import Offer, OfferQuery
    from lowtide_core.places import ZoneId
    from lowtide_core.series import Frame, SignalSeries
    from lowtide_core.spans import Span

Wanted = Literal["forecast", "actual"]


@runtime_checkable
class SignalSource(Protocol):
    """One source of intensities. It returns data or raises a ``ProviderError``; it never falls back to another."""

    @property
    def name(self) -> str: ...

    @property
    def frame(self) -> Frame: ...

    def covers(self, zone: ZoneId) -> bool:
        """Whether the source could answer for this zone, told without asking the network."""
        ...

    def fetch(self, zone: ZoneId, span: Span, wanted: Wanted) -> SignalSeries:
        """The part of the span that the source has, half-open, UTC; gaps are NaN.

        Raises:
            InputError: What the user gave the source (a file, a zone) is wrong.
            Unavailable, Rejected, Malformed, NoData: See ``lowtide_core.errors``.
        """
        ...


@runtime_checkable
class OfferSource(Protocol):
    """Price and availability at one instant."""

    def offers(self, query: OfferQuery, at_utc: datetime) -> tuple[Offer, ...]: ...


@runtime_checkable
class Engine(Protocol):
    """Runs launches. Every method may be called again with the same arguments."""

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        """Start it, once per key, however often this is called."""
        ...

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        """One report per key, in their order; also for keys that the engine has never heard of (``absent``)."""
        ...

    def cancel(self, key: AttemptKey) -> None:
        """End it and keep it from starting later; cancelling the absent or the ended is silent."""
        ...


@runtime_checkable
class Suspendable(Protocol):
    """An engine that can hold a running launch. Both methods may be called again with the same key.

    Whether it is held is told by ``observe``; a held launch can still be cancelled.
    """

    def suspend(self, key: AttemptKey) -> None:
        """Hold what runs until ``resume``; for what does not run, or not yet, this is silent and leaves nothing."""
        ...

    def resume(self, key: AttemptKey) -> None:
        """Let what is held run on; for what is not held this is silent."""
        ...


@runtime_checkable
class Movable(Protocol):
    """An engine with a queue of its own: it takes launches ahead of their time, and begins none before it."""

    def move(self, key: AttemptKey, begin_utc: datetime | None) -> None:
        """Let what waits begin from then on; None keeps it waiting until it is moved again.

        Silent for what does not wait: that is told by ``observe``.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """An engine that can say at once what it would refuse at night."""

    def check(self, launch: Launch) -> None:
        """Refuses what ``submit`` would refuse, as far as that can be told without asking the engine's system.

        Raises:
            InputError: An option that it does not know, or a command that cannot be started.
            Rejected: What it works with is not installed here.
        """
        ...


@runtime_checkable
class Metered(Protocol):
    """An engine that measures energy itself."""

    def energies_j(self, keys: Sequence[AttemptKey]) -> Mapping[AttemptKey, float]:
        """What the engine says that attempts used, of those that it can tell of; J.

        Of whole nodes, as engines measure: it stands beside our own figure, and is never added to it.
        """
        ...


@runtime_checkable
class Logged(Protocol):
    """An engine that keeps what a launch printed."""

    def log_path(self, key: AttemptKey) -> str:
        """Where it lies on this machine, fetched if need be; there is no such file where nothing was printed."""
        ...


@runtime_checkable
class Remote(Protocol):
    """An engine that shares no files with us: it runs the bare command under ``Launch.sampler``, if at all."""

    def fetch_journals(self, key: AttemptKey) -> tuple[bytes, ...]:
        """The sampler's journals of what has ended, one for each time that it was started; the last may be cut off.

        Raises:
            NoData: It is lost, or it was never to be measured; the message says which and why.
        """
        ...


@runtime_checkable
class Restarting(Protocol):
    """A ``Suspendable`` that holds by ending what runs, and resumes by starting it anew.

    What does not checkpoint would lose its work: to suspend it is ``Rejected``.
    """

    @property
    def restarts(self) -> bool: ...


@runtime_checkable
class Cloud(Protocol):
    """Brings machines up and always takes them down; what exists is found by its tags."""

    def bring_up(self, machine: str, key: AttemptKey) -> EngineRef: ...

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]: ...

    def take_down(self, ref: EngineRef) -> None: ...


@runtime_checkable
class Sink(Protocol):
    """Somewhere else that wants to know of a settlement: at least once, keyed by job and settlement number."""

    def publish(self, settlement: Mapping[str, object], key: str) -> None: ...

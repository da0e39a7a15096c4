"""Makes the chain of sources of a question: names, what was recorded, and what each source was worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError
from lowtide_providers.signals.chain import Chain, no_merits
from lowtide_providers.signals.registry import ACTUAL_ONLY, DEFAULT_CHAIN, EMBEDDED, HISTORY, build_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowtide.assembly.history import HistorySource
    from lowtide.histories import Histories
    from lowtide_core.places import ZoneId
    from lowtide_core.ports import SignalSource
    from lowtide_core.series import Frame
    from lowtide_providers.signals.chain import Merit
    from lowtide_providers.signals.registry import SignalSettings


@dataclass(frozen=True, slots=True)
class Links:
    """The sources of one process.

    Attributes:
        records_dir: Folder of what was recorded.
        chosen: Names that the user set, first to last; empty is the built-in chain.
    """

    settings: SignalSettings
    records_dir: str
    chosen: tuple[str, ...] = ()

    @property
    def histories(self) -> Histories:
        """What was recorded."""
        from pathlib import Path

        from lowtide.histories import Histories

        return Histories(Path(self.records_dir))

    def chain(self, signal: str = "", *, embedded: bool = False) -> Chain:
        """The sources to try.

        Args:
            signal: One source or file that the user demands; nothing else is tried then.
            embedded: Only what needs no network.
        Raises:
            InputError: A name is not a source.
        """
        if _is_history(signal) and not self.own(signal):
            raise InputError(
                f"There is nothing recorded for {signal} to forecast from.",
                hint="lowtide signals record ZONE, hourly from cron, keeps what sources say; lowtide serve does too.",
                source=signal,
            )
        names = (signal,) if signal else EMBEDDED if embedded else self.chosen or DEFAULT_CHAIN
        ours = not (signal or embedded or self.chosen)  # whoever names sources has said which go first
        return Chain(
            tuple(link for name in names for link in self._links(name)), cache(self.merits) if ours else no_merits
        )

    def own(self, name: str = HISTORY) -> tuple[SignalSource, ...]:
        """lowtide's own forecasts: one source over each record, or the one of that name; none where none is kept."""
        return tuple(self._links(name))

    def merits(self, zone: ZoneId) -> Mapping[str, Merit]:
        """What each source's forecasts were worth in the zone lately, by its name.

        A model that was judged beside several records has the figure of most jobs.
        """
        from lowtide.assembly.learnt import learnt_of

        found: dict[str, Merit] = {}
        for name in self.histories.names():
            learnt = learnt_of(self.histories.get(name), self.settings.as_of_utc) if name.zone == zone else None
            for source, merit in () if learnt is None else learnt.merits.items():
                if source not in found or found[source].jobs < merit.jobs:
                    found[source] = merit
        return found

    def recorded(self) -> tuple[SignalSource, ...]:
        """The sources that ask the network, as they are: what is recorded is what they said."""
        named = tuple(name for name in self.chosen or DEFAULT_CHAIN if not _is_history(name))
        names = dict.fromkeys((*named, *ACTUAL_ONLY))
        settings = replace(self.settings, background=True)
        return tuple(build_source(name, settings) for name in names if name not in EMBEDDED)

    def actuals(self, signal: str = "") -> tuple[SignalSource, ...]:
        """Every source that could have actuals, the one that a job demanded first; a model has none."""
        demanded = (signal.removeprefix(f"{HISTORY}:"),) if signal and signal != HISTORY else ()
        named = tuple(name for name in self.chosen or DEFAULT_CHAIN if not _is_history(name))
        names = dict.fromkeys((*demanded, *named, *ACTUAL_ONLY))
        return tuple(build_source(name, self.settings) for name in names if name not in EMBEDDED)

    def _links(self, name: str) -> Iterator[SignalSource]:
        """The sources of one name: ``history`` stands for one over each source that was recorded."""
        if name in EMBEDDED:
            yield build_source(name, self.settings)
        elif not _is_history(name):
            from lowtide.assembly.judged import JudgedSource  # what it needs costs more than a plan on climatology

            source = build_source(name, self.settings)
            ours = self._over(source.name, source.frame)
            yield JudgedSource(source, self.histories, ours, self.settings.as_of_utc)
        else:
            wanted = name.removeprefix(HISTORY).removeprefix(":")
            records = dict.fromkeys((record.source, record.frame) for record in self.histories.names())
            for of, frame in sorted(records, key=lambda record: self._place(record[0])):
                if wanted in ("", of):
                    yield self._over(of, frame)

    def _over(self, of: str, frame: Frame) -> HistorySource:
        """lowtide's own forecasts over the record of a source."""
        from lowtide.assembly.history import HistorySource, predict

        return HistorySource(of, frame, self.histories, predict, self.settings.as_of_utc)

    def _place(self, name: str) -> int:
        order = (*self.chosen, *DEFAULT_CHAIN)
        return order.index(name) if name in order else len(order)


def _is_history(name: str) -> bool:
    return name.partition(":")[0] == HISTORY

"""An engine that runs nothing and remembers everything, and that fails where a test tells it to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from lowtide_core.launches import EngineRef, EngineReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.launches import AttemptKey, Launch

Operation = Literal["submit", "observe", "cancel", "suspend", "resume"]


@dataclass(slots=True)
class FakeEngine:
    """Keeps the contracts of ``lowtide_core.ports.Engine`` and ``Suspendable`` in memory.

    Attributes:
        starts: One entry for each launch that really began: a key that stands here twice was run twice.
        starts_at_once: False leaves a submitted launch ``accepted`` until ``begin``.
    """

    starts: list[tuple[AttemptKey, Launch]] = field(default_factory=list)
    starts_at_once: bool = True
    at_utc: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    _reports: dict[AttemptKey, EngineReport] = field(default_factory=dict)
    _launches: dict[AttemptKey, Launch] = field(default_factory=dict)
    _faults: dict[Operation, tuple[BaseException, bool]] = field(default_factory=dict)

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        after = self._fault("submit")
        if key not in self._reports:
            self._launches[key] = launch
            self._reports[key] = EngineReport(key, "accepted", EngineRef(f"fake-{key}"))
            if self.starts_at_once:
                self.begin(key)
        if after is not None:
            raise after
        return EngineRef(f"fake-{key}")

    def observe(self, keys: Sequence[AttemptKey]) -> tuple[EngineReport, ...]:
        after = self._fault("observe")
        if after is not None:
            raise after
        return tuple(self._reports.get(key, EngineReport(key, "absent")) for key in keys)

    def cancel(self, key: AttemptKey) -> None:
        after = self._fault("cancel")
        report = self._reports.get(key, EngineReport(key, "absent"))
        if report.state in ("absent", "accepted"):
            self._reports[key] = replace(report, state="ended", why="cancelled before it started")
        elif report.state == "running":
            self.end(key, 143, why="ended by signal SIGTERM")
        if after is not None:
            raise after

    def suspend(self, key: AttemptKey) -> None:
        after = self._fault("suspend")
        report = self._reports.get(key)
        if report is not None and report.state == "running" and not report.suspended:
            self._reports[key] = replace(report, suspended=True, suspended_utc=self.at_utc)
        if after is not None:
            raise after

    def resume(self, key: AttemptKey) -> None:
        after = self._fault("resume")
        report = self._reports.get(key)
        if report is not None:
            self._reports[key] = replace(report, suspended=False, suspended_utc=None)
        if after is not None:
            raise after

    def begin(self, key: AttemptKey) -> None:
        """The accepted launch starts to run."""
        self.starts.append((key, self._launches[key]))
        self._reports[key] = replace(self._reports[key], state="running", started_utc=self.at_utc)

    def end(self, key: AttemptKey, exit_status: int, *, why: str = "") -> None:
        """The running launch ends; one that is suspended can, by a signal that nobody can ignore."""
        awake = replace(self._reports[key], suspended=False, suspended_utc=None)
        self._reports[key] = replace(awake, state="ended", ended_utc=self.at_utc, exit_status=exit_status, why=why)

    def vanish(self, key: AttemptKey) -> None:
        """The launch was started, and how it ended is not known any more."""
        self._reports[key] = replace(self._reports[key], state="vanished", why="the node was rebooted")

    def forget(self, key: AttemptKey) -> None:
        """The engine has lost its own books: it says that it never heard of the launch."""
        del self._reports[key]

    def break_next(self, operation: Operation, error: BaseException, *, after: bool = False) -> None:
        """The next call of that operation raises: before it has done anything, or after it has done everything."""
        self._faults[operation] = (error, after)

    def forget_faults(self) -> None:
        """Nothing breaks any more."""
        self._faults.clear()

    def _fault(self, operation: Operation) -> BaseException | None:
        """Raises the error that is due now; gives back the one that is due at the end."""
        error, after = self._faults.pop(operation, (None, False))
        if error is not None and not after:
            raise error
        return error


@dataclass(slots=True)
class FakeQueue(FakeEngine):
    """A ``FakeEngine`` with a queue of its own: ``Movable``. What it accepts begins when ``begin`` is called."""

    starts_at_once: bool = False

    def submit(self, launch: Launch, key: AttemptKey) -> EngineRef:
        known = key in self._reports
        ref = FakeEngine.submit(self, launch, key)
        if not known:
            self._reports[key] = replace(self._reports[key], queued=True, begin_utc=launch.begin_utc)
        return ref

    def move(self, key: AttemptKey, begin_utc: datetime | None) -> None:
        report = self._reports.get(key)
        if report is not None and report.state == "accepted":
            held = begin_utc is None
            self._reports[key] = replace(report, suspended=held, begin_utc=None if held else begin_utc)

    def begin(self, key: AttemptKey) -> None:
        self._reports[key] = replace(self._reports[key], queued=False, begin_utc=None)
        FakeEngine.begin(self, key)

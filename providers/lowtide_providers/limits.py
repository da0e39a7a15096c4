"""How often each service may be asked, counted over all processes of a machine through small files."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lowtide_providers.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import FileIO

_PATIENCE_S = 2.0  # for a file that others hold for a moment only
_FARTHEST_S = 600.0  # a turn that lies farther ahead is of a clock that was set back
_LONGEST_HOLD_S = 86400.0
_LARGEST_FILE = 1 << 20  # bytes; a larger one is not ours


@dataclass(frozen=True, slots=True)
class Budget:
    """A service's limit.

    Attributes:
        spacing_s: Least time between two requests.
        most, window_s: At most so many requests within any such time; 0 is no limit.
        background: Holds back only what nobody waits for (recording); every request is counted.
    """

    spacing_s: float = 0.0
    most: int = 0
    window_s: float = 0.0
    background: bool = False

    def free_at_s(self, turns_s: list[float]) -> float:
        """When the next request may be made after those (in order); 0 is at any time."""
        spaced_s = turns_s[-1] + self.spacing_s if turns_s else 0.0
        return max(spaced_s, turns_s[-self.most] + self.window_s if 0 < self.most <= len(turns_s) else 0.0)


BUDGETS: Mapping[str, Budget] = {
    "api.energy-charts.info": Budget(spacing_s=1.5),  # it answers 429 soon; no number is published
    "web-api.tp.entsoe.eu": Budget(most=400, window_s=60.0),  # by address and by token; more is a ban of 10 min
    "api.watttime.org": Budget(spacing_s=0.1),  # 3,000 in 5 min
    "api.watttime.org/login": Budget(most=100, window_s=300.0),
    # not published and not confirmed for a free key, so that nobody is made to wait for it
    "api.electricitymaps.com": Budget(most=50, window_s=3600.0, background=True),
}
"""Host, or host and the beginning of a path -> its limit. A request counts for every one that fits."""


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Gives requests their turns.

    Attributes:
        folder: Where the turns are kept, a file per host; None, or where it cannot be used: in this process alone.
        background: Nobody waits for these requests, so the budgets for the background hold too.
    """

    folder: Path | None = None
    background: bool = False
    budgets: Mapping[str, Budget] = field(default_factory=lambda: BUDGETS)
    now_s: Callable[[], float] = field(default=time.time, repr=False, compare=False)
    _own: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _own_lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def take_turn(self, url: str, *, longest_s: float) -> float:
        """Seconds to wait before that address may be asked.

        The turn is taken, unless the wait is longer than ``longest_s``: then nothing is, and the caller gives up.
        """
        host, fitting = self._fitting(url)

        def take(state: dict[str, Any]) -> float:
            now_s = self.now_s()
            turns_s = {name: _known(state.get(name), budget, now_s) for name, budget in fitting.items()}
            free_s = [
                budget.free_at_s(turns_s[name])
                for name, budget in fitting.items()
                if self.background or not budget.background
            ]
            at_s = max(now_s, _hold_s(state, now_s), *free_s, 0.0)
            if at_s - now_s > longest_s:
                return at_s - now_s
            state.update({name: [*turns, at_s][-max(1, fitting[name].most) :] for name, turns in turns_s.items()})
            return at_s - now_s

        return self._with_state(host, take)

    def hold(self, url: str, wait_s: float) -> None:
        """Lets nobody ask that host for so long, a day at most: it said so itself."""
        host, _ = self._fitting(url)

        def put(state: dict[str, Any]) -> float:
            now_s = self.now_s()
            until_s = max(now_s + min(wait_s, _LONGEST_HOLD_S), _hold_s(state, now_s))
            state[_HOLD] = until_s
            return until_s

        self._with_state(host, put)

    def _fitting(self, url: str) -> tuple[str, dict[str, Budget]]:
        """The host, and the budgets that its requests count for."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()
        address = f"{host}{parts.path}/"
        return host, {name: budget for name, budget in self.budgets.items() if address.startswith(f"{name}/")}

    def _with_state(self, host: str, change: Callable[[dict[str, Any]], float]) -> float:
        """What the change gives; the state that it leaves is kept where others see it, if that can be."""
        if self.folder is not None:
            with locked(self.folder / f"{host.replace(':', '_')}.json", patience_s=_PATIENCE_S) as file:
                if file is not None:
                    state = _loaded(file)
                    given = change(state)
                    if _keep(file, state):
                        return given
        with self._own_lock:
            return change(self._own.setdefault(host, {}))


_HOLD = "not_before_s"


@cache
def limits_of(folder: Path | None, background: bool) -> Limits:
    """One per folder and process, so that its sources count together where no file can be had."""
    return Limits(folder, background)


def _known(turns_s: object, budget: Budget, now_s: float) -> list[float]:
    """The turns that still matter, in order."""
    if not isinstance(turns_s, list):
        return []
    oldest_s = now_s - max(budget.spacing_s, budget.window_s)
    return sorted(
        float(turn) for turn in turns_s if isinstance(turn, int | float) and oldest_s < turn <= now_s + _FARTHEST_S
    )


def _hold_s(state: Mapping[str, Any], now_s: float) -> float:
    until_s = state.get(_HOLD)
    if not isinstance(until_s, int | float) or until_s > now_s + _LONGEST_HOLD_S:
        return 0.0
    return float(until_s)


def _loaded(file: FileIO) -> dict[str, Any]:
    """What stands in the file; nothing where it is new or was torn."""
    try:
        state = json.loads(file.read(_LARGEST_FILE))
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _keep(file: FileIO, state: Mapping[str, Any]) -> bool:
    """Whether it stands in the file; on a full disk it does not."""
    try:
        file.seek(0)
        file.truncate()
        file.write(json.dumps(state).encode())
    except OSError:
        return False
    return True

"""CPU seconds where there is no /proc (macOS, Windows), from psutil; there the model is all that gives an energy.

psutil is imported late and nowhere else than on such a system.
"""

from __future__ import annotations

from typing import Any

_NOT_BUSY = frozenset({"idle", "iowait", "steal", "guest", "guest_nice"})


def node_cpu_s(psutil: Any = None) -> tuple[float, float]:
    """(busy CPU seconds, all CPU seconds) of the node since it started.

    Raises:
        ImportError: psutil is not installed.
    """
    times = (psutil or _psutil()).cpu_times()._asdict()
    busy_s = sum(seconds for name, seconds in times.items() if name not in _NOT_BUSY)
    return busy_s, busy_s + times.get("idle", 0.0) + times.get("iowait", 0.0)


class ProcessTree:
    """CPU seconds of a process's descendants, as far as they were seen alive.

    Neither system gives up what an ended child used, nor tells of it to a stranger: what is counted of it is what the
    last look before its end showed. Short-lived children are missed; the figure never falls.

    Args:
        pid: Whose descendants.
        psutil: The module; None: the installed one.
    """

    def __init__(self, pid: int, psutil: Any = None) -> None:
        self._psutil = psutil or _psutil()
        self._pid = pid
        self._seen_s: dict[tuple[int, float], float] = {}

    def read(self) -> tuple[float, frozenset[int]]:
        """(CPU seconds, processes alive)."""
        pids = set()
        for process in self._descendants():
            try:
                identity = (process.pid, process.create_time())
                times = process.cpu_times()
            except self._psutil.Error:  # it ended between two looks, or is another person's
                continue
            pids.add(process.pid)
            own_s = times.user + times.system
            waited_s = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            self._seen_s[identity] = max(self._seen_s.get(identity, 0.0), own_s + waited_s)
        return sum(self._seen_s.values()), frozenset(pids)

    def _descendants(self) -> list[Any]:
        try:
            return list(self._psutil.Process(self._pid).children(recursive=True))
        except self._psutil.Error:
            return []


def _psutil() -> Any:
    import psutil  # type: ignore[import-untyped]

    return psutil

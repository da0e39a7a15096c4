"""CPU seconds of the node where there is no /proc (macOS, Windows), from psutil.

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


def _psutil() -> Any:
    import psutil  # type: ignore[import-untyped]

    return psutil

"""Results without energy: of a run whose energy another one counts, or that could not be measured. Never a zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_UNKNOWN = ("energy_j", "energy_low_j", "energy_high_j", "measured_share", "modelled_share", "filled_share")
_COMPONENTS = ("cpu", "dram", "gpu", "rest")


def without_energy(result: dict[str, Any], flag: str) -> dict[str, Any]:
    """The result with every energy null and ``flag`` as the reason, for the whole and for each component."""
    nothing = dict.fromkeys(("energy_j", "energy_low_j", "energy_high_j", "measured_share"))
    return {
        **result,
        **dict.fromkeys(_UNKNOWN),
        "components": {name: {**nothing, "sources": [], "flags": [flag]} for name in _COMPONENTS},
        "flags": [*result.get("flags", ()), flag],
        "buckets": [],
    }


def not_measured(why: str, cpu_seconds: float, duration_s: float, tags: dict[str, str]) -> dict[str, Any]:
    """What a caller gets whose helper did not come up: its own time and CPU seconds, and why there is no energy."""
    result = {
        "schema": "lowtide-run/1",
        "run_id": "none",
        "plan_id": None,
        "tags": tags,
        "end": "not_measured",
        "exit_status": None,
        "signal": None,
        "duration_s": duration_s,
        "cpu_seconds": cpu_seconds,
        "flags": [],
        "notes": [why],
        "sections": [],
    }
    return without_energy(result, "not_measured")

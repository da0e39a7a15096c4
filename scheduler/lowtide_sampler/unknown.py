"""Results without energy: of a run whose energy another one counts, or that could not be measured. Never a zero."""

from __future__ import annotations

from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SCHEMA = "lowtide-run/1"
COMPONENTS = ("cpu", "dram", "gpu", "rest")
_FIGURES = ("energy_j", "energy_low_j", "energy_high_j", "measured_share")


def without_energy(result: dict[str, Any], flag: str) -> dict[str, Any]:
    """The result with every energy null and ``flag`` as the reason, for the whole and for each component."""
    return {
        **result,
        **dict.fromkeys((*_FIGURES, "modelled_share", "filled_share")),
        "components": {name: absent_component(flag) for name in COMPONENTS},
        "flags": [*result.get("flags", ()), flag],
        "buckets": [],
    }


def absent_component(why: str) -> dict[str, Any]:
    """A component that nothing measures or models: null figures, and why."""
    return {**dict.fromkeys(_FIGURES), "sources": [], "flags": [why]}


def not_measured(why: str, cpu_seconds: float, duration_s: float, tags: dict[str, str]) -> dict[str, Any]:
    """What a caller gets whose helper did not come up: its own time and CPU seconds, and why there is no energy."""
    result = {
        "schema": SCHEMA,
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

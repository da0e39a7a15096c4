"""A ledger -> the result of a run: the job's energy, the 90 % band, what of it was measured, modelled and filled.

Within a component errors add up linearly, and what attribution, models and holes leave open is added as an interval.
The bands of the components, whose causes have nothing to do with one another, add up in quadrature.
"""

from __future__ import annotations

import math
import time

from lowtide_sampler.attribution import RULES, Allotment, attribute
from lowtide_sampler.integrate import AMBIGUOUS, GAP
from lowtide_sampler.meters import BESIDE
from lowtide_sampler.standins import TYPE_CHECKING
from lowtide_sampler.unknown import COMPONENTS, SCHEMA, absent_component, without_energy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from lowtide_sampler.attribution import Share
    from lowtide_sampler.integrate import Ledger, Track

SCOPES = ("device", "node", "facility")
_STEPS_OF_A_FIGURE = 10


def build(header: dict[str, Any], ledger: Ledger, end: dict[str, Any] | None) -> dict[str, Any]:
    """The result of a run up to its ledger's last record; of one that is over, whose ledger is closed.

    Args:
        header: The journal's first record.
        ledger: Fed with every record of readings.
        end: The journal's last record; None for a run that has none (yet).
    """
    end = end or {"end": "open"}
    rule, scope, pue = str(header.get("attribution", "share")), str(header.get("scope") or "node"), header.get("pue")
    tail_s = float(end.get("tail_s", 0.0))
    allotment = Allotment.from_header(header)
    every = [track for track in ledger.meters + ledger.models if track.source.component != BESIDE]
    by_rule = {name: [attribute(track, ledger, allotment, name, tail_s) for track in every] for name in RULES}
    factor = float(pue) if scope == "facility" and pue is not None else 1.0
    pairs = [
        (track, share.times(factor))
        for track, share in zip(every, by_rule[rule])
        if scope != "device" or track.source.component != "rest"
    ]
    shares = [share for _, share in pairs]
    buckets = _buckets(shares)
    energy_j = math.fsum(bucket["energy_j"] for bucket in buckets)
    modelled_j = _sum_j(share for track, share in pairs if track.source.kind == "model")
    filled_j = math.fsum(share.filled_j for share in shares)
    below_j, above_j = _total_band(pairs)
    result = {
        "schema": SCHEMA,
        "run_id": header["run_id"],
        "plan_id": header.get("plan_id"),
        "argv_hash": header.get("argv_hash"),
        "host": header.get("host"),
        "tags": header.get("tags", {}),
        "container": header.get("container"),
        "scope": scope,
        "start_utc": iso_utc(float(header["start_utc_s"])),
        "end_utc": iso_utc(float(header["start_utc_s"]) + ledger.t_s),
        "end": end["end"],
        "exit_status": end.get("exit_status"),
        "signal": end.get("signal"),
        "duration_s": ledger.duration_s,
        "cpu_seconds": ledger.job_cpu_s,
        "energy_j": energy_j,
        "energy_low_j": max(energy_j - below_j, 0.0),
        "energy_high_j": energy_j + above_j,
        "measured_share": _part(energy_j - modelled_j - filled_j, energy_j),
        "modelled_share": _part(modelled_j, energy_j),
        "filled_share": _part(filled_j, energy_j),
        "filled_s": max((_gap_s(track) for track, _ in pairs), default=0.0),
        "components": _components(pairs, header, end, scope),
        "scopes": _scopes(zip(every, by_rule[rule]), pue),
        "beside": _beside(ledger, end),
        "attribution": {
            "rule": rule,
            "allocated_share": allotment.cpu_share,
            "memory_share": allotment.memory_share,
            "cpu_share": _cpu_share(ledger),
            **{f"energy_{name}_j": _sum_j(of_rule) for name, of_rule in by_rule.items()},
        },
        "flags": _run_flags(header, ledger, tail_s),
        "notes": list(header.get("notes", ())),
        "buckets": buckets,
    }  # fmt: skip
    if header.get("counted_by"):
        return without_energy(result, f"counted_by_{header['counted_by']}")
    return result if ledger.has_begun else without_energy(result, "no_reading")


def _beside(ledger: Ledger, end: dict[str, Any]) -> dict[str, float]:
    """What else measured this run, of the whole node and never added; J."""
    tracks = [track for track in ledger.meters if track.source.component == BESIDE and track.has_moved]
    told = {track.source.label: math.fsum(cell.energy_j for cell in track.cells.values()) for track in tracks}
    slurm_j = end.get("slurm_consumed_energy_j")
    return told if slurm_j is None else {**told, "Slurm": float(slurm_j)}


def _scopes(pairs: Iterable[tuple[Track, Share]], pue: float | None) -> dict[str, float | None]:
    """The job's energy as its devices, its node and its facility draw it; the facility's is null without a PUE."""
    pairs = list(pairs)
    node_j = _sum_j(share for _, share in pairs)
    rest_j = _sum_j(share for track, share in pairs if track.source.component == "rest")
    return {"device_j": node_j - rest_j, "node_j": node_j, "facility_j": None if pue is None else node_j * float(pue)}


def _sum_j(shares: Iterable[Share]) -> float:
    return math.fsum(share.energy_j for share in shares)


def _components(
    pairs: list[tuple[Track, Share]], header: dict[str, Any], end: dict[str, Any], scope: str
) -> dict[str, Any]:
    """The result's components; a component that nothing measures or models has null figures and says why."""
    unreadable = frozenset(header.get("unreadable", ()))
    late: dict[str, list[str]] = end.get("source_flags", {})
    by_name = {name: [pair for pair in pairs if pair[0].source.component == name] for name in COMPONENTS}
    cpu_is_modelled = any(track.source.kind == "model" for track, _ in by_name["cpu"])
    absent = {"gpu": "none_found", **({"dram": "within_cpu", "rest": "within_cpu"} if cpu_is_modelled else {})}
    absent.update({"rest": "out_of_scope"} if scope == "device" else {})
    components = {}
    for name, own in by_name.items():
        why = "unreadable" if name in unreadable else absent.get(name, "unknown")
        components[name] = _component(own, late) if own else absent_component(why)
        if own and name in unreadable:
            components[name]["flags"].append("unreadable")
    return components


def _component(pairs: list[tuple[Track, Share]], late: dict[str, list[str]]) -> dict[str, Any]:
    energy_j = math.fsum(share.energy_j for _, share in pairs)
    below_j, above_j = _band([share for _, share in pairs])
    measured_j = math.fsum(share.energy_j - share.filled_j for track, share in pairs if track.source.kind != "model")
    return {
        "energy_j": energy_j,
        "energy_low_j": max(energy_j - below_j, 0.0),
        "energy_high_j": energy_j + above_j,
        "measured_share": _part(measured_j, energy_j),
        "sources": sorted({track.source.label for track, _ in pairs}),
        "flags": sorted({flag for track, _ in pairs for flag in (*_flags(track), *late.get(track.source.name, ()))}),
    }


def _flags(track: Track) -> list[str]:
    flags = list(track.source.flags)
    seconds = math.fsum(cell.covered_s + cell.gap_s for cell in track.cells.values())
    sharing = track.sharing.values()
    found = {
        "modelled": track.source.kind == "model",
        "ambiguous_wraps": track.counts[AMBIGUOUS],
        "filled": track.counts[GAP],
        "did_not_move": not track.has_moved,
        "short_for_counter": seconds < _STEPS_OF_A_FIGURE * track.source.step_s,
        "assumed_exclusive": any(part.blind_s > 0 for part in sharing),
        "shared_device": any(part.all_s > part.own_s for part in sharing),
    }
    return [*flags, *(name for name, is_so in found.items() if is_so)]


def _total_band(pairs: list[tuple[Track, Share]]) -> tuple[float, float]:
    """(below, above) the point: the bands of the components, which are independent of one another, in quadrature."""
    bands_j = [_band([share for track, share in pairs if track.source.component == name]) for name in COMPONENTS]
    return math.hypot(*(below_j for below_j, _ in bands_j)), math.hypot(*(above_j for _, above_j in bands_j))


def _band(shares: list[Share]) -> tuple[float, float]:
    """(below, above) the point of one component: errors of like causes add up as they are."""
    error_j = math.fsum(share.error_j for share in shares)
    below_j, above_j = (math.fsum(share.below_j for share in shares), math.fsum(share.above_j for share in shares))
    return error_j + below_j, error_j + above_j


def _buckets(shares: list[Share]) -> list[dict[str, Any]]:
    starts = sorted({bucket for share in shares for bucket in share.by_bucket})
    return [
        {"start_utc": iso_utc(start), "energy_j": math.fsum(share.by_bucket.get(start, 0.0) for share in shares)}
        for start in starts
    ]


def _run_flags(header: dict[str, Any], ledger: Ledger, tail_s: float) -> list[str]:
    found = {
        "suspended": ledger.suspends,
        "clock_jumped": ledger.clock_jumps,
        "tail_unseen": tail_s,
        "node_load_unseen": any(usage.unseen_s > 0 for usage in ledger.usage.values()),
    }
    return [*header.get("flags", ()), *(name for name, seen in found.items() if seen)]


def _cpu_share(ledger: Ledger) -> float | None:
    return _part(ledger.job_cpu_s, math.fsum(usage.busy_cpu_s for usage in ledger.usage.values()))


def _gap_s(track: Track) -> float:
    return math.fsum(cell.gap_s for cell in track.cells.values())


def _part(energy_j: float, total_j: float) -> float | None:
    return min(max(energy_j / total_j, 0.0), 1.0) if total_j > 0 else None


def iso_utc(epoch_s: float) -> str:
    """``2026-01-03T10:00:00Z``, with milliseconds where there are some."""
    milliseconds = round(epoch_s * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z" if milliseconds % 1000 else f"{text}Z"


def is_counted_elsewhere(result: dict[str, Any]) -> bool:
    """Whether the run is a rank whose energy another rank's result holds."""
    return any(flag.startswith("counted_by_") for flag in result["flags"])


def summary(result: dict[str, Any]) -> str:
    """One line for a person: energy, band, and what part of it was measured, modelled and filled."""
    energy_j = result["energy_j"]
    if is_counted_elsewhere(result):
        return f"{result['cpu_seconds']:.3g} CPU seconds; the energy of this node is counted by rank 0"
    if "no_reading" in result["flags"]:
        return "energy unknown: it ended before the first reading"
    if not energy_j:
        return "energy unknown: no counter and no model for this node"
    factor, unit = energy_unit(energy_j)
    band = f"{result['energy_low_j'] / factor:.3g}-{result['energy_high_j'] / factor:.3g}"
    words = [f"{energy_j / factor:.3g} {unit} ({band})"]
    measured = _labels(result, modelled=False)
    if result["measured_share"]:
        words.append(f"{_pct(result['measured_share'])} measured ({', '.join(measured)})")
    if result["modelled_share"]:
        words.append(f"{_pct(result['modelled_share'])} modelled ({', '.join(_labels(result, modelled=True))})")
    if result["filled_share"]:
        hole = f"{result['filled_s']:.3g} s of {result['duration_s']:.3g} s"
        words.append(f"{_pct(result['filled_share'])} filled ({hole})")
    return ", ".join(words)


_UNITS = ((360e3, 3.6e6, "kWh"), (360.0, 3600.0, "Wh"), (0.0, 1.0, "J"))


def energy_unit(energy_j: float) -> tuple[float, str]:
    """(joules in it, its name) of the unit in which a person reads an energy."""
    return next((factor_j, unit) for floor_j, factor_j, unit in _UNITS if energy_j >= floor_j)


_MODEL_LABELS = frozenset({"CPU model", "memory model", "rest of node"})


def _labels(result: dict[str, Any], *, modelled: bool) -> list[str]:
    seen = dict.fromkeys(label for part in result["components"].values() for label in part["sources"])
    return [label for label in seen if (label in _MODEL_LABELS) is modelled]


def _pct(share: float) -> str:
    return "< 1 %" if share < 0.005 else f"{100 * share:.0f} %"

"""A ledger -> the job's energy: attribution, the 90 % band, what of it was measured, modelled and filled.

Attribution, by bucket and source: the job pays for its allocated share of the idle power, and of the power above idle
for the share that its CPU seconds have in all busy ones. Errors of one kind of counter add up linearly, those of
independent ones in quadrature; what attribution, models and holes leave open is added as an interval.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

from lowtide_sampler.integrate import AMBIGUOUS, GAP, Cell, Usage
from lowtide_sampler.meters import BESIDE
from lowtide_sampler.unknown import without_energy

if TYPE_CHECKING:
    from typing import Any

    from lowtide_sampler.integrate import Ledger, Track

SCHEMA = "lowtide-run/1"
COMPONENTS = ("cpu", "dram", "gpu", "rest")
RULES = ("share", "node", "marginal")
_SIGMAS_OF_90_PCT = 1.645
_GUESSED_IDLE = (0.5, 1.5)
_SEEN_IDLE = (0.8, 1.0)


class Share(NamedTuple):
    """The job's part of one source; J. ``error_j`` is half the statistical band; below and above it add the rest."""

    energy_j: float
    filled_j: float
    error_j: float
    below_j: float
    above_j: float
    by_bucket: dict[int, float]


def build(header: dict[str, Any], ledger: Ledger, end: dict[str, Any] | None) -> dict[str, Any]:
    """The result of a run whose ledger is closed.

    Args:
        header: The journal's first record.
        ledger: Fed with every record of readings.
        end: The journal's last record; None for a run that has none (yet).
    """
    end = end or {"end": "open"}
    rule = str(header.get("attribution", "share"))
    tail_s = float(end.get("tail_s", 0.0))
    tracks = [track for track in ledger.meters + ledger.models if track.source.component != BESIDE]
    shares = [attribute(track, ledger, header, rule, tail_s) for track in tracks]
    pairs = list(zip(tracks, shares))  # noqa: B905  Python 3.9 has no strict
    components = _components(pairs, frozenset(header.get("unreadable", ())))
    buckets = _buckets(shares)
    energy_j = math.fsum(bucket["energy_j"] for bucket in buckets)
    modelled_j = math.fsum(share.energy_j for track, share in pairs if track.source.kind == "model")
    filled_j = math.fsum(share.filled_j for share in shares)
    below_j, above_j = _total_band(pairs)
    result = {
        "schema": SCHEMA,
        "run_id": header["run_id"],
        "plan_id": header.get("plan_id"),
        "argv_hash": header.get("argv_hash"),
        "host": header.get("host"),
        "tags": header.get("tags", {}),
        "scope": "it_share_of_node",
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
        "filled_s": max((_gap_s(track) for track in tracks), default=0.0),
        "components": components,
        "beside": {track.source.label: sum(cell.energy_j for cell in track.cells.values())
                   for track in ledger.meters if track.source.component == BESIDE},
        "attribution": {
            "rule": rule,
            "allocated_share": header["allocated_share"],
            "cpu_share": _cpu_share(ledger),
            **{f"energy_{name}_j": math.fsum(attribute(track, ledger, header, name, 0.0).energy_j for track in tracks)
               for name in RULES},
        },
        "flags": [*header.get("flags", ()), *_run_flags(ledger, tail_s)],
        "notes": list(header.get("notes", ())),
        "buckets": buckets,
    }  # fmt: skip
    return without_energy(result, f"counted_by_{header['counted_by']}") if header.get("counted_by") else result


def attribute(track: Track, ledger: Ledger, header: dict[str, Any], rule: str, tail_s: float) -> Share:
    """The job's part of one source by one of the ``RULES``.

    Args:
        track: The source's energy by bucket; its gaps are filled with its own mean power.
        ledger: Whose CPU seconds share it out.
        header: Gives the allocated share of the node, and the idle share of full power.
        rule: ``share``, ``node`` (all of it) or ``marginal`` (no idle power).
        tail_s: Time after the last record in which the job may have gone on; widens the band upwards.
    """
    source = track.source
    allocated = 1.0 if source.job_share is not None else float(header["allocated_share"])
    fill_w = track.mean_power_w if track.mean_power_w is not None else source.pmax_w / 2
    idle_w, idle_low_w, idle_high_w = _idle_w(track, ledger, float(header["idle_share"]))
    by_bucket: dict[int, float] = {}
    low_j = high_j = filled_j = 0.0
    for bucket, cell in sorted(track.cells.items()):
        usage = ledger.usage.get(bucket, Usage())
        node_j = cell.energy_j + fill_w * cell.gap_s
        parts = [
            source.job_share if source.job_share is not None else _factor(rule, node_j, cell, usage, allocated, watts)
            for watts in (idle_w, idle_low_w, idle_high_w)
        ]
        by_bucket[bucket] = node_j * parts[0]
        filled_j += fill_w * cell.gap_s * parts[0]
        low_j += cell.low_j * min(parts)
        high_j += max(cell.high_j, node_j) * max(parts)
    energy_j = math.fsum(by_bucket.values())
    tail_j = source.pmax_w * tail_s * (source.job_share if source.job_share is not None else 1.0)
    return Share(
        energy_j=energy_j,
        filled_j=filled_j,
        error_j=_SIGMAS_OF_90_PCT * source.error_share * energy_j,
        below_j=energy_j - low_j * source.low_share,
        above_j=high_j * source.high_share - energy_j + tail_j,
        by_bucket=by_bucket,
    )


def _factor(rule: str, node_j: float, cell: Cell, usage: Usage, allocated: float, idle_w: float) -> float:
    """The job's part (0-1) of a cell's energy, given the source's idle power."""
    if rule == "node":
        return 1.0
    cpu_share = _ratio(usage.job_cpu_s, usage.busy_cpu_s)
    idle_part = min(idle_w * (cell.covered_s + cell.gap_s) / node_j, 1.0) if node_j > 0 else 1.0
    return (allocated * idle_part if rule == "share" else 0.0) + (1 - idle_part) * cpu_share


def _ratio(job_cpu_s: float, busy_cpu_s: float) -> float:
    if busy_cpu_s <= 0:
        return 1.0 if job_cpu_s > 0 else 0.0
    return min(job_cpu_s / busy_cpu_s, 1.0)


def _idle_w(track: Track, ledger: Ledger, idle_share: float) -> tuple[float, float, float]:
    """(idle power, lowest, highest) of a source: known, or the lowest seen at next to no load, or by its family.

    By its family: the mean power is that of a line from idle to full at the mean load, whose idle end is
    ``idle_share`` of its full one.
    """
    if track.source.kind == "model":
        known_w = track.source.idle_w or 0.0
        return known_w, known_w, known_w
    if track.idle_w is not None:
        return track.idle_w, _SEEN_IDLE[0] * track.idle_w, _SEEN_IDLE[1] * track.idle_w
    seconds = math.fsum(usage.seconds for usage in ledger.usage.values())
    busy_cpu_s = math.fsum(usage.busy_cpu_s for usage in ledger.usage.values())
    load = min(busy_cpu_s / (ledger.threads * seconds), 1.0) if seconds > 0 else 1.0
    guess_w = (track.mean_power_w or 0.0) * idle_share / (idle_share + (1 - idle_share) * load)
    return guess_w, _GUESSED_IDLE[0] * guess_w, _GUESSED_IDLE[1] * guess_w


def _components(pairs: list[tuple[Track, Share]], unreadable: frozenset[str]) -> dict[str, Any]:
    """The result's components; a component that nothing measures or models has null figures and says why."""
    by_name = {name: [pair for pair in pairs if pair[0].source.component == name] for name in COMPONENTS}
    cpu_is_modelled = any(track.source.kind == "model" for track, _ in by_name["cpu"])
    absent = {"gpu": "none_found", **({"dram": "within_cpu", "rest": "within_cpu"} if cpu_is_modelled else {})}
    components = {}
    for name, own in by_name.items():
        why = "unreadable" if name in unreadable else absent.get(name, "unknown")
        components[name] = _component(own) if own else _absent_component(why)
        if own and name in unreadable:
            components[name]["flags"].append("unreadable")
    return components


def _absent_component(why: str) -> dict[str, Any]:
    figures = dict.fromkeys(("energy_j", "energy_low_j", "energy_high_j", "measured_share"))
    return {**figures, "sources": [], "flags": [why]}


def _component(pairs: list[tuple[Track, Share]]) -> dict[str, Any]:
    energy_j = math.fsum(share.energy_j for _, share in pairs)
    error_j = math.fsum(share.error_j for _, share in pairs)
    below_j = error_j + math.fsum(share.below_j for _, share in pairs)
    above_j = error_j + math.fsum(share.above_j for _, share in pairs)
    measured_j = math.fsum(share.energy_j - share.filled_j for track, share in pairs if track.source.kind != "model")
    return {
        "energy_j": energy_j,
        "energy_low_j": max(energy_j - below_j, 0.0),
        "energy_high_j": energy_j + above_j,
        "measured_share": _part(measured_j, energy_j),
        "sources": sorted({track.source.label for track, _ in pairs}),
        "flags": sorted({flag for track, _ in pairs for flag in _flags(track)}),
    }


def _flags(track: Track) -> list[str]:
    flags = list(track.source.flags)
    if track.source.kind == "model":
        flags.append("modelled")
    if track.counts[AMBIGUOUS]:
        flags.append("ambiguous_wraps")
    if track.counts[GAP]:
        flags.append("filled")
    return flags


def _total_band(pairs: list[tuple[Track, Share]]) -> tuple[float, float]:
    errors_j = [
        math.fsum(share.error_j for track, share in pairs if track.source.component == name) for name in COMPONENTS
    ]
    error_j = math.sqrt(math.fsum(error_j * error_j for error_j in errors_j))
    return (
        error_j + math.fsum(share.below_j for _, share in pairs),
        error_j + math.fsum(share.above_j for _, share in pairs),
    )


def _buckets(shares: list[Share]) -> list[dict[str, Any]]:
    starts = sorted({bucket for share in shares for bucket in share.by_bucket})
    return [
        {"start_utc": iso_utc(start), "energy_j": math.fsum(share.by_bucket.get(start, 0.0) for share in shares)}
        for start in starts
    ]


def _run_flags(ledger: Ledger, tail_s: float) -> list[str]:
    found = {"suspended": ledger.suspends, "clock_jumped": ledger.clock_jumps, "tail_unseen": tail_s}
    return [name for name, seen in found.items() if seen]


def _cpu_share(ledger: Ledger) -> float:
    return _ratio(ledger.job_cpu_s, math.fsum(usage.busy_cpu_s for usage in ledger.usage.values()))


def _gap_s(track: Track) -> float:
    return math.fsum(cell.gap_s for cell in track.cells.values())


def _part(energy_j: float, total_j: float) -> float | None:
    return min(max(energy_j / total_j, 0.0), 1.0) if total_j > 0 else None


def iso_utc(epoch_s: float) -> str:
    """``2026-01-03T10:00:00Z``, with milliseconds where there are some."""
    milliseconds = round(epoch_s * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z" if milliseconds % 1000 else f"{text}Z"


def summary(result: dict[str, Any]) -> str:
    """One line for a person: energy, band, and what part of it was measured, modelled and filled."""
    energy_j = result["energy_j"]
    if energy_j is None and result["end"] != "not_measured":
        return f"{result['cpu_seconds']:.3g} CPU seconds; the energy of this node is counted by rank 0"
    if not energy_j:
        return "energy unknown: no counter and no model for this node"
    factor, unit = next((factor, unit) for floor_j, factor, unit in _UNITS if energy_j >= floor_j)
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
_MODEL_LABELS = frozenset({"CPU model", "memory model", "rest of node"})


def _labels(result: dict[str, Any], *, modelled: bool) -> list[str]:
    seen = dict.fromkeys(label for part in result["components"].values() for label in part["sources"])
    return [label for label in seen if (label in _MODEL_LABELS) is modelled]


def _pct(share: float) -> str:
    return "< 1 %" if share < 0.005 else f"{100 * share:.0f} %"

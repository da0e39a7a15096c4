"""A ledger -> the job's part of each source: by the rules ``share``, ``node`` and ``marginal``, with what is uncertain.

``share``: the job pays for its allotted part of the idle power, and of the power above idle for the part that it has in
all use: its CPU seconds in the busy ones of the node (of its processor, where it may use one alone), or its compute
units in all used ones of a shared device. ``marginal`` leaves the idle power out, ``node`` takes all. Everything is
computed from the journal's records, so that any rule can be applied years later.
"""

from __future__ import annotations

import math

from lowtide_sampler.integrate import Cell, Sharing, Usage
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from lowtide_sampler.integrate import Ledger, Track
    from lowtide_sampler.meters import Source

RULES = ("share", "node", "marginal")
_SIGMAS_OF_90_PCT = 1.645
_GUESSED_IDLE = (0.5, 1.5)
_SEEN_IDLE = (0.8, 1.0)
_KNOWN_IDLE = (0.95, 1.05)
_DEVICE_IDLE_SHARE = 0.12
"""Idle over full power of a device that was never seen idle: 0.116 of the limit is the median of published boards."""
_PMAX_OVER_LIMIT = 1.3


class Allotment(NamedTuple):
    """What of the node the job was given, from the journal's first line.

    Attributes:
        cpu_share: Part of the node's CPUs; (0, 1].
        home_share: Part of its own processor's CPUs; equal to ``cpu_share`` where it may use several.
        memory_share: Part of the node's memory; (0, 1].
        package: The one processor that it may use; None: several, or the node has one.
        idle_share: Idle over full power of the node's processor family, where no idle power was seen.
    """

    cpu_share: float
    home_share: float
    memory_share: float
    package: int | None
    idle_share: float

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> Allotment:
        """The allotment; a first line of version 1 has ``allocated_share`` alone."""
        threads = float(header["threads"])
        cpus = float(header.get("allocated_cpus", header.get("allocated_share", 1.0) * threads))
        if header.get("exclusive"):
            return cls(1.0, 1.0, 1.0, None, float(header["idle_share"]))
        cpu_share = min(cpus / threads, 1.0)
        package, home_cpus = header.get("package"), float(header.get("package_cpus") or threads)
        return cls(
            cpu_share=cpu_share,
            home_share=cpu_share if package is None else min(cpus / home_cpus, 1.0),
            memory_share=float(header.get("memory_share", cpu_share)),
            package=package,
            idle_share=float(header["idle_share"]),
        )

    def of_idle_power(self, source: Source) -> float:
        """The job's part (0-1) of a source's idle power."""
        if source.component == "dram":
            return self.memory_share
        if source.package is None or self.package is None or source.component != "cpu":
            return self.cpu_share
        return self.home_share if source.package == self.package else 0.0

    def is_elsewhere(self, source: Source) -> bool:
        """Whether the source is of a processor that the job may not use: what it draws above idle is others'."""
        return None not in (source.package, self.package) and source.package != self.package


class Share(NamedTuple):
    """The job's part of one source; J. ``error_j`` is half the statistical band; below and above it add the rest."""

    energy_j: float
    filled_j: float
    error_j: float
    below_j: float
    above_j: float
    by_bucket: dict[int, float]

    def times(self, factor: float) -> Share:
        """The same of ``factor`` times the energy."""
        return Share(
            factor * self.energy_j,
            factor * self.filled_j,
            factor * self.error_j,
            factor * self.below_j,
            factor * self.above_j,
            {start: factor * part_j for start, part_j in self.by_bucket.items()},
        )


def attribute(track: Track, ledger: Ledger, allotment: Allotment, rule: str, tail_s: float) -> Share:
    """The job's part of one source.

    Args:
        track: The source's energy by window; its gaps are filled with its own mean power.
        ledger: Whose CPU seconds share it out.
        allotment: What of the node the job was given.
        rule: One of ``RULES``.
        tail_s: Time after the last record in which the job may have gone on; widens the band upwards.
    """
    source = track.source
    fill_w = _fill_w(track)
    idles_w = _idle_w(track, ledger, allotment.idle_share)
    by_bucket: dict[int, float] = {}
    low_j = high_j = filled_j = 0.0
    for window, cell in sorted(track.cells.items()):
        node_j = cell.energy_j + fill_w * cell.gap_s
        parts = _parts(track, ledger, allotment, rule, window, cell, node_j, idles_w)
        for bucket, place in cell.places.items():
            placed_j = place.energy_j + fill_w * place.gap_s
            by_bucket[bucket] = by_bucket.get(bucket, 0.0) + placed_j * parts[0]
        filled_j += fill_w * cell.gap_s * parts[0]
        low_j += cell.low_j * min(parts)
        high_j += max(cell.high_j, node_j) * max(parts)
    energy_j = math.fsum(by_bucket.values())
    of_device = source.job_share if source.job_share is not None else 1.0
    tail_j = source.pmax_w * tail_s * of_device
    step_j = (track.mean_power_w or 0.0) * source.step_s * of_device
    return Share(
        energy_j=energy_j,
        filled_j=filled_j,
        error_j=_SIGMAS_OF_90_PCT * source.error_share * energy_j,
        below_j=energy_j - low_j * source.low_share + step_j,
        above_j=high_j * source.high_share - energy_j + step_j + tail_j,
        by_bucket=by_bucket,
    )


def _parts(
    track: Track, ledger: Ledger, allotment: Allotment, rule: str, window: int, cell: Cell, node_j: float,
    idles_w: tuple[float, float, float],
) -> list[float]:  # fmt: skip
    """The job's part (0-1) of a cell: as it is taken, and what else it may be."""
    source = track.source
    if source.job_share is not None:
        return [source.job_share]
    if rule == "node":
        return [1.0]
    seconds = cell.covered_s + cell.gap_s
    idle_parts = [min(watts * seconds / node_j, 1.0) if node_j > 0 else 1.0 for watts in idles_w]
    if window in track.sharing:
        return [_device_part(track.sharing[window], rule, idle_part) for idle_part in idle_parts]
    if source.component == "gpu":
        return [1.0]  # nobody looked who used it: all of it, as where it is the job's alone
    usage = ledger.usage.get(window, Usage())
    idle_of_job = allotment.of_idle_power(source) if rule == "share" else 0.0
    if allotment.is_elsewhere(source):
        return [idle_of_job * part for part in idle_parts]
    busy_s = usage.home_busy_cpu_s if allotment.package is not None and source.package is not None else usage.busy_cpu_s
    parts = [idle_of_job * part + (1 - part) * _ratio(usage.job_cpu_s, busy_s) for part in idle_parts]
    if usage.unseen_s > 0:  # others may have kept every CPU busy meanwhile
        most_s = busy_s + ledger.threads * usage.unseen_s
        parts.append(idle_of_job * idle_parts[0] + (1 - idle_parts[0]) * _ratio(usage.job_cpu_s, most_s))
    return parts


def _device_part(sharing: Sharing, rule: str, idle_part: float) -> float:
    """The job's part of a shared device: idle power by equal shares of its users, the rest by compute units used.

    In time that nobody could see into, the job is taken for the only user.
    """
    blind = _ratio(sharing.blind_s, sharing.seconds)
    seen_s = sharing.seconds - sharing.blind_s
    equal = _ratio(sharing.equal_s, seen_s)
    active = _ratio(sharing.own_s, sharing.all_s) if sharing.all_s > 0 else equal
    return blind + (1 - blind) * ((equal * idle_part if rule == "share" else 0.0) + (1 - idle_part) * active)


def _ratio(part: float, whole: float) -> float:
    if whole <= 0:
        return 1.0 if part > 0 else 0.0
    return min(part / whole, 1.0)


def _fill_w(track: Track) -> float:
    if track.mean_power_w is not None:
        return track.mean_power_w
    return track.source.typical_w if track.source.typical_w is not None else track.source.pmax_w / 2


def _idle_w(track: Track, ledger: Ledger, idle_share: float) -> tuple[float, float, float]:
    """(idle power, lowest, highest) of a source: known, or the lowest seen at next to no load, or by its family.

    By its family: the mean power is that of a line from idle to full at the mean load, whose idle end is
    ``idle_share`` of its full one. A device that was never seen idle is taken to have none: its users' parts are
    then those of their use, and the band holds what an idle power would change.
    """
    source = track.source
    if source.kind == "model":
        known_w = source.idle_w or 0.0
        return known_w, known_w, known_w
    if source.idle_w is not None:
        return source.idle_w, _KNOWN_IDLE[0] * source.idle_w, _KNOWN_IDLE[1] * source.idle_w
    seen_w = track.seen_idle_w
    if seen_w is not None:
        return seen_w, _SEEN_IDLE[0] * seen_w, _SEEN_IDLE[1] * seen_w
    if source.component == "gpu":
        return 0.0, 0.0, _DEVICE_IDLE_SHARE * source.pmax_w / _PMAX_OVER_LIMIT
    guess_w = (track.mean_power_w or 0.0) * idle_share / (idle_share + (1 - idle_share) * ledger.load_share)
    return guess_w, _GUESSED_IDLE[0] * guess_w, _GUESSED_IDLE[1] * guess_w

"""A simulated fleet: nodes, their jobs and what is wrong with them, of which the true energy is known.

Each case is a journal as a sampler would have written it, and the joules that the job really caused: its allocated
share of the idle power and its share of what busy CPUs draw above it. What nobody can know beforehand is drawn from the
spread that the sampler states for it: a counter's error from its one sigma, a model's from its 90 % band, the idle
power of a node that was never calibrated from the bracket of the guess.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from lowtide_sampler import model
from lowtide_sampler.journal import VERSION, JournalRecords, replay
from lowtide_sampler.machine import Machine
from lowtide_sampler.meters import Source

_SIGMAS_OF_90_PCT = 1.645
_SMALL_RANGE_UJ, _RANGE_UJ = 65_532_610_987, 262_143_328_850
_FAMILY_IDLE_SHARE = 0.22
_IDLE_GUESS_SPREAD = 0.5
_CALIBRATION_SPREAD = 0.05
_DEVICE_IDLE_SHARE = 0.116
_EARLY_S = (0.25, 0.5, 1.0, 2.0, 4.0)
_MACHINE = Machine("GenuineIntel", 6, 106, "Xeon", 64, 2, 1, False, 256.0)


class Device(NamedTuple):
    """One source as it is: the stated source, its true power at idle and per busy CPU, and its counter's error.

    A device that no counter measures is a model's: ``source`` then says what is believed of it.
    """

    source: Source
    idle_w: float
    active_w_per_cpu: float
    error: float
    start_uj: int
    follows_cpu: bool = True
    fails_from: float = 2.0
    fails_until: float = 2.0
    users: tuple[float, ...] = ()
    """Compute units that each user of a shared device keeps busy (0-1), the job first; empty: the job's alone."""


class Case(NamedTuple):
    """One job: its result, the truth in total and by component, and what kind of run it was; J."""

    seed: int
    result: dict[str, Any]
    true_j: float
    component_j: dict[str, float]
    is_exclusive: bool
    is_calibrated: bool
    has_gap: bool
    is_measured: bool
    """Every component that was counted has a counter; ``rest`` is left aside."""

    @property
    def is_inside(self) -> bool:
        low_j, high_j = self.result["energy_low_j"], self.result["energy_high_j"]
        return bool(low_j <= self.true_j <= high_j)

    @property
    def tail(self) -> str:
        """On which side of the band the truth lies; "" inside."""
        if self.is_inside:
            return ""
        return "above" if self.true_j > self.result["energy_high_j"] else "below"

    def measured_band(self) -> tuple[float, float, float, float]:
        """(low, point, high, truth) of what counters measure; J: the components' bands, as the total adds them."""
        point_j = true_j = 0.0
        squares = [0.0, 0.0]
        for name in ("cpu", "dram", "gpu"):
            part = self.result["components"][name]
            if part["energy_j"] is None or "modelled" in part["flags"]:
                continue
            point_j += part["energy_j"]
            true_j += self.component_j[name]
            squares[0] += (part["energy_j"] - part["energy_low_j"]) ** 2
            squares[1] += (part["energy_high_j"] - part["energy_j"]) ** 2
        return point_j - squares[0] ** 0.5, point_j, point_j + squares[1] ** 0.5, true_j


def fleet(count: int, first_seed: int = 0) -> list[Case]:
    return [case(seed) for seed in range(first_seed, first_seed + count)]


def case(seed: int) -> Case:
    """One job on one node, all drawn from the seed."""
    chance = random.Random(seed)
    threads = chance.choice((8, 16, 32, 64, 128, 256))
    is_exclusive = chance.random() < 0.4
    is_calibrated = chance.random() < 0.5
    allocated_share = 1.0 if is_exclusive else chance.choice((1 / 8, 1 / 4, 1 / 2, 3 / 4))
    devices = _devices(chance, threads, is_calibrated, is_exclusive=is_exclusive)
    length_s = 10 ** chance.uniform(1.2, 4.3)
    loads = _loads(chance, threads, length_s, allocated_share, is_exclusive)
    has_gap = any(device.fails_from < 1 for device in devices)
    ticks, energies_j = _run(devices, loads, length_s)
    head = _header(devices, threads, allocated_share)
    own_by_component = {"cpu": 0.0, "dram": 0.0, "gpu": 0.0, "rest": 0.0}
    for device, (idle_j, active_own_j, whole_j) in zip(devices, energies_j, strict=True):
        own_j = allocated_share * idle_j + active_own_j if device.follows_cpu else whole_j
        if device.users:
            own_j = idle_j / len(device.users) + active_own_j
        own_by_component[device.source.component] += own_j
    result = replay(JournalRecords(head, ticks, {"end": "ok", "exit_status": 0}, 0))
    counted = [device.source.kind != "model" for device in devices if device.source.component != "rest"]
    return Case(
        seed=seed,
        result=result,
        true_j=sum(own_by_component.values()),
        component_j=own_by_component,
        is_exclusive=is_exclusive,
        is_calibrated=is_calibrated,
        has_gap=has_gap,
        is_measured=all(counted),
    )


def _bracketed(chance: random.Random, low: float, high: float) -> float:
    """A factor around 1 that lies between low and high in 90 % of draws, and is as often above 1 as below."""
    sigmas = chance.gauss(0, 1) / _SIGMAS_OF_90_PCT
    return max(1 + sigmas * (high - 1 if sigmas > 0 else 1 - low), 0.02)


def _devices(chance: random.Random, threads: int, is_calibrated: bool, *, is_exclusive: bool) -> list[Device]:
    devices: list[Device] = []
    is_counted = chance.random() < 0.85
    fails = chance.random() < 0.1
    if is_counted:
        devices += _packages(chance, threads, is_calibrated, fails=fails)
        devices += _memory(chance, threads, is_calibrated)
        rest = model.rest_source()
        devices.append(_modelled(chance, rest))
    else:
        devices.append(_modelled(chance, model.cpu_source(_MACHINE._replace(threads=threads))))
        memory = model.memory_source(_MACHINE._replace(threads=threads, memory_gb=6.0 * threads), within_cpu=True)
        devices += [_modelled(chance, memory)] if memory else []
    error = chance.gauss(0, 0.05)
    is_shared = not is_exclusive and chance.random() < 0.5
    for index in range(chance.choice((0, 0, 0, 1, 2, 4))):
        devices.append(_gpu(chance, index, error, is_calibrated, is_shared=is_shared))
    return devices


def _gpu(chance: random.Random, index: int, error: float, is_calibrated: bool, *, is_shared: bool) -> Device:
    limit_w = chance.choice((300.0, 400.0, 700.0))
    idle_w = limit_w * _DEVICE_IDLE_SHARE * _bracketed(chance, 0.6, 1.4)
    source = Source(f"nvml:{index}", "NVML counter", "gpu", "counter", pmax_w=1.3 * limit_w, error_share=0.05)
    start_uj = chance.randrange(10**12)
    if not is_shared:
        return Device(source._replace(job_share=1.0), chance.uniform(idle_w, limit_w), 0.0, error, start_uj,
                      follows_cpu=False)  # fmt: skip
    if is_calibrated:
        spread = _bracketed(chance, 1 - _CALIBRATION_SPREAD, 1 + _CALIBRATION_SPREAD)
        source = source._replace(idle_w=idle_w * (1 + error) * spread)
    users = tuple(chance.uniform(0.05, 0.9) for _ in range(chance.choice((2, 2, 3))))
    busy = min(sum(users), 1.0)
    users = tuple(user * busy / sum(users) for user in users)
    return Device(source, idle_w, limit_w - idle_w, error, start_uj, follows_cpu=False, users=users)


def _packages(chance: random.Random, threads: int, is_calibrated: bool, *, fails: bool) -> list[Device]:
    packages = chance.choice((1, 2, 2, 4))
    error_share = chance.choice((0.05, 0.05, 0.10))
    error = chance.gauss(0, error_share)  # one kind of counter, one error
    full_w = threads / packages * chance.uniform(1.5, 5.0)
    idle_w = full_w * _FAMILY_IDLE_SHARE * _bracketed(chance, 1 - _IDLE_GUESS_SPREAD, 1 + _IDLE_GUESS_SPREAD)
    idle_w = min(idle_w, 0.9 * full_w)
    known_w = idle_w * (1 + error) * _bracketed(chance, 1 - _CALIBRATION_SPREAD, 1 + _CALIBRATION_SPREAD)
    fails_from = chance.uniform(0.1, 0.9)
    devices = []
    for number in range(packages):
        source = Source(
            f"powercap:intel-rapl:{number}", "RAPL package", "cpu", "counter", pmax_w=max(2 * full_w, 250.0),
            range_uj=chance.choice((_SMALL_RANGE_UJ, _RANGE_UJ)), error_share=error_share,
            idle_w=known_w if is_calibrated else None,
        )  # fmt: skip
        device = Device(source, idle_w, (full_w - idle_w) / threads, error, chance.randrange(_SMALL_RANGE_UJ))
        if fails and number == 0:
            device = device._replace(fails_from=fails_from, fails_until=fails_from + chance.choice((0.05, 0.2, 1.0)))
        devices.append(device)
    return devices


def _memory(chance: random.Random, threads: int, is_calibrated: bool) -> list[Device]:
    if chance.random() < 0.3:
        memory = model.memory_source(_MACHINE._replace(threads=threads, memory_gb=4.0 * threads), within_cpu=False)
        return [_modelled(chance, memory)] if memory else []
    error = chance.gauss(0, 0.15)
    full_w = threads * chance.uniform(0.3, 1.0)
    idle_w = full_w * _FAMILY_IDLE_SHARE * _bracketed(chance, 1 - _IDLE_GUESS_SPREAD, 1 + _IDLE_GUESS_SPREAD)
    known_w = idle_w * (1 + error) * _bracketed(chance, 1 - _CALIBRATION_SPREAD, 1 + _CALIBRATION_SPREAD)
    source = Source(
        "powercap:intel-rapl:0:0", "RAPL dram", "dram", "counter", pmax_w=max(2 * full_w, 250.0), range_uj=_RANGE_UJ,
        error_share=0.15, idle_w=known_w if is_calibrated else None,
    )  # fmt: skip
    return [Device(source, idle_w, (full_w - idle_w) / threads, error, chance.randrange(_SMALL_RANGE_UJ))]


def _modelled(chance: random.Random, source: Source) -> Device:
    """What a model stands in for: off by a factor of its band."""
    factor = _bracketed(chance, source.low_share, source.high_share)
    return Device(source, (source.idle_w or 0.0) * factor, source.active_j_per_cpu_s * factor, 0.0, 0)


class Load(NamedTuple):
    """Busy CPUs of the job and of everybody until an instant; s."""

    until_s: float
    job_cpus: float
    all_cpus: float


def _loads(
    chance: random.Random, threads: int, length_s: float, allocated_share: float, is_exclusive: bool
) -> list[Load]:
    cuts = sorted(chance.uniform(0, length_s) for _ in range(chance.randrange(6)))
    job_level, other_level = chance.uniform(0.1, 1.0), chance.uniform(0.0, 1.0)
    loads = []
    for until_s in [*cuts, length_s]:
        job_cpus = threads * allocated_share * min(job_level * chance.uniform(0.6, 1.4), 1.0)
        left = threads * (1 - allocated_share)
        others = 0.002 * threads if is_exclusive else left * min(other_level * chance.uniform(0.6, 1.4), 1.0)
        loads.append(Load(until_s, job_cpus, min(job_cpus + others, threads)))
    return loads


def _at(devices: list[Device], loads: list[Load], t_s: float) -> tuple[float, float, list[tuple[float, float, float]]]:
    """(job CPU s, busy CPU s, each device's (idle, own active, all) joules) from the start to ``t_s``."""
    job_s = busy_s = from_s = 0.0
    for load in loads:
        part_s = max(min(t_s, load.until_s) - from_s, 0.0)
        job_s += part_s * load.job_cpus
        busy_s += part_s * load.all_cpus
        from_s = load.until_s
    energies = []
    for device in devices:
        own_s, all_s = (device.users[0] * t_s, sum(device.users) * t_s) if device.users else (job_s, busy_s)
        active_w = device.active_w_per_cpu
        energies.append((device.idle_w * t_s, active_w * own_s, device.idle_w * t_s + active_w * all_s))
    return job_s, busy_s, energies


def _run(
    devices: list[Device], loads: list[Load], length_s: float
) -> tuple[list[dict[str, Any]], list[tuple[float, float, float]]]:
    """The ticks of a run, as often as the sampler's, short runs oftener, and each device's energies up to its end."""
    metered = [(at, device) for at, device in enumerate(devices) if device.source.kind != "model"]
    wraps_s = [0.5e-6 * (device.source.range_uj or 1e18) / device.source.pmax_w for _, device in metered]
    interval_s = min(max(5.0, length_s / 300), *wraps_s, 3600.0)
    ticks: list[dict[str, Any]] = []
    t_s = 0.0
    while True:
        job_s, busy_s, energies = _at(devices, loads, t_s)
        readings: list[int | None] = []
        for at, device in metered:
            part = t_s / length_s
            if device.fails_from <= part < device.fails_until or (device.fails_until > 1 and part >= device.fails_from):
                readings.append(None)
                continue
            reading_uj = device.start_uj + int(1e6 * energies[at][2] * (1 + device.error))
            readings.append(reading_uj % (device.source.range_uj or 2**63))
        tick: dict[str, Any] = {"t": t_s, "utc": 1.8e9 + t_s, "boot": 0.0, "job": job_s, "busy": busy_s, "uj": readings}
        if any(device.users for _, device in metered):
            tick["use"] = [_use(device, t_s) for _, device in metered]
        ticks.append(tick)
        if t_s >= length_s:
            return ticks, energies
        early_s = next((early_s for early_s in _EARLY_S if t_s < early_s), t_s + interval_s)
        t_s = min(early_s, t_s + interval_s, length_s)


def _use(device: Device, t_s: float) -> list[float] | None:
    """The fields of a ``DeviceUse`` at an instant; None of a device that is not shared."""
    return [device.users[0] * t_s, sum(device.users) * t_s, t_s / len(device.users), 0.0] if device.users else None


def _header(devices: list[Device], threads: int, allocated_share: float) -> dict[str, Any]:
    sources = [device.source._asdict() for device in devices]
    ordered = sorted(sources, key=lambda source: source["kind"] == "model")
    return {"journal": VERSION, "run_id": "r", "start_utc_s": 1.8e9, "threads": threads, "interval_s": 5.0,
            "allocated_share": allocated_share, "idle_share": _FAMILY_IDLE_SHARE, "attribution": "share",
            "unreadable": [], "sources": ordered}  # fmt: skip

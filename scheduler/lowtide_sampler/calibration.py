"""``calibrate``: measures a node at rest, and under load, against a meter of the whole of it.

At rest each source's power is its idle power, which the job's share of later runs rests on. Where something measures
the whole node (psys, the ACPI meter, the management controller, or a person who reads a wall meter), what it shows
beyond the components is the rest of the node: at rest its offset, under load its slope.
"""

from __future__ import annotations

import os
import sys
import time

from lowtide_sampler.calibration_file import Calibration, cpu_of, load, path_of, save
from lowtide_sampler.integrate import GAP, classify
from lowtide_sampler.machine import proc_root
from lowtide_sampler.meters import BESIDE, Unreadable
from lowtide_sampler.sources import find_sources, host_name
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lowtide_sampler.machine import Machine
    from lowtide_sampler.meters import Meter

USAGE = """\
Usage: lowtide calibrate [OPTIONS]

Measures what this node draws at rest; leave it alone meanwhile. Later runs on it use the result.

Options:
  --seconds N     How long to measure (default: 30).
  --wall POWER    What a meter at the wall shows meanwhile, such as 85W.
  --busy          Measure under load: every CPU is kept busy. Needs a calibration at rest.
  --json          Print the result as JSON.
  --sysroot DIR   Read /sys and /proc below this folder (tests).
  --help          Show this.

Exit status: 0 stored; 1 not measured, and why; 125 bad options.
"""

NOT_MEASURED, BAD_OPTIONS = 1, 125
BUSY_SHARE = 0.05
_LOADED_SHARE = 0.8
_GPU_IDLE_SHARE = 0.3
_SHORTEST_S, _LONGEST_S = 2.0, 3600.0
_POLL_S = 0.2
_WARM_UP_S = 2.0
_PLATFORM_ORDER = ("IPMI DCMI", "ACPI power meter", "RAPL psys", "perf psys", "board input")
"""Meters of the whole node, the most of it first: psys holds no power supply."""


class CalibrationError(Exception):
    """A node cannot be calibrated now; says why."""


class CalibrateOptions(NamedTuple):
    """What ``calibrate`` is asked to do; ``wall_w`` None: no meter at the wall."""

    seconds: float = 30.0
    wall_w: float | None = None
    busy: bool = False
    as_json: bool = False
    sysroot: str = ""


class Phase(NamedTuple):
    """What a stretch of time showed: power by source, W, and how much of the CPUs was busy, 0-1."""

    power_w: Mapping[str, float]
    load_share: float


def calibrate_main(argv: list[str]) -> int:
    """``calibrate`` as a command; returns its exit status."""
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(USAGE)
        return 0
    try:
        options = parse_calibrate(argv)
    except ValueError as error:
        sys.stderr.write(f"lowtide: {error}\n")
        return BAD_OPTIONS
    try:
        calibration, path = calibrate(options, os.environ)
    except CalibrationError as error:
        sys.stderr.write(f"lowtide: {error}\n")
        return NOT_MEASURED
    if options.as_json:
        import json

        sys.stdout.write(json.dumps({**calibration._asdict(), "path": path}, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in describe(calibration, path)))
    return 0


def parse_calibrate(argv: Sequence[str]) -> CalibrateOptions:
    """Raises ValueError: what is wrong, and with which option."""
    options = CalibrateOptions()
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if word in ("--busy", "--json"):
            options = options._replace(busy=True) if word == "--busy" else options._replace(as_json=True)
            continue
        if name not in ("--seconds", "--wall", "--sysroot"):
            raise ValueError(f"unknown option {word}; lowtide calibrate --help lists them")
        value = value if equals else next(words, "")
        if not value:
            raise ValueError(f"{name} needs a value")
        if name == "--seconds":
            options = options._replace(seconds=_seconds(value))
        elif name == "--wall":
            options = options._replace(wall_w=parse_power_w(value))
        else:
            options = options._replace(sysroot=value)
    return options


def parse_power_w(text: str) -> float:
    """85 of ``85W`` or ``0.085 kW``. Raises ValueError."""
    unit = text.lstrip("0123456789.")
    factor = {"W": 1.0, "kW": 1000.0}.get(unit.strip())
    try:
        power_w = float(text[: len(text) - len(unit)]) * (factor or 0.0)
    except ValueError:
        power_w = 0.0
    if not 0 < power_w < 1e6:
        raise ValueError(f"--wall {text!r} is not a power; write it with its unit, such as 85W")
    return power_w


def _seconds(text: str) -> float:
    try:
        seconds = float(text[:-1] if text.endswith("s") else text)
    except ValueError:
        seconds = 0.0
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise ValueError(f"--seconds {text!r} must be a number from {_SHORTEST_S:.0f} to {_LONGEST_S:.0f}")
    return seconds


def calibrate(
    options: CalibrateOptions,
    environ: Mapping[str, str],
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic_s: Callable[[], float] = time.monotonic,
    now_utc_s: Callable[[], float] = time.time,
    start_load: Callable[[int, float], Callable[[], None]] | None = None,
) -> tuple[Calibration, str]:
    """Measures, stores and returns a calibration, and the file that holds it.

    Args:
        options: What was asked for.
        environ: Says where the state is kept.
        sleep, monotonic_s, now_utc_s: The clock.
        start_load: Keeps n CPUs busy for so many seconds; returns what ends it earlier. None: processes do.
    Raises:
        CalibrationError: The node is busy, nothing measures it, or the figures contradict one another.
    """
    sources = find_sources(environ, options.sysroot)
    machine, meters = sources.machine, sources.meters
    if not meters and options.wall_w is None:
        way = "" if machine.virtual else "read a meter at the wall and give --wall, or "
        raise CalibrationError(
            f"nothing here measures energy, so there is nothing to calibrate; {way}see lowtide doctor"
        )
    if machine.virtual and options.wall_w is not None:
        raise CalibrationError("this is a virtual machine: a meter at the wall shows its host, and not this machine")
    path = path_of(environ, host_name())
    read_node = _node_reader(options.sysroot)
    if options.busy:
        earlier, why = load(path, machine, now_utc_s())
        if earlier is None or earlier.node_idle_w is None:
            raise CalibrationError(
                f"{why or 'this node at rest has not been measured'}; run lowtide calibrate first, without --busy, "
                f"with {'--wall' if options.wall_w is not None else 'the same meter'}"
            )
        _check_meter(earlier, options, meters)
        end_load = (start_load or _start_load)(machine.threads, options.seconds + 2 * _WARM_UP_S)
        try:
            sleep(_WARM_UP_S)
            phase = measure(meters, read_node, options.seconds, sleep, monotonic_s)
        finally:
            end_load()
        calibration = with_load(earlier, phase, meters, machine, options.wall_w)
    else:
        phase = measure(meters, read_node, options.seconds, sleep, monotonic_s)
        calibration = at_rest(phase, meters, machine, options.wall_w, now_utc_s())
    try:
        save(path, calibration, host_name())
    except OSError as error:
        raise CalibrationError(f"{path} could not be written: {error.strerror}") from error
    return calibration, path


def measure(
    meters: Sequence[Meter],
    read_node: Callable[[], tuple[float, float]],
    seconds: float,
    sleep: Callable[[float], None],
    monotonic_s: Callable[[], float],
) -> Phase:
    """Mean power of each meter over so many seconds; one that fails meanwhile is left out.

    ``read_node`` gives the node's busy CPU seconds and all that its CPUs had.
    """
    (busy_before_s, all_before_s), start_s = read_node(), monotonic_s()
    last: dict[str, tuple[int, float]] = {}
    energy_j: dict[str, float] = {}
    time_s: dict[str, float] = {}
    failed: set[str] = set()
    while True:
        now_s = monotonic_s()
        for meter in meters:
            name = meter.source.name
            try:
                reading_uj = meter.read().energy_uj
            except Unreadable:
                last.pop(name, None)  # a controller answers later; what it says from then on counts
                continue
            if name in last:
                before_uj, before_s = last[name]
                if now_s > before_s:
                    interval = classify(before_uj, reading_uj, now_s - before_s, meter.source, None)
                    if interval.kind == GAP:
                        failed.add(name)
                    energy_j[name] = energy_j.get(name, 0.0) + interval.energy_j
                    time_s[name] = time_s.get(name, 0.0) + now_s - before_s
            last[name] = (reading_uj, now_s)
        if now_s - start_s >= seconds:
            break
        sleep(_POLL_S)
    busy_after_s, all_after_s = read_node()
    busy_s, capacity_s = busy_after_s - busy_before_s, all_after_s - all_before_s
    covered_s = {name: spent_s for name, spent_s in time_s.items() if spent_s >= seconds / 2 and name not in failed}
    power_w = {name: energy_j[name] / spent_s for name, spent_s in covered_s.items()}
    return Phase(power_w, busy_s / capacity_s if capacity_s > 0 else 1.0)


def at_rest(phase: Phase, meters: Sequence[Meter], machine: Machine, wall_w: float | None, utc_s: float) -> Calibration:
    """The calibration of a quiet stretch.

    Raises:
        CalibrationError: It was not quiet, or the whole node drew less than its parts.
    """
    if phase.load_share > BUSY_SHARE:
        raise CalibrationError(
            f"the node was {100 * phase.load_share:.0f} % busy, and must be below {100 * BUSY_SHARE:.0f} %: "
            "stop what runs on it and try again"
        )
    for meter in meters:
        source = meter.source
        if source.component == "gpu" and phase.power_w.get(source.name, 0.0) > _GPU_IDLE_SHARE * source.pmax_w:
            raise CalibrationError(
                f"{source.name} draws {phase.power_w[source.name]:.0f} W: somebody computes on it; try again without"
            )
    node_meter, node_w = _whole_node(phase, meters, wall_w)
    devices_w = _devices_w(phase, meters)
    if node_w is not None and node_w < devices_w:
        raise CalibrationError(
            f"{node_meter} shows {node_w:.0f} W and the node's parts alone draw {devices_w:.0f} W: one of them is wrong"
        )
    if not phase.power_w and node_w is None:
        raise CalibrationError("no source gave readings for half of the time; lowtide doctor names them")
    return Calibration(
        measured_utc_s=round(utc_s, 0),
        cpu=cpu_of(machine),
        idle_w={name: round(watts, 3) for name, watts in phase.power_w.items()},
        node_meter=node_meter,
        node_idle_w=node_w,
        devices_idle_w=devices_w,
    )


def with_load(
    earlier: Calibration, phase: Phase, meters: Sequence[Meter], machine: Machine, wall_w: float | None
) -> Calibration:
    """The calibration at rest with a stretch under load added.

    Raises:
        CalibrationError: The load did not come, or the node drew no more under it.
    """
    if phase.load_share < _LOADED_SHARE:
        raise CalibrationError(
            f"the load kept {100 * phase.load_share:.0f} % of the CPUs busy, not {100 * _LOADED_SHARE:.0f} %: is "
            "this process kept to some of them?"
        )
    node_meter, node_w = _whole_node(phase, meters, wall_w)
    if node_w is None or node_meter != earlier.node_meter:
        raise CalibrationError(
            f"{earlier.node_meter} measured the node at rest and gives no figure under load; see lowtide doctor"
        )
    if node_w <= (earlier.node_idle_w or 0.0):
        raise CalibrationError(
            f"{node_meter} shows {node_w:.0f} W under load and {earlier.node_idle_w:.0f} W at rest: one is wrong"
        )
    return earlier._replace(
        node_busy_w=node_w,
        devices_busy_w=_devices_w(phase, meters),
        busy_cpus=round(phase.load_share * machine.threads, 3),
    )


def describe(calibration: Calibration, path: str) -> list[str]:
    """What was found, for a person."""
    lines = [f"{name:28} {watts:8.1f} W at rest" for name, watts in sorted(calibration.idle_w.items())]
    if calibration.node_idle_w is None:
        lines.append("nothing measures the whole node: its rest stays modelled (give --wall to change that)")
    else:
        lines.append(f"{'whole node, ' + calibration.node_meter:28} {calibration.node_idle_w:8.1f} W at rest")
        lines.append(f"{'rest of node':28} {calibration.rest_idle_w:8.1f} W at rest")
    if calibration.node_busy_w is not None:
        lines.append(f"{'whole node, ' + calibration.node_meter:28} {calibration.node_busy_w:8.1f} W under load")
    if calibration.rest_slope is not None:
        lines.append(f"{'rest of node':28} {calibration.rest_slope:8.2f} W more per W of its parts")
    return [*lines, f"stored in {path}"]


def _check_meter(earlier: Calibration, options: CalibrateOptions, meters: Sequence[Meter]) -> None:
    """Raises CalibrationError before the load is started where its figure could not be set beside the earlier one."""
    labels = {meter.source.label for meter in meters}
    is_there = options.wall_w is not None if earlier.node_meter == "wall" else earlier.node_meter in labels
    if not is_there:
        how = "give --wall" if earlier.node_meter == "wall" else "see lowtide doctor"
        raise CalibrationError(f"at rest the node was measured by {earlier.node_meter}, which is missing now; {how}")


def _whole_node(phase: Phase, meters: Sequence[Meter], wall_w: float | None) -> tuple[str, float | None]:
    """(what measures the whole node, its power)."""
    if wall_w is not None:
        return "wall", wall_w
    by_label: dict[str, float] = {}
    for meter in meters:
        source = meter.source
        if source.component == BESIDE and source.name in phase.power_w:
            by_label[source.label] = by_label.get(source.label, 0.0) + phase.power_w[source.name]
    label = next((label for label in _PLATFORM_ORDER if label in by_label), "")
    return label, by_label.get(label)


def _node_reader(sysroot: str) -> Callable[[], tuple[float, float]]:
    """What reads (busy CPU seconds, all CPU seconds) of the node on this system.

    Raises:
        CalibrationError: Nothing here tells them.
    """
    if os.path.isdir(proc_root(sysroot)):
        from lowtide_sampler.usage import NodeUsage

        usage = NodeUsage(sysroot)

        def read() -> tuple[float, float]:
            reading = usage.read()
            if reading is None:
                raise CalibrationError("the kernel does not tell how busy the node is: /proc/stat cannot be read")
            return reading

        return read
    from lowtide_sampler.portable import node_cpu_s

    try:
        node_cpu_s()
    except ImportError:
        raise CalibrationError("nothing here tells how busy the node is: pip install psutil") from None
    return node_cpu_s


def _devices_w(phase: Phase, meters: Sequence[Meter]) -> float:
    return sum(phase.power_w.get(meter.source.name, 0.0) for meter in meters if meter.source.component != BESIDE)


def _start_load(cpus: int, seconds: float) -> Callable[[], None]:
    """Processes that compute until their time is over, even if nobody ends them."""
    import subprocess

    program = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    children = [subprocess.Popen([sys.executable, "-S", "-c", program]) for _ in range(cpus)]

    def end() -> None:
        for child in children:
            child.kill()
        for child in children:
            child.wait()

    return end

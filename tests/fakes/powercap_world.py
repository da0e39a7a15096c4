"""A node with energy counters on any machine: the kernel's powercap class, made up in a mount namespace of its own.

The counters follow a known power, so that what *unmodified* programs read there can be held against the truth. The
folders, links and files are those of the kernel (``/sys/class/powercap`` links into ``/sys/devices/virtual/powercap``).
Needs a C compiler, and root or user namespaces; ``why_not`` says what is missing.

Run as a program (by ``World.argv``) it enters the world: mounts, lays out, starts the counters, runs the command.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

RANGE_UJ = 262143328850
_SOURCE = Path(__file__).parent / "powercap" / "world.c"
_READY_S = 10.0
_CLASS = Path("/sys/class/powercap")
_DEVICES = Path("/sys/devices/virtual/powercap")


class Zone(NamedTuple):
    """One zone of the class.

    Attributes:
        folder: Its name in the class (``intel-rapl:0``; ``intel-rapl:0:0`` lies below that).
        power: (s, W) steps, over and over.
        is_counted: Its energy is part of the truth (neither psys, nor a twin, nor a core).
        vanishes_s: When its counter is taken away; s since the world began; 0: never.
        readable: False: only another user may read it.
    """

    folder: str
    name: str
    power: tuple[tuple[float, float], ...]
    is_counted: bool = True
    range_uj: int = RANGE_UJ
    start_uj: int = 5_000_000
    limit_w: float = 250.0
    vanishes_s: float = 0.0
    readable: bool = True

    def energy_j(self, elapsed_s: float) -> float:
        """Energy since the world began; J."""
        cycle_s = sum(step_s for step_s, _ in self.power)
        cycles = elapsed_s // cycle_s
        energy_j = cycles * sum(step_s * power_w for step_s, power_w in self.power)
        left_s = elapsed_s - cycles * cycle_s
        for step_s, power_w in self.power:
            energy_j += min(left_s, step_s) * power_w
            left_s = max(left_s - step_s, 0.0)
        return energy_j


def constant(power_w: float) -> tuple[tuple[float, float], ...]:
    return ((1.0, power_w),)


def square(high_w: float, low_w: float, *, period_s: float = 1.0, duty_share: float = 0.25) -> tuple:
    return ((period_s * duty_share, high_w), (period_s * (1 - duty_share), low_w))


class World:
    """Zones, and a folder for what the world needs and writes."""

    def __init__(self, folder: Path, zones: tuple[Zone, ...]) -> None:
        self.zones = zones
        self._folder = folder
        self._config = folder / "world.json"
        self._ready = folder / "began"
        self._config.write_text(json.dumps({"zones": [zone._asdict() for zone in zones], "ready": str(self._ready),
                                            "program": str(program())}))  # fmt: skip

    def argv(self, command: list[str]) -> list[str]:
        """The command line that runs a command in this world."""
        return [*_unshare(), sys.executable, "-S", str(Path(__file__)), str(self._config), *command]

    def began_s(self) -> float:
        """When the counters began; s of CLOCK_MONOTONIC."""
        return 1e-9 * int(self._ready.read_text())

    def true_j(self, first_s: float, last_s: float, *, counted: bool = True) -> float:
        """Energy of the counted zones between two instants of CLOCK_MONOTONIC."""
        began_s = self.began_s()
        return sum(
            zone.energy_j(max(last_s - began_s, 0.0)) - zone.energy_j(max(first_s - began_s, 0.0))
            for zone in self.zones
            if zone.is_counted is counted
        )

    def sleeper(self, seconds: float, name: str = "window") -> list[str]:
        """A command that sleeps and leaves its first and last instant for ``window_s``."""
        return [str(program()), "sleep", str(seconds), str(self._folder / name)]

    def window_s(self, name: str = "window") -> tuple[float, float]:
        first, last = (self._folder / name).read_text().split()
        return 1e-9 * int(first), 1e-9 * int(last)


@functools.cache
def program() -> Path:
    """The counters' daemon, built once for each version of its source."""
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"lowtide-world-{os.getuid()}-{digest}"
    if not built.exists():
        beside = built.with_suffix(f".{os.getpid()}")
        subprocess.run([shutil.which("cc") or "gcc", "-O2", "-o", beside, _SOURCE, "-lm"], check=True)
        beside.replace(built)
    return built


@functools.cache
def why_not() -> str:
    """Why no world can be made here; "" where it can."""
    if not (shutil.which("cc") or shutil.which("gcc")):
        return "no C compiler"
    if shutil.which("unshare") is None:
        return "no unshare command"
    probe = "mount -t tmpfs none /sys/class && mount -t tmpfs none /sys/devices/virtual"
    done = subprocess.run([*_unshare(), "sh", "-c", probe], capture_output=True, text=True, check=False)
    return f"no mount namespace: {done.stderr.strip()}" if done.returncode else ""


def why_not_unreadable() -> str:
    """Why a file cannot be hidden from this user; "" where it can."""
    if os.getuid() != 0:
        return "only root can give a file to another user"
    return "" if shutil.which("setpriv") else "no setpriv command"


def _unshare() -> list[str]:
    return ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def _lay_out(zones: list[Zone]) -> None:
    for mounted in ("/sys/class", "/sys/devices/virtual"):
        subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=True)
    _CLASS.mkdir()
    for zone in zones:
        control_type, *numbers = zone.folder.split(":")
        path = _DEVICES / control_type
        for depth in range(1, len(numbers) + 1):
            path /= ":".join([control_type, *numbers[:depth]])
        path.mkdir(parents=True)
        for name, content in (
            ("name", zone.name),
            ("enabled", "1"),
            ("max_energy_range_uj", zone.range_uj),
            ("constraint_0_name", "long_term"),
            ("constraint_0_max_power_uw", round(1e6 * zone.limit_w)),
            ("energy_uj", f"{zone.start_uj:020d}"),
        ):
            (path / name).write_text(f"{content}\n")
        for device in (_DEVICES / control_type, path):
            link = _CLASS / device.name
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(device, _CLASS))
                (device / "subsystem").symlink_to(os.path.relpath(_CLASS, device))


def _counter_path(zone: Zone) -> Path:
    return (_CLASS / zone.folder).resolve() / "energy_uj"


def _serve(zones: list[Zone], program_path: str, ready: Path) -> subprocess.Popen[bytes]:
    """Starts the counters; returns when they run."""
    config = ready.with_name("counters")
    config.write_text("".join(
        f"{_counter_path(zone)} {zone.range_uj} {zone.start_uj} {zone.vanishes_s} {len(zone.power)}"
        + "".join(f" {step_s!r} {power_w!r}" for step_s, power_w in zone.power) + "\n" for zone in zones
    ))  # fmt: skip
    ready.unlink(missing_ok=True)
    daemon = subprocess.Popen([program_path, "serve", config, ready], stdin=subprocess.DEVNULL)
    deadline_s = time.monotonic() + _READY_S
    while not (ready.exists() and ready.read_text().endswith("\n")):
        if daemon.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit("the counters did not start")
        time.sleep(0.005)
    return daemon


def main(config_path: str, command: list[str]) -> int:
    """Inside the namespace: makes the world, runs the command in it, ends the counters."""
    config = json.loads(Path(config_path).read_text())
    zones = [Zone(**{**zone, "power": tuple(map(tuple, zone["power"]))}) for zone in config["zones"]]
    _lay_out(zones)
    daemon = _serve(zones, config["program"], Path(config["ready"]))
    hidden = [zone for zone in zones if not zone.readable]
    for zone in hidden:
        os.chown(_counter_path(zone), 1, 1)
        _counter_path(zone).chmod(0o400)
    if hidden:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    try:
        status = subprocess.run(command, check=False).returncode
    finally:
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

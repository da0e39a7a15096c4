"""The situations of the table of known energy that have devices, and what ``lowtide run`` says of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fakes import fake_nvml, powercap_world
from fakes.known_power import LOWTIDE, own_window_s

if TYPE_CHECKING:
    from collections.abc import Callable

_BURSTS = {"power_w": 600.0, "low_w": 90.0, "period_s": 1.0, "high_share": 0.25}
_OTHER_PID = 4_000_000  # beyond every process of a machine with the kernel's default limit
_OWN_PCT, _OTHER_PCT = 25, 75
_OTHERS = (fake_nvml.Process(_OTHER_PID, _OTHER_PCT),)

# The command of a shared device: writes who uses it (itself among them), then becomes the sleeping command.
_JOIN = """
import os, sys
path, start_s, folder, *command = sys.argv[1:]
sys.path.insert(0, folder)
from pathlib import Path
from fakes.known_gpus import shared_devices
from fakes import fake_nvml
fake_nvml.write_config(Path(path), shared_devices(os.getpid()), start_s=float(start_s))
os.execv(command[0], command)
"""


class Situation(NamedTuple):
    """One row; ``counted`` are the devices (index, share) whose energy is the truth; the bar is of reported / true."""

    name: str
    title: str
    devices: tuple[fake_nvml.Device, ...]
    counted: tuple[tuple[int, float], ...]
    low: float = 0.995
    high: float = 1.005
    visible: str | None = None
    is_shared: bool = False
    is_estimated: bool = False


class Measured(NamedTuple):
    status: int
    result: dict[str, Any]
    errors: str
    true_j: float

    @property
    def part(self) -> dict[str, Any]:
        gpu: dict[str, Any] = self.result["components"]["gpu"]
        return gpu

    @property
    def ratio(self) -> float:
        return (self.part["energy_j"] or 0.0) / self.true_j


def situations(length_s: float) -> list[Situation]:
    """N1, N2 and N4 to N7, for runs of ``length_s``; N3 is ``power_only``."""
    device = fake_nvml.Device()
    four = tuple(fake_nvml.Device(power_w=power_w) for power_w in (400.0, 300.0, 500.0, 250.0))
    lost = fake_nvml.Device(lost_from_s=0.5 * length_s)
    return [
        Situation("N1", "one device, 400 W", (device,), ((0, 1.0),)),
        Situation("N2", "bursts 600/90 W", (fake_nvml.Device(**_BURSTS),), ((0, 1.0),)),
        Situation("N4", "four devices", four, tuple((index, 1.0) for index in range(4))),
        Situation("N5", "four devices, CUDA_VISIBLE_DEVICES=2", four, ((2, 1.0),), visible="2"),
        Situation("N6", "one of two devices lost half-way", (device, lost), ((0, 1.0), (1, 1.0)), 0.9, 1.1,
                  is_estimated=True),
        Situation("N7", "shared 75:25, ours the 25", shared_devices(os.getpid()), ((0, 0.25),), 0.88, 1.12,
                  is_shared=True),
    ]  # fmt: skip


def power_only() -> Situation:
    """N3: bursts on a device that tells its power alone."""
    device = fake_nvml.Device(**_BURSTS, has_counter=False)
    return Situation("N3", "bursts, power only", (device,), ((0, 1.0),), 0.95, 1.05)


def shared_devices(own_pid: int) -> tuple[fake_nvml.Device, ...]:
    return (fake_nvml.Device(processes=(fake_nvml.Process(own_pid, _OWN_PCT), *_OTHERS)),)


def lay_out(
    folder: Path, situation: Situation, length_s: float, seed: int = 0
) -> tuple[dict[str, str], Callable[[float, float], float]]:
    """(environment of a program that sees the devices, truth between two instants); ``seed`` shifts their bursts."""
    library = fake_nvml.build(folder.parent)
    (folder / "bin").mkdir(exist_ok=True)
    tool = folder / "bin" / "nvidia-smi"  # some programs take a node for one without devices where it is missing
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    config = fake_nvml.write_config(folder / "devices", situation.devices)
    if seed:
        config = fake_nvml.write_config(folder / "devices", situation.devices, start_s=config.start_s - 0.317 * seed)
    environment = {**os.environ, **fake_nvml.environment(library, config)}
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        environment.pop(name, None)
    if situation.visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = situation.visible

    def true_j(first_s: float, last_s: float) -> float:
        return sum(share * config.energy_j(index, first_s, last_s) for index, share in situation.counted)

    return environment, true_j


def measure(folder: Path, situation: Situation, length_s: float, seed: int = 0) -> Measured:
    """Runs ``lowtide run`` on a sleeping command that the situation's devices belong to."""
    folder.mkdir(parents=True, exist_ok=True)
    environment, true_j = lay_out(folder, situation, length_s, seed)
    command = [str(powercap_world.program()), "sleep", str(length_s), str(folder / "window")]
    if situation.is_shared:
        start_s = (folder / "devices").read_text().split("start_s ", 1)[1].split()[0]
        tests = str(Path(fake_nvml.__file__).parents[1])
        own = str(Path(__file__).parents[1])
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{_JOIN}",
                   str(folder / "devices"), start_s, own, *command]  # fmt: skip
    argv = [*LOWTIDE, "run", "--json", str(folder / "run.json"), "--journal", str(folder / "spool"), "--", *command]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    result = json.loads((folder / "run.json").read_text())
    first_s, last_s = own_window_s(folder / "spool")
    if situation.is_shared:  # it used nothing before it was one of the users
        first_s = 1e-9 * int((folder / "window").read_text().split()[0])
    return Measured(ran.returncode, result, ran.stderr, true_j(first_s, last_s))


def verdict(situation: Situation, measured: Measured) -> str:
    """What is wrong besides the figure; "" where nothing is."""
    if measured.status != 0:
        return f"exit status {measured.status}"
    part = measured.part
    if situation.is_estimated:
        if not part["energy_low_j"] <= measured.true_j <= part["energy_high_j"]:
            return "the truth is outside the band"
        return "" if part["flags"] else "not flagged"
    return ""

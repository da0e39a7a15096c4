"""What ``lowtide calibrate`` found out about a node, as later runs read it: idle power per source, and the node's rest.

One JSON file per host in ``calibration`` in the state folder. A file that is old, or of another processor, is left
aside with a word.
"""

from __future__ import annotations

import os
import time

from lowtide_sampler.folders import state_folder
from lowtide_sampler.machine import read_text
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lowtide_sampler.machine import Machine

SCHEMA = "lowtide-calibration/1"
REPEAT = "lowtide calibrate"
_VALID_S = 365 * 86400.0
_CLOCK_ERROR_S = 86400.0


class Calibration(NamedTuple):
    """Measured powers of one node.

    Attributes:
        measured_utc_s: When; s since 1970.
        cpu: (vendor, family, model, threads) that it holds for.
        idle_w: Power at rest by name of source; W.
        node_meter: What measured the whole node: ``wall``, ``RAPL psys``, ``IPMI DCMI``; "" where nothing did.
        node_idle_w, devices_idle_w: The whole node at rest, and the sum of its components' meters then; W.
        node_busy_w, devices_busy_w: The same under load; W; None where that was not measured.
        busy_cpus: How many CPUs the load kept busy, on the mean.
    """

    measured_utc_s: float
    cpu: tuple[str, int, int, int]
    idle_w: Mapping[str, float]
    node_meter: str = ""
    node_idle_w: float | None = None
    devices_idle_w: float = 0.0
    node_busy_w: float | None = None
    devices_busy_w: float = 0.0
    busy_cpus: float = 0.0

    @property
    def rest_idle_w(self) -> float | None:
        """What the node draws at rest besides its measured components; W."""
        return None if self.node_idle_w is None else max(self.node_idle_w - self.devices_idle_w, 0.0)

    @property
    def rest_slope(self) -> float | None:
        """Watts that the rest grows by for each watt of the components; None where no load was measured."""
        if self.node_idle_w is None or self.node_busy_w is None or self.devices_busy_w <= self.devices_idle_w:
            return None
        grown_w = self.node_busy_w - self.node_idle_w
        return max(grown_w / (self.devices_busy_w - self.devices_idle_w) - 1, 0.0)

    @property
    def rest_active_j_per_cpu_s(self) -> float | None:
        """The same growth by busy CPU second, which is what models count; J/s; None where no load was measured."""
        if self.node_idle_w is None or self.node_busy_w is None or self.busy_cpus <= 0:
            return None
        grown_w = (self.node_busy_w - self.node_idle_w) - (self.devices_busy_w - self.devices_idle_w)
        return max(grown_w, 0.0) / self.busy_cpus


def cpu_of(machine: Machine) -> tuple[str, int, int, int]:
    """What a calibration must agree with."""
    return machine.vendor, machine.family, machine.model, machine.threads


def path_of(environ: Mapping[str, str], host: str) -> str:
    """``calibration/HOST.json`` in the state folder."""
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in host).lstrip(".")
    return os.path.join(state_folder(environ), "calibration", f"{name or 'host'}.json")


def load(path: str, machine: Machine, now_utc_s: float | None = None) -> tuple[Calibration | None, str]:
    """(the calibration, why there is none); both None and "" where the node was never calibrated."""
    text = read_text(path, 1 << 20)
    if not text:
        return None, ""
    import json

    try:
        record = json.loads(text)
        if record["schema"] != SCHEMA:
            return None, f"{path} is of version {record['schema']!r}; this program reads {SCHEMA!r}"
        calibration = _from_record(record)
    except (ValueError, KeyError, TypeError) as error:
        return None, f"{path} is damaged ({type(error).__name__}: {error})"
    age_s = (time.time() if now_utc_s is None else now_utc_s) - calibration.measured_utc_s
    if calibration.cpu != cpu_of(machine):
        return None, f"{path} is of another processor ({calibration.cpu[3]} CPUs, model {calibration.cpu[2]})"
    if age_s > _VALID_S:
        return None, f"{path} is {age_s / 86400:.0f} days old"
    if age_s < -_CLOCK_ERROR_S:
        return None, f"{path} is from the future: a clock was wrong"
    return calibration, ""


def save(path: str, calibration: Calibration, host: str) -> None:
    """Writes it whole or not at all, for its owner alone.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    from lowtide_sampler.files import write_json

    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_json(path, {"schema": SCHEMA, "host": host, **calibration._asdict()}, mode=0o600)


def _from_record(record: Mapping[str, Any]) -> Calibration:
    """Raises KeyError, TypeError or ValueError where the record is not what ``save`` writes."""
    vendor, family, model, threads = record["cpu"]

    def watts(name: str) -> float | None:
        return None if record.get(name) is None else _watts(record[name])

    return Calibration(
        measured_utc_s=float(record["measured_utc_s"]),
        cpu=(str(vendor), int(family), int(model), int(threads)),
        idle_w={str(name): _watts(value) for name, value in dict(record["idle_w"]).items()},
        node_meter=str(record.get("node_meter", "")),
        node_idle_w=watts("node_idle_w"),
        devices_idle_w=watts("devices_idle_w") or 0.0,
        node_busy_w=watts("node_busy_w"),
        devices_busy_w=watts("devices_busy_w") or 0.0,
        busy_cpus=watts("busy_cpus") or 0.0,
    )


def _watts(value: Any) -> float:
    number = float(value)
    if not 0 <= number < 1e6:
        raise ValueError(f"{value} W")
    return number

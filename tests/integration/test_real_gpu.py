"""A real NVIDIA device, where one is there: its counter, its power and its users agree with one another.

Measured in a process of its own: another test may have loaded the library that plays a driver.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MEASURE = """
import json, os, sys, time
from lowtide_sampler import nvml, nvml_driver
from lowtide_sampler.meters import Shared
from lowtide_sampler.nvml_driver import Device
from lowtide_sampler.nvml_meters import power_meter

driver, found = nvml_driver.start()
if driver is None:
    sys.exit(json.dumps({"skip": found.why}))
begin_s = time.perf_counter()
meters = nvml.discover(driver, {}).meters
discover_s = time.perf_counter() - begin_s
meters = [meter for meter in meters if isinstance(meter, Shared)]
if not meters:
    sys.exit(json.dumps({"skip": "the driver shows no whole device"}))
handles = [driver.call("nvmlDeviceGetHandleByIndex", int(meter.source.name[len("nvml:"):])) for meter in meters]
powers = [power_meter(Device(driver, handle, "", "power"), meter.source) for handle, meter in zip(handles, meters)]
own, ticks_s = frozenset({os.getpid()}), []
time.sleep(0.2)
first = [(meter.read().energy_uj, power.read().energy_uj) for meter, power in zip(meters, powers)]
begin_s = time.monotonic()
while time.monotonic() < begin_s + 10.0:
    at_s = time.perf_counter()
    for meter in meters:
        meter.note_users(own)
        meter.read()
    ticks_s.append(time.perf_counter() - at_s)
    for power in powers:
        power.sample()
    time.sleep(0.1)
length_s = time.monotonic() - begin_s
print(json.dumps({
    "discover_s": discover_s,
    "tick_s": sorted(ticks_s)[len(ticks_s) // 2],
    "devices": [
        {
            "label": meter.source.label, "pmax_w": meter.source.pmax_w, "idle_w": meter.source.idle_w,
            "counter_w": 1e-6 * (meter.read().energy_uj - counted) / length_s,
            "power_w": 1e-6 * (power.read().energy_uj - summed) / length_s,
            "use": meter.read().use, "length_s": length_s,
        }
        for meter, power, (counted, summed) in zip(meters, powers, first)
    ],
}))
"""


@pytest.mark.gpu
def test_a_real_device_counts_as_its_power_says() -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", MEASURE], env=environ, capture_output=True, text=True, check=False)
    report = json.loads(answer.stdout or answer.stderr)
    if "skip" in report:
        pytest.skip(f"no NVIDIA device: {report['skip']}")
    print(json.dumps(report, indent=2))
    for device in report["devices"]:
        assert 1.0 < device["power_w"] < device["pmax_w"]
        assert device["counter_w"] == pytest.approx(device["power_w"], rel=0.15, abs=5.0)
        own_s, all_s, equal_s, blind_s = device["use"]
        assert 0.0 <= own_s <= all_s + 1e-9
        assert equal_s + blind_s <= device["length_s"] + 1.0

"""Power summed as steps: bursts met without bias, window averages shifted, holes told."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tests.fakes.fake_nvml import Device

from lowtide_sampler.meters import Source, Unreadable
from lowtide_sampler.power_sum import SAMPLE_PERIOD_S, PowerSum, SampledMeter

BURSTS = Device(power_w=600.0, low_w=90.0, period_s=1.0, high_share=0.25)
MEAN_W = 217.5


def instant_w(device: Device) -> Callable[[float], float]:
    return lambda t_s: device.power_w if t_s % device.period_s < device.high_share * device.period_s else device.low_w


def window_w(energy_j: Callable[[float], float], window_s: float = 1.0) -> Callable[[float], float]:
    return lambda t_s: (energy_j(t_s) - energy_j(t_s - window_s)) / window_s


def summed_j(
    sensor_w: Callable[[float], float], begin_s: float, end_s: float, seed: int, window_s: float = 0.0
) -> float:
    """Read as the loop reads: at uneven times, and at both ends."""
    chance = random.Random(seed)
    power_sum = PowerSum(window_s)
    now_s = begin_s
    readings_uj = [power_sum.add(now_s, sensor_w(now_s))]
    while now_s < end_s:
        now_s = min(now_s + SAMPLE_PERIOD_S * chance.uniform(0.5, 1.5), end_s)
        readings_uj.append(power_sum.add(now_s, sensor_w(now_s)))
    assert readings_uj == sorted(reading for reading in readings_uj if reading is not None)
    assert readings_uj[-1] is not None
    return 1e-6 * readings_uj[-1]


def test_bursts_are_met_within_5_percent_and_without_bias() -> None:
    ratios = [summed_j(instant_w(BURSTS), 0.0, 60.0, seed) / (60 * MEAN_W) for seed in range(10)]
    assert all(ratio == pytest.approx(1.0, abs=0.05) for ratio in ratios)
    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.015)


def test_bursts_through_a_window_are_met_within_2_percent() -> None:
    ratios = [summed_j(window_w(BURSTS.energy_j), 10.3, 70.3, seed, 1.0) / (60 * MEAN_W) for seed in range(10)]
    assert all(ratio == pytest.approx(1.0, abs=0.02) for ratio in ratios)


@pytest.mark.parametrize("length_s", [2.0, 5.0, 10.0])
def test_half_a_window_at_each_end_is_neither_lost_nor_counted_twice(length_s: float) -> None:
    def energy_j(t_s: float) -> float:  # 70 W of idle, and a job of 500 W from 100 s on
        return (
            70.0 * min(t_s, 100.0) + 500.0 * min(max(t_s - 100.0, 0.0), length_s) + 70.0 * max(t_s - 100 - length_s, 0)
        )

    truth_j = 500.0 * length_s
    reported_j = [summed_j(window_w(energy_j), 100.0, 100.0 + length_s, seed, 1.0) for seed in range(10)]
    assert reported_j == pytest.approx([truth_j] * 10, rel=0.02)
    unshifted_j = summed_j(window_w(energy_j), 100.0, 100.0 + length_s, 0)
    assert truth_j - unshifted_j == pytest.approx(0.5 * 430.0, rel=0.15)


def test_a_falling_average_never_takes_energy_back() -> None:
    def energy_j(t_s: float) -> float:
        return 700.0 * min(t_s, 20.0) + 5.0 * max(t_s - 20.0, 0.0)

    reported_j = summed_j(window_w(energy_j), 10.0, 30.0, 1, 1.0)
    assert reported_j == pytest.approx(7050.0, rel=0.02)


def test_a_power_is_not_held_for_long_nor_over_a_failure() -> None:
    power_sum = PowerSum()
    assert power_sum.add(0.0, 100.0) == 0
    assert power_sum.add(1.0, 100.0) == 100_000_000
    assert power_sum.add(600.0, 100.0) is None
    assert power_sum.add(601.0, 100.0) == 200_000_000
    power_sum.fail()
    assert power_sum.add(601.5, 100.0) == 200_000_000
    assert power_sum.add(602.5, 100.0) == 300_000_000


@pytest.mark.parametrize("answer", [OSError(5, "gone"), ValueError("x"), Unreadable("p", "x"), -3.0])
def test_a_reading_that_fails_is_not_held_over(answer: Exception | float) -> None:
    answers: list[Exception | float] = [100.0, answer, 100.0, 100.0]
    clock_s = 0.0

    def read_power_w() -> float:
        value = answers.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    meter = SampledMeter(Source("p", "p", "cpu", "power"), read_power_w, monotonic_s=lambda: clock_s)
    assert meter.read().energy_uj == 0
    clock_s = 0.5
    with pytest.raises(Unreadable):
        meter.sample()
    clock_s = 1.0
    meter.sample()
    assert meter.read().energy_uj == 0
    clock_s = 1.5
    meter.sample()
    assert meter.read().energy_uj == 50e6


def test_a_reading_between_two_samples_is_what_is_held_up_to_then() -> None:
    clock_s, asked = 0.0, []

    def read_power_w() -> float:
        asked.append(clock_s)
        return 100.0

    meter = SampledMeter(Source("p", "p", "cpu", "power"), read_power_w, monotonic_s=lambda: clock_s)
    meter.sample()
    clock_s = 0.1
    assert meter.read().energy_uj == 10e6
    assert asked == [0.0]
    clock_s = 1.0  # too long for a look between two samples: the sensor is asked
    assert meter.read().energy_uj == 100e6
    assert asked == [0.0, 1.0]

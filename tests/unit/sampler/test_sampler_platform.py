"""Meters of the whole node: they stand beside, never block, and ask a controller seldom."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from pathlib import Path

import pytest

from lowtide_sampler.meters import BESIDE, Unreadable
from lowtide_sampler.platform_power import IpmiController, SeldomSensor, dcmi_power_w, discover


def dcmi(power_w: int, *, code: int = 0, active: bool = True) -> bytes:
    """An answer as the standard lays it out: code, group, now, least, most, mean, time, period, state."""
    return struct.pack("<BBHHHHIIB", code, 0xDC, power_w, 1, 900, 333, 1_700_000_000, 1000, 0x40 if active else 0)


class PlayedController:
    """Answers a question after ``delay_s``, with the power that it then has."""

    def __init__(self, clock: list[float], delay_s: float = 1.0) -> None:
        self.clock = clock
        self.delay_s = delay_s
        self.power_w = 300
        self.asked_s: list[float] = []
        self.silent = False

    def ask(self) -> None:
        self.asked_s.append(self.clock[0])

    def answer(self) -> bytes | None:
        is_due = not self.silent and self.asked_s and self.clock[0] - self.asked_s[-1] >= self.delay_s
        return dcmi(self.power_w) if is_due else None


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def meter_of(root: Path, controller: PlayedController, clock: list[float]):
    (meter,) = discover(str(root), controller, lambda: clock[0]).meters
    return meter


def test_a_controller_is_asked_every_ten_seconds_however_often_it_is_read(tmp_path: Path, clock: list[float]) -> None:
    controller = PlayedController(clock)
    meter = meter_of(tmp_path, controller, clock)
    assert meter.source.component == BESIDE
    energy_uj = []
    for tick in range(1, 301):
        clock[0] = tick / 5
        try:
            meter.sample()
            energy_uj.append(meter.read().energy_uj)
        except Unreadable:
            assert clock[0] < 1.0  # before the first answer
    assert controller.asked_s == pytest.approx([0, 10, 20, 30, 40, 50, 60], abs=0.21)
    assert energy_uj[-1] == pytest.approx(300e6 * 59, rel=0.01)


def test_a_controller_that_falls_silent_is_not_held_for_ever(tmp_path: Path, clock: list[float]) -> None:
    controller = PlayedController(clock)
    meter = meter_of(tmp_path, controller, clock)
    clock[0] = 5.0
    meter.sample()
    controller.silent = True
    for clock[0] in (10.0, 20.0, 30.0, 40.0):
        meter.sample()
    clock[0] = 41.0
    with pytest.raises(Unreadable):
        meter.sample()


def test_the_answer_s_current_power_is_taken() -> None:
    assert dcmi_power_w(dcmi(412)) == 412.0


@pytest.mark.parametrize("answer", [b"", b"\xc1", dcmi(1, code=0xC9), dcmi(1)[:10], dcmi(300, active=False),
                                    b"\0\x01" + dcmi(1)[2:]])  # fmt: skip
def test_a_refusal_is_no_power(answer: bytes) -> None:
    with pytest.raises(ValueError, match="management controller"):
        dcmi_power_w(answer)


def test_the_device_s_questions_have_the_kernel_s_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The structures are read back through the addresses in them, as the kernel does it."""
    device = tmp_path / "ipmi0"
    device.touch()
    asked: list[tuple[int, bytes, bytes]] = []

    def ioctl(_fd: int, number: int, argument):
        if number == 0x8028690D:
            address, length, _, net_function, command, size, data = struct.unpack("@PIlBBHP", argument)
            asked.append((net_function << 8 | command, ctypes.string_at(address, length), ctypes.string_at(data, size)))
            return b""
        assert number == 0xC030690B
        if not asked:
            raise BlockingIOError
        _, _, _, _, _, _, room, data = struct.unpack("@iPIlBBHP", argument)
        answer = dcmi(257)
        assert room >= len(answer)
        ctypes.memmove(data, answer, len(answer))
        argument[:] = struct.pack("@iPIlBBHP", 1, 0, 0, len(asked), 0x2D, 2, len(answer), data)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    controller = IpmiController(str(device))
    assert controller.answer() is None
    controller.ask()
    assert asked == [(0x2C02, struct.pack("ihBx", 12, 15, 0), b"\xdc\x01\0\0")]
    answer = controller.answer()
    assert answer is not None
    assert dcmi_power_w(answer) == 257.0


def test_a_controller_that_may_not_be_used_has_a_remedy_with_its_danger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/ipmi0").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    answer = discover(str(tmp_path))
    assert answer.meters == ()
    assert "switch the node off" in answer.findings[0].repair


def test_no_controller_is_nothing_to_tell(tmp_path: Path) -> None:
    assert discover(str(tmp_path)) == ((), (), 0.0)


def acpi(root: Path, **files: str | int) -> None:
    folder = root / f"sys/class/hwmon/hwmon{len(list(root.rglob('hwmon*')))}"
    folder.mkdir(parents=True)
    for name, text in {"name": "power_meter", **files}.items():
        (folder / name).write_text(f"{text}\n")


def test_the_acpi_meter_stands_beside(tmp_path: Path, clock: list[float]) -> None:
    acpi(tmp_path, power1_average=250_000_000, power1_average_interval=1000)
    (meter,) = discover(str(tmp_path), monotonic_s=lambda: clock[0]).meters
    assert (meter.source.component, meter.source.kind, meter.sample_period_s) == (BESIDE, "power", 5.0)
    before_uj = meter.read().energy_uj
    clock[0] = 2.0
    assert meter.read().energy_uj - before_uj == 500_000_000


def test_a_slow_sensor_is_asked_seldom_and_again_at_once_after_a_failure(clock: list[float]) -> None:
    answers: list[float | Exception] = [100.0, OSError(5, "gone"), 200.0, 300.0]
    asked_s = []

    def read_power_w() -> float:
        asked_s.append(clock[0])
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sensor, seen = SeldomSensor(read_power_w, 3.0, lambda: clock[0]), []
    for tick in range(40):
        clock[0] = tick / 5
        try:
            seen.append(sensor.read_power_w())
        except OSError:
            seen.append(None)
    assert asked_s == pytest.approx([0.0, 3.0, 3.2, 6.2])
    assert [seen[0], seen[14], seen[15], seen[16], seen[30], seen[31]] == [100.0, 100.0, None, 200.0, 200.0, 300.0]


def test_grace_s_rails_are_not_the_node(tmp_path: Path) -> None:
    acpi(tmp_path, power1_average=250_000_000, power1_oem_info="CPU Power Socket 0")
    assert discover(str(tmp_path)).meters == ()

"""Power of the whole node: ACPI's power meter and the management controller. Kept beside the sum, never added to it.

Redfish is left out: it needs the network, a login and TLS (50 ms and 10 MB in a program that starts in 0.1 s), and
shows what IPMI shows of the same controller without any of them.
"""

from __future__ import annotations

import os
import struct
import time

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.hwmon import acpi_sensor, chip_folders, is_grace
from lowtide_sampler.meters import BESIDE, Discovery, Finding, Source, Unreadable
from lowtide_sampler.power_sum import SampledMeter
from lowtide_sampler.remedies import IPMI_GROUP, told
from lowtide_sampler.standins import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lowtide_sampler.meters import Meter

IPMI_DEVICE = "/dev/ipmi0"
_NODE_PMAX_W = 20_000.0
_ACPI_PERIOD_S = 5.0  # on many servers the meter asks the management controller, and a read takes its time
_ASK_EVERY_S = 10.0
_HELD_AT_MOST_S = 35.0  # three questions without an answer


class Controller(Protocol):
    """A management controller that is asked now and answers later: the seam for tests."""

    def ask(self) -> None:
        """Sends the question and does not wait. Raises OSError."""

    def answer(self) -> bytes | None:
        """The answer, if it has come; never waits. Raises OSError."""


class IpmiController:
    """DCMI "Get Power Reading" through the kernel's IPMI device.

    ``ipmitool`` would be a child of ours: its CPU seconds would be counted as the job's, and its end would be taken for
    the command's. The device itself takes a question and gives the answer when it has come.

    Source:
        Intel, Data Center Manageability Interface 1.5, table 6-16; Linux, include/uapi/linux/ipmi.h.
    """

    _SYSTEM_INTERFACE = struct.pack("ihB", 0x0C, 0x0F, 0) + b"\0"  # type, channel of the controller itself, unit
    _NET_FUNCTION, _COMMAND = 0x2C, 0x02
    _QUESTION = b"\xdc\x01\x00\x00"  # the DCMI group, mode "system power", two reserved bytes

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._sent = 0

    def ask(self) -> None:
        import ctypes
        import fcntl

        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        address = ctypes.create_string_buffer(self._SYSTEM_INTERFACE, len(self._SYSTEM_INTERFACE))
        data = ctypes.create_string_buffer(self._QUESTION, len(self._QUESTION))
        self._sent += 1
        request = struct.pack(
            "@PIlBBHP",
            ctypes.addressof(address),
            len(self._SYSTEM_INTERFACE),
            self._sent,
            self._NET_FUNCTION,
            self._COMMAND,
            len(self._QUESTION),
            ctypes.addressof(data),
        )
        fcntl.ioctl(self._fd, _ioctl_number(2, 13, len(request)), request)

    def answer(self) -> bytes | None:
        import ctypes
        import fcntl

        if self._fd < 0:
            return None
        address, data = ctypes.create_string_buffer(64), ctypes.create_string_buffer(272)
        received = bytearray(
            struct.pack(
                "@iPIlBBHP", 0, ctypes.addressof(address), len(address), 0, 0, 0, len(data), ctypes.addressof(data)
            )
        )
        try:
            fcntl.ioctl(self._fd, _ioctl_number(3, 11, len(received)), received)
        except BlockingIOError:
            return None
        number, length = struct.unpack("@iPIlBBHP", received)[3::3]
        return data.raw[:length] if number == self._sent else None


def _ioctl_number(direction: int, number: int, size: int) -> int:
    """The kernel's _IOC for IPMI; 2 where it reads from us by its own naming, 3 both ways."""
    return direction << 30 | size << 16 | ord("i") << 8 | number


class SeldomSensor:
    """A sensor that is slow to read: between two reads at least ``every_s`` apart its last power holds.

    Meters are read together, as often as the most eager of them asks for.
    """

    def __init__(self, read_power_w: Callable[[], float], every_s: float, monotonic_s: Callable[[], float]) -> None:
        self._read_power_w = read_power_w
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._last: tuple[float, float] | None = None

    def read_power_w(self) -> float:
        """Raises what the sensor raises; it is then asked again at the next call."""
        now_s = self._monotonic_s()
        if self._last is None or now_s - self._last[1] >= self._every_s:
            self._last = None
            self._last = (self._read_power_w(), now_s)
        return self._last[0]


class IpmiSensor:
    """The controller's last power, asked for anew every ten seconds at the earliest."""

    def __init__(self, controller: Controller, monotonic_s: Callable[[], float]) -> None:
        self._controller = controller
        self._monotonic_s = monotonic_s
        self._asked_s: float | None = None
        self._answered_s = -_HELD_AT_MOST_S
        self._power_w: float | None = None

    def read_power_w(self) -> float:
        """Power of the node as it was told last; W.

        Raises:
            OSError: The device fails.
            ValueError: No answer yet, none for three questions, or one that is no power.
        """
        now_s = self._monotonic_s()
        answer = self._controller.answer() if self._asked_s is not None else None
        if answer is not None:
            self._power_w, self._answered_s = dcmi_power_w(answer), now_s
        if self._asked_s is None or now_s - self._asked_s >= _ASK_EVERY_S:
            self._asked_s = now_s
            self._controller.ask()
        if self._power_w is None or now_s - self._answered_s > _HELD_AT_MOST_S:
            raise ValueError("the management controller has not answered")
        return self._power_w


def dcmi_power_w(answer: bytes) -> float:
    """The current power of a DCMI answer; W.

    Raises:
        ValueError: It is a refusal, of another group, too short, or says that the controller does not measure.
    """
    if len(answer) < 1 or answer[0] != 0:
        raise ValueError(f"the management controller refuses ({answer[:1].hex() or 'nothing'})")
    if len(answer) < 19 or answer[1] != 0xDC:
        raise ValueError("the management controller answers something else")
    if not answer[18] & 0x40:
        raise ValueError("the management controller does not measure power now")
    return float(int.from_bytes(answer[2:4], "little"))


def discover(
    sysroot: str = "",
    controller: Controller | None = None,
    monotonic_s: Callable[[], float] = time.monotonic,
    errors: Mapping[str, float] = ERRORS,
) -> Discovery:
    """Opens the meters of the whole node.

    Args:
        sysroot: Prefix of ``/sys`` and ``/dev`` (tests).
        controller: The management controller; None: this node's, if it may be used.
        monotonic_s: Clock.
        errors: One sigma by kind of source.
    """
    meters: list[Meter] = []
    findings: list[Finding] = []
    for folder, chip in chip_folders(sysroot).items():
        sensor = acpi_sensor(folder) if chip == "power_meter" else None
        if sensor is None or is_grace(sensor):
            continue
        source = _source(f"acpi:{sensor.name}", "ACPI power meter", errors["acpi-power-meter"])
        meter = SampledMeter(
            source,
            SeldomSensor(sensor.read_power_w, 0.6 * _ACPI_PERIOD_S, monotonic_s).read_power_w,
            sample_period_s=_ACPI_PERIOD_S,
            held_at_most_s=4 * _ACPI_PERIOD_S,
            window_s=sensor.window_s,
            monotonic_s=monotonic_s,
        )
        try:
            meter.read()
        except Unreadable as error:
            findings.append(Finding(source.name, False, error.why))
        else:
            meters.append(meter)
            findings.append(Finding(source.name, True, f"{sensor.label or 'the whole node'}, beside the sum"))
    ipmi, finding = _ipmi(sysroot + IPMI_DEVICE, controller, monotonic_s, errors)
    return Discovery((*meters, *ipmi), (*findings, *finding), 0.0)


def _ipmi(
    path: str, controller: Controller | None, monotonic_s: Callable[[], float], errors: Mapping[str, float]
) -> tuple[tuple[Meter, ...], tuple[Finding, ...]]:
    name = "ipmi:dcmi"
    if controller is None:
        if not os.path.exists(path):
            return (), ()
        if not os.access(path, os.R_OK | os.W_OK):
            return (), (Finding(name, False, f"{path} may not be used; the node's power beside", told(IPMI_GROUP)),)
        controller = IpmiController(path)
    sensor = IpmiSensor(controller, monotonic_s)
    meter = SampledMeter(
        _source(name, "IPMI DCMI", errors["ipmi-dcmi"]),
        sensor.read_power_w,
        sample_period_s=_ASK_EVERY_S / 2,  # answers are fetched at another time than questions are put
        held_at_most_s=_HELD_AT_MOST_S,
        monotonic_s=monotonic_s,
    )
    try:
        meter.read()
    except Unreadable as error:
        if "has not answered" not in error.why:  # it never has at once
            return (), (Finding(name, False, error.why),)
    return (meter,), (Finding(name, True, f"{path}, asked every {_ASK_EVERY_S:.0f} s, beside the sum"),)


def _source(name: str, label: str, error_share: float) -> Source:
    return Source(name, label, BESIDE, "power", pmax_w=_NODE_PMAX_W, error_share=error_share)

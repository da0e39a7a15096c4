"""NVIDIA's driver through nvidia-ml-py, which is imported only where the driver's library can be loaded.

Every failure of theirs, whatever it is, becomes a ``Refused`` by one table; nothing else of theirs is raised.
"""

from __future__ import annotations

import os
import time

from lowtide_sampler.machine import read_text
from lowtide_sampler.meters import Finding, Unreadable
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_PCI, _PCI_VENDOR = "/sys/bus/pci/devices", "0x10de"
_RETRY_S, _RETRY_AT_MOST_S = 5.0, 60.0

UNINITIALIZED, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 1, 3, 4, 6
DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, FUNCTION_NOT_FOUND, GPU_IS_LOST = 9, 12, 13, 15
RESET_REQUIRED, LIBRARY_MISMATCH = 16, 18
NO_SAMPLES = frozenset({0, NOT_FOUND})
"""nvidia-ml-py raises error 0, success, where a list of samples is empty."""

_ERRORS = {
    UNINITIALIZED: ("the driver was unloaded or loaded anew", ""),
    NOT_SUPPORTED: ("the device does not support it", ""),
    NO_PERMISSION: ("the driver does not permit it to this user", ""),
    NOT_FOUND: ("the driver does not find it", ""),
    DRIVER_NOT_LOADED: ("the driver is not loaded", "sudo modprobe nvidia"),
    LIBRARY_NOT_FOUND: (f"{_LIBRARY} cannot be loaded", ""),
    FUNCTION_NOT_FOUND: ("the driver's library is too old for it, or is not the driver's", ""),
    GPU_IS_LOST: ("the GPU is lost", ""),
    RESET_REQUIRED: ("the GPU must be reset", "sudo nvidia-smi --gpu-reset"),
    LIBRARY_MISMATCH: ("the driver's library is of another version than its kernel module", "sudo reboot"),
}
_ENDED = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, LIBRARY_MISMATCH})


class Refused(Unreadable):
    """The driver did not answer; ``code`` is NVML's, None where the failure is none of NVML's."""

    def __init__(self, source: str, why: str, repair: str, code: int | None) -> None:
        super().__init__(source, why, repair)
        self.code = code


class Driver:
    """A started driver. One that was unloaded under us is started again, at growing intervals.

    Attributes:
        generation: Grows with every start: handles of an earlier one are void.
    """

    def __init__(self, pynvml: Any, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self.monotonic_s = monotonic_s
        self._pynvml = pynvml
        self._retry_s = _RETRY_S
        self._next_start_s = 0.0

    def call(self, function: str, *arguments: Any, source: str = "nvml") -> Any:
        """What a function of ``pynvml`` returns; ``source`` is who asks.

        Raises:
            Refused: It failed, or is not there.
        """
        try:
            return getattr(self._pynvml, function)(*arguments)
        except Exception as error:  # the loop must not end for what a driver's library does
            refused = refusal(source, function, error)
            if refused.code in _ENDED:
                self._start_again()
            raise refused from error

    def _start_again(self) -> None:
        now_s = self.monotonic_s()
        if now_s < self._next_start_s:
            return
        self._next_start_s = now_s + self._retry_s
        self._retry_s = min(2 * self._retry_s, _RETRY_AT_MOST_S)
        self._succeeds("nvmlShutdown")
        if self._succeeds("nvmlInit"):
            self.generation += 1
            self._retry_s = _RETRY_S

    def _succeeds(self, function: str) -> bool:
        try:
            getattr(self._pynvml, function)()
        except Exception:  # noqa: BLE001  as in call; the next attempt may do better
            return False
        return True


class Device:
    """One device of a driver; its handle is kept, and looked up anew when the driver was started again."""

    def __init__(self, driver: Driver, handle: Any, uuid: str, name: str) -> None:
        self.driver = driver
        self.uuid = uuid
        self._name = name
        self._handle = handle
        self._generation = driver.generation

    def ask(self, function: str, *arguments: Any) -> Any:
        """What a function of ``pynvml`` returns for this device.

        Raises:
            Refused: It failed, or is not there.
        """
        if self._generation != self.driver.generation:
            self._handle = self.driver.call("nvmlDeviceGetHandleByUUID", self.uuid.encode(), source=self._name)
            self._generation = self.driver.generation
        return self.driver.call(function, self._handle, *arguments, source=self._name)


def refusal(source: str, function: str, error: Exception) -> Refused:
    """Their failure as ours."""
    code = getattr(error, "value", None)
    if isinstance(error, AttributeError) or type(error).__name__ == "NVMLLibraryMismatchError":
        code = FUNCTION_NOT_FOUND
    if not isinstance(code, int):
        return Refused(source, f"{function}: {type(error).__name__}: {error}", "", None)
    why, repair = _ERRORS.get(code, (f"NVML error {code}", ""))
    return Refused(source, f"{function}: {why}", repair, code)


def start() -> tuple[Driver | None, Finding]:
    """The started driver, or None, and what was found; where no driver is, nothing is imported."""
    import ctypes

    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as error:
        if os.path.exists("/dev/nvidia0") or "cannot open shared object" not in str(error):
            return None, Finding("nvml", False, f"{_LIBRARY} cannot be loaded ({error})")
        return None, Finding("nvml", False, "no NVIDIA driver on this node")
    try:
        import pynvml
    except ImportError:
        repair = "pip install nvidia-ml-py" if _has_device() else ""
        return None, Finding("nvml", False, "the module pynvml is not installed", repair)
    except Exception as error:  # noqa: BLE001  another module of that name may raise anything
        return None, Finding("nvml", False, f"the module pynvml does not load ({error})", "pip install nvidia-ml-py")
    try:
        pynvml.nvmlInit()
    except Exception as error:  # noqa: BLE001  as in Driver.call
        refused = refusal("nvml", "nvmlInit", error)
        if refused.code == DRIVER_NOT_LOADED and not _has_device():
            return None, Finding("nvml", False, "the driver's library is here and no NVIDIA device is")
        return None, Finding("nvml", False, refused.why, refused.repair)
    return Driver(pynvml), Finding("nvml", True, "nvidia-ml-py")


def _has_device() -> bool:
    """Whether the node has an NVIDIA device, driver or no driver: many images bring the library alone."""
    if any(os.path.exists(path) for path in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")):
        return True
    try:
        slots = os.listdir(_PCI)
    except OSError:
        return False
    return any(read_text(f"{_PCI}/{slot}/vendor", 16).strip() == _PCI_VENDOR for slot in slots)

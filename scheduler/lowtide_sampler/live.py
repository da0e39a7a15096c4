"""One line on a terminal while a run goes on: watts now, energy and grams so far, and what is expected at the end."""

from __future__ import annotations

import os
import time

from lowtide_sampler.result import energy_unit
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_SHORTEST_S = 0.5
_JOULES_PER_KWH = 3.6e6
_CLEAR = "\r\x1b[K"
_STDERR = 2


class LiveLine:
    """Rewrites its line after each reading.

    Args:
        intensity_g_per_kwh: For grams; None: none are shown.
        pue: Facility over IT energy, in the grams; None: the grams are of the IT energy.
        expected_s: How long the run will take, for what is expected at its end; None: nothing is.
        fd: Where to write; nothing is written where that is no terminal.
    """

    def __init__(
        self, intensity_g_per_kwh: float | None, pue: float | None, expected_s: float | None, fd: int = _STDERR
    ) -> None:
        self.is_shown = _is_terminal(fd)
        self._fd = fd
        self._g_per_j = None if intensity_g_per_kwh is None else intensity_g_per_kwh * (pue or 1.0) / _JOULES_PER_KWH
        self._expected_s = expected_s
        self._before: tuple[float, float] | None = None
        self._power_w: float | None = None

    def show(self, result: dict[str, Any]) -> None:
        """Writes the line for the result so far; a terminal that went away changes nothing."""
        energy_j, now_s = result["energy_j"], result["duration_s"]
        if self._before is not None and energy_j is not None and now_s - self._before[0] >= _SHORTEST_S:
            self._power_w = max(energy_j - self._before[1], 0.0) / (now_s - self._before[0])
        if self._before is None or now_s - self._before[0] >= _SHORTEST_S:
            self._before = (now_s, energy_j or 0.0)
        said = self.line(energy_j, now_s, result.get("measured_share"))
        self._write(_CLEAR + said[: _columns(self._fd) - 1])

    def line(self, energy_j: float | None, now_s: float, measured_share: float | None = None) -> str:
        """``lowtide: 45 s · 212 W · 2.6 Wh 91 % measured · 0.9 g · 21 g expected in 5 min``."""
        words = [_time(now_s)]
        if energy_j is None:
            return "lowtide: " + " · ".join([*words, "energy unknown"])
        words += [f"{self._power_w:.3g} W"] if self._power_w is not None else []
        words.append(_energy(energy_j) + _certainty(measured_share))
        words += [_grams(energy_j * self._g_per_j)] if self._g_per_j is not None else []
        left_s = (self._expected_s or 0.0) - now_s
        if left_s > 0 and self._power_w is not None:
            expected_j = energy_j + self._power_w * left_s
            amount = _energy(expected_j) if self._g_per_j is None else _grams(expected_j * self._g_per_j)
            words.append(f"{amount} expected in {_time(left_s)}")
        return "lowtide: " + " · ".join(words)

    def clear(self) -> None:
        """Leaves the terminal as it was."""
        if self._before is not None:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        try:
            os.write(self._fd, text.encode())
        except OSError:
            self.is_shown = False


def _is_terminal(fd: int) -> bool:
    return os.isatty(fd) and os.environ.get("TERM", "") not in ("", "dumb")


def _columns(fd: int) -> int:
    try:
        return os.get_terminal_size(fd).columns or 80
    except OSError:
        return 80


def _energy(energy_j: float) -> str:
    factor_j, unit = energy_unit(energy_j)
    return f"{energy_j / factor_j:.3g} {unit}"


def _certainty(measured_share: float | None) -> str:
    if measured_share is None:
        return ""
    return f" {100 * measured_share:.0f} % measured" if measured_share > 0 else " modelled"


def _grams(emissions_g: float) -> str:
    return f"{emissions_g:.3g} g" if emissions_g < 1000 else f"{emissions_g / 1000:.3g} kg"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return time.strftime("%M min %S s" if seconds < 3600 else "%-H h %M min", time.gmtime(seconds)).lstrip("0")

"""What an elastic job does and draws at each width, and which widths are worth taking."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide_core.series import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Widths:
    """What a job does and draws at each width that it can run at; without width 0.

    Attributes:
        width: Number of servers or GPUs, (n,), positive, each once, in any order.
        throughput_per_h: Work units per hour, (n,), >= 0. It need be neither concave nor monotone in the width; a width
            at which it is 0 is never taken.
        power_w: Mean power of all servers together, (n,), W, at least ``idle_power_w``.
        idle_power_w: Drawn whenever the job does not run, from the earliest start to the deadline; W.
        usable: Which widths may be taken, (n,) booleans; all by default. ``fit_memory`` sets it.
    """

    width: tuple[int, ...]
    throughput_per_h: FloatArray
    power_w: FloatArray
    idle_power_w: float = 0.0
    usable: tuple[bool, ...] = ()
    efficient: tuple[int, ...] = field(init=False, repr=False)
    """Indices by rising throughput of the widths that no other beats in both throughput and power."""
    corners: tuple[int, ...] = field(init=False, repr=False)
    """Those of the efficient ones on the lower convex hull of (throughput, power), seen from the pause."""

    def __post_init__(self) -> None:
        for name in ("throughput_per_h", "power_w"):
            own = np.array(getattr(self, name), dtype=np.float64)
            own.flags.writeable = False
            object.__setattr__(self, name, own)
        object.__setattr__(self, "usable", tuple(bool(u) for u in self.usable) or (True,) * len(self.width))
        self._require_sound()
        object.__setattr__(self, "efficient", _efficient(self))
        object.__setattr__(self, "corners", _corners(self))

    def _require_sound(self) -> None:
        n = len(self.width)
        if not (n and self.throughput_per_h.shape == self.power_w.shape == (n,) and len(self.usable) == n):
            raise InputError(
                f"There are {n} widths, throughputs of shape {self.throughput_per_h.shape}, "
                f"powers of shape {self.power_w.shape} and {len(self.usable)} marks of use.",
                hint="Give one throughput and one power for each width.",
                widths=self.width,
            )
        if len(set(self.width)) < n or min(self.width) < 1:
            raise InputError(
                f"The widths {self.width} are not positive and different.",
                hint="Leave out width 0, the pause: its power is idle_power_w.",
                widths=self.width,
            )
        self._require_figures()
        if not any(self.usable):
            raise InputError(
                f"No width can be used: {', '.join(map(str, self.width))} are excluded.",
                hint="Take servers with more memory, or allow another width.",
                excluded=self.width,
            )
        if not self.throughput_per_h[list(self.usable)].any():
            raise InputError(
                "The job makes no progress at any width that it may use.",
                hint="Give a positive throughput for one width at least.",
                widths=self.width,
            )

    def _require_figures(self) -> None:
        if not (math.isfinite(self.idle_power_w) and self.idle_power_w >= 0):
            raise InputError(
                f"The idle power is {self.idle_power_w} W.",
                hint="It is finite and not negative.",
                idle_power_w=self.idle_power_w,
            )
        for name, least in (("throughput_per_h", 0.0), ("power_w", self.idle_power_w)):
            figures = getattr(self, name)
            wrong = np.flatnonzero(~(np.isfinite(figures) & (figures >= least)))
            if wrong.size:
                first = int(wrong[0])
                raise InputError(
                    f"{name} at width {self.width[first]} is {figures[first]}.",
                    hint=f"It is a finite number of at least {least:g}.",
                    width=self.width[first],
                    **{name: float(figures[first])},
                )


def fit_memory(widths: Widths, need_gb: Sequence[float], server_gb: float) -> Widths:
    """The same widths without those whose need for memory exceeds what a server has.

    Args:
        widths: What was usable before; what was excluded stays excluded.
        need_gb: Memory that each server needs at each width; (n,), GB.
        server_gb: What one server has; GB.
    Raises:
        InputError: A need is not a number, or no width is left; ``facts["excluded"]`` names the widths.
    """
    if len(need_gb) != len(widths.width) or not all(gb >= 0 for gb in (*need_gb, server_gb)):
        raise InputError(
            f"Memory of {tuple(need_gb)} GB for {len(widths.width)} widths, {server_gb} GB a server, cannot be.",
            hint="Give one need of at least 0 GB for each width, and the memory of one server.",
            need_gb=tuple(need_gb),
            server_gb=server_gb,
        )
    return replace(widths, usable=tuple(u and gb <= server_gb for u, gb in zip(widths.usable, need_gb, strict=True)))


def work_of(widths: Widths, base_width: int, duration_s: float) -> float:
    """Work of a job that takes so long at one width; units.

    Raises:
        InputError: The width is not among the widths, or it makes no progress.
    """
    if base_width not in widths.width or not widths.throughput_per_h[widths.width.index(base_width)] > 0:
        raise InputError(
            f"No throughput is known at width {base_width}.",
            hint=f"There are {', '.join(map(str, widths.width))}.",
            width=base_width,
        )
    return float(widths.throughput_per_h[widths.width.index(base_width)]) * duration_s / SECONDS_PER_HOUR


def _efficient(widths: Widths) -> tuple[int, ...]:
    usable = [i for i, use in enumerate(widths.usable) if use and widths.throughput_per_h[i] > 0]
    least_w = math.inf
    kept = []
    for i in sorted(usable, key=lambda i: (-widths.throughput_per_h[i], widths.power_w[i], widths.width[i])):
        if widths.power_w[i] < least_w:
            least_w = float(widths.power_w[i])
            kept.append(i)
    return tuple(reversed(kept))


def _corners(widths: Widths) -> tuple[int, ...]:
    hull: list[tuple[float, float]] = [(0.0, widths.idle_power_w)]
    kept: list[int] = []
    for i in widths.efficient:
        point = (float(widths.throughput_per_h[i]), float(widths.power_w[i]))
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], point):
            hull.pop()
            kept.pop()
        hull.append(point)
        kept.append(i)
    return tuple(kept)


def _slope(low: tuple[float, float], high: tuple[float, float]) -> float:
    return (high[1] - low[1]) / (high[0] - low[0])

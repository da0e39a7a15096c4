"""Forecasts that a forecaster would have issued in the past, checked for knowledge of their future."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.issued import Came, Issued, hourly_issues
from lowtide.forecasting.rolling import require_no_foresight, rolling
from lowtide_core.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lowtide.backtest.issued import IntArray
    from lowtide.forecasting.types import Forecaster, History
    from lowtide_core.series import FloatArray

PERFECT = "perfect"
"""The name of what came, taken as known beforehand: no forecaster, and not tried for foresight."""

REFIT_HOURS = 720


def made_forecasts(
    forecaster: Forecaster,
    history: History,
    cames: Sequence[Came],
    issue: IntArray,
    horizon: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[Issued, ...]:
    """What a forecaster would have issued for each zone.

    Args:
        history: Of the zones of ``cames``, in their order.
        issue: (n,) hours of the history, ascending; the first leaves it something to learn from.
        horizon: Hours ahead.
        progress: Told how many more issues are made.
    Returns:
        The forecasts of each zone on its own grid.
    Raises:
        InputError: The forecaster knew more than was known at the time of an issue.
    Notes:
        It learns anew every 30 days, from all that was known then.
    """
    require_no_foresight(forecaster, history, issue, horizon)
    values = np.empty((len(cames), issue.size, horizon))
    begin = 0
    while begin < issue.size:
        end = int(np.searchsorted(issue, issue[begin] + REFIT_HOURS))
        values[:, begin:end] = rolling(forecaster, history, issue[begin:end], horizon, REFIT_HOURS)
        if progress is not None:
            progress(end - begin)
        begin = end
    offsets = [round((history.start_s - came.start_s) / SECONDS_PER_HOUR) for came in cames]
    return tuple(
        hourly_issues(came, issue + offset, rows) for came, offset, rows in zip(cames, offsets, values, strict=True)
    )


def perfect(came: Came, horizon: int, *, every: int = 1) -> Issued:
    """What came, as if it had been known beforehand: the yardstick, and no forecast.

    Args:
        horizon: Steps ahead.
        every: Steps from one to the next.
    """
    first = np.arange(0, came.values.size, every, dtype=np.int64)
    padded: FloatArray = np.pad(came.values, (0, horizon), constant_values=np.nan)
    rows = np.lib.stride_tricks.sliding_window_view(padded, horizon)[first]
    return Issued(first.astype(np.float64) * came.step_s, first, rows)

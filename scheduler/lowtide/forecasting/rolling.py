"""Forecasts as they would have been issued in the past: refitted as time goes on, and proven to know no future."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.forecasting.types import require_issues
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.types import Forecaster, History, IntArray

MONTH_H = 30 * 24
_CHECKED = 8
_TOLERANCE = 1e-9
"""Of the largest value: sums of the same numbers in another order may differ in the last digits."""


def rolling(
    forecaster: Forecaster, history: History, issue: IntArray, horizon: int, refit_hours: int = MONTH_H
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Forecasts issued at each hour by a forecaster that is refitted on all that had come by then.

    Args:
        issue: (n,) hours of the history, ascending.
        horizon: How many hours ahead.
        refit_hours: From one fit to the next, the first being at the first issue; > 0.
    Returns:
        (z, n, horizon), g/kWh, float32 (a year of 12 zones and 96 h takes 0.4 GB).
    Raises:
        InputError: Issues outside the history, or no hours between fits.
    """
    require_issues(forecaster.name, history, issue, horizon)
    if refit_hours < 1:
        raise InputError(f"{forecaster.name} cannot be refitted every {refit_hours} h.", hint="Give an hour or more.")
    out = np.empty((len(history.zones), issue.size, horizon), dtype=np.float32)
    block = (issue - issue[:1]) // refit_hours
    for number in np.unique(block):
        mine = np.flatnonzero(block == number)
        fitted = forecaster.fit(history.until(int(issue[0] + number * refit_hours)), horizon)
        out[:, mine] = fitted.issued(history.until(int(issue[mine[-1]])), issue[mine], horizon)
    return out


def require_no_foresight(forecaster: Forecaster, history: History, issue: IntArray, horizon: int) -> None:
    """Issues some of the forecasts again with everything after them removed; they must be the same.

    Args:
        issue: (n,) hours of the history, ascending; eight of them, spread evenly, are tried.
    Raises:
        InputError: One differs, so that the forecaster has read what was not yet known; names the issue.
    """
    if not issue.size:
        return
    fitted = forecaster.fit(history.until(int(issue[0])), horizon)
    tried = np.unique(issue[np.linspace(0, issue.size - 1, _CHECKED).round().astype(np.int64)])
    together = fitted.issued(history, tried, horizon)
    for row, hour in enumerate(tried.tolist()):
        alone = fitted.issued(history.until(hour), tried[row : row + 1], horizon)[:, 0]
        size = np.nanmax(np.abs(alone), initial=0.0)
        if not np.allclose(together[:, row], alone, rtol=0.0, atol=_TOLERANCE * size, equal_nan=True):
            raise InputError(
                f"The forecaster {forecaster.name} knows the future: what it issues at hour {hour} changes when the "
                "hours from then on are removed.",
                hint="Let it use the hours before each issue alone.",
                forecaster=forecaster.name,
                hour=hour,
            )

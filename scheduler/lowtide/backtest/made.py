"""Forecasts that a forecaster would have issued in the past, checked for knowledge of their future."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.issued import Came, Issued, hourly_issues
from lowtide_core.errors import InputError
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.spans import from_epoch_s, iso_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lowtide.backtest.issued import IntArray
    from lowtide.forecasting.types import Forecaster, History
    from lowtide_core.series import FloatArray

REFIT_HOURS = 720
_PROBES = 3


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
        fitted = forecaster.fit(history.until(int(issue[begin])), horizon)
        values[:, begin:end] = fitted.issued(history, issue[begin:end], horizon)
        if progress is not None:
            progress(end - begin)
        begin = end
    offsets = [round((history.start_s - came.start_s) / SECONDS_PER_HOUR) for came in cames]
    return tuple(
        hourly_issues(came, issue + offset, rows) for came, offset, rows in zip(cames, offsets, values, strict=True)
    )


def require_no_foresight(forecaster: Forecaster, history: History, issue: IntArray, horizon: int) -> None:
    """Refuses a forecaster whose forecasts change when what came after their issue is changed or left out.

    Args:
        issue: Of these hours some are tried, the first and the last among them.
    """
    tried = np.unique(issue[np.linspace(0, issue.size - 1, _PROBES).astype(np.int64)])
    fitted = forecaster.fit(history.until(int(tried[0])), horizon)
    said = fitted.issued(history, tried, horizon)
    for number, hour in enumerate(tried.tolist()):
        for other in (history.until(hour), _with_another_future(history, hour)):
            alone = fitted.issued(other, tried[number : number + 1], horizon)[:, 0]
            if not np.allclose(said[:, number], alone, rtol=1e-9, atol=1e-9, equal_nan=True):
                issued = iso_utc(from_epoch_s(history.start_s + hour * SECONDS_PER_HOUR))
                raise InputError(
                    f"The forecaster {forecaster.name} knows the future: what it issues for {issued} changes with "
                    "the hours after.",
                    hint="Let it use the hours before the issue alone.",
                    forecaster=forecaster.name,
                    issue_hour=hour,
                )


def _with_another_future(history: History, hour: int) -> History:
    """The same until that hour, and from then on figures that never came."""
    values = history.intensity_g_per_kwh.copy()
    ahead = values[:, hour:]
    values[:, hour:] = np.where(np.isnan(ahead), 100.0, 1000.0 - np.minimum(ahead[:, ::-1], 900.0))
    return replace(history, intensity_g_per_kwh=values)


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

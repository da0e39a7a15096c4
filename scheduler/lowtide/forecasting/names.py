"""The built-in forecasters by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from lowtide.forecasting.mixture import MIXTURE, RIDGE, Learner
from lowtide.forecasting.simple import RULES, Climatology
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.forecasting.types import Forecaster


def auto() -> Forecaster:
    """What lowtide uses where no forecast is offered.

    By the hours known of each zone at the fit: from 26 weeks the mixture of ridges; below that the mean of ``damped7``
    and ``smoothing``; below a day the last value, see ``low_confidence``.
    """
    return Learner("auto", MIXTURE)


FORECASTERS: dict[str, Forecaster] = {
    known.name: known for known in (auto(), Learner("ridge", RIDGE), Climatology(), *RULES)
}


def forecaster(name: str) -> Forecaster:
    """The built-in forecaster of that name.

    Raises:
        InputError: There is none; names the nearest.
    """
    if name in FORECASTERS:
        return FORECASTERS[name]
    near = get_close_matches(name, FORECASTERS, n=1)
    raise InputError(
        f"There is no forecaster {name!r}.",
        hint=f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(FORECASTERS)}.",
        name=name,
    )

"""What was learnt from a record: a forecaster, how wrong forecasts were, whether to mend them, and their worth.

Kept with the record as arrays and JSON; this is the one place that knows their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lowtide.forecasting.conformal import ErrorBands
from lowtide.forecasting.mending import Bias, Blend
from lowtide.forecasting.mixture import Learned
from lowtide.forecasting.outlook import OutlookWeights
from lowtide_providers.signals.chain import Merit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lowtide.histories import Recorded


class OutlookUsed(NamedTuple):
    """By how much lowtide's own forecast is moved, and by whose outlook."""

    source: str
    weights: OutlookWeights


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What a record taught.

    Attributes:
        at_s: When; s since 1970.
        model: The built-in forecaster, fitted to the record.
        outlook: What moves its forecasts; None: nothing does, or it was not worth it.
        mending: How the recorded source's own forecasts are mended; None: not at all.
        bands: Error bands by the name of the source: the recorded one (its forecasts mended), and ``history:`` of it.
        merits: What forecasts were worth, by the name of their source.
    """

    at_s: float
    model: Learned | None = None
    outlook: OutlookUsed | None = None
    mending: Bias | Blend | None = None
    bands: Mapping[str, ErrorBands] = field(default_factory=dict)
    merits: Mapping[str, Merit] = field(default_factory=dict)


def keep(recorded: Recorded, learnt: Learnt) -> Recorded:
    """The record with what was learnt from it, in place of what was before."""
    arrays: dict[str, Any] = {}
    if learnt.model is not None:
        arrays |= {f"model.{name}": array for name, array in learnt.model.to_arrays().items()}
    if learnt.outlook is not None:
        arrays |= {f"outlook.{name}": array for name, array in learnt.outlook.weights.to_arrays().items()}
    if isinstance(learnt.mending, Bias):
        arrays["bias"] = learnt.mending.mean_g_per_kwh
    if isinstance(learnt.mending, Blend):
        arrays["blend"] = learnt.mending.share
    for source, bands in learnt.bands.items():
        arrays |= {f"band.{source}.{name}": getattr(bands, name) for name in _BAND}
    said = {
        "learnt_utc_s": learnt.at_s,
        "outlook": None if learnt.outlook is None else learnt.outlook.source,
        "bands": list(learnt.bands),
        "merits": {name: [merit.captured_pct, merit.jobs, merit.days] for name, merit in learnt.merits.items()},
    }
    return replace(recorded, learnt=arrays, said=said)


_BAND = ("ends_h", "low", "high", "recent_g_per_kwh")


def learnt_of(recorded: Recorded | None, by_utc: datetime | None = None) -> Learnt | None:
    """What was learnt from a record; None where nothing was, or only after that time."""
    at_s = None if recorded is None else recorded.said.get("learnt_utc_s")
    if recorded is None or not isinstance(at_s, int | float) or (by_utc is not None and at_s > by_utc.timestamp()):
        return None
    arrays: Mapping[str, Any] = recorded.learnt
    said: Mapping[str, Any] = recorded.said
    model, outlook = (
        {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}
        for part in ("model.", "outlook.")
    )
    mending: Bias | Blend | None = None
    if "bias" in arrays:
        mending = Bias(arrays["bias"])
    elif "blend" in arrays:
        mending = Blend(arrays["blend"])
    return Learnt(
        at_s=float(at_s),
        model=Learned.from_arrays(model) if model else None,
        outlook=OutlookUsed(str(said["outlook"]), OutlookWeights.from_arrays(outlook)) if outlook else None,
        mending=mending,
        bands={
            source: ErrorBands(**{name: np.asarray(arrays[f"band.{source}.{name}"]) for name in _BAND})
            for source in said["bands"]
        },
        merits={name: Merit(*figures) for name, figures in said["merits"].items()},
    )

"""The report as CSV: one row per job, the unit in each column's name."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowtide.reports.build import Report

_PLANNED = ("start_utc", "end_utc", "region", "zone", "energy_kwh", "emissions_g", "intensity_g_per_kwh", "source")
_REALISED = (
    "state", "start_utc", "end_utc", "region", "zone", "energy_kwh", "energy_low_kwh", "energy_high_kwh",
    "measured_share", "modelled_share", "filled_share", "emissions_g", "emissions_low_g", "emissions_high_g",
    "intensity_g_per_kwh", "pue", "source", "basis", "scope", "accounting", "facts_version",
)  # fmt: skip
_TOP = ("possible_g", "baseline_g", "saved_g", "saved_pct", "captured_pct", "embodied_g")
_DIFFERENCE = ("energy_g", "timing_g", "place_g", "forecast_g")
COLUMNS = (
    "job_id", "name", "command", "job_state", "exit_status", "engine",
    *(f"planned_{key}" for key in _PLANNED), *(f"realised_{key}" for key in _REALISED), *_TOP,
    *(f"difference_{key}" for key in _DIFFERENCE),
)  # fmt: skip


def to_csv(report: Report) -> str:
    """The whole report; unknown is an empty cell, never zero."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in report.rows:
        item = row.to_json()
        planned, realised, difference = (item[key] or {} for key in ("planned", "realised", "difference"))
        cells: list[Any] = [row.job_id, row.name, " ".join(row.command), row.state, row.exit_status, row.engine]
        cells += [planned.get(key) for key in _PLANNED]
        cells += [realised.get(key) for key in _REALISED]
        cells += [item.get(key) for key in _TOP]
        cells += [difference.get(key) for key in _DIFFERENCE]
        writer.writerow([_safe(cell) for cell in cells])
    return text.getvalue()


def _safe(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula is quoted with an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell

"""The report in the terminal: a receipt for one job, a table for many."""

from __future__ import annotations

import shlex
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lowtide.reports import figures
from lowtide_core.spans import parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from lowtide.reports.build import ReportRow

HEADS = ("job", "state", "energy", "planned", "realised", "at once", "saved", "captured", "settlement")
WIDTH = 100
_LABEL, _QUOTED = 11, 18

CERTAINTY = {
    "modelled": "modelled: no actual intensity is known, the plan's stands in",
    "provisional": "provisional: the grid's figures may still be revised",
    "settled": "settled: the grid's figures are final",
}
"""What each state of realised emissions means."""


def receipt(row: ReportRow, zone: tzinfo | None = None) -> list[str]:
    """One job, quoted beside what came; lines of at most ``WIDTH`` characters.

    Args:
        zone: Of the clock times shown; None is the machine's.
    """
    found = row.settlement
    if found is None:
        return [_title(row, ""), *wrap(f"no settlement: {row.why}", WIDTH)]
    planned, realised = found["planned"], found["realised"]
    rows = [
        ("", "quoted", "realised", ""),
        ("start", _clock(planned["start_utc"], zone), _clock(realised["start_utc"], zone), _lengths(found)),
        ("energy", figures.kwh(planned["energy_kwh"]), _energy(realised), _shares(realised)),
        (
            "intensity",
            figures.intensity(planned["intensity_g_per_kwh"]),
            figures.intensity(realised["intensity_g_per_kwh"]),
            realised["source"],
        ),
        ("emissions", figures.grams(planned["emissions_g"]), _emissions(realised), f"PUE {realised['pue']:.3g}"),
    ]
    if found["baseline_g"] is not None:
        rows.append(_against(found))
    came = max(len(row[2]) for row in rows)
    lines = [_title(row, realised["state"]), *(line for cells in rows for line in _line(cells, came))]
    if found["baseline_g"] is None:
        lines += _unknown("at once", f"not known: {found['no_baseline_why']}")
    lines += _difference(found)
    if found["embodied_g"] is not None:
        lines += _line(("embodied", "", figures.grams(found["embodied_g"]), "beside, in no sum above"), came)
    frame = f"{realised['basis']}, {realised['scope']}, {realised['accounting']}"
    return [*lines, *wrap(f"{CERTAINTY[realised['state']]} · {frame}", WIDTH)]


def _title(row: ReportRow, state: str) -> str:
    head = f"receipt for {row.job_id}   "
    room = WIDTH - len(head) - len(state) - 2
    command = " ".join((row.name or shlex.join(row.command)).split())
    shown = command if len(command) <= room else f"{command[: room - 1]}…"
    return f"{head}{shown:<{room}}  {state}".rstrip()


def _line(cells: tuple[str, str, str, str], came_width: int) -> list[str]:
    """One line of the receipt; a long note goes on below itself."""
    label, quoted, came, note = cells
    columns = f"{label:<{_LABEL}}{quoted:<{_QUOTED}}{came:<{came_width}}"
    first, *more = wrap(note, WIDTH - len(columns) - 2) or [""]
    return [f"{columns}  {first}".rstrip(), *(f"{'':<{len(columns)}}  {rest}" for rest in more)]


def _unknown(label: str, why: str) -> list[str]:
    return wrap(f"{label:<{_LABEL}}{why}", WIDTH, subsequent_indent=" " * _LABEL)


def _clock(iso: str, zone: tzinfo | None) -> str:
    return f"{parse_iso_utc(iso).astimezone(zone):%d %b %H:%M %Z}"


def _lengths(found: Mapping[str, Any]) -> str:
    came, quoted = (
        figures.duration((parse_iso_utc(run["end_utc"]) - parse_iso_utc(run["start_utc"])).total_seconds())
        for run in (found["realised"], found["planned"])
    )
    return f"for {came}, quoted {quoted}"


def _energy(realised: Mapping[str, Any]) -> str:
    return figures.kwh_in_band(realised["energy_kwh"], realised["energy_low_kwh"], realised["energy_high_kwh"])


def _shares(realised: Mapping[str, Any]) -> str:
    shares = []
    for key, word in (("measured_share", "measured"), ("modelled_share", "modelled"), ("filled_share", "filled")):
        if realised[key] >= 0.005:
            shares.append(f"{100 * realised[key]:.0f} % {word}")
    meters = f" ({', '.join(realised['meters'])})" if realised["meters"] else ""
    return f"{', '.join(shares)}{meters}"


def _emissions(realised: Mapping[str, Any]) -> str:
    return figures.grams_in_band(realised["emissions_g"], realised["emissions_low_g"], realised["emissions_high_g"])


def _against(found: Mapping[str, Any]) -> tuple[str, str, str, str]:
    known = found["possible_g"] is not None
    possible = f"best possible {figures.grams(found['possible_g'])}" if known else "best possible not known"
    saved = f"saved {figures.signed_grams(found['saved_g']).lstrip('+')} ({figures.percent(found['saved_pct'])})"
    captured = "" if found["captured_pct"] is None else f" · captured {found['captured_pct']:.0f} %"
    return "at once", figures.grams(found["baseline_g"]), possible, f"{saved}{captured}"


def _difference(found: Mapping[str, Any]) -> list[str]:
    parts = found["difference"]
    if parts is None:
        return _unknown("difference", f"not split: {found['no_difference_why']}")
    total_g = found["realised"]["emissions_g"] - found["planned"]["emissions_g"]
    named = "  ".join(f"{name} {figures.signed_grams(parts[f'{name}_g'])}" for name in ("energy", "timing", "place"))
    forecast = "not known" if parts["forecast_g"] is None else figures.signed_grams(parts["forecast_g"])
    return [f"{'difference':<{_LABEL}}{figures.signed_grams(total_g)}  =  {named}  forecast {forecast}"]


def cells(row: ReportRow) -> tuple[str, ...]:
    """One job as a line of a table, under ``HEADS``."""
    found = row.settlement
    if found is None:
        return (row.job_id, row.state, "-", "-", "-", "-", "-", "-", row.why)
    return (
        row.job_id,
        row.state,
        figures.kwh(found["realised"]["energy_kwh"]),
        figures.grams(found["planned"]["emissions_g"]),
        figures.grams(found["realised"]["emissions_g"]),
        figures.grams(found["baseline_g"]),
        figures.percent(found["saved_pct"]),
        figures.percent(found["captured_pct"]),
        found["realised"]["state"],
    )

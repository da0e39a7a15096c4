"""A report for eyes: the receipt of one job, or one line per job; plain text of at most 100 columns."""

from __future__ import annotations

import shlex
from textwrap import shorten, wrap
from typing import TYPE_CHECKING

from lowtide.jobs.states import SHOWN
from lowtide.reports import figures
from lowtide.reports.build import frame_of
from lowtide_core.places import LOCAL
from lowtide_core.spans import parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from lowtide.reports.build import Report, Row
    from lowtide.reports.receipt import Planned, Realised, Receipt

WIDTH = 100

CERTAINTY = {
    "modelled": "modelled: no actual intensity is known, the plan's own stands in",
    "provisional": "provisional: the grid's figures may still be revised",
    "settled": "settled: the grid's figures are final",
}
"""What each state of realised emissions means, for a reader."""

_HEADS = ("job", "state", "when", "where", "quote", "came", "at once", "saved", "captured")
_WHERE = 15
_LABEL, _QUOTED, _CAME = 12, 17, 27


def write_table(report: Report, zone: tzinfo | None = None) -> str:
    """One line per job and the sums; one job alone is shown as its receipt.

    Args:
        zone: The reader's time zone; None is the machine's.
    """
    if len(report.rows) == 1:
        return "\n".join(receipt_lines(report.rows[0], zone))
    if not report.rows:
        return "No job to report on. Try: lowtide submit --duration 30m --deadline 24h -- COMMAND"
    rows = [_line(row, zone) for row in report.rows]
    return "\n".join([*aligned(_HEADS, rows, texts=4), "", *_sums(report)])


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int) -> list[str]:
    """Lines of a table, heads first: the first columns are texts and stand left, the figures right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < texts else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def _line(row: Row, zone: tzinfo | None) -> tuple[str, ...]:
    receipt, planned = row.receipt, row.receipt["planned"]
    realised = receipt["realised"]
    ran = realised or planned
    where = ran["zone"] if ran["region"] == LOCAL else ran["region"]
    return (
        row.job.job_id,
        realised["state"] if realised else SHOWN[row.job.state],
        f"{parse_iso_utc(ran['start_utc']).astimezone(zone):%d %b %H:%M}",
        shorten(where, _WHERE, placeholder="…") if " " in where else where[:_WHERE],
        figures.grams(planned["emissions_g"]),
        figures.grams(realised["emissions_g"] if realised else None),
        figures.grams(receipt["baseline_g"]),
        figures.percent(receipt["saved_pct"]),
        figures.percent(receipt["captured_pct"]),
    )


def _sums(report: Report) -> list[str]:
    totals = report.totals
    if totals is None:
        return [f"no sums: {report.no_totals_why}"]
    states = ", ".join(f"{count} {state}" for state, count in sorted(totals.states.items()))
    saved = "no baseline, so no saving is known"
    if totals.saved_g is not None:
        saved = f"saved {figures.grams(totals.saved_g)} ({figures.percent(totals.saved_pct)})"
        saved += f" of {figures.grams(totals.baseline_g)} at once"
    captured = "" if totals.captured_pct is None else f" · captured {figures.percent(totals.captured_pct)}"
    line = f"{states} · {figures.kwh(totals.energy_kwh)} · {figures.grams(totals.emissions_g)} · {saved}{captured}"
    return [line, f"{_frame(report)} · times in {_zone_name(report)}"]


def _frame(report: Report) -> str:
    return next(frame_of(row.receipt["realised"]) for row in report.rows if row.receipt["realised"])


def _zone_name(report: Report) -> str:
    return f"{report.made_utc.astimezone():%Z}"


def receipt_lines(row: Row, zone: tzinfo | None = None) -> list[str]:
    """The same figures as the quote's, planned and realised, line by line."""
    receipt, planned, realised = row.receipt, row.receipt["planned"], row.receipt["realised"]
    lines = _title(row)
    if realised is None:
        came = ("", "not settled yet", "")
        return [*lines, _cells("", "quoted", *came[:2]), *_quote_lines(row, zone), *_said(f"why: {row.job.why}")]
    measured = "measured" if realised["measured_share"] > 0.5 else "modelled"
    lines += [
        _cells("", "quoted", measured, ""),
        *_row("start", _time(planned["start_utc"], zone), _time(realised["start_utc"], zone), _took(planned, realised)),
        *_row("energy", figures.kwh(planned["energy_kwh"]), _energy(realised), _shares(realised)),
        *_row(
            "intensity",
            figures.intensity(planned["intensity_g_per_kwh"]),
            figures.intensity(realised["intensity_g_per_kwh"]),
            _sources(planned, realised),
        ),
        *_row("emissions", _quoted_g(planned), _realised_g(realised), f"with a PUE of {realised['pue']:.3g}"),
        *_against(receipt),
        *_difference(receipt),
    ]
    if receipt["embodied_g"] is not None:
        beside = f"of the machine's making, beside the sum; {figures.grams(receipt['sci_g'])} with it (SCI, per run)"
        lines += _row("embodied", "", figures.grams(receipt["embodied_g"]), beside)
    return [*lines, *_said(CERTAINTY[realised["state"]])]


def _title(row: Row) -> list[str]:
    realised = row.receipt["realised"]
    state = realised["state"] if realised else SHOWN[row.job.state]
    head = f"receipt for {row.job.job_id}   "
    command = row.job.spec.name or shlex.join(row.job.spec.argv)
    room = WIDTH - len(head) - len(state) - 2
    command = " ".join(command.split())
    if len(command) > room:
        command = command[: room - 1] + "…"
    return [f"{head}{command:<{room}}  {state}"]


def _quote_lines(row: Row, zone: tzinfo | None) -> list[str]:
    planned = row.receipt["planned"]
    at_once = figures.grams(planned["baseline_g"])
    return [
        *_row("start", _time(planned["start_utc"], zone), "", ""),
        *_row("energy", figures.kwh(planned["energy_kwh"]), "", ""),
        *_row("emissions", _quoted_g(planned), "", f"{planned['source']} · {_frame_of_plan(planned)}"),
        *_row("at once", at_once, "", f"would save {figures.percent(planned['saved_pct'])}"),
    ]


def _took(planned: Planned, realised: Realised) -> str:
    def length(run: Planned | Realised) -> str:
        seconds = (parse_iso_utc(run["end_utc"]) - parse_iso_utc(run["start_utc"])).total_seconds()
        return figures.duration(seconds)

    return f"for {length(realised)}, quoted {length(planned)}"


def _time(text: str, zone: tzinfo | None) -> str:
    return f"{parse_iso_utc(text).astimezone(zone):%d %b %H:%M %Z}".rstrip()


def _energy(realised: Realised) -> str:
    low, high = realised["energy_low_kwh"], realised["energy_high_kwh"]
    return f"{figures.kwh(realised['energy_kwh'])} ({figures.kwh_band(low, high)})"


def _shares(realised: Realised) -> str:
    meters = f" ({', '.join(realised['meters'])})" if realised["meters"] else ""
    parts = [
        (realised["measured_share"], f"measured{meters}"),
        (realised["modelled_share"], "modelled"),
        (realised["filled_share"], "filled"),
    ]
    return ", ".join(f"{100 * share:.0f} % {word}" for share, word in parts if share > 0.0005)


def _sources(planned: Planned, realised: Realised) -> str:
    sources = list(dict.fromkeys((planned["source"], realised["source"])))
    return f"{', then '.join(sources)} · {frame_of(realised)}"


def _frame_of_plan(planned: Planned) -> str:
    return f"{planned['basis']}, {planned['scope']}, {planned['accounting']}"


def _quoted_g(planned: Planned) -> str:
    return figures.grams(planned["emissions_g"])


def _realised_g(realised: Realised) -> str:
    low, high = realised["emissions_low_g"], realised["emissions_high_g"]
    return f"{figures.grams(realised['emissions_g'])} ({figures.band(low, high)})"


def _against(receipt: Receipt) -> list[str]:
    if receipt["baseline_g"] is None:
        return _row("at once", "-", "", f"no baseline: {receipt['no_baseline_why']}")
    possible = f"best possible {figures.grams(receipt['possible_g'])}" if receipt["possible_g"] is not None else ""
    saved = f"saved {figures.grams(receipt['saved_g'])} ({figures.percent(receipt['saved_pct'])})"
    captured = "" if receipt["captured_pct"] is None else f" · captured {figures.percent(receipt['captured_pct'])}"
    return _row("at once", figures.grams(receipt["baseline_g"]), possible, f"{saved}{captured}")


def _difference(receipt: Receipt) -> list[str]:
    difference, realised = receipt["difference"], receipt["realised"]
    if difference is None or realised is None:
        return _said(f"difference not explained: {receipt['no_difference_why']}")
    total_g = realised["emissions_g"] - receipt["planned"]["emissions_g"]
    terms = (("energy", "energy_g"), ("timing", "timing_g"), ("place", "place_g"))
    told = [f"{name} {figures.signed_grams(difference[key])}" for name, key in terms]  # type: ignore[literal-required]
    forecast_g = difference["forecast_g"]
    told.append(f"forecast {'not known' if forecast_g is None else figures.signed_grams(forecast_g)}")
    return [f" {'difference':<{_LABEL}}{figures.signed_grams(total_g)}  =  {'  '.join(told)}"]


def _row(label: str, quoted: str, came: str, note: str) -> list[str]:
    """One line of the receipt; a long note goes on below itself."""
    room = WIDTH - 1 - _LABEL - _QUOTED - _CAME
    first, *more = wrap(note, room) or [""]
    return [_cells(label, quoted, came, first), *(_cells("", "", "", rest) for rest in more)]


def _cells(label: str, quoted: str, came: str, note: str) -> str:
    return f" {label:<{_LABEL}}{quoted:<{_QUOTED}}{came:<{_CAME}}{note}".rstrip()


def _said(text: str) -> list[str]:
    return [f" {line}" for line in wrap(text, WIDTH - 1)]

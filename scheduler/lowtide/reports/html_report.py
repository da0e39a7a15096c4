"""The report as one HTML file: nothing outside it is loaded, every chart has its table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowtide.reports import figures
from lowtide.reports.charts import Bar, Curve, amounts, curves, waterfall
from lowtide_core.quantities import SECONDS_PER_HOUR
from lowtide_core.spans import Span, iso_utc, parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.reports.build import Report, ReportRow
    from lowtide_core.series import SignalSeries

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_ROWS = 48
_FRAME = ("basis", "scope", "accounting")


@dataclass(frozen=True, slots=True)
class _Section:
    row: ReportRow
    found: Mapping[str, Any] | None
    title: str
    forecast_chart: str
    forecast_rows: tuple[tuple[str, ...], ...]
    difference_chart: str
    difference_bars: tuple[Bar, ...]
    component_chart: str


def to_html(report: Report) -> str:
    """The whole report; every text from a user is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals["figures"] = figures
    template = environment.get_template("report.html.j2")
    settled = [row.settlement for row in report.rows if row.settlement is not None]
    return template.render(
        made=iso_utc(report.made_utc.replace(microsecond=0)),
        sections=[_section(row) for row in report.rows],
        totals=_totals(settled),
    )


def _totals(settled: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over the jobs of which all of a sum's terms are known; emissions only where all stand in one frame."""
    comparable = len({tuple(found["realised"][key] for key in _FRAME) for found in settled}) <= 1
    compared = [found for found in settled if comparable and found["baseline_g"] is not None]
    baseline_g = sum(found["baseline_g"] for found in compared)
    saved_g = sum(found["saved_g"] for found in compared)
    return {
        "jobs": len(settled),
        "emissions_g": sum(found["realised"]["emissions_g"] for found in settled) if comparable else None,
        "energy_kwh": sum(found["realised"]["energy_kwh"] for found in settled),
        "compared": len(compared),
        "saved_g": saved_g,
        "saved_pct": 100 * saved_g / baseline_g if baseline_g else None,
        "modelled": sum(found["realised"]["state"] == "modelled" for found in settled),
    }


def _section(row: ReportRow) -> _Section:
    found = row.settlement
    if found is None:
        return _Section(row, None, f"{row.job_id}: {row.why}", "", (), "", (), "")
    bars = _bars(found)
    return _Section(
        row=row,
        found=found,
        title=_title(found),
        forecast_chart=_forecast_chart(row, found),
        forecast_rows=_forecast_rows(row, found),
        difference_chart=waterfall(bars, unit="g CO2e") if bars else "",
        difference_bars=bars,
        component_chart=_component_chart(found["realised"]["components_kwh"]),
    )


def _title(found: Mapping[str, Any]) -> str:
    if found["saved_pct"] is None:
        return f"emitted {figures.grams(found['realised']['emissions_g'])}"
    if found["saved_pct"] < 0:
        return f"emitted {figures.percent(-found['saved_pct'])} more than running at once"
    return f"saved {figures.percent(found['saved_pct'])} against running at once"


def _bars(found: Mapping[str, Any]) -> tuple[Bar, ...]:
    """From the quote to what came; a cause of which nothing is known has no bar."""
    parts = found["difference"]
    if parts is None:
        return ()
    causes = {name: parts[f"{name}_g"] for name in ("energy", "timing", "place", "forecast")}
    return (
        Bar("quoted", found["planned"]["emissions_g"], is_total=True),
        *(Bar(name, part_g) for name, part_g in causes.items() if part_g is not None),
        Bar("realised", found["realised"]["emissions_g"], is_total=True),
    )


def _component_chart(components_kwh: Mapping[str, float | None]) -> str:
    known = {name: energy_kwh for name, energy_kwh in components_kwh.items() if energy_kwh}
    if not known:
        return ""
    in_wh = max(known.values()) < 0.0995
    factor, unit = (1000.0, "Wh") if in_wh else (1.0, "kWh")
    return amounts([Bar(name, factor * energy_kwh) for name, energy_kwh in known.items()], unit=unit)


def _shown(row: ReportRow, found: Mapping[str, Any]) -> Span:
    return Span(row.earliest_utc, max(row.deadline_utc, parse_iso_utc(found["realised"]["end_utc"])))


def _forecast_chart(row: ReportRow, found: Mapping[str, Any]) -> str:
    if row.forecast is None:
        return ""
    lines = [Curve(f"expected by {row.forecast.source}", "planned", row.forecast)]
    if row.actual is not None:
        lines.append(Curve(f"came, {row.actual.source}", "realised", row.actual))
    return curves(
        lines,
        _shown(row, found),
        planned=Span(parse_iso_utc(found["planned"]["start_utc"]), parse_iso_utc(found["planned"]["end_utc"])),
        realised=Span(parse_iso_utc(found["realised"]["start_utc"]), parse_iso_utc(found["realised"]["end_utc"])),
    )


def _forecast_rows(row: ReportRow, found: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Time, expected, came: means over whole hours, as many as give at most ``_MOST_ROWS`` rows."""
    if row.forecast is None:
        return ()
    shown = _shown(row, found)
    step = timedelta(hours=max(1, ceil(shown.duration_s / SECONDS_PER_HOUR / _MOST_ROWS)))
    rows, start_utc = [], shown.start_utc
    while start_utc < shown.end_utc:
        part = Span(start_utc, min(start_utc + step, shown.end_utc))
        rows.append((figures.clock(start_utc), _mean(row.forecast, part), _mean(row.actual, part)))
        start_utc = part.end_utc
    return tuple(rows)


def _mean(series: SignalSeries | None, part: Span) -> str:
    return figures.intensity(series.mean_g_per_kwh(part) if series is not None and series.covers(part) else None)

"""The report as one HTML file: nothing outside it is loaded, every chart has its table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowtide.reports import figures
from lowtide.reports.charts import Bar, Curve, curves, waterfall
from lowtide_core.spans import Span, iso_utc, parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.reports.build import Report, ReportRow

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class _Section:
    row: ReportRow
    found: Mapping[str, Any] | None
    title: str
    forecast_chart: str
    difference_chart: str
    difference_bars: tuple[Bar, ...]


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
        made=iso_utc(report.made_utc),
        sections=[_section(row) for row in report.rows],
        totals=_totals(settled),
    )


def _totals(settled: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over the jobs of which all of a sum's terms are known; a sum says over how many."""
    compared = [found for found in settled if found["baseline_g"] is not None]
    baseline_g = sum(found["baseline_g"] for found in compared)
    saved_g = sum(found["saved_g"] for found in compared)
    return {
        "jobs": len(settled),
        "emissions_g": sum(found["realised"]["emissions_g"] for found in settled),
        "energy_kwh": sum(found["realised"]["energy_kwh"] for found in settled),
        "compared": len(compared),
        "saved_g": saved_g,
        "saved_pct": 100 * saved_g / baseline_g if baseline_g else None,
        "modelled": sum(found["realised"]["state"] == "modelled" for found in settled),
    }


def _section(row: ReportRow) -> _Section:
    found = row.settlement
    if found is None:
        return _Section(row, None, f"{row.job_id}: {row.why}", "", "", ())
    saved = found["saved_pct"]
    title = (
        f"emitted {figures.grams(found['realised']['emissions_g'])}"
        if saved is None
        else f"saved {saved:.0f} % against running at once"
    )
    bars = _bars(found)
    return _Section(
        row, found, title, _forecast_chart(row, found), waterfall(bars, unit="g CO2e") if bars else "", bars
    )


def _bars(found: Mapping[str, Any]) -> tuple[Bar, ...]:
    parts = found["difference"]
    if parts is None:
        return ()
    planned_g = found["planned"]["emissions_g"]
    steps = [Bar("quoted", planned_g, is_total=True)]
    steps += [Bar(name, parts[f"{name}_g"] or 0.0) for name in ("energy", "timing", "place", "forecast")]
    return (*steps, Bar("realised", found["realised"]["emissions_g"], is_total=True))


def _forecast_chart(row: ReportRow, found: Mapping[str, Any]) -> str:
    if row.forecast is None:
        return ""
    end_utc = max(row.deadline_utc, parse_iso_utc(found["realised"]["end_utc"]))
    lines = [Curve(f"expected by {row.forecast.source}", "planned", row.forecast)]
    if row.actual is not None:
        lines.append(Curve(f"came, {row.actual.source}", "realised", row.actual))
    return curves(
        lines,
        Span(row.earliest_utc, end_utc),
        planned=Span(parse_iso_utc(found["planned"]["start_utc"]), parse_iso_utc(found["planned"]["end_utc"])),
        realised=Span(parse_iso_utc(found["realised"]["start_utc"]), parse_iso_utc(found["realised"]["end_utc"])),
    )

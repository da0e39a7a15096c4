"""One report in each of its forms: the receipt, the table, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest

from lowtide.accounting.settle import Settlement, SettlementInputs, SitedPlace, settle
from lowtide.planning.types import ForecastUsed, Plan, Segment
from lowtide.reports import figures
from lowtide.reports.build import Report, ReportRow
from lowtide.reports.charts import Bar, Curve, amounts, curves, waterfall
from lowtide.reports.csv_report import COLUMNS, to_csv
from lowtide.reports.html_report import to_html
from lowtide.reports.text_report import WIDTH, receipt
from lowtide_core.places import LOCAL, Place, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_core.spans import Span, iso_utc

SCHEMA = json.loads((Path(__file__).parents[4] / "schemas" / "report.schema.json").read_text())
T0 = datetime(2026, 1, 3, tzinfo=UTC)
DE = ZoneId("DE")
HOSTILE = "</title><script>alert(1)</script>\"'&"


def series(kind: Any, *values: float, source: str = "energy-charts") -> SignalSeries:
    own = np.array(values)
    return SignalSeries(DE, T0, 3600.0, own, LIFECYCLE_CONSUMPTION, kind, source,
                        low_g_per_kwh=0.8 * own, high_g_per_kwh=1.2 * own)  # fmt: skip


FORECAST, ACTUAL = series("forecast", 400, 300, 100, 200, 300, 400), series("actual", 420, 310, 120, 190, 300, 390)


def settlement(*, actual: bool = True, home: bool = True) -> dict[str, Any]:
    """Planned for hour 2, run from 02:15 with more energy: every cause but the place."""
    at, energy_j = T0 + timedelta(hours=2, minutes=15), 1.5 * 3.6e6
    result = {
        "start_utc": iso_utc(at),
        "duration_s": 3600.0,
        "energy_j": energy_j,
        "energy_low_j": 0.9 * energy_j,
        "energy_high_j": 1.1 * energy_j,
        "measured_share": 0.91,
        "modelled_share": 0.09,
        "filled_share": 0.0,
        "components": {
            "cpu": {"energy_j": energy_j / 3, "sources": ["RAPL package", "RAPL package of the second socket"]},
            "gpu": {"energy_j": 2 * energy_j / 3, "sources": ["NVML counter"]},
            "rest": {"energy_j": None, "sources": []},
        },
        "buckets": [
            {"start_utc": iso_utc(at + timedelta(minutes=5 * i)), "energy_j": energy_j / 12} for i in range(12)
        ],
    }
    used = ForecastUsed("energy-charts", "forecast", T0, LIFECYCLE_CONSUMPTION, FORECAST.end_utc)
    segment = Segment(T0 + timedelta(hours=2), T0 + timedelta(hours=3), LOCAL, DE)
    plan = Plan((segment,), 1.2, 120.0, 96.0, 144.0, 480.0, 480.0, "", 120.0, True, 0.04, None, used,
                forecast_edge=False, pue=1.0, transfer_g=0.0, baseline_pue=1.0, baseline_transfer_g=0.0)  # fmt: skip
    site = SitedPlace(Place(LOCAL, DE), 1.0)
    answer = settle(
        SettlementInputs(
            job_id="7f31ab",
            plan=plan,
            results=(result,),
            planned=site,
            realised=site,
            home=site if home else None,
            no_home_why="" if home else "home has no H100 that lowtide knows of",
            earliest_utc=T0,
            deadline_utc=FORECAST.end_utc,
            forecast={DE: FORECAST},
            actual={DE: ACTUAL} if actual else {},
            final=True,
            facts_version="2026.11",
            embodied_g_per_h=12.0,
        )
    )
    assert isinstance(answer, Settlement)
    return answer.to_json()


def row(found: dict[str, Any] | None = None, **changes: Any) -> ReportRow:
    given = ReportRow(
        job_id="7f31ab",
        name="",
        command=("python", "train.py"),
        state="done",
        why="its energy is not known yet",
        exit_status=0,
        submitted_utc=T0,
        earliest_utc=T0,
        deadline_utc=FORECAST.end_utc,
        engine="local",
        settlement=found,
        forecast=FORECAST,
        actual=ACTUAL,
    )
    return replace(given, **changes)


CASES = {
    "settled": row(settlement()),
    "modelled": row(settlement(actual=False), actual=None),
    "homeless": row(settlement(home=False)),
    "unsettled": row(None, forecast=None, actual=None),
    "long": row(settlement(), command=("python", "-c", "x" * 300)),
    "hostile": row(settlement(), name=HOSTILE, command=(HOSTILE,)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> ReportRow:
    found: ReportRow = request.param
    return found


def test_json_keeps_the_contract(case: ReportRow) -> None:
    item = json.loads(json.dumps(case.to_json(), allow_nan=False))
    jsonschema.validate(item, SCHEMA)
    jsonschema.validate([item, item], SCHEMA)


@pytest.mark.parametrize("key", ["job_id", "possible_g", "captured_pct", "difference", "realised"])
def test_the_schema_misses_a_key(key: str) -> None:
    item = CASES["settled"].to_json()
    del item[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(item, SCHEMA)


def test_the_schema_refuses_a_known_forecast_error_in_a_model() -> None:
    item = json.loads(json.dumps(CASES["modelled"].to_json()))
    item["difference"]["forecast_g"] = 0.0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(item, SCHEMA)


def test_the_receipt_fits_the_terminal(case: ReportRow) -> None:
    assert all(len(line) <= WIDTH for line in receipt(case, UTC))


def test_the_receipt_puts_what_came_beside_the_quote() -> None:
    text = "\n".join(receipt(CASES["settled"], UTC))
    for figure in ("120 g", "206 g (186-227)", "1.20 kWh", "1.50 kWh (1.35-1.65)", "91 % measured",
                   "9 % modelled", "saved 424 g (67 %)", "03 Jan 02:15 UTC", "average, lifecycle, consumption",
                   "settled: the grid's figures are final", "beside, in no sum above"):  # fmt: skip
        assert figure in text


def test_what_is_not_known_is_said_and_not_zero() -> None:
    modelled, homeless = ("\n".join(receipt(CASES[name], UTC)) for name in ("modelled", "homeless"))
    assert "forecast not known" in modelled
    assert "best possible not known" in modelled
    assert "home has no H100" in homeless


def test_csv_has_one_line_per_job_and_the_figures_unrounded() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(Report((CASES["settled"], CASES["unsettled"]), T0)))))
    assert [line["job_id"] for line in lines] == ["7f31ab", "7f31ab"]
    assert float(lines[0]["realised_emissions_g"]) == settlement()["realised"]["emissions_g"]
    assert lines[1]["realised_emissions_g"] == lines[1]["saved_g"] == ""
    assert tuple(lines[0]) == COLUMNS


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\tx", '=HYPERLINK("http://x")'])
def test_csv_holds_no_formula(name: str) -> None:
    line = next(csv.DictReader(io.StringIO(to_csv(Report((row(settlement(), name=name),), T0)))))
    assert line["name"] == f"'{name}"
    energy = {key: float(value) for key, value in line.items() if key.startswith("difference_") and value}
    assert energy["difference_energy_g"] > 0


class Seen(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_html_runs_nothing_and_loads_nothing(case: ReportRow) -> None:
    page = to_html(Report((case,), T0))
    seen = Seen(page)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(seen.elements)
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("src", "href", "action")]
    assert not re.search(r"https?://|url\(|@import", page)


def test_html_shows_a_hostile_name_as_text() -> None:
    hostile = replace(CASES["hostile"], forecast=series("forecast", 1, 2, 3, 4, 5, 6, source=HOSTILE))
    page = to_html(Report((hostile,), T0))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_html_says_what_each_figure_is() -> None:
    page = to_html(Report((CASES["settled"],), T0))
    for word in ("206 g", "120 g", "settled", "average, lifecycle, consumption", "energy-charts", "186-227 g",
                 "prefers-color-scheme: dark", "PUE", "2026.11"):  # fmt: skip
        assert word in page
    assert page.count("<svg") == 3
    assert page.count("<table") >= page.count("<svg")


def test_html_draws_no_bar_for_what_is_not_known() -> None:
    page = to_html(Report((CASES["modelled"],), T0))
    assert "<title>timing: " in page
    assert "<title>forecast: " not in page
    assert "not known apart" in page, "the component that nothing measures"


def test_html_never_adds_up_what_stands_in_different_frames() -> None:
    other = settlement()
    other["realised"] = {**other["realised"], "basis": "marginal"}
    mixed, alike = (to_html(Report((CASES["settled"], second), T0)) for second in (row(other), CASES["settled"]))
    sums = [figures.grams(2 * 206.25), figures.grams(2 * 423.75)]
    assert all(total in alike for total in sums)
    assert not any(total in mixed for total in sums)
    assert "different frames" in mixed


def test_an_empty_report_teaches() -> None:
    assert "lowtide submit" in to_html(Report((), T0))


SPAN = Span(T0, FORECAST.end_utc)


def points(svg: str, element: str) -> list[list[tuple[float, float]]]:
    found = [node.get("points", "") for node in ElementTree.fromstring(svg).iter(element)]
    return [[tuple(map(float, pair.split(","))) for pair in text.split()] for text in found]  # type: ignore[misc]


def test_a_line_holds_each_step_level_and_breaks_at_a_gap() -> None:
    holed = SignalSeries(DE, T0, 3600.0, np.array([100, 200, np.nan, 50.0]), LIFECYCLE_CONSUMPTION, "actual", "x")
    svg = curves([Curve("came", "realised", holed)], SPAN, planned=SPAN, realised=None, zone=UTC)
    *drawn, _key = points(svg, "polyline")
    assert [len(line) for line in drawn] == [4, 2]
    (_, low), (_, also_low), (_, high), (_, _) = drawn[0]
    assert low == also_low > high


def test_a_chart_has_axes_with_units_bars_that_speak_and_escaped_labels() -> None:
    svg = curves([Curve("<b>", "planned", FORECAST)], SPAN, planned=SPAN, realised=SPAN, zone=UTC)
    texts = ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("text")]
    says = [node.text or "" for node in ElementTree.fromstring(svg).iter("title")]
    assert {"g CO2e per kWh", "time (UTC)", "<b>"} <= set(texts)
    assert says[0].startswith("planned run: Sat 03 Jan 00:00 UTC")
    assert says[1].startswith("real run")


@pytest.mark.parametrize("terms", [(3.0, 0.2, 0.0, -0.8), (-200.0, 0.0, 0.0, 5.0), (0.0, 0.0, 0.0, 0.0)])
def test_a_waterfall_steps_from_the_quote_to_what_came(terms: tuple[float, ...]) -> None:
    came = 40.0 + sum(terms)
    names = ("energy", "timing", "place", "forecast")
    bars = [Bar("quoted", 40.0, True), *map(Bar, names, terms), Bar("realised", came, True)]
    boxes = [node.attrib for node in ElementTree.fromstring(waterfall(bars, unit="g CO2e")).iter("rect")]
    assert [box["class"] for box in boxes][:: len(boxes) - 1] == ["planned", "realised"]
    px_per_g = abs(float(boxes[0]["height"]) / 40.0)
    for box, term in zip(boxes[1:-1], terms, strict=True):
        assert float(box["height"]) == pytest.approx(max(1.0, abs(term) * px_per_g), abs=0.2)
        assert box["class"] == ("more" if term > 0 else "less")


def test_amounts_are_as_long_as_they_are_large() -> None:
    svg = ElementTree.fromstring(amounts([Bar("cpu", 2.0), Bar("gpu", 4.0)], unit="kWh"))
    widths = [float(node.attrib["width"]) for node in svg.iter("rect")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert [node.text for node in svg.iter("title")] == ["cpu: 2.00 kWh", "gpu: 4.00 kWh"]

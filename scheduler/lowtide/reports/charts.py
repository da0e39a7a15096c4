"""What a report draws, as plain geometry: a template turns it into SVG, and shows the same figures as a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor, isnan, log10
from typing import TYPE_CHECKING

import numpy as np

from lowtide.reports import figures
from lowtide_core.spans import Span, parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, tzinfo

    from lowtide.reports.build import Row
    from lowtide_core.series import FloatArray, SignalSeries

WIDTH, HEIGHT = 720.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 14.0, 52.0
_MOST_TABLE_ROWS = 48
_RUN_HEIGHT = 7.0


@dataclass(frozen=True, slots=True)
class Label:
    """A word at a point; ``anchor`` is SVG's ``start``, ``middle`` or ``end``."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; ``look`` is its class in the style sheet, ``says`` its figure in words."""

    look: str
    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A path of SVG's ``d`` syntax."""

    look: str
    path: str


@dataclass(frozen=True, slots=True)
class Key:
    """What a look means."""

    look: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing, its axes, its key and the table beside it. Lengths are in the units of the drawing."""

    title: str
    x_title: str
    y_title: str
    strokes: tuple[Stroke, ...]
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    grid_y: tuple[float, ...]
    keys: tuple[Key, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT


def charts_of(row: Row, zone: tzinfo | None = None) -> tuple[Chart, ...]:
    """The charts that the row's figures allow, in the order of thought."""
    found = (intensity_chart(row, zone), difference_chart(row), component_chart(row))
    return tuple(chart for chart in found if chart is not None)


def intensity_chart(row: Row, zone: tzinfo | None = None) -> Chart | None:
    """The forecast as it was planned on, with its band, the chosen and the real run, and what came."""
    forecast, actual = row.curves.forecast, row.curves.actual
    if forecast is None:
        return None
    span = _span(row, forecast)
    known = [series for series in (forecast, actual) if series is not None]
    tops = [_largest(series, span) for series in known]
    scale_y = _Scale(0.0, _nice_above(max(tops)), HEIGHT - _BOTTOM, _TOP)
    scale_x = _Scale(span.start_utc.timestamp(), span.end_utc.timestamp(), _LEFT, WIDTH - _RIGHT)
    strokes = [Stroke("planned line", _steps_path(forecast, span, scale_x, scale_y))]
    keys = [Key("planned line", f"expected ({forecast.source})")]
    if forecast.low_g_per_kwh is not None and forecast.high_g_per_kwh is not None:
        strokes.insert(0, Stroke("planned band", _band_path(forecast, span, scale_x, scale_y)))
        keys.append(Key("planned band", "80 % band"))
    if actual is not None:
        strokes.append(Stroke("realised line", _steps_path(actual, span, scale_x, scale_y)))
        keys.append(Key("realised line", f"came ({actual.source})"))
    bars, run_keys = _runs(row, scale_x, zone)
    return Chart(
        title=_intensity_title(row),
        x_title=f"time ({span.start_utc.astimezone(zone):%Z})",
        y_title="g CO2eq per kWh",
        strokes=tuple(strokes),
        bars=bars,
        labels=(*_y_labels(scale_y), *_time_labels(span, scale_x, zone)),
        grid_y=tuple(scale_y.at(value) for value in _ticks(scale_y)),
        keys=(*keys, *run_keys),
        heads=("from", "expected", "low", "high", "came"),
        rows=_intensity_rows(span, forecast, actual, zone),
    )


def difference_chart(row: Row) -> Chart | None:
    """From the quote to what came, cause by cause."""
    difference, realised = row.receipt["difference"], row.receipt["realised"]
    if difference is None or realised is None:
        return None
    quote_g, came_g = row.receipt["planned"]["emissions_g"], realised["emissions_g"]
    terms = [
        ("energy", difference["energy_g"]),
        ("timing", difference["timing_g"]),
        ("place", difference["place_g"]),
        ("forecast", difference["forecast_g"]),
    ]
    levels = [quote_g]
    for _, term_g in terms:
        levels.append(levels[-1] + (term_g or 0.0))
    low = min(0.0, *levels)
    scale = _Scale(low, _nice_above(max(*levels, came_g)), HEIGHT - _BOTTOM, _TOP)
    names = ("quote", *(name for name, _ in terms), "receipt")
    spans = [(0.0, quote_g), *zip(levels, levels[1:], strict=False), (0.0, came_g)]
    looks = ["planned", *("more" if (term_g or 0.0) > 0 else "less" for _, term_g in terms), f"realised {_look(row)}"]
    figures_g = [quote_g, *(term_g for _, term_g in terms), came_g]
    said = [
        figures.grams(value) if name in ("quote", "receipt") else figures.signed_grams(value)
        for name, value in zip(names, figures_g, strict=True)
    ]
    said = ["not known" if name == "forecast" and term is None else text
            for name, term, text in zip(names, figures_g, said, strict=True)]  # fmt: skip
    slot = (WIDTH - _LEFT - _RIGHT) / len(names)
    bars, labels = [], list(_y_labels(scale))
    for number, (name, (start, end), look, text) in enumerate(zip(names, spans, looks, said, strict=True)):
        x, top, bottom = _LEFT + slot * (number + 0.2), scale.at(max(start, end)), scale.at(min(start, end))
        bars.append(Bar(look, x, top, slot * 0.6, max(bottom - top, 1.0), f"{name}: {text}"))
        labels.append(Label(x + slot * 0.3, HEIGHT - _BOTTOM + 18, name))
        labels.append(Label(x + slot * 0.3, top - 4, text))
    more = came_g - quote_g
    return Chart(
        title="As quoted" if more == 0 else f"{figures.grams(abs(more))} {'more' if more > 0 else 'less'} than quoted",
        x_title="from the quote to the receipt, cause by cause",
        y_title="g CO2eq",
        strokes=(),
        bars=tuple(bars),
        labels=tuple(labels),
        grid_y=tuple(scale.at(value) for value in _ticks(scale)),
        keys=(Key("planned", "quote"), Key(f"realised {_look(row)}", f"receipt, {realised['state']}")),
        heads=("", "emissions"),
        rows=tuple(zip(names, said, strict=True)),
    )


def component_chart(row: Row) -> Chart | None:
    """Where the energy went."""
    realised = row.receipt["realised"]
    if realised is None or not any(realised["components_kwh"].values()):
        return None
    parts = sorted(realised["components_kwh"].items(), key=lambda part: -(part[1] or 0.0))
    known = [(name, energy_kwh or 0.0) for name, energy_kwh in parts if energy_kwh is not None]
    in_wh = max(energy_kwh for _, energy_kwh in known) < 0.0995
    factor, unit = (1000.0, "Wh") if in_wh else (1.0, "kWh")
    height = _TOP + _BOTTOM + 30.0 * len(parts)
    scale = _Scale(0.0, _nice_above(factor * max(energy for _, energy in known)), _LEFT, WIDTH - _RIGHT - 90)
    bars, labels = [], []
    for number, (name, energy_kwh) in enumerate(parts):
        y = _TOP + 30.0 * number
        text = "not known" if energy_kwh is None else figures.kwh(energy_kwh)
        width = scale.at(factor * (energy_kwh or 0.0)) - _LEFT
        bars.append(Bar(f"realised {_meter_look(row)}", _LEFT, y + 4, max(width, 0.5), 20.0, f"{name}: {text}"))
        labels.append(Label(_LEFT - 8, y + 18, name, "end"))
        labels.append(Label(_LEFT + max(width, 0.5) + 6, y + 18, text, "start"))
    labels += [Label(scale.at(value), height - _BOTTOM + 18, figures.significant(value)) for value in _ticks(scale)]
    name, most = known[0]
    total_kwh = sum(energy for _, energy in known)
    shares = figures.percent(100 * realised["measured_share"]), figures.percent(100 * realised["modelled_share"])
    return Chart(
        title=f"{figures.percent(100 * most / total_kwh)} of the energy went into {name}",
        x_title=f"IT energy, {unit} · {shares[0]} measured, {shares[1]} modelled",
        y_title="",
        strokes=(),
        bars=tuple(bars),
        labels=tuple(labels),
        grid_y=(),
        keys=(),
        heads=("component", "energy"),
        rows=tuple((name, "not known" if kwh is None else figures.kwh(kwh)) for name, kwh in parts),
        height=height,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values onto lengths of the drawing, linearly."""

    low: float
    high: float
    from_px: float
    to_px: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.from_px + share * (self.to_px - self.from_px), 2)


def _look(row: Row) -> str:
    realised = row.receipt["realised"]
    return "" if realised is None else realised["state"]


def _meter_look(row: Row) -> str:
    realised = row.receipt["realised"]
    return "modelled" if realised is not None and realised["modelled_share"] > 0.5 else ""


def _span(row: Row, forecast: SignalSeries) -> Span:
    """From the earliest start to the deadline, as far as the forecast goes, and all of the runs."""
    spec, planned, realised = row.job.spec, row.receipt["planned"], row.receipt["realised"]
    runs = [planned, *([realised] if realised else [])]
    starts = [spec.earliest_utc, *(parse_iso_utc(run["start_utc"]) for run in runs)]
    ends = [min(spec.deadline_utc, forecast.end_utc), *(parse_iso_utc(run["end_utc"]) for run in runs)]
    return Span(min(starts), max(*ends, min(starts) + timedelta(minutes=1)))


def _inside(series: SignalSeries, span: Span) -> list[tuple[float, float, int]]:
    """Start, end and index of the steps that touch the span, cut to it; seconds since 1970."""
    low_s, high_s = span.start_utc.timestamp(), span.end_utc.timestamp()
    edges_s = series.start_s + series.step_s * np.arange(series.intensity_g_per_kwh.size + 1)
    starts_s, ends_s = np.clip(edges_s[:-1], low_s, high_s), np.clip(edges_s[1:], low_s, high_s)
    return [(float(starts_s[i]), float(ends_s[i]), int(i)) for i in np.flatnonzero(ends_s > starts_s)]


def _largest(series: SignalSeries, span: Span) -> float:
    upper = series.intensity_g_per_kwh if series.high_g_per_kwh is None else series.high_g_per_kwh
    values = [float(upper[index]) for _, _, index in _inside(series, span)]
    return max((value for value in values if not isnan(value)), default=1.0)


def _steps_path(series: SignalSeries, span: Span, scale_x: _Scale, scale_y: _Scale) -> str:
    """The steps as one path, broken at gaps."""
    parts, pen_down = [], False
    for start_s, end_s, index in _inside(series, span):
        value = float(series.intensity_g_per_kwh[index])
        if isnan(value):
            pen_down = False
            continue
        y = scale_y.at(value)
        parts.append(f"{'L' if pen_down else 'M'}{scale_x.at(start_s):g},{y:g}H{scale_x.at(end_s):g}")
        pen_down = True
    return "".join(parts)


def _band_path(series: SignalSeries, span: Span, scale_x: _Scale, scale_y: _Scale) -> str:
    """One box per step, from the lower to the upper edge of the band."""
    low, high = series.low_g_per_kwh, series.high_g_per_kwh
    if low is None or high is None:
        return ""
    boxes = [
        f"M{scale_x.at(start_s):g},{scale_y.at(float(high[i])):g}H{scale_x.at(end_s):g}"
        f"V{scale_y.at(float(low[i])):g}H{scale_x.at(start_s):g}Z"
        for start_s, end_s, i in _inside(series, span)
        if not (isnan(low[i]) or isnan(high[i]))
    ]
    return "".join(boxes)


def _runs(row: Row, scale_x: _Scale, zone: tzinfo | None) -> tuple[tuple[Bar, ...], tuple[Key, ...]]:
    """The planned segments and the real run, as bars at the foot of the drawing."""
    base = HEIGHT - _BOTTOM
    bars = [
        _run_bar("planned", base - 2 * _RUN_HEIGHT, scale_x, segment.start_utc, segment.end_utc, "planned", zone)
        for segment in row.job.plan.segments
    ]
    keys = [Key("planned", "planned run")]
    realised = row.receipt["realised"]
    if realised is not None:
        start_utc, end_utc = parse_iso_utc(realised["start_utc"]), parse_iso_utc(realised["end_utc"])
        look = f"realised {_look(row)}"
        bars.append(_run_bar(look, base - _RUN_HEIGHT, scale_x, start_utc, end_utc, "ran", zone))
        keys.append(Key(look, f"real run, {realised['state']}"))
    return tuple(bars), tuple(keys)


def _run_bar(
    look: str, y: float, scale_x: _Scale, start_utc: datetime, end_utc: datetime, word: str, zone: tzinfo | None
) -> Bar:
    x = scale_x.at(start_utc.timestamp())
    width = max(scale_x.at(end_utc.timestamp()) - x, 2.0)
    says = f"{word} {figures.clock(start_utc, zone)} to {figures.clock(end_utc, zone)}"
    return Bar(look, x, y, width, _RUN_HEIGHT, says)


def _intensity_title(row: Row) -> str:
    receipt = row.receipt
    realised = receipt["realised"]
    if realised is None:
        return f"Planned at {figures.grams(receipt['planned']['emissions_g'])}"
    if receipt["saved_pct"] is None:
        return f"Emitted {figures.grams(realised['emissions_g'])}"
    if receipt["saved_pct"] < 0:
        return f"Emitted {figures.percent(-receipt['saved_pct'])} more than at once"
    return f"Saved {figures.percent(receipt['saved_pct'])} against at once"


def _intensity_rows(
    span: Span, forecast: SignalSeries, actual: SignalSeries | None, zone: tzinfo | None
) -> tuple[tuple[str, ...], ...]:
    """Hourly means, or means of whole multiples of an hour where there would be too many rows."""
    hours = max(1, ceil(span.duration_s / 3600 / _MOST_TABLE_ROWS))
    step, rows, start_utc = timedelta(hours=hours), [], span.start_utc
    while start_utc < span.end_utc:
        part = Span(start_utc, min(start_utc + step, span.end_utc))
        values = [
            _mean(forecast, forecast.intensity_g_per_kwh, part),
            _mean(forecast, forecast.low_g_per_kwh, part),
            _mean(forecast, forecast.high_g_per_kwh, part),
            None if actual is None else _mean(actual, actual.intensity_g_per_kwh, part),
        ]
        rows.append((figures.clock(start_utc, zone), *(figures.intensity(value) for value in values)))
        start_utc = part.end_utc
    return tuple(rows)


def _mean(series: SignalSeries, values: FloatArray | None, part: Span) -> float | None:
    """Mean of the series' values, or of one edge of its band, over the span; None where a part has none."""
    if values is None:
        return None
    steps = _inside(series, part)
    covered_s = sum(end_s - start_s for start_s, end_s, _ in steps)
    if covered_s < part.duration_s - 1e-6:
        return None
    mean = sum((end_s - start_s) * float(values[i]) for start_s, end_s, i in steps) / covered_s
    return None if isnan(mean) else mean


def _nice_above(value: float) -> float:
    """The least of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is at least 1.08 times the value."""
    if value <= 0:
        return 1.0
    wanted = 1.08 * value
    power = 10.0 ** floor(log10(wanted))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= wanted)


def _ticks(scale: _Scale) -> Sequence[float]:
    """About five round values within the scale, zero among them."""
    rough = (scale.high - scale.low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= rough * 0.999)
    return [step * number for number in range(ceil(scale.low / step), floor(scale.high / step * 1.000001) + 1)]


def _y_labels(scale: _Scale) -> Iterable[Label]:
    return [Label(_LEFT - 8, scale.at(value) + 4, figures.significant(value), "end") for value in _ticks(scale)]


def _time_labels(span: Span, scale: _Scale, zone: tzinfo | None) -> list[Label]:
    """Whole hours of the reader's clock, at most eight; minutes where the span is shorter than that."""
    minutes = next(
        (step for step in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440) if span.duration_s / 60 / step <= 8),
        2880,
    )
    local = span.start_utc.astimezone(zone).replace(second=0, microsecond=0)
    midnight = local.replace(hour=0, minute=0)
    past = (local - midnight).total_seconds() / 60
    at = midnight + timedelta(minutes=minutes * ceil(past / minutes))
    labels = []
    while at <= span.end_utc:
        if at >= span.start_utc:
            text = f"{at:%d %b}" if at.hour == at.minute == 0 else f"{at:%H:%M}"
            labels.append(Label(scale.at(at.timestamp()), HEIGHT - _BOTTOM + 18, text))
        at += timedelta(minutes=minutes)
    return labels

"""Charts as SVG text, for the HTML report: every text in them is escaped, colours come from the page's style sheet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING

import numpy as np

from lowtide.reports import figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from lowtide_core.series import FloatArray, SignalSeries
    from lowtide_core.spans import Span

WIDTH, HEIGHT = 720.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 22.0, 58.0
_RUN, _ROW = 7.0, 30.0
_MINUTES_BETWEEN_LABELS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)


@dataclass(frozen=True, slots=True)
class Curve:
    """A series to draw; ``look`` is its class in the style sheet."""

    label: str
    look: str
    series: SignalSeries


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of a waterfall, in its unit: a total stands on zero, any other on the step before."""

    name: str
    value: float
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values onto lengths of the drawing, linearly."""

    low: float
    high: float
    from_px: float
    to_px: float

    def at(self, value: float) -> float:
        return self.from_px + (value - self.low) / (self.high - self.low) * (self.to_px - self.from_px)

    def ticks(self) -> list[float]:
        """About five round values, zero among them where it lies within."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** floor(log10(rough))
        step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= rough * 0.999)
        return [step * number for number in range(ceil(self.low / step), floor(self.high / step + 1e-9) + 1)]


def curves(
    lines: Sequence[Curve], span: Span, *, planned: Span, realised: Span | None, zone: tzinfo | None = None
) -> str:
    """Intensities over the span, step-wise and with their bands; below them the planned and the real run.

    Args:
        lines: At least one; a gap in a series is a gap in its line.
        zone: Of the clock below the chart; None is the machine's.
    """
    top = max(_largest(line.series, span) for line in lines)
    x = _Scale(span.start_utc.timestamp(), span.end_utc.timestamp(), _LEFT, WIDTH - _RIGHT)
    y = _Scale(0.0, _nice_above(top), HEIGHT - _BOTTOM, _TOP)
    parts = _y_axis(y, "g CO2e per kWh")
    for line in lines:
        parts += _band(line.series, x, y)
    for line in lines:
        parts += _line(line, x, y)
    floor_px = HEIGHT - _BOTTOM
    parts.append(_run(planned, "planned", "planned run", floor_px - 2 * _RUN, x, zone))
    if realised is not None:
        parts.append(_run(realised, "realised", "real run", floor_px - _RUN, x, zone))
    parts += _time_axis(span, x, zone)
    parts += _key(lines)
    return _svg("Intensity: " + ", ".join(line.label for line in lines), parts)


def waterfall(bars: Sequence[Bar], *, unit: str) -> str:
    """From the first total to the last, step by step; the axis always holds zero."""
    spans, level = [], 0.0
    for bar in bars:
        start, level = (0.0, bar.value) if bar.is_total else (level, level + bar.value)
        spans.append((min(start, level), max(start, level)))
    least, most = min(low for low, _ in spans), max(high for _, high in spans)
    y = _Scale(min(0.0, least), _nice_above(most), HEIGHT - _BOTTOM, _TOP)
    slot = (WIDTH - _LEFT - _RIGHT) / len(bars)
    parts = _y_axis(y, unit)
    for number, (bar, (low, high)) in enumerate(zip(bars, spans, strict=True)):
        left, middle = _LEFT + slot * (number + 0.2), _LEFT + slot * (number + 0.5)
        said = figures.grams(bar.value) if bar.is_total else figures.signed_grams(bar.value)
        parts.append(
            _rect(_bar_look(bar, number), left, y.at(high), slot * 0.6, y.at(low) - y.at(high), f"{bar.name}: {said}")
        )
        parts.append(_text(middle, y.at(high) - 4, said, "middle"))
        parts.append(_text(middle, HEIGHT - _BOTTOM + 16, bar.name, "middle"))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, "from the quote to what came, by cause", "middle"))
    return _svg("From the quote to what came, by cause", parts)


def amounts(bars: Sequence[Bar], *, unit: str) -> str:
    """Bars side by side from zero, one line each; their values are in the unit and not negative."""
    height = _TOP + _ROW * len(bars) + _BOTTOM
    x = _Scale(0.0, _nice_above(max(bar.value for bar in bars)), _LEFT, WIDTH - _RIGHT - 90)
    foot = height - _BOTTOM
    parts = []
    for value in x.ticks():
        parts.append(
            f'<line class="grid" x1="{x.at(value):.1f}" x2="{x.at(value):.1f}" y1="{_TOP:g}" y2="{foot:.1f}"/>'
        )
        parts.append(_text(x.at(value), foot + 16, figures.significant(value), "middle"))
    for number, bar in enumerate(bars):
        top, said = _TOP + _ROW * number, f"{figures.significant(bar.value)} {unit}"
        parts.append(_rect("realised", _LEFT, top + 4, x.at(bar.value) - _LEFT, _ROW - 8, f"{bar.name}: {said}"))
        parts.append(_text(_LEFT - 8, top + _ROW / 2 + 4, bar.name, "end"))
        parts.append(_text(x.at(bar.value) + 6, top + _ROW / 2 + 4, said))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, height - 8, unit, "middle"))
    return _svg(f"{unit} by component", parts, height)


def _bar_look(bar: Bar, number: int) -> str:
    if bar.is_total:
        return "planned" if number == 0 else "realised"
    return "more" if bar.value > 0 else "less"


def _svg(label: str, parts: Sequence[str], height: float = HEIGHT) -> str:
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}">\n{body}\n</svg>'


def _text(x: float, y: float, text: str, look: str = "") -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _rect(look: str, x: float, y: float, width: float, height: float, says: str) -> str:
    """A bar of at least a pixel, that says its figure to a pointer, a keyboard and a screen reader."""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 1.0):.1f}" height="{max(height, 1.0):.1f}"'
    return f'<rect class="{look}" tabindex="0" {box}><title>{escape(says)}</title></rect>'


def _y_axis(y: _Scale, title: str) -> list[str]:
    parts = [_text(4, 12, title)]
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT:g}" x2="{WIDTH - _RIGHT:g}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(_LEFT - 8, at + 4, figures.significant(value), "end"))
    return parts


def _time_axis(span: Span, x: _Scale, zone: tzinfo | None) -> list[str]:
    """At most nine whole minutes, hours or days of the reader's clock, and the clock's name."""
    length = span.duration_s / 60
    minutes = next((step for step in _MINUTES_BETWEEN_LABELS if length / step <= 8), ceil(length / 8))
    start = span.start_utc.astimezone(zone)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + timedelta(minutes=minutes * ceil((start - midnight).total_seconds() / 60 / minutes))
    parts = [_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, f"time ({start:%Z})", "middle")]
    while at <= span.end_utc:
        said = f"{at:%d %b}" if at.hour == at.minute == 0 else f"{at:%H:%M}"
        parts.append(_text(x.at(at.timestamp()), HEIGHT - _BOTTOM + 16, said, "middle"))
        at += timedelta(minutes=minutes)
    return parts


def _key(lines: Sequence[Curve]) -> list[str]:
    """What each line is, from the left to the right above the drawing; long labels move the next one on."""
    parts, left = [], _LEFT + 110
    for line in lines:
        parts.append(f'<polyline class="{line.look}" points="{left:.1f},8 {left + 18:.1f},8"/>')
        parts.append(_text(left + 23, 12, line.label))
        left += 40 + 6.2 * len(line.label)
    return parts


def _line(curve: Curve, x: _Scale, y: _Scale) -> list[str]:
    return [
        f'<polyline class="{curve.look}" points="{points}"/>'
        for points in _outlines(curve.series, curve.series.intensity_g_per_kwh, x, y)
    ]


def _band(series: SignalSeries, x: _Scale, y: _Scale) -> list[str]:
    if series.low_g_per_kwh is None or series.high_g_per_kwh is None:
        return []
    lower = _outlines(series, np.where(np.isnan(series.high_g_per_kwh), np.nan, series.low_g_per_kwh), x, y)
    upper = _outlines(series, np.where(np.isnan(series.low_g_per_kwh), np.nan, series.high_g_per_kwh), x, y)
    return [
        f'<polygon class="band" points="{up} {" ".join(reversed(low.split(" ")))}"/>'
        for low, up in zip(lower, upper, strict=True)
    ]


def _outlines(series: SignalSeries, values: FloatArray, x: _Scale, y: _Scale) -> list[str]:
    """The steps within the drawing as points, one text for each stretch without a gap."""
    edges_s = np.clip(series.start_s + series.step_s * np.arange(values.size + 1), x.low, x.high)
    stretches: list[list[str]] = [[]]
    for start_s, end_s, value in zip(edges_s[:-1], edges_s[1:], values, strict=True):
        if start_s >= end_s:
            continue
        if np.isnan(value):
            stretches.append([])
            continue
        height = f"{y.at(float(value)):.1f}"
        stretches[-1] += [f"{x.at(float(start_s)):.1f},{height}", f"{x.at(float(end_s)):.1f},{height}"]
    return [" ".join(points) for points in stretches if points]


def _run(span: Span, look: str, word: str, top_px: float, x: _Scale, zone: tzinfo | None) -> str:
    left, right = (x.at(min(max(at.timestamp(), x.low), x.high)) for at in (span.start_utc, span.end_utc))
    says = f"{word}: {figures.clock(span.start_utc, zone)} to {figures.clock(span.end_utc, zone)}"
    return _rect(look, left, top_px, right - left, _RUN, says)


def _largest(series: SignalSeries, span: Span) -> float:
    """The highest value, or upper edge of the band, that the drawing has to hold; 0 where there is none."""
    edges_s = series.start_s + series.step_s * np.arange(series.intensity_g_per_kwh.size + 1)
    within = (edges_s[1:] > span.start_utc.timestamp()) & (edges_s[:-1] < span.end_utc.timestamp())
    rows = [series.intensity_g_per_kwh] + ([] if series.high_g_per_kwh is None else [series.high_g_per_kwh])
    return max((float(np.nan_to_num(row[within]).max(initial=0.0)) for row in rows), default=0.0)


def _nice_above(value: float) -> float:
    """A round number with a little room above the value; 1 where it is not positive."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(1.08 * value))
    return next(nice * power for nice in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if nice * power >= 1.08 * value)

"""Generation and load documents of ENTSO-E: XML -> blocks of megawatts on equal steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from lowtide_core.spans import parse_iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from xml.etree.ElementTree import Element

    from lowtide_core.series import FloatArray

QUARTER = timedelta(minutes=15)
_STEPS = {"PT15M": QUARTER, "PT30M": 2 * QUARTER, "PT60M": 4 * QUARTER, "PT1H": 4 * QUARTER}
_FILLED = "A03"
"""The curve type that leaves out a position whose quantity is that of the one before."""
_KNOWN_CURVES = ("A01", _FILLED)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One period of one series.

    Attributes:
        psr_type: Kind of plant, ``B16``; empty where the document does not split.
        consumed: Whether it flows out of the zone's plants: storage that fills, or a load.
        values_megawatt: Mean power of each step; (n,), NaN where the document has a gap.
    """

    psr_type: str
    consumed: bool
    start_utc: datetime
    step: timedelta
    values_megawatt: FloatArray


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What is answered in the place of a document: 999 is "no matching data", under status 200."""

    code: str
    text: str


def read_document(body: bytes) -> tuple[Block, ...] | Acknowledgement:
    """Every period of every series, in the order of the document.

    Raises:
        ValueError: Not XML, not such a document, or with a document type: entities could make a small body endless.
        InputError: A time that is none.
    """
    root = _root(body)
    if _name(root) == "Acknowledgement_MarketDocument":
        return Acknowledgement(_text(root, "Reason/code"), _text(root, "Reason/text"))
    if _name(root) != "GL_MarketDocument":
        raise ValueError(f"a {_name(root)}")
    return tuple(block for series in root.iterfind("{*}TimeSeries") for block in _blocks(series))


def on_quarters(blocks: Iterable[Block], start_utc: datetime, count: int) -> FloatArray:
    """The blocks on quarters of an hour from a full hour on; a later block stands over an earlier one.

    Returns:
        (count,), MW; NaN where no block says anything.
    """
    values = np.full(count, np.nan)
    for block in blocks:
        wide = np.repeat(block.values_megawatt, block.step // QUARTER)
        first = (block.start_utc - start_utc) // QUARTER
        low, high = max(first, 0), min(first + wide.size, count)
        if low < high:
            values[low:high] = wide[low - first : high - first]
    return values


def _root(body: bytes) -> Element:
    from xml.etree import ElementTree

    text = body.decode("utf-8-sig")  # in one encoding, so that the next line sees what the parser sees
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a document type")
    try:
        return ElementTree.fromstring(text)  # noqa: S314  it has no document type, and so no entity of its own
    except ElementTree.ParseError as error:
        raise ValueError(f"XML that cannot be read, {error}") from error


def _blocks(series: Element) -> Iterator[Block]:
    unit = _text(series, "quantity_Measure_Unit.name")
    curve = _text(series, "curveType", "A01")
    if unit != "MAW":
        raise ValueError(f"the unit {unit}")
    if curve not in _KNOWN_CURVES:
        raise ValueError(f"the curve type {curve}")
    consumed = series.find("{*}outBiddingZone_Domain.mRID") is not None
    for period in series.iterfind("{*}Period"):
        resolution = _text(period, "resolution")
        if resolution not in _STEPS:
            raise ValueError(f"the resolution {resolution}")
        start = parse_iso_utc(_text(period, "timeInterval/start"))
        end = parse_iso_utc(_text(period, "timeInterval/end"))
        step = _STEPS[resolution]
        if (end - start) % step or end <= start or start.minute % 15 or start.second:
            raise ValueError(f"a period from {start.isoformat()} to {end.isoformat()} in steps of {resolution}")
        values = _quantities(period, (end - start) // step, filled=curve == _FILLED)
        yield Block(_text(series, "MktPSRType/psrType", ""), consumed, start, step, values)


def _quantities(period: Element, count: int, *, filled: bool) -> FloatArray:
    values = np.full(count, np.nan)
    for point in period.iterfind("{*}Point"):
        position = int(_text(point, "position"))
        if not 1 <= position <= count:
            raise ValueError(f"position {position} of {count}")
        quantity = float(_text(point, "quantity"))
        if not np.isfinite(quantity):
            raise ValueError(f"the quantity {quantity}")
        values[position - 1] = quantity
    if not filled:
        return values
    known = np.flatnonzero(~np.isnan(values))
    last = np.searchsorted(known, np.arange(count), side="right") - 1  # -1: before the first that is told
    return np.where(last >= 0, values[known[np.maximum(last, 0)]], np.nan) if known.size else values


def _name(element: Element) -> str:
    return re.sub(r"^\{.*\}", "", element.tag)


def _text(element: Element, path: str, default: str | None = None) -> str:
    found = element.findtext("/".join(f"{{*}}{part}" for part in path.split("/")), default)
    if found is None:
        raise ValueError(f"{path} is missing")
    return found.strip()

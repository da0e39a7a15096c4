"""ENTSO-E's XML: steps, omitted positions, directions, and bodies that are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lowtide_providers.signals.entsoe_document import (
    QUARTER,
    Acknowledgement,
    Block,
    on_quarters,
    read_document,
)

NAMESPACE = "urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0"
START = datetime(2026, 6, 10, 22, tzinfo=UTC)


def _period(points: str, resolution: str = "PT60M", end: str = "2026-06-11T02:00Z") -> str:
    return (
        f"<Period><timeInterval><start>2026-06-10T22:00Z</start><end>{end}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{points}</Period>"
    )


def _points(*pairs: tuple[object, object]) -> str:
    return "".join(f"<Point><position>{p}</position>\n<quantity> {q} </quantity></Point>" for p, q in pairs)


def _document(period: str, curve: str = "A01", direction: str = "in", more: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><GL_MarketDocument xmlns="{NAMESPACE}"><type>A75</type>'
        f'<TimeSeries><mRID>1</mRID><{direction}BiddingZone_Domain.mRID codingScheme="A01">10YFI-1--------U'
        f"</{direction}BiddingZone_Domain.mRID><quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>"
        f"<curveType>{curve}</curveType><MktPSRType><psrType>B10</psrType></MktPSRType>{period}</TimeSeries>{more}"
        "</GL_MarketDocument>"
    ).encode()


def _blocks(body: bytes) -> tuple[Block, ...]:
    answer = read_document(body)
    assert not isinstance(answer, Acknowledgement)
    return answer


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_block_says_what_when_and_which_way(direction: str) -> None:
    (block,) = _blocks(_document(_period(_points((1, 5), (2, 6.5), (3, -1), (4, 0))), direction=direction))
    assert (block.psr_type, block.consumed, block.start_utc) == ("B10", direction == "out", START)
    assert block.step == timedelta(hours=1)
    np.testing.assert_array_equal(block.values_megawatt, [5, 6.5, -1, 0])


@pytest.mark.parametrize(("resolution", "step"), [("PT15M", 1), ("PT30M", 2), ("PT60M", 4), ("PT1H", 4)])
def test_every_resolution_is_read(resolution: str, step: int) -> None:
    count = 16 // step
    points = _points(*((i + 1, i) for i in range(count)))
    (block,) = _blocks(_document(_period(points, resolution)))
    assert block.step == step * QUARTER
    np.testing.assert_array_equal(block.values_megawatt, np.arange(count))
    np.testing.assert_array_equal(on_quarters([block], START, 16), np.repeat(np.arange(count), step))


def test_an_omitted_position_repeats_the_one_before_where_the_curve_says_so() -> None:
    period = _period(_points((1, 5), (3, 7)))
    (filled,), (gaps,) = _blocks(_document(period, "A03")), _blocks(_document(period, "A01"))
    np.testing.assert_array_equal(filled.values_megawatt, [5, 5, 7, 7])
    np.testing.assert_array_equal(gaps.values_megawatt, [5, np.nan, 7, np.nan])


def test_before_the_first_position_nothing_is_known() -> None:
    (block,) = _blocks(_document(_period(_points((3, 7))), "A03"))
    np.testing.assert_array_equal(block.values_megawatt, [np.nan, np.nan, 7, 7])
    (empty,) = _blocks(_document(_period(""), "A03"))
    assert np.isnan(empty.values_megawatt).all()


def test_a_series_may_have_several_periods() -> None:
    first, second = _blocks(_document(_period(_points((1, 1))) + _period(_points((2, 2)))))
    np.testing.assert_array_equal(first.values_megawatt, [1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(second.values_megawatt, [np.nan, 2, np.nan, np.nan])


def test_blocks_are_cut_to_the_time_and_a_later_one_stands_over_an_earlier() -> None:
    early = Block("B04", False, START - 2 * QUARTER, QUARTER, np.arange(4.0))
    late = Block("B04", False, START + QUARTER, 2 * QUARTER, np.array([9.0, 8.0]))
    np.testing.assert_array_equal(on_quarters([early, late], START, 4), [2, 9, 9, 8])
    np.testing.assert_array_equal(on_quarters([early], START, 4), [2, 3, np.nan, np.nan])
    assert np.isnan(on_quarters([early], START + timedelta(days=1), 4)).all()


def test_an_acknowledgement_is_told_apart() -> None:
    body = (
        b'<Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">'
        b"<Reason><code>999</code><text>No matching data found for invented</text></Reason>"
        b"</Acknowledgement_MarketDocument>"
    )
    assert read_document(body) == Acknowledgement("999", "No matching data found for invented")


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;">]>'
    b"<GL_MarketDocument>&lol1;</GL_MarketDocument>"
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><GL_MarketDocument>&e;</GL_MarketDocument>'


@pytest.mark.parametrize("body", [LAUGHS, OUTSIDE, b"\xef\xbb\xbf" + LAUGHS])
def test_a_document_type_is_refused_before_it_is_read(body: bytes) -> None:
    with pytest.raises(ValueError, match="a document type"):
        read_document(body)


def test_a_document_type_hidden_in_another_encoding_is_refused() -> None:
    hidden = LAUGHS.decode().replace('version="1.0"', 'version="1.0" encoding="UTF-16"').encode("utf-16")
    with pytest.raises(ValueError):
        read_document(hidden)


def test_an_entity_that_nobody_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_document(b"<GL_MarketDocument>&lol;</GL_MarketDocument>")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cannot be read"),
        (b"<html><body>Maintenance</body></html>", "a html"),
        (b"Service Unavailable", "cannot be read"),
        (_document(_period(_points((1, 1)), "P1D")), "resolution P1D"),
        (_document(_period(_points((1, 1)), "PT1M")), "resolution PT1M"),
        (_document(_period(_points((5, 1)))), "position 5 of 4"),
        (_document(_period(_points((0, 1)))), "position 0 of 4"),
        (_document(_period(_points((1, "ND")))), "ND"),
        (_document(_period(_points((1, "inf")))), "quantity inf"),
        (_document(_period(_points(("one", 1)))), "one"),
        (_document(_period("<Point><position>1</position></Point>")), "quantity is missing"),
        (_document(_period(_points((1, 1)), end="2026-06-11T01:30Z")), "steps of PT60M"),
        (_document(_period(_points((1, 1)), end="2026-06-10T22:00Z")), "steps of PT60M"),
        (_document(_period(_points((1, 1))), "A02"), "curve type A02"),
        (_document(_period(_points((1, 1)))).replace(b"MAW", b"KWT"), "unit KWT"),
        (_document(_period(_points((1, 1)))).replace(b"22:00Z", b"22:07Z"), "22:07"),
    ],
)
def test_what_is_not_such_a_document_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_document(body)


def test_a_time_without_a_zone_is_refused() -> None:
    from lowtide_core.errors import InputError

    with pytest.raises(InputError, match="no zone"):
        read_document(_document(_period(_points((1, 1)), end="2026-06-11T02:00")))

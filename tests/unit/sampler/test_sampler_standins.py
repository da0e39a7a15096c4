"""What stands in for typing and json on the way to the command's start does what they do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide_sampler.meters import Sampled, Shared, Source
from lowtide_sampler.options import RunOptions
from lowtide_sampler.standins import NamedTuple, to_json


class Point(NamedTuple):
    """A place."""

    x_m: float
    y_m: float = 2.0

    @property
    def both_m(self) -> float:
        return self.x_m + self.y_m

    @classmethod
    def origin(cls) -> Point:
        return cls(0.0, 0.0)


RECORDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
)


def test_a_tuple_has_names_defaults_and_what_its_class_says() -> None:
    point = Point(1.0)
    assert point == (1.0, 2.0)
    assert (point.both_m, Point.origin()._asdict(), point._replace(y_m=5.0)[1]) == (3.0, {"x_m": 0.0, "y_m": 0.0}, 5.0)
    assert (repr(point), Point.__doc__, Point.__module__) == ("Point(x_m=1.0, y_m=2.0)", "A place.", __name__)
    assert RunOptions().interval_s == 5.0
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]


def test_who_has_the_methods_has_the_ability() -> None:
    class Meter:
        def sample(self) -> None: ...

    assert isinstance(Meter(), Sampled)
    assert not isinstance(Meter(), Shared)


@settings(deadline=None)
@given(RECORDS)
def test_a_record_is_written_as_json_writes_it(record: object) -> None:
    assert to_json(record) == json.dumps(record, separators=(",", ":"))


def test_what_has_no_place_in_a_record_is_refused() -> None:
    assert to_json(Source("a", "b", "cpu", "counter").flags) == "[]"
    with pytest.raises(TypeError, match="set"):
        to_json({"cpus": {1}})

"""Files of what came and of forecasts, on one grid; and what does not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide.backtest.files import history_of, read_came, read_issued
from lowtide_core.errors import InputError

from .cases import HOUR_S, NAN, START_S, came

if TYPE_CHECKING:
    from pathlib import Path

ACTUAL = "start_utc,intensity_g_per_kwh\n"
FORECAST = "issued_utc,start_utc,intensity_g_per_kwh\n"


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def at(hour: float) -> str:
    minutes = round(hour * 60)
    return f"2023-01-01T{minutes // 60:02d}:{minutes % 60:02d}Z"


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ACTUAL + "".join(f"{at(hour)},{10 * hour}\n" for hour in (0, 1, 2, 4)))
    (past,) = read_came(path)
    assert (past.start_s, past.step_s, past.zone) == (START_S, HOUR_S, "")
    assert past.values.tolist()[:3] == [0, 10, 20]
    assert np.isnan(past.values[3])
    assert past.values[4] == 40


def test_half_hours_stay_and_days_become_hours(tmp_path: Path) -> None:
    half = write(tmp_path, "a.csv", ACTUAL + "".join(f"{at(0.5 + step / 2)},{step}\n" for step in range(5)))
    (past,) = read_came(half)
    # What lies before the first whole hour is left out.
    assert (past.start_s, past.step_s, past.values.tolist()) == (START_S + HOUR_S, 1800.0, [1, 2, 3, 4])
    three = write(tmp_path, "b.csv", ACTUAL + f"{at(0)},30\n{at(3)},60\n")
    (past,) = read_came(three)
    assert (past.step_s, past.values.tolist()) == (HOUR_S, [30, 30, 30, 60, 60, 60])


def test_steps_that_hours_do_not_fit_are_refused(tmp_path: Path) -> None:
    odd = write(tmp_path, "a.csv", ACTUAL + "".join(f"2023-01-01T00:{7 * step:02d}Z,1\n" for step in range(5)))
    with pytest.raises(InputError, match="420 s") as refused:
        read_came(odd)
    assert refused.value.facts["step_s"] == 420


def test_zones_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    head = "start_utc,intensity_g_per_kwh,zone\n"
    rows = "".join(f"{at(hour)},{value},{zone}\n" for zone, value in (("GB", 1), ("DE", 2)) for hour in range(3))
    path = write(tmp_path, "a.csv", head + rows)
    assert [past.zone for past in read_came(path)] == ["DE", "GB"]
    assert [past.values[0] for past in read_came(path, ["gb", "de"])] == [1, 2]
    with pytest.raises(InputError, match="FR") as refused:
        read_came(path, ["FR"])
    assert "DE, GB" in refused.value.hint


def test_forecasts_are_no_actuals_and_actuals_no_forecasts(tmp_path: Path) -> None:
    forecasts = write(tmp_path, "f.csv", FORECAST + f"{at(0)},{at(0)},1\n{at(0)},{at(1)},1\n")
    actuals = write(tmp_path, "a.csv", ACTUAL + f"{at(0)},1\n{at(1)},1\n")
    with pytest.raises(InputError, match="holds forecasts"):
        read_came(forecasts)
    with pytest.raises(InputError, match="holds actuals"):
        read_issued(actuals, came([1, 2]))


def test_each_forecast_is_known_from_its_issue_on(tmp_path: Path) -> None:
    rows = [(2.25, 3, 30), (2.25, 4, 40), (0, 0, 1), (0, 1, 2), (0, 2, 3)]
    path = write(tmp_path, "f.csv", FORECAST + "".join(f"{at(i)},{at(s)},{v}\n" for i, s, v in rows))
    found = read_issued(path, came([0] * 6))
    assert found.issued_s.tolist() == [0, 2.25 * HOUR_S]
    assert found.values[0].tolist() == [1, 2, 3]
    assert found.values[1].tolist() == [3, 30, 40]
    assert found.newest(np.array([2.2 * HOUR_S])).tolist() == [0]


def test_other_steps_are_put_on_those_of_what_came(tmp_path: Path) -> None:
    finer = [(0, 0.5 * step, 10.0 * step) for step in range(1, 6)]
    path = write(tmp_path, "f.csv", FORECAST + "".join(f"{at(i)},{at(s)},{v}\n" for i, s, v in finer))
    assert read_issued(path, came([0] * 4)).values.tolist()[0][1:] == [25, 45]
    coarser = write(tmp_path, "g.csv", FORECAST + f"{at(0)},{at(0)},5\n{at(0)},{at(1)},7\n")
    assert read_issued(coarser, came([0] * 8, 1800.0)).values.tolist() == [[5, 5, 7, 7]]
    late = write(tmp_path, "h.csv", FORECAST + f"{at(0)},{at(0.5)},5\n{at(0)},{at(1.5)},7\n")
    with pytest.raises(InputError, match="do not fit"):
        read_issued(late, came([0] * 4))


def test_frames_must_agree(tmp_path: Path) -> None:
    head = "issued_utc,start_utc,intensity_g_per_kwh,scope\n"
    path = write(tmp_path, "f.csv", head + f"{at(0)},{at(0)},1,direct\n{at(0)},{at(1)},1,direct\n")
    with pytest.raises(InputError, match="different frames") as refused:
        read_issued(path, came([1, 2, 3]))
    assert "frames" in refused.value.facts


def test_forecasts_of_another_year_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01T00:00Z,2024-01-01T0{hour}:00Z,1\n" for hour in range(2))
    path = write(tmp_path, "f.csv", FORECAST + rows)
    with pytest.raises(InputError, match="No forecast"):
        read_issued(path, came([1, 2, 3]))


def test_zones_of_unlike_times_share_one_axis() -> None:
    late = came([4.0, 6.0, 8.0, NAN], 1800.0)
    history = history_of([came([1, 2]), late])
    assert history.start_s == START_S
    assert history.intensity_g_per_kwh[0].tolist() == [1, 2]
    assert history.intensity_g_per_kwh[1][0] == 5
    assert np.isnan(history.intensity_g_per_kwh[1][1]), "of a half hour the mean is not known"


def test_a_mistyped_year_is_told_and_not_filled(tmp_path: Path) -> None:
    rows = "".join(f"{at(hour)},{100 + hour}\n" for hour in range(20))
    far = write(tmp_path, "far.csv", ACTUAL + rows + "2223-01-09T08:00Z,100\n")
    with pytest.raises(InputError, match="less than one value in 20") as caught:
        read_came(far)
    assert "year mistyped" in caught.value.hint


def test_a_forecast_issued_in_year_one_is_told(tmp_path: Path) -> None:
    past = came([100.0] * 100)
    rows = "".join(f"0001-01-01T00:00Z,{at(hour)},{hour}\n" for hour in range(20))
    with pytest.raises(InputError, match="was issued 0001-01-01") as caught:
        read_issued(write(tmp_path, "f.csv", FORECAST + rows), past)
    assert "issued_utc" in caught.value.hint


def test_a_zone_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    head = "start_utc,intensity_g_per_kwh,zone\n"
    path = write(tmp_path, "a.csv", head + "".join(f"{at(hour)},1,DE\n" for hour in range(5)))
    assert [past.zone for past in read_came(path, ["DE", "de"])] == ["DE"]

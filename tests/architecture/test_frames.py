"""Intensities of different frames meet nowhere: each door at which somebody could bring them together is tried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import lowtide
from lowtide.backtest.files import history_of
from lowtide.backtest.issued import Came
from lowtide.cli.app import run
from lowtide.forecasting.mending import Blend, blended
from lowtide.histories import with_series
from lowtide.planning.solve import solve
from lowtide.planning.types import Candidate, PlanProblem
from lowtide.store import Store, open_store
from lowtide_core.errors import InputError, NoData
from lowtide_core.places import LOCAL, RegionId, ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, Frame, SignalSeries, require_one_frame
from lowtide_core.spans import Span, iso_utc
from lowtide_providers.signals.chain import Chain, Merit
from lowtide_providers.signals.file import FileSource

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)
DE, SE = ZoneId("DE"), ZoneId("SE-SE3")
OTHERS = (
    Frame("marginal", "lifecycle", "consumption"),
    Frame("average", "direct", "consumption"),
    Frame("average", "lifecycle", "production"),
)


def series(zone: ZoneId, frame: Frame, *, kind: str = "forecast", source: str = "invented") -> SignalSeries:
    values = np.arange(60.0) + 100
    issued = NOW if kind == "forecast" else None
    return SignalSeries(zone, NOW, 3600.0, values, frame, kind, source, issued_at=issued)  # type: ignore[arg-type]


def write(path: Path, zone: str, frame: Frame) -> Path:
    head = "start_utc,intensity_g_per_kwh,zone,basis,scope,accounting\n"
    tail = f"{zone},{frame.basis},{frame.scope},{frame.accounting}"
    lines = [f"{iso_utc(NOW + (i - 200) * HOUR)},{100 + i % 24},{tail}" for i in range(300)]
    path.write_text(head + "\n".join(lines) + "\n")
    return path


@pytest.fixture(params=OTHERS, ids=str)
def other(request: pytest.FixtureRequest) -> Frame:
    return request.param


@pytest.fixture
def two_files(tmp_path: Path, other: Frame) -> tuple[Path, Path]:
    """One zone in each, in two frames."""
    return write(tmp_path / "de.csv", "DE", LIFECYCLE_CONSUMPTION), write(tmp_path / "se.csv", "SE-SE3", other)


REGIONS = "aws:eu-central-1,aws:eu-north-1"


def test_plan_never_compares_places_across_frames(
    two_files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "set", "signals", ",".join(map(str, two_files))]) == 0
    assert run(["plan", "--duration", "4h", "--deadline", "24h", "--regions", REGIONS, "--power", "1kW"]) == 4
    assert "in its frame" in capsys.readouterr().err
    for region in REGIONS.split(","):  # each alone is no comparison
        asked = ["plan", "--duration", "4h", "--deadline", "24h", "--region", region, "--power", "1kW", "--json"]
        assert run(asked) == 0
        assert json.loads(capsys.readouterr().out)["forecast"]["source"].endswith(".csv")


def test_nor_does_the_library(two_files: tuple[Path, Path]) -> None:
    assert run(["config", "set", "signals", ",".join(map(str, two_files))]) == 0
    with pytest.raises(NoData, match="in its frame"):
        lowtide.plan(duration="4h", deadline="24h", regions=REGIONS, power="1kW")


def test_nor_does_plan_fleet(two_files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "set", "signals", ",".join(map(str, two_files))]) == 0
    jobs = tmp_path / "jobs.csv"
    jobs.write_text("name,duration,deadline,cpus,power\na,2h,24h,4,400W\n")
    capsys.readouterr()
    assert run(["plan-fleet", str(jobs), "--capacity", "cpus=8", "--regions", REGIONS]) in (2, 4)
    assert "frame" in capsys.readouterr().err


def test_backtest_holds_no_forecast_against_another_frame(
    tmp_path: Path, other: Frame, capsys: pytest.CaptureFixture[str]
) -> None:
    actual = write(tmp_path / "actual.csv", "DE", LIFECYCLE_CONSUMPTION)
    forecast = tmp_path / "forecast.csv"
    head = "issued_utc,start_utc,intensity_g_per_kwh,zone,basis,scope,accounting\n"
    tail = f"DE,{other.basis},{other.scope},{other.accounting}"
    lines = [
        f"{iso_utc(NOW + (d - 200) * HOUR)},{iso_utc(NOW + (d - 200 + h) * HOUR)},{100 + h},{tail}"
        for d in range(0, 120, 24)
        for h in range(48)
    ]
    forecast.write_text(head + "\n".join(lines) + "\n")
    asked = [
        "backtest",
        "--actual",
        str(actual),
        "--forecast",
        str(forecast),
        "--job-hours",
        "4",
        "--slack-hours",
        "12",
    ]
    assert run(asked) == 2
    assert "different frames" in capsys.readouterr().err


def test_a_file_of_two_frames_is_refused(tmp_path: Path, other: Frame) -> None:
    path = write(tmp_path / "mixed.csv", "DE", LIFECYCLE_CONSUMPTION)
    tail = write(tmp_path / "tail.csv", "SE-SE3", other).read_text().partition("\n")[2]
    path.write_text(path.read_text() + tail)
    with pytest.raises(InputError, match="before and"):
        FileSource(str(path)).fetch(DE, Span(NOW, NOW + HOUR), "actual")


def test_the_planner_refuses_places_of_two_frames(other: Frame) -> None:
    here = Candidate(LOCAL, DE, series(DE, LIFECYCLE_CONSUMPTION), 300.0, 1.0)
    there = Candidate(RegionId("aws:eu-north-1"), SE, series(SE, other), 300.0, 1.1)
    for places, home in (((here, there), None), ((here,), there)):
        problem = PlanProblem(NOW, NOW + 20 * HOUR, 3600.0, places, baseline=home)
        with pytest.raises(InputError, match="different frames"):
            solve(problem)


def test_a_chain_orders_by_worth_within_a_frame_alone(other: Frame) -> None:
    class Source:
        def __init__(self, name: str, frame: Frame) -> None:
            self.name, self.frame = name, frame

        def covers(self, _: ZoneId) -> bool:
            return True

        def fetch(self, zone: ZoneId, span: Span, wanted: str) -> SignalSeries:
            return series(zone, self.frame, kind=wanted, source=self.name)

    sources = (Source("first", LIFECYCLE_CONSUMPTION), Source("better", other), Source("best", LIFECYCLE_CONSUMPTION))
    worth = {"first": Merit(50, 500, 20), "better": Merit(90, 500, 20), "best": Merit(60, 500, 20)}
    span = Span(NOW, NOW + 10 * HOUR)
    chain = Chain(sources, lambda _: worth)  # type: ignore[arg-type]
    found = chain.resolve((DE,), span=span, needed=span, wanted="forecast").series[DE]
    assert found.source == "best"
    assert "better" not in found.note


def test_a_record_a_blend_and_a_history_take_nothing_of_another_frame(other: Frame) -> None:
    record = with_series(None, series(DE, LIFECYCLE_CONSUMPTION, kind="actual"))
    with pytest.raises(InputError, match="does not belong"):
        with_series(record, series(DE, other, kind="actual"))
    with pytest.raises(InputError, match="different frames"):
        blended(series(DE, other), series(DE, LIFECYCLE_CONSUMPTION), Blend(np.ones(2)))
    cames = [
        Came(zone, NOW.timestamp(), 3600.0, np.ones(48), frame, "invented")
        for zone, frame in (("DE", LIFECYCLE_CONSUMPTION), ("SE-SE3", other))
    ]
    with pytest.raises(InputError, match="different frames"):
        history_of(cames)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "lowtide.db") as opened:
        yield opened


def test_a_settlement_is_made_of_actuals_of_the_plan_s_frame_alone(store: Store, other: Frame) -> None:
    store.signals.add(series(DE, other, kind="actual"))
    span = Span(NOW, NOW + HOUR)
    assert store.signals.overlapping(DE, LIFECYCLE_CONSUMPTION, span, ("actual",)) == ()
    (kept,) = store.signals.overlapping(DE, other, span, ("actual",))
    assert kept.frame == other


def test_every_part_of_a_frame_counts() -> None:
    for name, value in (("basis", "marginal"), ("scope", "direct"), ("accounting", "production")):
        changed = replace(LIFECYCLE_CONSUMPTION, **{name: value})  # type: ignore[arg-type]
        with pytest.raises(InputError, match="different frames"):
            require_one_frame([("a", LIFECYCLE_CONSUMPTION), ("b", changed)])

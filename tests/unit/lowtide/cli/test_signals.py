"""The table of sources says what is so: keys, roles, reach, answers and frames."""

from __future__ import annotations

import importlib.metadata
import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import responses

from lowtide.cli.app import run
from lowtide.histories import Histories, with_series
from lowtide.wiring import Wiring
from lowtide_core.places import ZoneId
from lowtide_core.series import LIFECYCLE_CONSUMPTION, SignalSeries
from lowtide_providers.signals.registry import BUILT_IN
from lowtide_providers.signals.static import StaticSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DE = ZoneId("DE")
HOUR = timedelta(hours=1)


def rows(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, dict[str, Any]]:
    assert run(["signals", "--json", *more]) == 0
    return {row["source"]: row for row in json.loads(capsys.readouterr().out)["sources"]}


def lines(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, list[str]]:
    """First word of each line -> its words."""
    assert run(["signals", *more]) == 0
    return {words[0]: words for line in capsys.readouterr().out.splitlines() if (words := line.split())}


@pytest.mark.parametrize(
    ("known", "missing", "word"),
    [
        ((), ["watttime_user", "watttime_password"], "missing"),
        (("WATTTIME_USER",), ["watttime_password"], "partly"),
        (("WATTTIME_PASSWORD",), ["watttime_user"], "partly"),
        (("WATTTIME_USER", "WATTTIME_PASSWORD"), [], "set"),
    ],
)
def test_half_an_account_is_not_called_set(
    known: Sequence[str],
    missing: list[str],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in known:
        monkeypatch.setenv(name, "invented")
    row = rows(capsys)["watttime"]
    assert row["keys_missing"] == missing
    assert {*row["keys_set"], *row["keys_missing"]} == {"watttime_user", "watttime_password"}
    assert lines(capsys)["watttime"][2] == word  # after its name and its mark
    assert lines(capsys)["gb-neso"][1] == "-", "a source without a key was said to want one"


def test_each_source_has_one_of_three_roles(capsys: pytest.CaptureFixture[str]) -> None:
    by_role: dict[str, set[str]] = {}
    for row in rows(capsys).values():
        by_role.setdefault(row["role"], set()).add(row["source"])
    assert by_role["actuals"] == {"eia930", "eco2mix"}
    assert by_role["by name"] == {"watttime", "carbon-aware-sdk"}
    assert by_role["chain"] == set(BUILT_IN) - by_role["actuals"] - by_role["by name"]
    table = lines(capsys)
    assert table["eia930"][1] == "+"
    assert table["watttime"][1] == "*"
    assert {"+", "*"} < table.keys(), "a mark is not explained"


def test_a_mark_that_nobody_has_is_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "set", "signals", "watttime,carbon-aware-sdk,eia930,eco2mix"]) == 0
    capsys.readouterr()
    assert rows(capsys)["eia930"]["role"] == "chain", "who is named is asked for plans as well"
    assert "+" not in lines(capsys)


@pytest.mark.parametrize(
    ("address", "frame"),
    [
        ("http://sdk.example", None),
        ("http://sdk.example#watttime", "marginal, direct, consumption"),
        ("", None),
    ],
)
def test_a_frame_that_nobody_stated_is_not_known(
    address: str, frame: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if address:
        monkeypatch.setenv("CARBON_AWARE_SDK_URL", address)
    row = rows(capsys)["carbon-aware-sdk"]
    assert row["frame"] == frame
    assert (row["basis"] is None) == (frame is None)
    words = " ".join(lines(capsys)["carbon-aware-sdk"])
    assert ("not known" in words) == (frame is None)
    assert ("marginal direct" in words) == (frame is not None)


def test_an_answer_of_a_sdk_is_seen_and_only_at_its_own_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOWTIDE_OFFLINE")
    monkeypatch.setenv("CARBON_AWARE_SDK_URL", "http://sdk.example#watttime")
    assert rows(capsys)["carbon-aware-sdk"]["last_success_utc"] is None
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    points = [
        {"timestamp": (start + i * HOUR).isoformat(), "duration": 60, "value": 100 + i, "location": "DE"}
        for i in range(30)
    ]
    body = [{"location": "DE", "generatedAt": start.isoformat(), "forecastData": points}]
    with responses.RequestsMock() as mock:
        mock.get("http://sdk.example/emissions/forecasts/current", json=body)
        asked = ["--duration", "2h", "--deadline", "20h", "--zone", "DE", "--power", "300W"]
        assert run(["plan", *asked, "--signal", "carbon-aware-sdk"]) == 0
    capsys.readouterr()
    assert rows(capsys)["carbon-aware-sdk"]["last_success_utc"] is not None
    assert "ago" in lines(capsys)["carbon-aware-sdk"]
    monkeypatch.setenv("CARBON_AWARE_SDK_URL", "http://another.example#watttime")
    assert rows(capsys)["carbon-aware-sdk"]["last_success_utc"] is None


def test_forecasts_from_history_say_how_far_they_reach(capsys: pytest.CaptureFixture[str]) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 48 * HOUR
    series = SignalSeries(DE, start, 3600.0, np.full(48, 300.0), LIFECYCLE_CONSUMPTION, "actual", "electricitymaps")
    Histories(Wiring().paths.state / "histories").keep(with_series(None, series))
    row = rows(capsys, "--zone", "DE")["history:electricitymaps"]
    assert row["horizon_h"] == 120
    assert row["covers_zone"]
    assert row["operator"]
    assert "120" in lines(capsys)["history:electricitymaps"]


def test_a_probe_tells_what_the_key_opens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("LOWTIDE_OFFLINE")
    monkeypatch.setenv("WATTTIME_USER", "somebody")
    monkeypatch.setenv("WATTTIME_PASSWORD", "s3cret")
    entry = {"region": "CAISO_NORTH", "endpoints": [{"endpoint": "v3/historical"}, {"endpoint": "v3/my-access"}]}
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get("https://api.watttime.org/login", json={"token": "invented"})
        signals = [{"signal_type": "co2_moer", "regions": [entry]}]
        mock.get("https://api.watttime.org/v3/my-access", json={"signal_types": signals})
        for path in ("forecast", "historical"):
            mock.get(f"https://api.watttime.org/v3/{path}", status=403, json={"message": "lacks the scope"})
        found = rows(capsys, "--zone", "US-CAL-CISO", "--probe")["watttime"]["probe"]
    assert found.startswith("the key opens v3/historical, v3/my-access here; no forecast: ")
    assert "s3cret" not in found


def test_a_probe_says_where_it_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELECTRICITYMAPS_API_TOKEN", "invented")
    found = rows(capsys, "--zone", "DE", "--probe")
    assert found["electricitymaps"]["probe"].startswith("what the key opens is not known: ")
    assert "offline" in found["electricitymaps"]["probe"]
    assert "opens" not in found["gb-neso"]["probe"]


def test_sources_of_other_packages_and_files_stand_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def make(self: EntryPoint) -> object:
        return lambda _: StaticSource("ours") if self.name == "ours" else 5

    points = EntryPoints(EntryPoint(name, "invented:make", "lowtide.signals") for name in ("ours", "torn"))
    monkeypatch.setattr(EntryPoint, "load", make)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: points)
    own = tmp_path / "own.csv"
    own.write_text("start_utc,intensity_g_per_kwh,zone\n2026-01-01T00:00Z,1,DE\n2026-01-01T01:00Z,2,DE\n")
    assert run(["config", "set", "signals", f"{own},climatology"]) == 0
    capsys.readouterr()
    found = rows(capsys, "--zone", "DE")
    assert (found["ours"]["operator"], found["ours"]["role"], found["ours"]["zones"]) == (
        "another package",
        "by name",
        352,
    )
    assert (found["own.csv"]["operator"], found["own.csv"]["role"], found["own.csv"]["zones"]) == ("a file", "chain", 1)
    assert run(["signals"]) == 0
    assert "The source torn cannot be used, it made no source but a value of type int" in capsys.readouterr().out


def test_a_zone_of_which_nothing_can_be_recorded_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["signals", "record", "US-CAL-CISO"]) == 2
    said = capsys.readouterr().err
    assert "No source of US-CAL-CISO can be recorded." in said
    assert "lowtide signals --zone US-CAL-CISO" in said


def test_a_round_in_which_nothing_was_kept_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["signals", "record", "FR"]) == 4, "offline: nobody answers"
    assert "eco2mix has no forecast" in capsys.readouterr().out
    monkeypatch.delenv("LOWTIDE_OFFLINE")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    seconds = [int((now + hour * HOUR).timestamp()) for hour in range(-20, 20)]
    came = [100.0 if hour < 20 else None for hour in range(40)]
    expected = [None if hour < 20 else 90.0 for hour in range(40)]
    with responses.RequestsMock() as mock:
        mock.get(
            "https://api.energy-charts.info/co2eq",
            json={"unix_seconds": seconds, "co2eq": came, "co2eq_forecast": expected, "deprecated": False},
        )
        assert run(["config", "set", "signals", "energy-charts,climatology"]) == 0
        assert run(["signals", "record", "FR"]) == 0
    assert "1 days are known" in capsys.readouterr().out


def test_a_chain_with_a_strange_name_is_refused_when_it_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "set", "signals", "gb-neso,foo"]) == 2
    assert "'foo' is not a source" in capsys.readouterr().err
    assert run(["config", "set", "signals", "co2signal"]) == 2
    assert "gone" in capsys.readouterr().err
    assert run(["config", "set", "signals", "gb-neso,history,climatology"]) == 0


def test_a_source_that_is_demanded_says_itself_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--zone", "DE", "--duration", "4h", "--deadline", "24h", "--power", "300W", "--signal"]
    assert run([*asked, "entsoe"]) == 4
    said = capsys.readouterr().err
    assert "entsoe_token" in said
    assert "Shorten the window" not in said
    assert run([*asked, "history"]) == 2
    assert "signals record" in capsys.readouterr().err


def test_half_an_account_is_told_by_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTTIME_USER", "invented")
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "watttime_user, from WATTTIME_USER" in said
    assert "watttime_password is missing" in said
    assert "invented" not in said

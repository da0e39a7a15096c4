"""Offline, no verb opens a socket; and what was fetched before serves those who have no network."""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import responses

from lowtide.cli.app import run
from lowtide.wiring import Wiring
from lowtide_core.places import ZoneId
from lowtide_core.spans import iso_utc

EVERY_KEY = {
    "ELECTRICITYMAPS_API_TOKEN": "invented",
    "WATTTIME_USER": "invented",
    "WATTTIME_PASSWORD": "invented",
    "EIA_API_KEY": "invented",
    "ENTSOE_API_KEY": "invented",
    "OPENELECTRICITY_API_KEY": "invented",
    "CARBON_AWARE_SDK_URL": "http://sdk.example#watttime",
}


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("zone", ["GB", "DE", "DK-DK1", "US-TEX-ERCO", "US-CAL-CISO", "AU-NSW", "FR"])
@pytest.mark.parametrize(
    "verb",
    [
        ("plan", "--duration", "4h", "--deadline", "24h", "--power", "300W"),
        ("signals", "--probe"),
        ("signals", "record"),
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_no_verb_opens_a_socket(verb: tuple[str, ...], zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EVERY_KEY.items():
        monkeypatch.setenv(name, value)
    asked = [*verb, zone] if verb[-1] == "record" else [*verb, "--zone", zone]
    assert run(asked) in (0, 4), "4: nothing could be had without the network"


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize(
    "verb", [("regions", "--gpu", "H100"), ("doctor",), ("tick",), ("config",)], ids=lambda verb: verb[0]
)
def test_nor_does_one_that_names_no_zone(verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EVERY_KEY.items():
        monkeypatch.setenv(name, value)
    assert run(["config", "set", "home", "DE"]) == 0
    assert run(list(verb)) == 0


def half_hours(start: datetime, count: int) -> list[dict[str, object]]:
    """Invented figures: 200, 201, ..."""
    half = timedelta(minutes=30)
    return [
        {
            "from": f"{start + i * half:%Y-%m-%dT%H:%MZ}",
            "to": f"{start + (i + 1) * half:%Y-%m-%dT%H:%MZ}",
            "intensity": {"forecast": 200 + i, "actual": 200 + i, "index": "moderate"},
        }
        for i in range(count)
    ]


def record_online(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a login node does, where the network answers."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)
    monkeypatch.delenv("LOWTIDE_OFFLINE")
    with responses.RequestsMock() as mock:
        mock.get(
            re.compile(r"https://api\.carbonintensity\.org\.uk/.*"),
            json={"data": half_hours(start, 150)},
        )
        assert run(["signals", "record", "GB"]) == 0


def test_what_a_login_node_recorded_serves_nodes_without_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record_online(monkeypatch)
    said = capsys.readouterr().out
    assert "forecast" in said
    assert "actual" in said

    monkeypatch.setenv("LOWTIDE_OFFLINE", "1")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert run(["plan", "--duration", "2h", "--deadline", "20h", "--zone", "GB", "--power", "300W", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["forecast"]["source"] == "gb-neso"
    assert found["forecast"]["kind"] == "forecast"


def test_an_answer_that_is_too_old_is_used_offline_only_when_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record_online(monkeypatch)
    capsys.readouterr()
    cache = Path(str(Wiring().signal_settings().cache_dir))
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    for path in cache.rglob("*_forecast/*.npz"):
        path.rename(path.with_name(f"{two_hours_ago:%Y%m%dT%H%M%S.%fZ}_{path.name.partition('_')[2]}"))
    monkeypatch.setenv("LOWTIDE_OFFLINE", "1")
    asked = ["plan", "--duration", "2h", "--deadline", "20h", "--zone", "GB", "--power", "300W"]
    assert run([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["forecast"]["source"] == "gb-neso"
    assert "stale" in found["forecast"]["note"]
    assert run(asked) == 0
    assert "stale" in capsys.readouterr().out


def test_the_record_itself_forecasts_where_nobody_else_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import numpy as np

    from lowtide.histories import Recorded
    from lowtide_core.series import LIFECYCLE_CONSUMPTION

    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = np.arange(24 * 40)
    usual = 300 + 100 * np.cos(2 * np.pi * hours / 24)
    start = now - timedelta(hours=hours.size)
    record = Recorded(ZoneId("DE"), "electricitymaps", LIFECYCLE_CONSUMPTION, start.timestamp(), usual)
    Wiring().histories.keep(record)
    asked = ["plan", "--duration", "2h", "--deadline", "30h", "--zone", "DE", "--power", "300W", "--json"]
    assert run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["forecast"]["source"] == "history:electricitymaps"
    assert found["forecast"]["issued_at"] == iso_utc(now)
    assert "40 days" in found["forecast"]["note"]

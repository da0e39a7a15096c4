"""Names of sources: what is built in, what is a file, what others bring, what is gone."""

from __future__ import annotations

import importlib.metadata
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lowtide_core.errors import InputError
from lowtide_core.places import ZoneId
from lowtide_core.ports import SignalSource
from lowtide_providers.signals.cache import CachedSource
from lowtide_providers.signals.file import FileSource
from lowtide_providers.signals.registry import (
    ABOUT,
    BUILT_IN,
    DEFAULT_CHAIN,
    EMBEDDED,
    HISTORY,
    SignalSettings,
    build_source,
)
from lowtide_providers.signals.static import StaticSource

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_name_makes_a_source_of_that_name_without_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    source = build_source(name, SignalSettings())
    assert isinstance(source, SignalSource)
    assert source.name == name


def test_the_chains_are_made_of_known_names() -> None:
    assert set(DEFAULT_CHAIN) - {HISTORY} <= set(BUILT_IN)
    assert set(ABOUT) >= set(BUILT_IN)
    assert set(EMBEDDED) < set(BUILT_IN)


def test_electricity_maps_is_passed_over_without_a_key() -> None:
    assert not build_source("electricitymaps", SignalSettings()).covers(ZoneId("DE"))
    assert build_source("electricitymaps", SignalSettings(keys={"electricitymaps_token": "x"})).covers(ZoneId("DE"))


@pytest.mark.parametrize("name", ["own.csv", "OWN.CSV", "a.parquet", "./folder/own.data"])
def test_a_path_is_a_file(name: str) -> None:
    source = build_source(name, SignalSettings())
    assert isinstance(source, FileSource)
    assert source.path == name


@pytest.mark.parametrize("name", ["co2signal", "CO2-Signal"])
def test_the_service_that_is_gone_is_recognised(name: str) -> None:
    with pytest.raises(InputError, match="gone") as caught:
        build_source(name, SignalSettings())
    assert "electricitymaps" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "near"), [("climatolgy", "climatology"), ("neso", "gb-neso"), ("electricity-maps", "electricitymaps")]
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        build_source(name, SignalSettings())
    assert near in caught.value.hint
    assert caught.value.facts["source"] == name


def test_other_packages_bring_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("ours", f"{__name__}:nothing", "lowtide.signals")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: lambda settings: StaticSource("ours"))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: importlib.metadata.EntryPoints([point]))
    assert build_source("ours", SignalSettings()).name == "ours"


def test_only_answers_of_the_network_are_cached(tmp_path: Path) -> None:
    settings = SignalSettings(cache_dir=tmp_path / "cache")
    cached = {name for name in BUILT_IN if isinstance(build_source(name, settings), CachedSource)}
    assert cached == set(BUILT_IN) - set(EMBEDDED)
    assert not (tmp_path / "cache").exists(), "a folder was made before anything was asked"


def test_making_the_default_chain_imports_no_http_library() -> None:
    code = (
        "import sys, json\n"
        "from lowtide_providers.signals.registry import *\n"
        "[build_source(name, SignalSettings()) for name in BUILT_IN]\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"requests", "urllib3", "pyarrow", "pandas", "scipy", "sqlalchemy"}
    assert "lowtide_providers" in loaded


def test_who_records_is_served_nothing_old(tmp_path: Path) -> None:
    source = build_source("gb-neso", SignalSettings(cache_dir=tmp_path, background=True))
    assert isinstance(source, CachedSource)
    assert (source.max_age_s, source.actual_max_age_s, source.stale_max_age_s) == (0.0, 0.0, 0.0)

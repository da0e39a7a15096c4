"""What every test shares: a home of its own, and the way to the measured series."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's settings, store, keys or zone of time."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("LOWTIDE_", "XDG_", "ELECTRICITY", "CODECARBON_")) and name not in (
            "LOWTIDE_TEST_DATA",
            "LOWTIDE_EXAMPLES",
            "LOWTIDE_KILLS",
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOWTIDE_OFFLINE", "1")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def test_data() -> Path:
    """The folder of measured series; tests that need it are skipped where it is not named."""
    folder = os.environ.get("LOWTIDE_TEST_DATA")
    if not folder:
        pytest.skip("LOWTIDE_TEST_DATA is not set: it names the folder of measured series")
    return Path(folder)

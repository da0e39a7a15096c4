"""What every test shares: a home of its own, and the way to the measured series."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lowtide_providers.signals.keys import KEY_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.engines.ray_lab import RayLab
    from tests.integration.engines.slurm_lab import SlurmLab

_FOR_TESTS = ("LOWTIDE_TEST_DATA", "LOWTIDE_EXAMPLES", "LOWTIDE_KILLS", "LOWTIDE_TEST_RAY")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's settings, store, keys or zone of time."""
    home = tmp_path_factory.mktemp("home")
    keys = {name for key in KEY_NAMES for name in key.environ}
    for name in list(os.environ):
        ours = name.startswith(("LOWTIDE_", "XDG_")) and name not in _FOR_TESTS
        if ours or name in keys:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOWTIDE_OFFLINE", "1")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture(scope="session")
def real_ray() -> Iterator[RayLab]:
    """The head of a real Ray; skipped with the reason where that cannot be had."""
    from tests.integration.engines.ray_lab import RayLab, why_not

    reason = why_not()
    if reason:
        pytest.skip(f"no Ray for tests: {reason}")
    with RayLab() as lab:
        yield lab


@pytest.fixture
def test_data() -> Path:
    """The folder of measured series; tests that need it are skipped where it is not named."""
    folder = os.environ.get("LOWTIDE_TEST_DATA")
    if not folder:
        pytest.skip("LOWTIDE_TEST_DATA is not set: it names the folder of measured series")
    return Path(folder)


@pytest.fixture(scope="session")
def _slurm_of_the_session() -> Iterator[SlurmLab]:
    from tests.integration.engines.slurm_lab import SlurmLab, why_not

    reason = why_not()
    if reason:
        pytest.skip(f"no Slurm for tests: {reason}")
    lab = SlurmLab()
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def slurm_lab(_slurm_of_the_session: SlurmLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmLab]:
    """A Slurm with real daemons, without jobs; skipped with the reason where that cannot be had."""
    monkeypatch.setenv("SLURM_CONF", str(_slurm_of_the_session.conf))
    yield _slurm_of_the_session
    _slurm_of_the_session.forget()

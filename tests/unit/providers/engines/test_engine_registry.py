"""Names of engines."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from lowtide_core.errors import InputError
from lowtide_providers.engines.local import LocalEngine
from lowtide_providers.engines.registry import PLANNED, build_engine


def test_the_local_engine_keeps_its_things_where_it_is_told(tmp_path: Path) -> None:
    assert build_engine("local", tmp_path) == LocalEngine(tmp_path)


@pytest.mark.parametrize("name", PLANNED)
def test_an_engine_of_a_later_version_is_named_as_such(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not in this version") as caught:
        build_engine(name, tmp_path)
    assert "local" in caught.value.hint
    assert caught.value.facts["engine"] == name


@pytest.mark.parametrize(
    ("name", "hint"), [("locl", "Did you mean local?"), ("zzz", "There is local, slurm, ray, kubernetes.")]
)
def test_an_unknown_engine_is_answered_with_the_nearest(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build_engine(name, tmp_path)
    assert caught.value.hint == hint
    assert caught.value.facts["engine"] == name


def test_another_package_brings_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = EntryPoint("theirs", "pathlib:Path", "lowtide.engines")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints([brought]))
    assert build_engine("theirs", tmp_path) == tmp_path


def test_an_engine_that_cannot_be_loaded_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("theirs", "no_such_module:Engine", "lowtide.engines")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints([broken]))
    with pytest.raises(InputError, match="theirs") as caught:
        build_engine("theirs", tmp_path)
    assert "no_such_module" in caught.value.message


def test_the_supervisor_starts_light() -> None:
    script = (
        "import sys, lowtide_providers.engines.local_child\n"
        "sys.exit(bool({'numpy', 'requests', 'pathlib', 'lowtide_core', 'logging', 'asyncio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

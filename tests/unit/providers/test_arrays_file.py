"""Files of arrays: whole or not there, and read as they were written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lowtide_providers.arrays_file import DAMAGED, read, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_read_as_it_was_written_and_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.npz"
    write_whole(path, {"n": 1}, {"old": np.zeros(3)})
    write_whole(path, {"n": 2, "text": "ä"}, {"values": np.array([1.5, np.nan])})
    said, arrays = read(path)
    assert said == {"n": 2, "text": "ä"}
    assert list(arrays) == ["values"]
    np.testing.assert_array_equal(arrays["values"], [1.5, np.nan])
    assert [found.name for found in path.parent.iterdir()] == ["a.npz"]


def test_what_cannot_be_written_leaves_the_older_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    write_whole(path, {"n": 1}, {})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, {"n": 2}, {})
    assert read(path)[0] == {"n": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["a.npz"]


def test_any_cut_of_a_file_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_whole(path, {"n": 1}, {"values": np.arange(50.0)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DAMAGED):
            read(path)

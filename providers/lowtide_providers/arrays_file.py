"""Arrays and words in one file that is whole or not there."""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from lowtide_core.errors import LowtideError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DAMAGED = (BadZipFile, EOFError, KeyError, LowtideError, OSError, RuntimeError, TypeError, ValueError, zlib.error)
"""What a torn or strange file makes numpy, json and the core raise."""


def write_whole(path: Path, said: Mapping[str, object], arrays: Mapping[str, Any]) -> None:
    """Writes a file in the place of an older one, if any; its folder is made.

    Args:
        said: What JSON can hold. arrays: by name; none is called ``said``.
    Raises:
        OSError: The folder cannot be written; nothing has changed then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with unfinished.open("xb") as file:
            np.savez(file, said=np.array(json.dumps(said)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``write_whole`` wrote: words and arrays; one of ``DAMAGED`` where it cannot be read."""
    # opened here, because numpy leaves a torn archive open
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        said: dict[str, Any] = json.loads(str(file["said"]))
        return said, {name: file[name] for name in file.files if name != "said"}

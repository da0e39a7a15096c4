"""Files that other programs wait for: they appear whole or not at all."""

from __future__ import annotations

import os

from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def write_json(path: str, content: dict[str, Any], mode: int = 0o666) -> None:
    """Writes a JSON file for people to read. Raises OSError, as ``write_whole`` does."""
    import json

    write_whole(path, json.dumps(content, indent=2) + "\n", mode)


def write_whole(path: str, text: str, mode: int = 0o666) -> None:
    """Writes a file atomically.

    Args:
        path: Where.
        text: What.
        mode: Who may read a new file, less what the process's mask takes away.
    Raises:
        OSError: It cannot be written; an older file of that name is left as it was.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or /dev/stderr cannot be put in place of
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError:
        remove(beside)
        raise


def remove(path: str) -> None:
    """Removes a file, if it is there and may be removed."""
    try:
        os.unlink(path)
    except OSError:
        return

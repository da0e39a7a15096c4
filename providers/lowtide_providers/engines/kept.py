"""Files of engines: whole, or not there; and what the system says about them, as the ports say it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowtide_core.launches import AttemptKey


@contextmanager
def disk(engine: str, key: AttemptKey, operation: str, root: Path) -> Iterator[None]:
    """Tells what the system says about an engine's files; a file that is not there is no error of its own.

    Args:
        engine: As a person calls it; in small letters it is the provider.
        root: The folder that holds the engine's files.
    Raises:
        Unavailable: The files cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The {engine} engine cannot {operation} {key}: {error.strerror} ({error.filename}).",
            provider=engine.lower(),
            operation=operation,
            hint=f"Make {root} readable and writable, with some space left.",
            key=key,
        ) from error


def load_object(path: Path) -> dict[str, Any] | None:
    """The file's content; None where there is no file; empty where it is damaged, for the file counts all the same."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def keep_log(provider: str, path: Path, content: bytes) -> None:
    """Keeps what a launch printed, in a folder for its owner alone.

    Raises:
        Unavailable: It cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, content)
    except OSError as error:
        raise Unavailable(
            f"What was printed cannot be kept: {error.strerror} ({error.filename}).",
            provider=provider,
            operation="keep a log",
            hint=f"Make {path.parent} writable, with some space left.",
        ) from error


def write_file(path: Path, content: bytes) -> None:
    """Writes the file so that a reader sees all of it or the one before.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

"""Files that several processes of one machine take in turn."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

_LOOK_AGAIN_S = 0.02


@contextmanager
def locked(path: Path, *, patience_s: float, sleep: Callable[[float], None] = time.sleep) -> Iterator[FileIO | None]:
    """The file, open for reading and writing and held alone until the block ends, also by other threads.

    The system lets go of it when its holder dies. The file stays: taken away, it could be held twice.

    Args:
        patience_s: How long to wait for another holder.
    Returns:
        None where it cannot be had: another held it for longer, the folder cannot be written, or the system or the
        folder's file system has no locks. The caller then goes on without.
    """
    file = _opened(path)
    if file is None:
        yield None
        return
    with file:
        yield file if _held(file, patience_s, sleep) else None


def _opened(path: Path) -> FileIO | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path.open("r+b", buffering=0)
    except OSError:
        return None


def _held(file: FileIO, patience_s: float, sleep: Callable[[float], None]) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    waited_s = 0.0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited_s >= patience_s:
                return False
        except OSError:  # a network folder without locks
            return False
        else:
            return True
        sleep(_LOOK_AGAIN_S)
        waited_s += _LOOK_AGAIN_S

"""One file with all that a node needs to run a launch under the sampler: for engines that share no files with us."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError
from lowtide_providers.engines.node_run import SAMPLER

if TYPE_CHECKING:
    from lowtide_core.launches import AttemptKey, Launch

PACKAGE = "lowtide_node"
"""Its name on the node, also for ``python3 -m``."""

FLUSH_S = 300.0
"""So often what has grown of the journal is printed: what a job that is killed may lose of it."""

_MAIN = f"import runpy\nrunpy.run_module({PACKAGE!r}, run_name='__main__', alter_sys=True)\n"
_OLDEST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class NodeArchive:
    """The file, and the first digits of its SHA-256, by which it is named."""

    content: bytes
    digest: str


def node_archive(sampler: str) -> NodeArchive:
    """The archive around the single-file sampler at that path; the same bytes for the same parts.

    Raises:
        InputError: The sampler cannot be read.
    """
    try:
        state = Path(sampler).stat()
    except OSError as error:
        raise InputError(
            f"The sampler for the node cannot be read: {error.strerror} ({sampler}).",
            hint="Build it again.",
            path=sampler,
        ) from error
    return _built(sampler, state.st_mtime_ns)


def node_words(launch: Launch, key: AttemptKey) -> tuple[str, ...]:
    """The arguments of the archive's program, the command's own among them."""
    words = launch.sampler.words if launch.sampler is not None else ()
    return (key, f"{FLUSH_S:g}", f"{launch.stop_grace_s:g}", str(len(words)), *words, *launch.argv)


def kill_after_s(launch: Launch) -> int:
    """When an engine may kill what it has told to stop: its grace, and time to print the journal; s."""
    return math.ceil(launch.stop_grace_s) + 5


@cache
def _built(sampler: str, _: int) -> NodeArchive:
    engines = resources.files("lowtide_providers.engines")
    parts = {
        "__main__.py": _MAIN.encode(),
        f"{PACKAGE}/__init__.py": b"",
        f"{PACKAGE}/__main__.py": (engines / "node_run.py").read_bytes(),
        f"{PACKAGE}/journal_log.py": (engines / "journal_log.py").read_bytes(),
        f"{PACKAGE}/{SAMPLER}": Path(sampler).read_bytes(),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    content = packed.getvalue()
    return NodeArchive(content, hashlib.sha256(content).hexdigest()[:16])

"""The sampler as one file that runs on any Python from 3.9 on, with nothing installed: a zip with a main of its own.

Beside each source lies its code for the version of Python that built the file: a node with the same version starts
three times as fast, any other compiles the sources.
"""

from __future__ import annotations

import io
import marshal
import os
import zipfile
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from typing import NamedTuple

_MAIN = """\
import sys

from lowtide_sampler.main import main

sys.exit(main(sys.argv[1:]))
"""
_FIRST_LINE = b"#!/usr/bin/env python3\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NVIDIA = "nvidia-ml-py"
_NVIDIA_MODULE = "pynvml.py"


class SamplerFile(NamedTuple):
    """A built sampler.

    Attributes:
        path: Where it lies.
        version: Of its content: the same sources give the same file, byte for byte.
        nvidia: Version of the bundled nvidia-ml-py; "" where it is not installed here, and so left out.
    """

    path: Path
    version: str
    nvidia: str


def build_sampler(output: Path) -> SamplerFile:
    """Writes the single file.

    Raises:
        OSError: It cannot be written.
    """
    content, nvidia = _content()
    return _write(output, content, nvidia)


def sampler_file(state: Path) -> SamplerFile:
    """The single file for this version of lowtide, built once and kept in the state folder.

    Raises:
        OSError: It cannot be written.
    """
    content, nvidia, version = _installed()
    path = state / "sampler" / f"lowtide-sampler-{version}.pyz"
    if path.exists():
        return SamplerFile(path, version, nvidia)
    return _write(path, content, nvidia)


@cache
def _installed() -> tuple[dict[str, bytes], str, str]:
    """What this process would build, and its version: a second of work, which every job sent to a node would repeat."""
    content, nvidia = _content()
    return content, nvidia, _version(content)


def _write(path: Path, content: dict[str, bytes], nvidia: str) -> SamplerFile:
    archive = io.BytesIO(_FIRST_LINE)
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(
        archive, "a", zipfile.ZIP_STORED
    ) as zipped:  # stored: any zlib writes the same, and none reads
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            zipped.writestr(entry, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_bytes(archive.getvalue())
    beside.chmod(0o755)
    beside.replace(path)
    return SamplerFile(path, _version(content), nvidia)


def _content() -> tuple[dict[str, bytes], str]:
    """(the files by their names in the archive, the version of nvidia-ml-py among them)."""
    package = files("lowtide_sampler")
    content = {
        f"lowtide_sampler/{item.name}": item.read_bytes()
        for item in package.iterdir()
        if item.name.endswith((".py", ".json", ".csv", ".toml"))
    }
    bundled, nvidia = _nvidia()
    content |= bundled
    compiled = {f"{name}c": _compiled(name, data) for name, data in content.items() if name.endswith(".py")}
    return {**content, **compiled, "__main__.py": _MAIN.encode()}, nvidia


def _compiled(name: str, source: bytes) -> bytes:
    """The code of a module as a file that is not checked against its source: both come in one archive."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    unchecked = (1).to_bytes(4, "little")
    plain = 2  # later formats hold what depends on who else uses a constant: not the same bytes each time
    return MAGIC_NUMBER + unchecked + source_hash(source) + marshal.dumps(code, plain)


def _nvidia() -> tuple[dict[str, bytes], str]:
    """NVIDIA's own module with what its distribution says of itself, licence and all."""
    try:
        found = distribution(_NVIDIA)
    except PackageNotFoundError:
        return {}, ""
    content = {}
    for file in found.files or ():
        is_notice = file.parent.name.endswith(".dist-info") and (
            file.name == "METADATA" or file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))
        )
        if str(file) == _NVIDIA_MODULE:
            content[_NVIDIA_MODULE] = file.read_binary()
        elif is_notice:
            content[f"{_NVIDIA}-{file.name}"] = file.read_binary()
    return (content, found.version) if _NVIDIA_MODULE in content else ({}, "")


def _version(content: dict[str, bytes]) -> str:
    digest = blake2b(digest_size=8)
    for name, data in sorted(content.items()):
        digest.update(f"{name} {len(data)} ".encode())
        digest.update(data)
    return digest.hexdigest()

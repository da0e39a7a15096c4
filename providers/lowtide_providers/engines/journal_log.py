"""How a sampler's journal travels in what a job prints, where there is no other way back from the node.

Each line carries a piece: where it belongs, how long it is, its checksum, and its bytes compressed. Pieces are written
while the job runs, so that a job that is killed loses no more than the last minutes; a line at the end says how long
the whole is and what its checksum is. Lines may stand among the job's own, in any order, and more than once:

    lowtide-log/1 KEY at OFFSET LENGTH CRC32 BASE64
    lowtide-log/1 KEY end LENGTH SHA256
    lowtide-log/1 KEY none WHY

This module runs on the node too, out of an archive: the standard library alone, and any Python from 3.8 on.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import zlib
from typing import NamedTuple

MARK = b"lowtide-log/1"
_PIECE_BYTES = 16 << 10
"""Of the journal, for each line: compressed it stays below the 16 KiB at which container runtimes split lines."""

_LINE = re.compile(re.escape(MARK) + rb" (\S+) (at|end|none) ?([^\r\n]*)\r?\n?")


class Carried(NamedTuple):
    """What a log says of a journal.

    Attributes:
        content: What has come, from its beginning and without a gap; it may end within a line.
        is_whole: All of it has come.
        why: What is missing, in words; empty where nothing is.
    """

    content: bytes
    is_whole: bool
    why: str


def pieces(key: str, content: bytes, offset: int) -> bytes:
    """The lines that carry a part of the journal which begins at that offset."""
    lines = []
    for start in range(0, len(content), _PIECE_BYTES):
        part = content[start : start + _PIECE_BYTES]
        packed = binascii.b2a_base64(zlib.compress(part, 9), newline=False)
        head = f" {key} at {offset + start} {len(part)} {zlib.crc32(part):08x} ".encode()
        lines.append(MARK + head + packed + b"\n")
    return b"".join(lines)


def closing(key: str, whole: bytes) -> bytes:
    """The line that says that this is all."""
    return MARK + f" {key} end {len(whole)} {hashlib.sha256(whole).hexdigest()}\n".encode()


def absence(key: str, why: str) -> bytes:
    """The line that says that there is none, and why."""
    return MARK + f" {key} none {' '.join(why.split())}\n".encode()


def unpack(log: bytes, key: str) -> Carried:
    """The journal that a log carries: damaged pieces are as if they had not come."""
    parts: dict[int, bytes] = {}
    end: tuple[int, str] | None = None
    none = ""
    found = damaged = 0
    for line_key, kind, rest in _LINE.findall(log[: log.rfind(b"\n") + 1]):  # the last line may be cut off
        if line_key != key.encode():
            continue
        if kind == b"none":
            none = rest.decode("utf-8", "replace").strip()
            continue
        found += 1
        words = rest.split()
        if kind == b"end" and len(words) == 2 and words[0].isdigit():
            end = (int(words[0]), words[1].decode("ascii", "replace"))
        elif kind == b"at":
            part = _part(words)
            if part is None:
                damaged += 1
            else:
                parts[int(words[0])] = part
        else:
            damaged += 1
    content = _joined(parts)
    if end is not None and len(content) == end[0] and hashlib.sha256(content).hexdigest() == end[1]:
        return Carried(content, True, "")
    if not found:
        return Carried(b"", False, none or "nothing of it is in the log")
    if damaged:
        return Carried(content, False, f"{damaged} of its {found} lines in the log are damaged")
    if end is None:
        return Carried(content, False, "the log ends before it does")
    return Carried(content, False, f"{len(content)} of its {end[0]} bytes have come")


def without(log: bytes) -> bytes:
    """What the job itself printed."""
    return _LINE.sub(b"", log)


def _part(words: list[bytes]) -> bytes | None:
    try:
        offset, length, crc, packed = words
        part = zlib.decompress(binascii.a2b_base64(packed))
        is_sound = int(offset) >= 0 and len(part) == int(length) and zlib.crc32(part) == int(crc, 16)
    except (ValueError, zlib.error):  # binascii.Error is a ValueError
        return None
    return part if is_sound else None


def _joined(parts: dict[int, bytes]) -> bytes:
    """The parts from the beginning up to the first gap; where two overlap the longer one counts."""
    whole = b""
    for offset in sorted(parts):
        if offset > len(whole):
            break
        whole = whole[:offset] + parts[offset] if offset + len(parts[offset]) > len(whole) else whole
    return whole

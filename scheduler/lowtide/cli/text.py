"""Plain tables for eyes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


WIDTH = 100
_REQUEST = re.compile(r"(did not answer \(\w+\)|not JSON): .*$|: (?:\w+ )?/\S+$")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[int]) -> list[str]:
    """Aligned lines, heads first; columns in ``left`` are texts, the others figures.

    A line that is too long is cut in its last column, where the words are; ``--json`` has them whole.
    """
    widths = [max(len(str(cell)) for cell in column) for column in zip(heads, *rows, strict=True)]
    room = max(8, WIDTH - sum(widths[:-1]) - 2 * (len(widths) - 1))
    widths[-1] = min(widths[-1], room)
    rows = [[*row[:-1], row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"] for row in rows]
    return [
        "  ".join(
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def without_request(why: str) -> str:
    """Why a source said nothing; what exactly was asked of it only for those who look for a fault."""
    if os.environ.get("LOWTIDE_DEBUG"):
        return why
    return _REQUEST.sub(lambda match: match[1] or "", why.rstrip("."))

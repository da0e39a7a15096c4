"""How far a long piece of work is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, int, int], None]
    """What is being done, how far it is, and of how much."""


def counter(progress: Progress | None, what: str, of: int) -> Callable[[int], None] | None:
    """Adds up what is done."""
    if progress is None:
        return None
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(what, min(done, of), of)

    return count

"""The error tree, grouped by what the caller does next.

LowtideError
├── InputError             mend the input; never retry
├── InfeasibleError        a plan was demanded and none exists: relax the limit that is named
├── ProviderError          somebody else's system did not answer as it should
│   ├── Unavailable        try again later (time-out, 429, 5xx)
│   ├── Rejected           it answered "no": key, plan or rights
│   ├── Malformed          it answered something that cannot be read
│   └── NoData             it answered, and has nothing for this place and time
└── StateError             the thing is not in a state in which this is possible
    ├── IllegalTransition
    └── StaleOwner         somebody else has taken it over
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class LowtideError(Exception):
    """What happened and to which input, in one sentence; what to do, in another.

    The facts behind the sentence are attributes too (``error.facts["zone"]``), so that a program need not read prose.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(LowtideError):
    """The input is wrong; the same input will always be wrong."""

    exit_code = 2


class InfeasibleError(LowtideError):
    """A plan was demanded and no plan fits; ``facts`` name the limit to relax and by how much."""

    exit_code = 3


class ProviderError(LowtideError):
    """An outside system failed; carries the provider, the operation and how long to wait."""

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        operation: str,
        retry_after_s: float | None = None,
        hint: str = "",
        **facts: object,
    ) -> None:
        super().__init__(message, hint=hint, **facts)
        self.provider = provider
        self.operation = operation
        self.retry_after_s = retry_after_s


class Unavailable(ProviderError):
    """No answer, or "later": time-out, refused connection, 429, 5xx, offline mode."""


class Rejected(ProviderError):
    """The answer was "no": a bad key, or a key whose plan does not cover this zone or endpoint."""


class Malformed(ProviderError):
    """The answer is not what the provider documents."""


class NoData(ProviderError):
    """The provider answered and has nothing for this place and time."""


class StateError(LowtideError):
    """What was asked is not possible in the present state."""

    exit_code = 5


class IllegalTransition(StateError):
    """No transition of that name leads out of this state."""


class StaleOwner(StateError):
    """The state or the owner's token is no longer what the writer believed."""


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """``Did you mean a, b or c?`` for a message's hint; empty when nothing is near.

    Near is a slip or two, swapped letters, or a name of which one is the beginning of the other; a far-off guess
    misleads more than none.
    """
    from difflib import get_close_matches  # only when something went wrong

    wanted = name.lower()
    by_lower = {item.lower(): item for item in known}
    sure = set(get_close_matches(wanted, by_lower, n=len(by_lower) or 1, cutoff=0.75))
    hits = [
        by_lower[hit]
        for hit in get_close_matches(wanted, by_lower, n=len(by_lower) or 1, cutoff=0.5)
        if hit in sure
        or hit.startswith(wanted)
        or (len(hit) > 2 and wanted.startswith(hit))
        or sorted(hit) == sorted(wanted)
    ][:count]
    if not hits:
        return ""
    listed = hits[0] if len(hits) == 1 else f"{', '.join(hits[:-1])} or {hits[-1]}"
    return f"Did you mean {listed}?"

"""How long like jobs took: what a duration that nobody knows is guessed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.store import Store

MOST_SEEN = 200
"""The newest so many: jobs change, and older runs say less."""


def durations_s(store: Store, name: str) -> tuple[float, ...]:
    """How long the newest jobs of that name ran that ended with exit status 0, without their pauses; s.

    Raises:
        InputError: There is none.
    """
    took_s: list[float] = []
    for record in store.jobs.find(states=("done",)):
        attempt = record.attempt
        if record.spec.name != name or attempt is None:
            continue
        if attempt.started_utc is not None and attempt.ended_utc is not None:
            took_s.append(attempt.ran_s(attempt.ended_utc))
    seen_s = tuple(seconds for seconds in took_s[:MOST_SEEN] if seconds > 0)
    if not seen_s:
        raise InputError(
            f"No job named {name!r} has ended well, so nothing is known of its duration.",
            hint="Give a range, such as --duration 3h..5h.",
            name=name,
        )
    return seen_s

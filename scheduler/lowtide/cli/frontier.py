"""The frontier of ``lowtide plan --frontier`` as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide.cli.text import table
from lowtide.reports import figures
from lowtide_core.places import LOCAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.assembly.choices import Choice

_HEADS = ("finish", "start", "emissions", "cost", "place")
_SHOWN = 20


def frontier_lines(choices: Sequence[Choice]) -> list[str]:
    """The choices, the earliest finish first; of many, those at which most changes."""
    shown = _thinned(choices)
    rows = [
        (
            figures.clock(choice.end_utc),
            figures.clock(choice.start_utc),
            figures.grams(choice.emissions_g),
            _cost(choice),
            choice.zone if choice.region == LOCAL else choice.region,
        )
        for choice in shown
    ]
    left = len(choices) - len(shown)
    more = [f"{left} more between these: --json lists them"] if left else []
    head = "the frontier: no plan is better than one of these in emissions, cost and finish"
    return ["", head, *table(_HEADS, rows, left={0, 1, 4}), *more]


def _cost(choice: Choice) -> str:
    """What a cloud asks; at home nothing is known of the price of electricity."""
    if choice.price_usd is None:
        return "-"
    return "none at home" if choice.region == LOCAL and not choice.price_usd else f"${choice.price_usd:,.2f}"


def _thinned(choices: Sequence[Choice]) -> list[Choice]:
    """The first and the last, and between them those that lie furthest apart in emissions."""
    if len(choices) <= _SHOWN:
        return list(choices)
    kept = list(choices)
    while len(kept) > _SHOWN:
        steps = [
            abs(kept[number].emissions_g - kept[number - 1].emissions_g)
            + abs((kept[number].price_usd or 0.0) - (kept[number - 1].price_usd or 0.0)) * 1e-9
            for number in range(1, len(kept) - 1)
        ]
        del kept[1 + steps.index(min(steps))]
    return kept

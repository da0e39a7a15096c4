"""Shapley values: what each of several causes contributes to a figure, adding up exactly whatever their order."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def shapley(value: Callable[[frozenset[str]], float], causes: Sequence[str]) -> dict[str, float]:
    """Each cause's mean contribution over all orders in which the causes could have come.

    Args:
        value: The figure when exactly these causes are there.
        causes: Their names; the value is asked once for each of their 2^n sets.
    Returns:
        Cause -> contribution. The sum is ``value(all) - value(none)``, up to rounding.
    Source:
        L. S. Shapley, A Value for n-Person Games, 1953.
    """
    known = {
        some: value(some)
        for size in range(len(causes) + 1)
        for some in map(frozenset, combinations(sorted(causes), size))
    }
    count = len(causes)
    shares = dict.fromkeys(causes, 0.0)
    for cause in causes:
        for some, before in known.items():
            if cause not in some:
                weight = factorial(len(some)) * factorial(count - len(some) - 1) / factorial(count)
                shares[cause] += weight * (known[some | {cause}] - before)
    return shares

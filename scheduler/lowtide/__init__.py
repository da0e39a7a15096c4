"""The brain: submit -> plan -> dispatch -> sample -> settle -> report.

``lowtide.plan``, ``lowtide.submit`` and ``lowtide.report`` do what the commands of those names do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowtide.api import plan, report, submit

__all__ = ["plan", "report", "submit"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from lowtide import api  # late: importing lowtide costs nothing

        return getattr(api, name)
    raise AttributeError(f"module 'lowtide' has no attribute {name!r}")

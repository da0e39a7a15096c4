"""The brain: submit -> plan -> dispatch -> sample -> settle -> report.

``lowtide.plan``, ``lowtide.submit`` and ``lowtide.report`` do what the commands of those names do; ``lowtide.track``
measures a part of the program that calls it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing lowtide costs nothing, the module typing ten milliseconds
if TYPE_CHECKING:
    from lowtide.api import plan, report, submit
    from lowtide_sampler.track import track

__all__ = ["plan", "report", "submit", "track"]


def __getattr__(name: str) -> object:
    if name == "track":
        from lowtide_sampler.track import track  # without the brain: a training program has no need of it

        return track
    if name in __all__:
        from lowtide import api  # late: importing lowtide costs nothing

        return getattr(api, name)
    raise AttributeError(f"module 'lowtide' has no attribute {name!r}")

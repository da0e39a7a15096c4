"""Names of engines -> engines: the built-in one, and those that other packages bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from lowtide_core.ports import Engine

GROUP = "lowtide.engines"
PLANNED = ("ray", "kubernetes", "aws", "gcp", "azure")
"""Named in the design; they are not in this version."""


def build_engine(name: str, root: Path) -> Engine:
    """The engine of that name; ``root`` is the folder in which it may keep what it needs.

    Raises:
        InputError: No engine has that name, or none in this version.
    """
    if name == "local":
        from lowtide_providers.engines.local import LocalEngine

        return LocalEngine(root)
    if name == "slurm":
        from lowtide_providers.engines.slurm import SlurmEngine

        return SlurmEngine(root)
    from importlib.metadata import entry_points

    points = entry_points(group=GROUP)
    if name in points.names:
        return _load(points[name])(root)
    known = ["local", "slurm", *points.names]
    if name in PLANNED:
        raise InputError(
            f"The engine {name!r} is not in this version.", hint=f"There is {', '.join(known)}.", engine=name
        )
    raise InputError(
        f"{name!r} is not an engine.", hint=nearest(name, known) or f"There is {', '.join(known)}.", engine=name
    )


def _load(point: EntryPoint) -> Callable[[Path], Engine]:
    try:
        build: Callable[[Path], Engine] = point.load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"The engine {point.name!r} ({point.value}) cannot be loaded: {error}.",
            hint="Mend or remove the package that brings it.",
            engine=point.name,
        ) from error
    return build

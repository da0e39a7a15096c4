"""Names of engines -> engines: the built-in one, and those that other packages bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from lowtide_core.ports import Engine

GROUP = "lowtide.engines"
PLANNED = ("aws", "gcp", "azure")
"""Named in the design; they are not in this version."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What engines need to be told, from settings and environment.

    Attributes:
        kubeconfig, in_cluster, kubernetes_namespace: See ``kubernetes_cluster.Access``.
        kubernetes_contexts: ``REGION=CONTEXT`` each.
        ray_address, ray_token: See ``ray_api.RayApi``. ray_headers: JSON of more headers, as Ray's own tools take it.
        offline: Never open a socket.
    """

    kubeconfig: str = "~/.kube/config"
    kubernetes_contexts: tuple[str, ...] = ()
    kubernetes_namespace: str = ""
    in_cluster: bool = False
    ray_address: str = ""
    ray_token: str = field(default="", repr=False)
    ray_headers: str = field(default="", repr=False)
    offline: bool = False


NOTHING_TOLD = EngineSettings()


def build_engine(name: str, root: Path, settings: EngineSettings = NOTHING_TOLD) -> Engine:
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
    if name == "kubernetes":
        from lowtide_providers.engines.kubernetes import KubernetesEngine, access_of

        return KubernetesEngine(root, access_of(settings))
    if name == "ray":
        from lowtide_providers.engines.ray import RayEngine, api_of

        return RayEngine(root, api_of(settings))
    from importlib.metadata import entry_points

    points = entry_points(group=GROUP)
    if name in points.names:
        return _load(points[name])(root)
    known = ["local", "slurm", "ray", "kubernetes", *points.names]
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

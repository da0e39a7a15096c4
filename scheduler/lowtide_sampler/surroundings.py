"""What stands between this process and the node: a container, and files of /proc that tell of it alone."""

from __future__ import annotations

import os

from lowtide_sampler.machine import proc_root, read_text
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_CGROUP_NAMESPACE = "cgroup:[4026531835]"


class Surroundings(NamedTuple):
    """Where the sampler runs.

    Attributes:
        container: ``docker``, ``podman``, ``kubernetes``, or ``namespace`` (some other one); "" outside of any.
        flags: What a reader of the result must know: ``proc_stat_of_container`` where lxcfs shows the container's own
            CPU seconds in the place of the node's.
    """

    container: str
    flags: tuple[str, ...]


def look_around(environ: Mapping[str, str], sysroot: str = "") -> Surroundings:
    """Finds out by small files; never raises."""
    return Surroundings(_container(environ, sysroot), ("proc_stat_of_container",) if _lxcfs(sysroot) else ())


def _container(environ: Mapping[str, str], sysroot: str) -> str:
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    marked = marked_container(sysroot)
    if marked:
        return marked
    try:
        namespace = os.readlink(f"{proc_root(sysroot)}/self/ns/cgroup")
    except OSError:
        return ""
    return "" if namespace == _FIRST_CGROUP_NAMESPACE else "namespace"


def marked_container(sysroot: str = "") -> str:
    """``docker`` or ``podman`` where the file is that each of them leaves; "" without."""
    marks = {"docker": ".dockerenv", "podman": "run/.containerenv"}
    return next((name for name, mark in marks.items() if os.path.exists(f"{sysroot}/{mark}")), "")


def _lxcfs(sysroot: str) -> bool:
    """Whether a file system of user space lies over /proc/stat."""
    mounts = read_text(f"{proc_root(sysroot)}/self/mounts", 1 << 20)
    lines = (line.split() for line in mounts.splitlines() if "/proc/stat" in line)
    return any(len(words) > 2 and words[1] == "/proc/stat" and "fuse" in words[2] for words in lines)

"""Control groups: where this process's own one lies, what it used, who is in it. Version 2 and version 1."""

from __future__ import annotations

import os

from lowtide_sampler.machine import proc_root, read_text

_MOUNT = "/sys/fs/cgroup"
_V2_MOUNTS = (_MOUNT, f"{_MOUNT}/unified")
_V1_CONTROLLER = "cpuacct"


def used_cpu_s(folder: str) -> float | None:
    """CPU seconds that a group and all below it used since it was made; None where it does not tell."""
    for line in read_text(f"{folder}/cpu.stat", 4096).splitlines():
        name, _, number = line.partition(" ")
        if name == "usage_usec" and number.isdecimal():
            return 1e-6 * int(number)
    number = read_text(f"{folder}/cpuacct.usage", 64).strip()
    return 1e-9 * int(number) if number.isdecimal() else None


def members(folder: str) -> frozenset[int]:
    """The processes in a group and in all groups below it."""
    pids: set[int] = set()
    for path, _, _ in os.walk(folder):
        pids |= own_members(path)
    return frozenset(pids)


def own_members(folder: str) -> frozenset[int]:
    """The processes in a group itself."""
    return frozenset(int(word) for word in read_text(f"{folder}/cgroup.procs", 1 << 20).split() if word.isdecimal())


def is_populated(folder: str) -> bool:
    """Whether anybody lives in a group or below it."""
    events = read_text(f"{folder}/cgroup.events", 256)
    if events:
        return "populated 1" in events
    return bool(members(folder))


def is_root(folder: str) -> bool:
    """Whether a group is the whole machine's: that one alone has no events (version 2), or a release agent (1)."""
    is_v2 = os.path.exists(f"{folder}/cgroup.controllers")
    return not os.path.exists(f"{folder}/cgroup.events") if is_v2 else os.path.exists(f"{folder}/release_agent")


def group_of_its_own(pid: int, sysroot: str = "") -> str:
    """The folder of the group in which this process is the only one (a Slurm step, a container); "" without one.

    Nobody but its own children can come into such a group later, save by an administrator's hand.
    """
    for folder in _folders(pid, sysroot):
        if not is_root(folder) and members(folder) == {pid} and used_cpu_s(folder) is not None:
            return folder
    return ""


def find_group(path: str, sysroot: str = "") -> str:
    """The folder of the group that a person named: a folder, or a path below the mount; "" where there is none."""
    tries = [path] if os.path.isabs(path) else []
    tries += [f"{sysroot}{mount}/{path.strip('/')}" for mount in (*_V2_MOUNTS, f"{_MOUNT}/{_V1_CONTROLLER}")]
    return next((folder.rstrip("/") for folder in tries if used_cpu_s(folder) is not None), "")


def _folders(pid: int, sysroot: str) -> list[str]:
    """Where a process's groups may lie; a container without a namespace of its own sees its group as the mount."""
    folders = []
    for line in read_text(f"{proc_root(sysroot)}/{pid}/cgroup", 1 << 16).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/.."):  # outside of our namespace
            continue
        below = path.rstrip("/")
        if number == "0" and not controllers:
            folders += [f"{sysroot}{mount}{part}" for mount in _V2_MOUNTS for part in {below, ""}]
        elif _V1_CONTROLLER in controllers.split(","):
            mounts = {f"{_MOUNT}/{controllers}", f"{_MOUNT}/{_V1_CONTROLLER}"}
            folders += [f"{sysroot}{mount}{part}" for mount in sorted(mounts) for part in {below, ""}]
    return folders

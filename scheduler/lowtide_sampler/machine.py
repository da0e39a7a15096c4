"""What the node is: processor, memory, identity, from small reads of /proc; an absent file is an unknown, no error."""

from __future__ import annotations

import os
from typing import NamedTuple


class Machine(NamedTuple):
    """The node as the kernel describes it; -1, 0 and "" where it does not say.

    Attributes:
        threads: CPUs that the kernel schedules on.
        siblings, cores: Threads and cores of one processor; equal where a CPU is a whole core (or claims to be).
        virtual: The hypervisor flag is set.
        memory_gb: 10^9 bytes of memory in the node; 0 unknown.
    """

    vendor: str
    family: int
    model: int
    name: str
    threads: int
    siblings: int
    cores: int
    virtual: bool
    memory_gb: float


def read_text(path: str, size: int = 65536) -> str:
    """Up to ``size`` bytes of a small file; "" where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, size).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def proc_root(sysroot: str) -> str:
    """``/proc`` below the sysroot where the sysroot has one, else the machine's own."""
    own = sysroot + "/proc"
    return own if sysroot and os.path.isdir(own) else "/proc"


def read_machine(sysroot: str = "") -> Machine:
    """Describes the node from /proc/cpuinfo (its first processor), /proc/stat and /proc/meminfo."""
    proc = proc_root(sysroot)
    # The kernel asks every CPU for its clock while the file is read, so only its first processor is: 4 KiB hold it.
    first = read_text(f"{proc}/cpuinfo", 4096).partition("\n\n")[0]
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    stat = read_text(f"{proc}/stat", 1 << 20)
    threads = sum(line.startswith("cpu") and line[3:4].isdigit() for line in stat.splitlines())
    return Machine(
        vendor=fields.get("vendor_id", ""),
        family=_whole(fields.get("cpu family")),
        model=_whole(fields.get("model")),
        name=fields.get("model name", ""),
        threads=threads or os.cpu_count() or 1,
        siblings=_whole(fields.get("siblings")),
        cores=_whole(fields.get("cpu cores")),
        virtual="hypervisor" in fields.get("flags", "").split(),
        memory_gb=_memory_gb(read_text(f"{proc}/meminfo", 4096)),
    )


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else -1


def _memory_gb(meminfo: str) -> float:
    words = meminfo.split("MemTotal:", 1)[-1].split(None, 1)
    return int(words[0]) * 1024e-9 if "MemTotal:" in meminfo and words and words[0].isdigit() else 0.0


def boot_id() -> str:
    """The kernel's name of this boot: a process number means nothing beyond it."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def process_start(pid: int) -> tuple[int, str]:
    """(start time in clock ticks since boot, state letter) of a process; (0, "") where there is none."""
    fields = stat_fields(read_text(f"/proc/{pid}/stat"))
    return (int(fields[19]), fields[0]) if len(fields) > 19 else (0, "")


def stat_fields(stat: str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the command before it may hold blanks and brackets."""
    return stat.rpartition(")")[2].split()

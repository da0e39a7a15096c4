"""What the node is: processor, memory, identity, from small reads of /proc; an absent file is an unknown, no error.

Where there is no /proc (macOS, Windows) psutil is asked, if it is installed.
"""

from __future__ import annotations

import os

from lowtide_sampler.standins import NamedTuple

ARM_PARTS = {
    (0x41, 0xD0C): "Neoverse N1 (Graviton2, Ampere Altra)",
    (0x41, 0xD40): "Neoverse V1 (Graviton3)",
    (0x41, 0xD4F): "Neoverse V2 (Grace, Graviton4, Axion)",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD8E): "Neoverse N3",
    (0x41, 0xD84): "Neoverse V3",
    (0xC0, 0xAC3): "AmpereOne",
    (0xC0, 0xAC4): "AmpereOne",
    (0x48, 0xD01): "Kunpeng 920",
    (0x46, 0x001): "A64FX",
}
"""(implementer, part) as /proc/cpuinfo has them on arm64, which gives no name.

Source:
    Arm Ltd., the cores' technical reference manuals, MIDR_EL1; Linux, arch/arm64/include/asm/cputype.h.
"""

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""Of the CPU times in /proc."""
GONE = ("", "Z", "X")
"""State letters of a process that is not there, or has ended and waits to be reaped."""
_VIRTUAL_MAKERS = ("Amazon EC2", "Alibaba Cloud", "Google", "QEMU", "Microsoft Corporation", "VMware", "Xen", "innotek")


class Machine(NamedTuple):
    """The node as the kernel describes it; -1, 0 and "" where it does not say.

    Attributes:
        vendor: ``GenuineIntel``; on arm64 the implementer as ``arm:0x41``, and ``model`` is then the part.
        threads: CPUs that the kernel schedules on.
        siblings, cores: Threads and cores of one processor; equal where a CPU is a whole core (or claims to be).
        virtual: The hypervisor flag is set; on arm64, which has none, the firmware names a hypervisor or a cloud.
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
    """Up to ``size`` bytes of a small file; "" where it cannot be read.

    The kernel gives its lists a page at a time: one read is not the whole of one.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        text = part = os.read(fd, size)
        while part and len(text) < size:
            part = os.read(fd, size - len(text))
            text += part
        return text.decode(errors="replace")
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
    if not fields and not sysroot and not os.path.isdir(proc):
        return _read_elsewhere()
    stat = read_text(f"{proc}/stat", 1 << 20)
    threads = sum(line.startswith("cpu") and line[3:4].isdecimal() for line in stat.splitlines())
    machine = Machine(
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
    return _as_arm(machine, fields, sysroot) if "CPU implementer" in fields else machine


def _as_arm(machine: Machine, fields: dict[str, str], sysroot: str) -> Machine:
    try:
        implementer, part = int(fields["CPU implementer"], 0), int(fields.get("CPU part", "-1"), 0)
    except ValueError:
        return machine
    maker = read_text(f"{sysroot}/sys/class/dmi/id/sys_vendor", 256).strip()
    product = read_text(f"{sysroot}/sys/class/dmi/id/product_name", 256).strip()
    is_guest = maker.startswith(_VIRTUAL_MAKERS) and ".metal" not in product  # ``c7g.metal`` is the bare machine
    return machine._replace(
        vendor=f"arm:{implementer:#04x}",
        family=_whole(fields.get("CPU architecture")),
        model=part,
        name=machine.name or ARM_PARTS.get((implementer, part), ""),
        virtual=is_guest or os.path.isdir(f"{sysroot}/proc/device-tree/hypervisor"),
    )


def _read_elsewhere() -> Machine:
    """The node without /proc: what psutil says, else what Python itself knows."""
    import platform

    unknown = Machine("", -1, -1, platform.processor(), os.cpu_count() or 1, -1, -1, False, 0.0)
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return unknown
    threads, cores = psutil.cpu_count(logical=True) or unknown.threads, psutil.cpu_count(logical=False) or -1
    memory_gb = 1e-9 * psutil.virtual_memory().total
    return unknown._replace(threads=threads, siblings=threads, cores=cores, memory_gb=memory_gb)


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else -1


def _memory_gb(meminfo: str) -> float:
    words = meminfo.split("MemTotal:", 1)[-1].split(None, 1)
    return int(words[0]) * 1024e-9 if "MemTotal:" in meminfo and words and words[0].isdecimal() else 0.0


def boot_id() -> str:
    """The kernel's name of this boot: a process number means nothing beyond it."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def package_of(cpu: int, sysroot: str = "") -> int | None:
    """The processor that a CPU lies on; None where the kernel does not say."""
    number = read_text(f"{sysroot}/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", 16).strip()
    return int(number) if number.isdecimal() else None


def process_start(pid: int) -> tuple[int, str]:
    """(start time in clock ticks since boot, state letter) of a process; (0, "") where there is none."""
    fields = stat_fields(read_text(f"/proc/{pid}/stat"))
    return (int(fields[19]), fields[0]) if len(fields) > 19 else (0, "")


def is_running(pid: int, start_ticks: int) -> bool:
    """Whether the process of that number and start still runs, and has not ended and waits to be reaped."""
    found_ticks, state = process_start(pid)
    return found_ticks == start_ticks and state not in GONE


def stat_fields(stat: str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the command before it may hold blanks and brackets."""
    return stat.rpartition(")")[2].split()

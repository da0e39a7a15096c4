"""What mends a source that cannot be read: the command, and what it opens to whom.

None of them opens a counter to everybody: whoever can read energy finely can learn what other programs compute
(CVE-2020-8694, the PLATYPUS attack), which is why the kernel keeps it from ordinary users since 5.10.
"""

from __future__ import annotations

from lowtide_sampler.standins import NamedTuple

CAUSE = "since kernel 5.10 root alone may read it: CVE-2020-8694"


class Remedy(NamedTuple):
    """One way to mend a source: for whom, the exact command, and what it means for the node's security."""

    name: str
    command: str
    meaning: str


GROUP = Remedy(
    "a group that may read the counters, kept over restarts",
    "sudo groupadd --system --force lowtide; sudo usermod -aG lowtide $USER; "
    "printf 'z /sys/devices/virtual/powercap/*/*/energy_uj 0440 root lowtide\\n"
    "z /sys/devices/virtual/powercap/*/*/*/energy_uj 0440 root lowtide\\n' | "
    "sudo tee /etc/tmpfiles.d/lowtide.conf; sudo systemd-tmpfiles --create lowtide.conf; then log in anew",
    "members of the group, and the jobs they run, can watch what others compute; nobody else gains anything",
)
PERFMON = Remedy(
    "the kernel's perf counters, for a service",
    "sudo systemctl edit lowtide, with [Service] and AmbientCapabilities=CAP_PERFMON; then restart it",
    "the service and the jobs it starts may count the energy and the hardware events of every process, "
    "and read no memory by it",
)
CONTAINER = Remedy(
    "the counters of the host, in a container",
    "start the container with -v /sys/class/powercap:/sys/class/powercap:ro "
    "-v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro",
    "the container sees the energy of the whole host, which its runtime masks on purpose: "
    "only where the container is trusted as the host is",
)
MODULE = Remedy(
    "the counters' driver",
    "sudo modprobe intel_rapl_msr; echo intel_rapl_msr | sudo tee /etc/modules-load.d/lowtide.conf",
    "root alone can read what it shows",
)
HWMON_GROUP = Remedy(
    "a group that may read the sensors, kept over restarts",
    "sudo groupadd --system --force lowtide; sudo usermod -aG lowtide $USER; "
    "printf 'z /sys/class/hwmon/*/energy*_input 0440 root lowtide\\n' | "
    "sudo tee /etc/tmpfiles.d/lowtide-hwmon.conf; sudo systemd-tmpfiles --create lowtide-hwmon.conf; then log in anew",
    GROUP.meaning,
)
IPMI_GROUP = Remedy(
    "the management controller, for a group",
    "sudo groupadd --system --force lowtide; sudo usermod -aG lowtide $USER; "
    'echo \'KERNEL=="ipmi*", GROUP="lowtide", MODE="0660"\' | sudo tee /etc/udev/rules.d/70-lowtide-ipmi.rules; '
    "sudo udevadm trigger --subsystem-match=ipmi; then log in anew",
    "members can command the controller, also to switch the node off: give it on nodes of your own alone",
)

UNREADABLE = (GROUP, PERFMON, CONTAINER)
"""The ways out for counters that are there and that root alone may read."""


def told(*remedies: Remedy) -> str:
    """The remedies as text: one as a sentence, several as a list."""
    if len(remedies) == 1:
        return f"{remedies[0].command} ({remedies[0].meaning})"
    lines = [
        f"\n  {number}. {remedy.name}: {remedy.command}\n     ({remedy.meaning})"
        for number, remedy in enumerate(remedies, 1)
    ]
    return f"one of{''.join(lines)}"

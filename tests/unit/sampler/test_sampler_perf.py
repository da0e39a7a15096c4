"""The kernel's power unit, with its system calls played: what is opened, with which numbers, and what counts mean."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowtide_sampler.machine import Machine
from lowtide_sampler.meters import Unreadable
from lowtide_sampler.perf import LinuxKernel, discover

XEON = Machine("GenuineIntel", 6, 106, "Xeon", 64, 32, 16, False, 256.0)
SCALE_J = 2.3283064365386962890625e-10  # 2**-32, as the kernel writes it


class PlayedKernel:
    """Counts joules of each (type, event, CPU); a descriptor is a number above any real one."""

    def __init__(self, refusal: int = 0) -> None:
        self.refusal = refusal
        self.opened: list[tuple[int, int, int]] = []
        self.energy_j = 0.0
        self.lost = False

    def open_counter(self, event_type: int, config: int, cpu: int) -> int:
        if self.refusal:
            raise OSError(self.refusal, "refused")
        self.opened.append((event_type, config, cpu))
        return 10**6 + len(self.opened)

    def read_counter(self, fd: int) -> int:
        if self.lost:
            raise OSError(errno.EIO, "lost")
        _, config, cpu = self.opened[fd - 10**6 - 1]
        return round((self.energy_j + 1000 * config + cpu) / SCALE_J)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Two packages of eight CPUs; the events as an Intel server has them."""
    base = tmp_path / "sys/bus/event_source/devices/power"
    (base / "events").mkdir(parents=True)
    (base / "type").write_text("13\n")
    (base / "cpumask").write_text("0,8\n")
    for event, config in (("energy-cores", 1), ("energy-pkg", 2), ("energy-ram", 3), ("energy-psys", 5)):
        (base / f"events/{event}").write_text(f"event=0x0{config}\n")
        (base / f"events/{event}.scale").write_text("2.3283064365386962890625e-10\n")
        (base / f"events/{event}.unit").write_text("Joules\n")
    for cpu in range(16):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{cpu // 8}\n")
    return tmp_path


def unit(node: Path) -> Path:
    return node / "sys/bus/event_source/devices/power"


def test_each_package_and_its_memory_once_and_psys_once(node: Path) -> None:
    kernel = PlayedKernel()
    answer = discover(XEON, str(node), kernel)
    assert kernel.opened == [(13, 2, 0), (13, 2, 8), (13, 3, 0), (13, 3, 8), (13, 5, 0)]
    assert [(m.source.component, m.source.package) for m in answer.meters] == [
        ("cpu", 0), ("cpu", 1), ("dram", 0), ("dram", 1), ("beside", 0),
    ]  # fmt: skip
    assert answer.missing_share == 0.0
    assert all(meter.source.range_uj is None for meter in answer.meters)  # the kernel adds the wraps up


def test_a_count_times_its_scale_is_joules(node: Path) -> None:
    kernel = PlayedKernel()
    meter = discover(XEON, str(node), kernel).meters[1]
    before_uj = meter.read().energy_uj
    kernel.energy_j = 1234.5
    assert meter.read().energy_uj - before_uj == pytest.approx(1234.5e6, abs=1)


def test_without_the_right_it_says_which_right(node: Path) -> None:
    answer = discover(XEON, str(node), PlayedKernel(errno.EACCES))
    assert not answer.meters
    assert answer.missing_share == 1.0
    assert "CAP_PERFMON" in answer.findings[0].repair
    assert "paranoid" not in answer.findings[0].repair  # would open it to everybody


def test_a_kernel_without_the_event_has_no_remedy(node: Path) -> None:
    answer = discover(XEON, str(node), PlayedKernel(errno.ENOENT))
    assert {finding.repair for finding in answer.findings} == {""}


def test_an_event_that_was_lost_is_opened_anew(node: Path) -> None:
    kernel = PlayedKernel()
    meter = discover(XEON, str(node), kernel).meters[0]
    kernel.lost = True
    with pytest.raises(Unreadable):
        meter.read()
    kernel.lost = False
    opened = len(kernel.opened)
    meter.read()
    assert kernel.opened[opened:] == [(13, 2, 0)]


@pytest.mark.parametrize(
    ("file", "text"),
    [("energy-pkg.unit", "Watts\n"), ("energy-pkg.scale", "0\n"), ("energy-pkg.scale", "x\n"),
     ("energy-pkg", "umask=0x02\n"), ("energy-pkg", "event=0x02,umask=1\n"), ("energy-pkg", "")],
)  # fmt: skip
def test_an_event_that_is_not_understood_is_not_counted(node: Path, file: str, text: str) -> None:
    (unit(node) / f"events/{file}").write_text(text)
    answer = discover(XEON, str(node), PlayedKernel())
    assert "cpu" not in {meter.source.component for meter in answer.meters}
    assert answer.missing_share == 1.0


@pytest.mark.parametrize(("mask", "cpus"), [("0-1\n", 2), ("0,4,8,12\n", 4), ("", 0), ("x\n", 0), ("0-\n", 0)])
def test_the_list_of_cpus(node: Path, mask: str, cpus: int) -> None:
    (unit(node) / "cpumask").write_text(mask)
    answer = discover(XEON, str(node), PlayedKernel())
    assert sum(meter.source.component == "cpu" for meter in answer.meters) == cpus


def test_amd_lists_dies_that_all_show_the_package(node: Path) -> None:
    (unit(node) / "cpumask").write_text("0,4,8,12\n")
    kernel = PlayedKernel()
    answer = discover(XEON._replace(vendor="AuthenticAMD"), str(node), kernel)
    assert [cpu for _, config, cpu in kernel.opened if config == 2] == [0, 8]
    assert answer.meters[0].source.error_share == 0.10


def test_a_node_without_the_unit_has_none(tmp_path: Path) -> None:
    assert discover(XEON, str(tmp_path), PlayedKernel()).meters == ()


def test_it_is_not_even_imported_there(tmp_path: Path) -> None:
    program = (
        "import sys; from lowtide_sampler.sources import find_sources; "
        f"find_sources({{'LOWTIDE_STATE': {str(tmp_path)!r}}}, {str(tmp_path)!r}); "
        "print([n for n in ('perf', 'hwmon', 'platform_power', 'portable', 'calibration') "
        "if 'lowtide_sampler.' + n in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_real_call_is_made_and_refused_with_a_reason() -> None:
    """The software clock event exists everywhere: the call's form is right if the kernel takes it or names a right."""
    kernel, software, cpu_clock, unknown_type = LinuxKernel(), 1, 0, 9999
    with pytest.raises(OSError) as refused:
        kernel.open_counter(unknown_type, 0, 0)
    if refused.value.errno != errno.ENOENT:  # the kernel looks for the type only once it grants the right
        assert refused.value.errno in (errno.EACCES, errno.EPERM, errno.ENOSYS)  # not EINVAL, E2BIG or EFAULT
        pytest.skip(f"no right to count here: {refused.value}")
    fd = kernel.open_counter(software, cpu_clock, 0)
    first = kernel.read_counter(fd)
    assert kernel.read_counter(fd) > first >= 0
    os.close(fd)

"""Which source is chosen where several could be, what is said about the others, and systems that are not Linux."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lowtide_sampler import perf
from lowtide_sampler.portable import node_cpu_s
from lowtide_sampler.sources import find_sources

CPUINFO = """\
vendor_id\t: {vendor}
cpu family\t: 6
model\t\t: {model}
siblings\t: 8
cpu cores\t: 4
flags\t\t: fpu {flags}

processor\t: 1
"""


class Node:
    """A made-up node; a file whose content is None exists and may not be read."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._forbidden: set[str] = set()
        self.environ = {"LOWTIDE_STATE": str(root / "state"), "XDG_CONFIG_HOME": str(root / "config")}
        genuine = os.open

        def guarded(path, *rest, **named):
            if str(path) in self._forbidden:
                raise PermissionError(13, "Permission denied", str(path))
            return genuine(path, *rest, **named)

        monkeypatch.setattr(os, "open", guarded)
        self.cpu()
        self.file("proc/stat", "cpu  1 2 3 4 5 6 7\n" + "".join(f"cpu{cpu} 1 2 3\n" for cpu in range(8)))
        self.file("proc/meminfo", "MemTotal: 31250000 kB\n")

    def file(self, path: str, text: str | int | None) -> None:
        whole = self.root / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(f"{text}")
        if text is None:
            self._forbidden.add(str(whole))

    def cpu(self, vendor: str = "GenuineIntel", model: int = 85, flags: str = "") -> None:
        self.file("proc/cpuinfo", CPUINFO.format(vendor=vendor, model=model, flags=flags))

    def zone(self, folder: str, name: str, energy: int | None = 10**9, limit_uw: int = 150_000_000) -> None:
        base = f"sys/class/powercap/{folder}"
        self.file(f"{base}/name", name)
        self.file(f"{base}/max_energy_range_uj", 262143328850)
        self.file(f"{base}/constraint_0_max_power_uw", limit_uw)
        self.file(f"{base}/energy_uj", energy)

    def perf_unit(self, *events: str) -> None:
        base = "sys/bus/event_source/devices/power"
        self.file(f"{base}/type", 13)
        self.file(f"{base}/cpumask", 0)
        for event in events:
            self.file(f"{base}/events/{event}", "event=0x02")
            self.file(f"{base}/events/{event}.unit", "Joules")
            self.file(f"{base}/events/{event}.scale", "0.5")

    def amd_energy(self) -> None:
        base = "sys/class/hwmon/hwmon0"
        for file, text in {"name": "amd_energy", "energy1_label": "Esocket0", "energy1_input": 5}.items():
            self.file(f"{base}/{file}", text)

    def found(self):
        return find_sources(self.environ, str(self.root))

    def labels(self) -> list[str]:
        return [meter.source.label for meter in self.found().meters]

    def models(self) -> dict[str, float]:
        return {source.component: source.idle_w for source in self.found().models}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(tmp_path, monkeypatch)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf.LinuxKernel, "open_counter", lambda *_: 10**6)
    monkeypatch.setattr(perf.LinuxKernel, "read_counter", lambda *_: 7)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(perf.LinuxKernel, "open_counter", refuse)


def test_powercap_goes_first_and_nothing_else_is_opened(node: Node, counting: None) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.perf_unit("energy-pkg", "energy-ram")
    node.amd_energy()
    assert node.labels() == ["RAPL package"]
    assert set(node.models()) == {"dram", "rest"}


def test_perf_stands_in_for_files_that_may_not_be_read(node: Node, counting: None) -> None:
    node.zone("intel-rapl:0", "package-0", None)
    node.zone("intel-rapl:0:0", "dram", None)
    node.perf_unit("energy-pkg", "energy-ram")
    found = node.found()
    assert [meter.source.label for meter in found.meters] == ["perf package", "perf dram"]
    assert [source.component for source in found.models] == ["rest"]
    assert (found.notes, found.unreadable) == ((), ())  # all is measured: nothing to mend
    assert [f.name for f in found.findings if not f.found and f.repair] == [
        "powercap:intel-rapl:0",
        "powercap:intel-rapl:0:0",
    ]  # the doctor tells it all the same


def test_memory_that_powercap_shows_is_kept_beside_perf_s_package(node: Node, counting: None) -> None:
    node.zone("intel-rapl:0", "package-0", None)
    node.zone("intel-rapl:0:0", "dram")
    node.zone("intel-rapl:1", "psys")
    node.perf_unit("energy-pkg", "energy-psys")
    assert node.labels() == ["perf package", "RAPL dram", "perf psys"]


def test_where_nothing_may_be_read_one_message_says_all(node: Node, refusing: None) -> None:
    node.zone("intel-rapl:0", "package-0", None)
    node.zone("intel-rapl:1", "package-1", None)
    node.zone("intel-rapl:0:0", "dram", None)
    node.perf_unit("energy-pkg")
    found = node.found()
    assert found.meters == ()
    assert found.unreadable == ("cpu",)
    (note,) = found.notes
    for word in ("intel-rapl:0/energy_uj", "CVE-2020-8694", "tmpfiles.d", "CAP_PERFMON", "-v /sys/class/powercap"):
        assert word in note
    assert [source.kind for source in found.models] == ["model"] * len(found.models)


def test_memory_that_may_not_be_read_is_told_though_the_processor_is(node: Node) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:0:0", "dram", None)
    found = node.found()
    assert [meter.source.label for meter in found.meters] == ["RAPL package"]
    assert found.unreadable == ()
    (note,) = found.notes
    assert "intel-rapl:0:0/energy_uj" in note
    assert {source.component for source in found.models} == {"dram", "rest"}


def test_half_a_node_is_told_and_modelled_for_the_other_half(node: Node, counting: None) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.zone("intel-rapl:1", "package-1", None)
    node.perf_unit("energy-pkg")
    found = node.found()
    assert [meter.source.label for meter in found.meters] == ["RAPL package"]  # both would count one package twice
    assert found.unreadable == ("cpu",)
    assert len(found.notes) == 1
    assert {source.component for source in found.models} == {"cpu", "dram", "rest"}


def test_hwmon_comes_last(node: Node, refusing: None) -> None:
    node.zone("intel-rapl:0", "package-0", None)
    node.perf_unit("energy-pkg")
    node.amd_energy()
    found = node.found()
    assert [meter.source.label for meter in found.meters] == ["amd_energy socket"]
    assert found.notes == ()


def test_a_rail_with_its_memory_needs_no_model_of_it(node: Node) -> None:
    for file, text in {
        "name": "power_meter",
        "power1_average": 10**8,
        "power1_oem_info": "Grace Power Socket 0",
    }.items():
        node.file(f"sys/class/hwmon/hwmon0/{file}", text)
    assert node.labels() == ["Grace power"]
    assert set(node.models()) == {"rest"}


def test_a_guest_reads_what_its_host_passes_in(node: Node) -> None:
    node.cpu(flags="hypervisor")
    node.file("var/scaphandre/intel-rapl:0/energy_uj", 77)
    found = node.found()
    assert [meter.source.label for meter in found.meters] == ["virtual RAPL package"]
    assert [source.component for source in found.models] == [
        "dram"
    ]  # the host's rest is shared by nobody knows how many
    node.cpu()
    assert node.labels() == []  # a machine of iron does not believe such a folder


def test_the_meters_of_the_node_stand_beside(node: Node) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.file("sys/class/hwmon/hwmon0/name", "power_meter")
    node.file("sys/class/hwmon/hwmon0/power1_average", 300_000_000)
    assert [(m.source.label, m.source.component) for m in node.found().meters] == [
        ("RAPL package", "cpu"),
        ("ACPI power meter", "beside"),
    ]


def test_an_unknown_family_is_modelled_by_its_thermal_power(node: Node) -> None:
    node.cpu(model=183)
    node.zone("intel-rapl:0", "package-0", None, limit_uw=125_000_000)
    models = node.models()
    assert models["cpu"] == pytest.approx(0.156 * 125)
    assert models["dram"] == pytest.approx(0.35 * 32)  # the chip's power has no memory in it
    assert models["rest"] == 70.0
    node.cpu(model=85)
    assert set(node.models()) == {"cpu", "dram"}  # a known family is modelled at the wall


def test_a_site_s_own_errors_reach_the_sources(node: Node) -> None:
    node.zone("intel-rapl:0", "package-0")
    node.file("config/lowtide/meter_errors.json", json.dumps({"rapl-package-intel": 0.02}))
    (meter,) = node.found().meters
    assert meter.source.error_share == 0.02
    node.file("config/lowtide/meter_errors.json", "{")
    found = node.found()
    assert found.meters[0].source.error_share == 0.05
    assert any("meter_errors.json" in note for note in found.notes)


def test_a_calibration_of_another_processor_is_told_once(node: Node) -> None:
    from lowtide_sampler.calibration_file import Calibration, path_of, save
    from lowtide_sampler.sources import host_name

    node.zone("intel-rapl:0", "package-0")
    other = Calibration(1.79e9, ("GenuineIntel", 6, 143, 8), {"powercap:intel-rapl:0": 3.0})
    save(path_of(node.environ, host_name()), other, host_name())
    found = node.found()
    assert found.meters[0].source.idle_w is None
    assert [note for note in found.notes if "another processor" in note and "lowtide calibrate" in note] == [
        *found.notes
    ]


NO_LINUX = """
import os, sys
for name in ("O_CLOEXEC", "O_NONBLOCK", "uname", "sysconf", "sched_getaffinity", "pread", "fork", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios") {more}:
            raise ImportError(name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {fakes!r})
import lowtide_sampler.machine as machine
machine.proc_root = lambda sysroot: {fakes!r} + "/no-proc"
from lowtide_sampler.sources import find_sources
found = find_sources({{"LOWTIDE_STATE": {fakes!r}}})
models = [(source.component, round(source.idle_w, 3), source.flags) for source in found.models]
print(models, found.machine.threads, found.machine.memory_gb)
"""


def elsewhere(fakes: Path, more: str = "") -> str:
    program = NO_LINUX.format(fakes=str(fakes), more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_proc_and_posix_the_model_works_through_psutil(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text(
        "from types import SimpleNamespace\n"
        "def cpu_count(logical=True): return 12 if logical else 6\n"
        "def virtual_memory(): return SimpleNamespace(total=32_000_000_000)\n"
    )
    cpu_w, memory_w = 12 * 2.75 * 0.22, 0.35 * (32 - 18)
    flags = ("family any of 2023-26", "unknown_family")
    assert elsewhere(tmp_path) == f"{[('cpu', round(cpu_w, 3), flags), ('dram', round(memory_w, 3), ())]} 12 32.0"


def test_without_psutil_too_the_number_of_cpus_is_all_that_is_known(tmp_path: Path) -> None:
    said = elsewhere(tmp_path, "or name == 'psutil'")
    assert said.startswith("[('cpu', ")
    assert said.endswith(f" {os.cpu_count()} 0.0")


def test_busy_seconds_leave_out_waiting_and_what_guests_repeat() -> None:
    times = {"user": 5.0, "system": 3.0, "idle": 90.0, "iowait": 2.0, "guest": 4.0}
    psutil = SimpleNamespace(cpu_times=lambda: SimpleNamespace(_asdict=lambda: times))
    assert node_cpu_s(psutil) == (8.0, 100.0)

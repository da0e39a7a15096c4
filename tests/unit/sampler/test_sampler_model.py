"""The model's table and the figures that follow from it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lowtide_sampler.machine import Machine, read_machine
from lowtide_sampler.model import ANY_FAMILY, FAMILIES, cpu_source, family_of, memory_source

TURIN_VM = Machine("AuthenticAMD", 26, 2, "AMD EPYC", 2, 2, 1, True, 24.0)


def test_every_family_is_plausible_and_near_its_neighbours() -> None:
    for vendor in ("AuthenticAMD", "GenuineIntel"):
        families = list(dict.fromkeys(family for (maker, *_), family in FAMILIES.items() if maker == vendor))
        for family in families:
            assert family.low_w <= family.median_w <= family.high_w < 6.0
            assert 1.7 < family.core_w / family.median_w < 2.1  # Xeon 6 has models with one thread per core
            assert 0.1 < family.idle_share < 0.4
        for older, newer in pairwise(families):
            assert 0.5 < newer.median_w / older.median_w < 2.0


def test_a_small_virtual_machine_draws_watts_and_not_tens_of_them() -> None:
    cpu = cpu_source(TURIN_VM)
    full_w = cpu.idle_w + 2 * cpu.active_j_per_cpu_s
    assert full_w == pytest.approx(2.34)
    assert cpu.low_share * full_w == pytest.approx(2 * 1.11 * 0.8 * 0.8)
    assert cpu.high_share * full_w == pytest.approx(2 * 1.97 * 1.25 * 1.6)
    memory = memory_source(TURIN_VM, within_cpu=True)
    assert memory.idle_w == pytest.approx(7.35)


def test_a_cpu_that_is_a_whole_core_draws_a_cores_power() -> None:
    cpu = cpu_source(TURIN_VM._replace(cores=2))
    assert cpu.idle_w + 2 * cpu.active_j_per_cpu_s == pytest.approx(4.72)
    assert cpu.low_share * 4.72 == pytest.approx(2 * 1.11 * 0.8 * 0.8)


def test_an_unknown_processor_has_the_general_figure_and_the_wide_band() -> None:
    unknown = TURIN_VM._replace(vendor="ARM", virtual=False)
    assert family_of(unknown) is ANY_FAMILY
    assert cpu_source(unknown).high_share / cpu_source(unknown).low_share > 4


def test_memory_within_the_cpus_figure_is_not_counted_twice() -> None:
    assert memory_source(TURIN_VM._replace(memory_gb=2.9), within_cpu=True) is None
    assert memory_source(TURIN_VM._replace(memory_gb=2.9), within_cpu=False).idle_w == pytest.approx(0.35 * 2.9)
    assert memory_source(TURIN_VM._replace(memory_gb=0.0), within_cpu=False) is None


def test_the_machine_is_read_from_the_sysroot(tmp_path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\n"
        "siblings\t: 8\ncpu cores\t: 4\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\nmodel\t\t: 1\n"
    )
    (proc / "stat").write_text("cpu  1 2 3 4 5 6 7\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n")
    (proc / "meminfo").write_text("MemTotal:       16000000 kB\n")
    assert read_machine(str(tmp_path)) == Machine("GenuineIntel", 6, 143, "Xeon", 2, 8, 4, True, pytest.approx(16.384))

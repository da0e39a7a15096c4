"""GPUs of every make in one search, and nothing imported where there is no driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lowtide_sampler import gpus
from lowtide_sampler.meters import Discovery, Finding


def test_a_node_without_a_driver_pays_nothing() -> None:
    watched = ["pynvml", "amdsmi", *(f"lowtide_sampler.{name}" for name in ("nvml", "amdsmi", "gpu_use"))]
    code = (
        "from lowtide_sampler import gpus; found = gpus.discover({}); loaded = set(sys.modules) & "
        f"set({watched!r}); print(sorted(loaded), len(found.meters), *(one.why for one in found.findings), sep='; ')"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if "no NVIDIA driver" not in answer or "no AMD driver" not in answer:
        pytest.skip(f"this node has a driver: {answer}")
    assert answer.startswith("[]; 0;")


def test_a_device_whose_driver_does_not_start_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpus, "start", lambda: (None, Finding("nvml", False, "no")))
    monkeypatch.setattr(gpus, "_AMD_DRIVER", str(tmp_path / "kfd"))
    monkeypatch.setattr(gpus, "_NVIDIA_DEVICE", str(tmp_path / "nvidia0"))
    assert gpus.discover({}).missing_share == 0.0
    (tmp_path / "nvidia0").touch()
    assert gpus.discover({}).missing_share == 1.0


def test_both_makes_are_found_in_one_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lowtide_sampler import amdsmi, nvml

    monkeypatch.setattr(gpus, "start", lambda: (object(), Finding("nvml", True)))
    monkeypatch.setattr(gpus, "_AMD_DRIVER", str(tmp_path))
    monkeypatch.setattr(nvml, "discover", lambda *_, **__: Discovery((), (Finding("nvml:0", False, "lost"),), 0.5))
    monkeypatch.setattr(amdsmi, "load_library", lambda: (object(), Finding("amdsmi", True)))
    monkeypatch.setattr(amdsmi, "discover", lambda *_, **__: Discovery((), (Finding("amdsmi:0", True),), 0.0))
    found = gpus.discover({})
    assert [finding.name for finding in found.findings] == ["nvml", "nvml:0", "amdsmi", "amdsmi:0"]
    assert found.missing_share == 0.5

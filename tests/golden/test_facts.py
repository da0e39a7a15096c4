"""The rules of power, transfer and embodied emissions against cases worked out by hand (``facts.toml``)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from lowtide_facts.embodied import machine_embodied_g_per_h
from lowtide_facts.network import transfer_g
from lowtide_facts.power import PowerEstimate, cpu_job_power_w, gpu_job_power_w

FUNCTIONS: dict[str, Any] = {
    function.__name__: function for function in (cpu_job_power_w, gpu_job_power_w, machine_embodied_g_per_h, transfer_g)
}
CASES = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_rule_gives_what_the_hand_does(case: dict[str, Any]) -> None:
    result = FUNCTIONS[case["function"]](*case["inputs"])
    value = result.power_w if isinstance(result, PowerEstimate) else result
    assert value == pytest.approx(case["expected"], abs=case["tolerance"])
    assert case["citation"]

"""The library does what the commands do."""

from __future__ import annotations

import sys

import pytest

import lowtide
from lowtide.cli.app import run
from lowtide_core.errors import InputError

JOB = {"duration": "5s", "deadline": "60s", "zone": "DE", "signal": "climatology"}


def test_plan_submit_and_report() -> None:
    quote = lowtide.plan(**JOB, power="50W")
    assert quote.plan.energy_kwh == pytest.approx(50 * 5 / 3.6e6)
    job_id = lowtide.submit([sys.executable, "-c", "pass"], **JOB, name="mine", key="k")
    assert lowtide.submit([sys.executable, "-c", "pass"], **JOB, name="mine", key="k") == job_id
    before = lowtide.report(job_id)
    assert before["planned"] is None
    assert "not run" in before["no_settlement_why"]
    assert run(["tick"]) == 0
    found = lowtide.report(job_id)
    for _ in range(100):
        if found["realised"]:
            break
        found = lowtide.report(job_id)
    assert found["realised"]["state"] == "modelled"
    assert found["job_state"] == "done"


def test_errors_are_those_of_the_commands() -> None:
    with pytest.raises(InputError, match="grid zone"):
        lowtide.plan(duration="4h", deadline="24h", zone="Atlantis")
    with pytest.raises(AttributeError, match="no attribute"):
        _ = lowtide.nothing

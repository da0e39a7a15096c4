"""HiGHS beside other users of it in one process."""

from __future__ import annotations

import subprocess
import sys

_ONE_PROGRAMME = """
import numpy as np
from lowtide.planning.fleet.highs import Matrix, add_columns, new_model, run

model = new_model(np.ones(1), np.full(1, 2.0), **{options})
add_columns(model, np.array([3.0]), np.array([5.0]), Matrix(np.array([0, 1]), np.array([0]), np.ones(1)))
print(run(model), model.getInfo().objective_function_value)
"""


def _python(*scripts: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", "\n".join(scripts)], capture_output=True, text=True, check=False)


def test_runs_where_the_process_has_used_other_numbers_of_threads():
    other = _ONE_PROGRAMME.replace("{options}", "{'threads': 3}")
    done = _python(other, _ONE_PROGRAMME.replace("{options}", "{}"))
    assert done.stdout.split() == ["optimal", "3.0"] * 2, done.stderr


def test_says_so_where_it_does_not_run():
    scripts = [_ONE_PROGRAMME.replace("{options}", f"{{'threads': {count}}}") for count in (3, 2)]
    done = _python(*scripts)
    assert done.stdout.split() == ["optimal", "3.0"]
    assert "HiGHS refused to run" in done.stderr

"""HiGHS, silent and on one core: what every programme of ours begins with."""

from __future__ import annotations

from typing import Any


def new_solver(**options: float | str) -> Any:
    """An empty model with these options of HiGHS.

    Notes:
        No number of threads is asked for: it is one for the whole process, and HiGHS refuses to run where the process
        has used it with another.
    """
    from highspy._core import _Highs  # 0.04 s, late; highspy.Highs prints a banner before it can be told not to

    solver = _Highs()
    for name, value in {"output_flag": False, "parallel": "off", **options}.items():
        solver.setOptionValue(name, value)
    return solver

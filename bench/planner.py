"""The planner's figures beside their bars: one line each, by published case; then how many bars hold.

python bench/planner.py [CASE ...]      all cases, or those whose module is named
"""

from __future__ import annotations

import sys
from importlib import import_module

CASES = (
    "single",
    "oracle_grid",
    "workdays",
    "suspend_resume",
    "online_rules",
    "loads",
    "elastic",
    "carbon_wait",
    "capacity",
    "place_time",
    "gpu_training",
    "scale",
    "guard",
    "backtest",
    "forecasting",
)
"""Modules of this folder with a function ``rows``; those that need measured series end where there are none."""


def main() -> None:
    missed = shown = 0
    for name in sys.argv[1:] or CASES:
        try:
            for row in import_module(name).rows():
                print(row, flush=True)
                shown += row.bar is not None
                missed += not row.holds
        except SystemExit as reason:
            print(f"{name}: left out, {reason}", flush=True)
    print(f"{shown - missed} of {shown} bars hold")


if __name__ == "__main__":
    main()

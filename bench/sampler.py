"""The sampler's acceptance figures, in full length, each beside its bar and what codecarbon does in the same run.

Exits 1 where a bar is missed. About ten minutes; LOWTIDE_LENGTH_S, LOWTIDE_LONG_S and LOWTIDE_SEEDS make it shorter.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the fakes are the tests'

from sampler_table import HEADING, show

PARTS = ("energy", "devices", "jobs", "costs", "crashes", "fleet")


def main(names: list[str]) -> int:
    from sampler_costs import costs
    from sampler_crashes import crashes
    from sampler_energy import attribution, known_counters, known_devices
    from sampler_fleet import fleet

    parts = dict(zip(PARTS, (known_counters, known_devices, attribution, costs, crashes, fleet), strict=True))
    print(HEADING)
    # Every part is run whatever the one before it found.
    holds = [show(parts[name]()) for name in names or PARTS]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

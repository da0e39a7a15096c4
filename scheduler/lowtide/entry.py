"""The console script. ``run`` and ``attach`` go to the sampler before anything else is imported: they start at once."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Runs the command line of this process; returns its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["run"], ["attach"]):
        from lowtide_sampler.main import attach_main, run_main

        measure = run_main if arguments[0] == "run" else attach_main
        return measure([*_known_at_home(arguments[1:]), *arguments[1:]])
    gc.set_threshold(50_000)  # imports make tens of thousands of objects and hardly any garbage: look for it less often
    from lowtide.cli.app import run

    return run(arguments)


def _known_at_home(arguments: list[str]) -> list[str]:
    """For ``--live``, what lowtide knows of the grid at home; nothing where there is no home, or nobody looks."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--live" not in own or any(word.startswith("--intensity") for word in own) or not sys.stderr.isatty():
        return []
    from lowtide.service.watching import home_intensity_g_per_kwh
    from lowtide.wiring import Wiring
    from lowtide_core.errors import LowtideError

    wiring = Wiring()
    try:
        settings = wiring.settings
        found = home_intensity_g_per_kwh(settings.home, wiring.now_utc())
    except LowtideError:  # the command is run all the same
        return []
    pue = [] if any(word.startswith("--pue") for word in own) else ["--pue", f"{settings.home_pue:g}"]
    return [] if found is None else ["--intensity", f"{found:.1f}", *pue]


if __name__ == "__main__":
    sys.exit(main())

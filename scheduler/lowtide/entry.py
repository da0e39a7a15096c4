"""The console script. ``lowtide run`` goes to the sampler before anything else is imported: it must start at once."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Runs the command line of this process; returns its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        from lowtide_sampler.main import run_main

        return run_main(arguments[1:])
    gc.set_threshold(50_000)  # imports make tens of thousands of objects and hardly any garbage: look for it less often
    from lowtide.cli.app import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())

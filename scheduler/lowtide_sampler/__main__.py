"""``python -m lowtide_sampler``."""

import sys

from lowtide_sampler.main import main

sys.exit(main(sys.argv[1:]))

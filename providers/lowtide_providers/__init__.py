"""The outside world, one module per source, each behind a port of ``lowtide_core.ports``."""

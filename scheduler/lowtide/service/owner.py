"""Names this process, so that what it claimed can be told from what others claimed."""

from __future__ import annotations

import os
import socket


def owner_token() -> str:
    """Host and process, with enough randomness that no later process is taken for this one."""
    return f"{socket.gethostname()}/{os.getpid()}/{os.urandom(4).hex()}"

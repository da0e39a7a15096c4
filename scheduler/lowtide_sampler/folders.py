"""Where settings, what a node remembers, and journals are kept; the same folders as lowtide's own."""

from __future__ import annotations

import os

from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def config_folder(environ: Mapping[str, str]) -> str:
    """The folder of ``$LOWTIDE_CONFIG``, else ``lowtide`` in the person's folder of settings."""
    if environ.get("LOWTIDE_CONFIG"):
        return os.path.dirname(environ["LOWTIDE_CONFIG"])
    return _of_person(environ, "XDG_CONFIG_HOME", ".config")


def state_folder(environ: Mapping[str, str]) -> str:
    """``$LOWTIDE_STATE``, else ``lowtide`` in the person's state folder."""
    return environ.get("LOWTIDE_STATE") or _of_person(environ, "XDG_STATE_HOME", os.path.join(".local", "state"))


def spool_folder(environ: Mapping[str, str]) -> str:
    """``$LOWTIDE_SPOOL``, else ``spool`` in the state folder."""
    return environ.get("LOWTIDE_SPOOL") or os.path.join(state_folder(environ), "spool")


def _of_person(environ: Mapping[str, str], variable: str, default: str) -> str:
    """A folder of the user's own; among the temporary files where he has no home."""
    base = environ.get(variable) or os.path.join(os.path.expanduser("~"), default)
    if os.path.isabs(base):
        return os.path.join(base, "lowtide")
    return os.path.join(environ.get("TMPDIR") or "/tmp", f"lowtide-{os.getuid()}")  # noqa: S108

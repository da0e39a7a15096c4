"""Which "no" it is: a source that was not asked, has no such zone, or was refused.

Each ``Rejected`` has its ``reason``: ``key`` (none, or a bad one), ``plan`` (a good key that does not open this),
``sandbox``, ``edge`` (the service itself was not reached), ``setting``, or ``request``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowtide_core.errors import NoData, Rejected

if TYPE_CHECKING:
    from lowtide_core.places import ZoneId


def no_key(name: str, operation: str, hint: str, *, lacks: str = "there is no key") -> Rejected:
    return Rejected(f"{name} was not asked: {lacks}.", provider=name, operation=operation, hint=hint, reason="key")


def unknown_zone(name: str, zone: ZoneId, operation: str, known: str) -> NoData:
    return NoData(f"{name} has {known}, not {zone}.", provider=name, operation=operation, zone=zone)


def refused(error: Rejected, reason: str, *, message: str = "", hint: str = "") -> Rejected:
    """What a service refused, with its reason, and in other words where some are given."""
    return Rejected(
        message or error.message,
        provider=error.provider,
        operation=error.operation,
        retry_after_s=error.retry_after_s,
        hint=hint or error.hint,
        reason=reason,
        status=error.facts.get("status"),
    )


def refusal(error: Rejected, key_hint: str) -> Rejected:
    """The reason of a service that says no more than a status: ``key``, ``edge`` or ``request``."""
    status = error.facts.get("status")
    if status == 403 and "access denied" in str(error.facts.get("said")).lower():
        return refused(error, "edge", hint="It is not the key: try later, or from another network.")
    if status in (401, 403):
        return refused(error, "key", hint=key_hint)
    return refused(error, "request")

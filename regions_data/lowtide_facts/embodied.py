"""Emissions of making the machine, spread over its life: beside the operational ones, never inside them."""

from __future__ import annotations

from functools import cache

from lowtide_facts.accelerators import find_accelerator
from lowtide_facts.tablefiles import read_table

LIFETIME_H = 4 * 8760.0
"""Four years in use, as server makers' life-cycle sheets and the SCI specification's examples assume."""

THREADS_PER_SOCKET = 64.0
"""Of a server of these years: an assumption."""


def machine_embodied_g_per_h(accelerator: str, count: float, vcpus: float) -> float | None:
    """Embodied emissions of a machine per hour of its life; None where the accelerator's are unknown.

    Args:
        accelerator: As people write it. count: accelerators in the machine. vcpus: its threads.
    Raises:
        InputError: The accelerator is unknown.
    Source:
        Cards: EcoLogits, or Teads' flat figure. Host: median server per socket of Boavizta's sheets.
    """
    card_kg = find_accelerator(accelerator).embodied_kg
    if card_kg is None:
        return None
    return (count * card_kg + vcpus / THREADS_PER_SOCKET * _server_kg_per_socket()) * 1000 / LIFETIME_H


@cache
def _server_kg_per_socket() -> float:
    (row,) = read_table("server_embodied")
    return float(row["embodied_kg_per_socket_median"])

"""Accelerators, and the machines that bring them, by region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest
from lowtide_core.offers import Offer
from lowtide_core.places import RegionId
from lowtide_facts.tablefiles import number, read_table

if TYPE_CHECKING:
    from lowtide_core.offers import OfferQuery

_NOISE = re.compile(r"nvidia|amd|tesla|instinct|geforce|gpu|sxm\d?|oam|hbm\d?e?|[^a-z0-9]")
_COUNTED = re.compile(r"(?P<count>\d+)\s*[x×*]\s*(?P<model>\S.*)", re.IGNORECASE)
_MEMORY = re.compile(r"(\d+)\s*gi?b\b")
_Key = tuple[str, bool, int | None]
"""What a spelling says: the bare model, whether it names PCIe, and the memory in GB where it names one."""


@dataclass(frozen=True, slots=True)
class AcceleratorFacts:
    """One model: board power limit, idle estimate, memory, and embodied emissions of one card (None: unknown)."""

    name: str
    vendor: str
    tdp_w: float
    idle_w: float
    memory_gib: float
    form: str
    embodied_kg: float | None
    embodied_source: str


@cache
def all_accelerators() -> dict[str, AcceleratorFacts]:
    """Name -> facts."""
    return {
        row["accelerator"]: AcceleratorFacts(
            name=row["accelerator"],
            vendor=row["vendor"],
            tdp_w=float(row["tdp_w"]),
            idle_w=float(row["idle_w"]),
            memory_gib=float(row["memory_gib"]),
            form=row["form"],
            embodied_kg=number(row["embodied_kg"]),
            embodied_source=row["embodied_source"],
        )
        for row in read_table("accelerators")
    }


def find_accelerator(text: str) -> AcceleratorFacts:
    """The model that a person means: ``h100``, ``H100 SXM``, ``a100-80gb``, ``NVIDIA A100 80GB``.

    Raises:
        InputError: Unknown, with the nearest names.
    """
    key = _key(text)
    found = _by_spelling().get(key)
    if found is None:
        raise InputError(f"There is no accelerator {text!r}.", hint=_accelerator_hint(text, key), gpu=text)
    return found


def _accelerator_hint(text: str, key: _Key) -> str:
    counted = _COUNTED.fullmatch(text.strip())
    if counted is not None and (found := _by_spelling().get(_key(counted["model"]))):
        return f"Give the model as --gpu {_as_argument(found.name)} and the number as --count {counted['count']}."
    same_model = [facts.name for other, facts in _by_spelling().items() if other[0] == key[0]]
    if same_model:
        return f"Of that model lowtide knows {', '.join(dict.fromkeys(same_model))}."
    return nearest(text, all_accelerators()) or f"Known are {', '.join(all_accelerators())}."


def _as_argument(name: str) -> str:
    return f'"{name}"' if " " in name else name


@cache
def _by_spelling() -> dict[_Key, AcceleratorFacts]:
    """The plain name means its own memory, and a card that exists as PCIe alone may be called so; names come first."""
    every = all_accelerators().values()
    spellings = {_key(facts.name): facts for facts in every}
    for facts in every:
        model, pcie, memory_gb = _key(facts.name)
        for form in {pcie, pcie or facts.form == "PCIe"}:
            spellings.setdefault((model, form, memory_gb), facts)
            spellings.setdefault((model, form, int(facts.memory_gib)), facts)
    return spellings


def _key(text: str) -> _Key:
    plain = text.lower().replace("_", " ")
    memory = _MEMORY.search(plain)
    rest = _MEMORY.sub("", plain)
    return _NOISE.sub("", rest.replace("pcie", "")), "pcie" in rest, int(memory[1]) if memory else None


@cache
def _offer_rows() -> tuple[dict[str, str], ...]:
    return tuple(read_table("offers"))


@cache
def usual_host(accelerator: str) -> tuple[float, float]:
    """Threads and memory, GiB, that machines on offer bring for each such accelerator; medians, 0 where none lists any.

    Raises:
        InputError: The accelerator is unknown.
    """
    name = find_accelerator(accelerator).name
    mine = [row for row in _offer_rows() if row["accelerator"] == name]
    return _per_accelerator(mine, "vcpus"), _per_accelerator(mine, "memory_gib")


def _per_accelerator(rows: list[dict[str, str]], column: str) -> float:
    known = sorted(float(row[column]) / float(row["count"]) for row in rows if row[column])
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2 if known else 0.0


def offers(query: OfferQuery) -> tuple[Offer, ...]:
    """For each region that sells it, the cheapest single machine with at least the accelerators asked for.

    A machine without a list price comes after those that have one. A machine with a part of an accelerator counts as
    that part. Power and embodied emissions are the whole machine's, since a job rents it whole.
    """
    from lowtide_facts.embodied import machine_embodied_g_per_h
    from lowtide_facts.power import machine_power_w
    from lowtide_facts.regions import all_regions

    name = find_accelerator(query.gpu).name
    zones = {region.region: region.zone for region in all_regions()}
    best: dict[str, tuple[float, float, str, dict[str, str]]] = {}
    for row in _offer_rows():
        count = float(row["count"])
        if row["accelerator"] != name or count < query.count or row["region"] not in zones:
            continue
        if query.providers and row["region"].partition(":")[0] not in query.providers:
            continue
        rank = (number(row["price_usd_per_h"]) or float("inf"), count, row["machine"], row)
        if row["region"] not in best or rank[:3] < best[row["region"]][:3]:
            best[row["region"]] = rank
    found = []
    for region, (_, count, machine, row) in sorted(best.items()):
        vcpus, memory_gib = number(row["vcpus"]), number(row["memory_gib"])
        power = machine_power_w(name, query.count, count, vcpus, memory_gib)
        found.append(
            Offer(
                region=RegionId(region),
                zone=zones[RegionId(region)],
                machine=machine,
                gpu=name,
                gpu_count=int(count),
                vcpus=vcpus,
                memory_gib=memory_gib,
                price_usd_per_h=number(row["price_usd_per_h"]),
                price_basis=row["price_basis"],
                power_w=power.power_w,
                embodied_g_per_h=machine_embodied_g_per_h(
                    name, count, usual_host(name)[0] * count if vcpus is None else vcpus
                ),
                source="provider price lists and catalogues, see NOTICE",
            )
        )
    return tuple(found)

"""Machines on offer, and what a job on them draws, costs and inherits."""

from __future__ import annotations

import pytest

from lowtide_core.errors import InputError
from lowtide_core.offers import Offer, OfferQuery
from lowtide_core.places import RegionId
from lowtide_facts import accelerators
from lowtide_facts.accelerators import find_accelerator, offers, usual_host
from lowtide_facts.embodied import machine_embodied_g_per_h
from lowtide_facts.network import egress_usd_per_gb
from lowtide_facts.power import cpu_job_power_w, gpu_job_power_w, machine_power_w
from lowtide_facts.regions import find_region
from lowtide_facts.tablefiles import number, read_table


@pytest.mark.parametrize(
    ("gpu", "count", "least_regions"), [("H100", 1, 50), ("H100", 8, 50), ("A100", 1, 25), ("T4", 1, 60)]
)
def test_offers_are_plausible(gpu: str, count: int, least_regions: int) -> None:
    found = offers(OfferQuery(gpu, count))
    assert len(found) >= least_regions
    assert len({offer.region for offer in found}) == len(found)
    tdp_w = find_accelerator(gpu).tdp_w
    for offer in found:
        assert offer.gpu_count >= count
        assert offer.zone == find_region(offer.region).zone
        assert 0.76 * tdp_w * count <= offer.power_w <= 1.6 * tdp_w * offer.gpu_count
        assert offer.price_usd_per_h is None or 0.1 * count < offer.price_usd_per_h < 200
        assert bool(offer.price_basis) == (offer.price_usd_per_h is not None)
        assert offer.embodied_g_per_h is not None
        assert offer.embodied_g_per_h > 0


def test_an_offer_is_the_cheapest_machine_that_is_large_enough() -> None:
    rows = read_table("offers")
    for offer in offers(OfferQuery("T4", 2)):
        prices = [
            number(row["price_usd_per_h"])
            for row in rows
            if row["region"] == offer.region and row["accelerator"] == "T4" and float(row["count"]) >= 2
        ]
        known = [price for price in prices if price is not None]
        assert offer.price_usd_per_h == (min(known) if known else None)


def test_a_machine_without_a_price_comes_after_dearer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"region": "aws:eu-central-1", "accelerator": "T4", "count": "1", "vcpus": "4", "memory_gib": "16"}
    rows = (
        row | {"machine": "unpriced", "price_usd_per_h": "", "price_basis": ""},
        row | {"machine": "dear", "price_usd_per_h": "9", "price_basis": "list-2026-01-01"},
        row | {"machine": "half", "count": "0.5", "price_usd_per_h": "1", "price_basis": "list-2026-01-01"},
    )
    monkeypatch.setattr(accelerators, "_offer_rows", lambda: rows)
    assert [offer.machine for offer in offers(OfferQuery("T4"))] == ["dear"]


def test_providers_narrow_the_offers() -> None:
    everywhere, narrowed = offers(OfferQuery("H100")), offers(OfferQuery("h100", providers=("gcp",)))
    assert narrowed == tuple(offer for offer in everywhere if offer.region.startswith("gcp:"))
    assert 0 < len(narrowed) < len(everywhere)


def test_no_machine_is_large_enough_for_a_hundred_accelerators() -> None:
    assert offers(OfferQuery("H100", 100)) == ()


def test_offers_of_an_unknown_accelerator_are_an_input_error() -> None:
    with pytest.raises(InputError):
        offers(OfferQuery("abacus"))


def _offer(gpu: str, count: int, region: str) -> Offer:
    return next(offer for offer in offers(OfferQuery(gpu, count)) if offer.region == region)


def test_a_machine_is_rented_whole() -> None:
    one, all_eight = (_offer("A100", count, "aws:ap-northeast-1") for count in (1, 8))
    assert one.machine == all_eight.machine
    facts = find_accelerator("A100")
    idle_w = 7 * (0.76 * facts.tdp_w - facts.idle_w)
    assert all_eight.power_w - one.power_w == pytest.approx(idle_w), "the other seven draw their idle power"
    assert one.embodied_g_per_h == all_eight.embodied_g_per_h


def test_a_host_of_unlisted_size_is_as_usual() -> None:
    vcpus, memory_gib = usual_host("H100")
    assert 4 <= vcpus <= 64
    assert machine_power_w("H100", 1, 1, None, None) == machine_power_w("H100", 1, 1, vcpus, memory_gib)


def test_power_bounds_hold_the_power() -> None:
    for estimate in (gpu_job_power_w("H100", 8, 192, 2048), cpu_job_power_w(4), cpu_job_power_w(4, 64, load=0.5)):
        assert 0 < estimate.low_w < estimate.power_w < estimate.high_w
        assert estimate.basis.startswith("modelled: ")
        assert estimate.source


def test_memory_counts_only_beyond_what_the_threads_bring() -> None:
    assert cpu_job_power_w(4, 6).power_w == cpu_job_power_w(4).power_w
    assert cpu_job_power_w(4, 16).power_w == pytest.approx(cpu_job_power_w(4).power_w + 3.5)


def test_power_of_an_unknown_accelerator_is_an_input_error() -> None:
    with pytest.raises(InputError):
        gpu_job_power_w("abacus", 1, 4, 16)


def test_unknown_embodied_emissions_are_unknown_and_not_zero() -> None:
    assert machine_embodied_g_per_h("GB200", 4, 100) is None


def test_egress_is_free_at_home_known_within_a_provider_and_unknown_between_them() -> None:
    frankfurt, ireland, iowa = map(RegionId, ("aws:eu-central-1", "aws:eu-west-1", "gcp:us-central1"))
    assert egress_usd_per_gb(frankfurt, frankfurt) == 0
    within = (
        (frankfurt, ireland),
        (iowa, RegionId("gcp:us-east1")),
        (RegionId("azure:eastus"), RegionId("azure:westus")),
    )
    for pair in within:
        price = egress_usd_per_gb(*pair)
        assert price is not None
        assert 0 < price < 0.2
    assert egress_usd_per_gb(frankfurt, iowa) is None

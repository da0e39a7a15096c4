"""What people type is understood, and what nobody can mean is answered with the nearest names."""

from __future__ import annotations

import pytest

from lowtide_core.errors import InputError
from lowtide_core.places import LOCAL, RegionId, ZoneId
from lowtide_facts.accelerators import all_accelerators, find_accelerator
from lowtide_facts.pue import pue_of
from lowtide_facts.regions import all_regions, find_region, in_residency, regions_of_zone
from lowtide_facts.zones import all_zones, annual_g_per_kwh, find_zone


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("h100", "H100"),
        ("H100 SXM", "H100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("h100_80gb", "H100"),
        ("H100 PCIe", "H100-PCIe"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("a100", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("a100-80gb", "A100-80GB"),
        ("A100 80GB", "A100-80GB"),
        ("A100 PCIe 80GB", "A100-80GB-PCIe"),
        ("v100", "V100"),
        ("nvidia-tesla-v100", "V100"),
        ("V100 32GB", "V100-32GB"),
        ("Tesla T4", "T4"),
        ("T4 PCIe", "T4"),
        ("L4 24 GiB", "L4"),
        ("AMD Instinct MI300X OAM", "MI300X"),
    ],
)
def test_an_accelerator_is_found_as_people_write_it(text: str, name: str) -> None:
    assert find_accelerator(text).name == name


def test_every_accelerator_is_found_by_its_own_name() -> None:
    assert [find_accelerator(name).name for name in all_accelerators()] == list(all_accelerators())


@pytest.mark.parametrize(
    ("text", "hinted"),
    [
        ("rtx4090", "RTX 4070"),
        ("A100-PCIE-40GB", "A100-80GB-PCIe"),
        ("V100-PCIE-16GB", "V100"),
        ("", "H100"),
        ("8xA100", "--gpu A100 and the number as --count 8."),
        ("8 x a100", "--gpu A100 and the number as --count 8."),
        ("2X RTX 4070", '--gpu "RTX 4070" and'),
    ],
)
def test_an_unknown_accelerator_is_answered_with_the_nearest(text: str, hinted: str) -> None:
    with pytest.raises(InputError) as caught:
        find_accelerator(text)
    assert caught.value.facts["gpu"] == text
    assert hinted in caught.value.hint


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("aws:eu-central-1", "aws:eu-central-1"),
        ("eu-central-1", "aws:eu-central-1"),
        (" EU-Central-1 ", "aws:eu-central-1"),
        ("europe-west3", "gcp:europe-west3"),
        ("westeurope", "azure:westeurope"),
        ("Europe (Frankfurt)", "aws:eu-central-1"),
    ],
)
def test_a_region_is_found_as_people_write_it(text: str, region: str) -> None:
    assert find_region(text).region == region


def test_every_region_is_found_by_its_key() -> None:
    assert [find_region(facts.region) for facts in all_regions()] == list(all_regions())


def test_a_city_with_several_regions_is_answered_with_all_of_them() -> None:
    with pytest.raises(InputError) as caught:
        find_region("Frankfurt")
    for region in ("aws:eu-central-1", "azure:germanywestcentral", "gcp:europe-west3"):
        assert region in caught.value.message


@pytest.mark.parametrize(("text", "hinted"), [("eu-centrl-1", "eu-central-1"), ("aws:us-est-1", "aws:us-east-1")])
def test_an_unknown_region_is_answered_with_the_nearest(text: str, hinted: str) -> None:
    with pytest.raises(InputError) as caught:
        find_region(text)
    assert hinted in caught.value.hint


def test_the_regions_of_a_zone() -> None:
    assert {facts.region for facts in regions_of_zone(ZoneId("DE"))} >= {"aws:eu-central-1", "gcp:europe-west3"}
    assert all(facts.zone == "DE" for facts in regions_of_zone(ZoneId("DE")))
    assert regions_of_zone(ZoneId("NA")) == ()


@pytest.mark.parametrize(
    ("text", "zone"),
    [("DE", "DE"), ("de", "DE"), ("Germany", "DE"), ("DE-LU", "DE"), ("uk", "GB"), ("United Kingdom", "GB"),
     ("na", "NA"), ("us-cal-ciso", "US-CAL-CISO")],
)  # fmt: skip
def test_a_zone_is_found_as_people_write_it(text: str, zone: str) -> None:
    assert find_zone(text) == zone


def test_every_zone_is_found_by_its_key() -> None:
    assert [find_zone(zone.lower()) for zone in all_zones()] == list(all_zones())


@pytest.mark.parametrize(
    ("text", "hinted"),
    [
        ("Germny", "Germany"),
        ("US-CAL-CIS", "US-CAL-CISO"),
        ("DEE", "DE?"),
        ("??", "DE"),
        ("Berlin", "Give a zone (DE, US-CAL-CISO) or a country"),
    ],
)
def test_an_unknown_zone_is_answered_with_the_nearest(text: str, hinted: str) -> None:
    with pytest.raises(InputError) as caught:
        find_zone(text)
    assert hinted in caught.value.hint
    assert caught.value.facts["zone"] == text


def test_the_annual_level_is_the_newest_unless_a_year_is_named() -> None:
    assert annual_g_per_kwh(ZoneId("DE"))[1] == 2025
    assert annual_g_per_kwh(ZoneId("DE"), 2022)[1] == 2022
    assert annual_g_per_kwh(ZoneId("DE"), 2022)[0] != annual_g_per_kwh(ZoneId("DE"), 2023)[0]


@pytest.mark.parametrize(("zone", "year", "said"), [("DE", 1999, "2021"), ("XX-NOWHERE", None, "")])
def test_an_annual_level_that_does_not_exist_is_an_input_error(zone: str, year: int | None, said: str) -> None:
    with pytest.raises(InputError) as caught:
        annual_g_per_kwh(ZoneId(zone), year)
    assert said in caught.value.hint


@pytest.mark.parametrize(
    ("region", "group", "inside"),
    [
        ("aws:eu-central-1", "EU", True),
        ("aws:eu-central-1", "eea", True),
        ("aws:eu-west-2", "EU", False),
        ("aws:eu-west-2", "UK", True),
        ("azure:norwayeast", "EU", False),
        ("azure:norwayeast", "EEA", True),
        ("aws:eu-central-2", "EEA", False),
        ("aws:us-east-1", "US", True),
        ("aws:ca-central-1", "US", False),
        ("aws:ap-south-1", "IN", True),
    ],
)
def test_residency(region: str, group: str, inside: bool) -> None:
    assert in_residency(find_region(region), group) is inside


def test_an_unknown_residency_is_an_input_error() -> None:
    with pytest.raises(InputError, match="'Atlantis' is not a residency"):
        in_residency(all_regions()[0], "Atlantis")


def test_a_pue_says_how_it_was_come_by() -> None:
    published = next(region for region in all_regions() if region.pue is not None)
    unpublished = next(region for region in all_regions() if region.pue is None)
    assert pue_of(published.region).pue == published.pue
    assert pue_of(published.region).year == published.pue_year
    derived = pue_of(unpublished.region)
    assert "median" in derived.basis
    assert derived.year is None
    known = sorted(r.pue for r in all_regions() if r.provider == unpublished.provider and r.pue is not None)
    assert known[0] < derived.pue < known[-1]
    assert pue_of(LOCAL).pue == 1
    assert all(pue_of(region.region).pue >= 1 for region in all_regions())


def test_the_pue_of_an_unknown_region_is_an_input_error() -> None:
    with pytest.raises(InputError) as caught:
        pue_of(RegionId("aws:eu-centrl-1"))
    assert "aws:eu-central-1" in caught.value.hint

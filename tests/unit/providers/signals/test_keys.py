"""Keys of sources: which name counts, and that none is shown."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from lowtide.settings import SECRETS, Settings
from lowtide_core.errors import InputError
from lowtide_providers.signals.keys import IN_KEY_RING, KEY_NAMES, find_keys, keys_of, to_key_ring


@pytest.mark.parametrize("key", KEY_NAMES, ids=lambda key: key.setting)
def test_each_name_of_the_environment_is_recognised_and_the_canonical_one_goes_first(key: object) -> None:
    (name,) = [known for known in KEY_NAMES if known is key]
    for alias in name.environ:
        found = find_keys({}, {alias: "invented"})
        assert found[name.setting].value == "invented"
        assert found[name.setting].where == alias
    every = find_keys({}, {alias: f"of {alias}" for alias in name.environ})
    assert every[name.setting].where == name.environ[0]


def test_what_lowtide_was_told_goes_before_names_that_other_tools_share() -> None:
    found = find_keys({"eia_key": "ours"}, {"EIA_API_KEY": "theirs"})
    assert found["eia_key"].value == "ours"
    assert found["eia_key"].where == "settings"


def test_an_empty_name_is_as_good_as_none() -> None:
    assert find_keys({"eia_key": ""}, {"EIA_API_KEY": ""}) == {}
    canonical, second, *_ = KEY_NAMES[0].environ
    assert find_keys({}, {canonical: "", second: "x"})[KEY_NAMES[0].setting].where == second


def test_no_key_is_shown() -> None:
    found = find_keys({}, {"WATTTIME_PASSWORD": "s3cret"})
    assert "s3cret" not in repr(found)
    assert set(SECRETS) == {key.setting for key in KEY_NAMES if key.secret} | {"ray_token"}


def test_a_source_names_what_it_needs() -> None:
    assert keys_of("watttime") == ("watttime_user", "watttime_password")
    assert keys_of("gb-neso") == ()


def test_each_key_is_a_setting() -> None:
    assert set(Settings().keys) == {key.setting for key in KEY_NAMES}


class _Ring:
    """The part of the package ``keyring`` that is used, with a memory of its own."""

    class KeyringError(Exception):
        pass

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, name: str) -> str | None:
        if self.locked:
            raise self.KeyringError
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        if self.locked:
            raise self.KeyringError
        self.kept[service, name] = value


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> _Ring:
    found = _Ring()
    module, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    module.get_password, module.set_password, module.errors = found.get_password, found.set_password, errors
    errors.KeyringError = _Ring.KeyringError
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return found


def test_a_key_of_the_key_ring_is_found_there(ring: _Ring) -> None:
    to_key_ring("eia_key", "s3cret")
    assert ring.kept == {("lowtide", "eia_key"): "s3cret"}
    found = find_keys({"eia_key": IN_KEY_RING}, {"EIA_API_KEY": "other"})["eia_key"]
    assert (found.value, found.where) == ("s3cret", "key ring")


def test_a_key_ring_without_it_or_locked_is_said_and_not_passed_over(ring: _Ring) -> None:
    with pytest.raises(InputError, match="has no eia_key"):
        find_keys({"eia_key": IN_KEY_RING}, {"EIA_API_KEY": "other"})
    ring.locked = True
    with pytest.raises(InputError, match="did not answer"):
        find_keys({"eia_key": IN_KEY_RING}, {})


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(InputError, match="missing") as caught:
        find_keys({"eia_key": IN_KEY_RING}, {})
    assert "pip install keyring" in caught.value.hint

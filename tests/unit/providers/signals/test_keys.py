"""Keys of sources: which name counts, and that none is shown."""

from __future__ import annotations

import pytest

from lowtide.settings import SECRETS, Settings
from lowtide_providers.signals.keys import KEY_NAMES, SECRET_SETTINGS, find_keys


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
    assert set(SECRETS) == SECRET_SETTINGS


def test_each_key_is_a_setting() -> None:
    assert set(Settings().keys) == {key.setting for key in KEY_NAMES}

"""Settings: the order of the layers, and every way in which a configuration file can be wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from lowtide.settings import Settings, load_settings, paths, remove_setting, write_setting
from lowtide_core.errors import InputError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "LOWTIDE_CONFIG": str(tmp_path / "config.toml")}


def test_no_file_is_no_setting(environ: dict[str, str]) -> None:
    assert load_settings(environ) == Settings()
    assert load_settings(environ).home == "", "home is never guessed"


def test_the_environment_wins_over_the_file(environ: dict[str, str]) -> None:
    write_setting(environ, "home", "DE")
    write_setting(environ, "home_gpus", "A100, H100")
    assert load_settings(environ).home_gpus == ("A100", "H100")
    assert load_settings(environ).home == "DE"
    assert load_settings({**environ, "LOWTIDE_HOME": "GB"}).home == "GB"


def test_setting_one_key_keeps_the_others(environ: dict[str, str]) -> None:
    write_setting(environ, "offline", "yes")
    write_setting(environ, "http_timeout_s", "2s")
    settings = load_settings(environ)
    assert (settings.offline, settings.http_timeout_s) == (True, 2.0)


def test_the_file_is_for_its_owner_alone(environ: dict[str, str]) -> None:
    kept_in = write_setting(environ, "electricitymaps_token", "invented")
    assert kept_in.stat().st_mode & 0o077 == 0


def test_an_unknown_key_names_the_nearest(environ: dict[str, str]) -> None:
    Path(environ["LOWTIDE_CONFIG"]).write_text('hom = "DE"\n')
    with pytest.raises(InputError, match="'hom' is not a setting") as caught:
        load_settings(environ)
    assert "home" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("home = [", "not TOML"),
        ("home = 3", "home = 3 is not usable"),
        ('home_pue = "0.5"', "between 1 and 5"),
        ('home_pue = "much"', "a PUE is a number"),
        ("home_pue = 1" + "0" * 400, "a PUE is a number"),
        ("http_timeout_s = inf", "at most a day"),
        ("http_timeout_s = nan", "positive"),
        ("http_timeout_s = true", "not a duration"),
        ('offline = "perhaps"', "true or false"),
        ('http_timeout_s = "soon"', "not a duration"),
        ("http_timeout_s = 0", "positive"),
        ("signals = [1]", "must be a text"),
        ("home_jobs = 0", "whole number of jobs"),
        ("home_jobs = 1.5", "whole number of jobs"),
        ('home_power = "lots"', "home_power"),
        ("home_power = -1", "positive power"),
        ("home_power = nan", "positive power"),
    ],
)
def test_a_wrong_file_is_told_with_its_name(environ: dict[str, str], text: str, said: str) -> None:
    Path(environ["LOWTIDE_CONFIG"]).write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load_settings(environ)
    assert "config.toml" in caught.value.message


def test_a_file_that_is_not_text_or_cannot_be_read(environ: dict[str, str]) -> None:
    Path(environ["LOWTIDE_CONFIG"]).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        load_settings(environ)
    with pytest.raises(InputError, match="cannot be read"):
        load_settings({**environ, "LOWTIDE_CONFIG": environ["HOME"]})


@pytest.mark.parametrize(
    ("key", "text"), [("home_pue", "much"), ("offline", "perhaps"), ("http_timeout_s", "soon"), ("hme", "DE")]
)
def test_a_refused_setting_speaks_to_the_person_who_typed_it(environ: dict[str, str], key: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        write_setting(environ, key, text)
    assert caught.value.message.startswith(key) or caught.value.message.startswith(repr(key))
    assert "float" not in caught.value.message


def test_a_setting_can_be_removed_even_a_misspelt_one(environ: dict[str, str]) -> None:
    Path(environ["LOWTIDE_CONFIG"]).write_text('homee = "DE"\noffline = true\n')
    assert remove_setting(environ, "homee")
    assert load_settings(environ) == Settings(offline=True)
    assert not remove_setting(environ, "home")
    with pytest.raises(InputError, match="'homee' is not a setting"):
        remove_setting(environ, "homee")


def test_a_token_is_in_no_message_and_no_repr(environ: dict[str, str]) -> None:
    Path(environ["LOWTIDE_CONFIG"]).write_text("electricitymaps_token = 12345678\n")
    with pytest.raises(InputError) as caught:
        load_settings(environ)
    assert "12345678" not in str(caught.value)
    assert "secret" not in repr(Settings(electricitymaps_token="secret"))


def test_a_folder_that_cannot_be_made(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_setting({**environ, "LOWTIDE_CONFIG": str(tmp_path / "file" / "config.toml")}, "home", "DE")


def test_paths_follow_xdg_and_can_be_moved(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert paths(home).database == tmp_path / ".local/state/lowtide/lowtide.db"
    assert paths({**home, "XDG_STATE_HOME": "/s"}).spool == Path("/s/lowtide/spool")
    assert paths({**home, "LOWTIDE_STATE": "/x", "LOWTIDE_SPOOL": "/y"}).local_engine == Path("/x/engine-local")
    assert paths({**home, "LOWTIDE_STATE": "/x", "LOWTIDE_SPOOL": "/y"}).spool == Path("/y")


def test_every_setting_can_be_given_in_the_environment(environ: dict[str, str]) -> None:
    samples = {"home": "DE", "home_gpus": "A100", "home_pue": "1.2", "home_jobs": "2",
               "home_power": "2kW", "slurm_slack": "24h", "database": "/d", "signals": "static", "record": "DE,FR",
               "offline": "1", "http_timeout_s": "3s", "electricitymaps_token": "t",
               "watttime_user": "u", "watttime_password": "p",
               "eia_key": "e", "entsoe_token": "n", "openelectricity_key": "o",
               "carbon_aware_sdk_url": "http://localhost:5073",
               "kubernetes_contexts": "aws:eu-central-1=prod", "kubernetes_namespace": "n",
               "ray_address": "http://head:8265", "ray_token": "r"}  # fmt: skip
    assert set(samples) == {item.name for item in fields(Settings)}
    loaded = load_settings({**environ, **{f"LOWTIDE_{key.upper()}": value for key, value in samples.items()}})
    assert all(getattr(loaded, key) != getattr(Settings(), key) for key in samples)

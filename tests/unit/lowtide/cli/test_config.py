"""``lowtide config``: set, unset, and what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lowtide.cli.app import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("LOWTIDE_CONFIG", str(path))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["config", *arguments]) == 0
    return capsys.readouterr().out


def test_without_a_verb_the_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "set", "home", "DE")
    assert printed(capsys) == printed(capsys, "list")
    assert "home = DE" in printed(capsys)


def test_a_token_is_set_and_cleared_without_being_shown(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "set", "electricitymaps_token", "invented")
    assert ("(set)" in said, "invented" in said) == (True, False)
    assert "(cleared)" in printed(capsys, "set", "electricitymaps_token", "")
    assert printed(capsys, "get", "electricitymaps_token").strip() == ""


def test_a_setting_is_forgotten(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    printed(capsys, "set", "home", "DE")
    printed(capsys, "set", "offline", "yes")
    assert f"home is no longer set in {config_file}" in printed(capsys, "unset", "home")
    assert config_file.read_text() == "offline = true\n"
    assert "home was not set" in printed(capsys, "unset", "home")


def test_a_misspelt_key_in_the_file_can_be_forgotten(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    config_file.write_text('homee = "DE"\n')
    assert run(["config", "list"]) == 2
    capsys.readouterr()
    printed(capsys, "unset", "homee")
    assert "home = " in printed(capsys, "list")


@pytest.mark.parametrize(
    "arguments", [("set", "home_pue", "much"), ("set", "hme", "DE"), ("set", "offline", "maybe"), ("unset", "hme")]
)
def test_a_refusal_names_the_command_once(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert run(["config", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("lowtide config") <= 1
    assert "could not convert" not in said

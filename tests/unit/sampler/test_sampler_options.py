"""The command line of ``run``."""

from __future__ import annotations

import pytest

from lowtide_sampler.options import USAGE, UsageError, parse_run


def test_the_command_begins_after_the_dashes_or_at_the_first_word() -> None:
    assert parse_run(["--", "--json", "x"]).argv == ("--json", "x")
    assert parse_run(["--quiet", "ls", "--json", "x"]).argv == ("ls", "--json", "x")
    assert parse_run(["ls", "--", "a"]).argv == ("ls", "--", "a")


def test_every_option_has_its_place() -> None:
    options = parse_run(
        ["--json=r.json", "--journal", "d", "--interval", "500ms", "--attribution", "node", "--run-id", "a-1", "--plan",
         "p", "--tag", "k=v=w", "--tag", "x=", "--exit-file", "e", "--child-file", "c", "--sysroot", "s", "true"]
    )  # fmt: skip
    assert options == (
        ("true",),
        "r.json",
        "d",
        0.5,
        "node",
        "a-1",
        "p",
        (("k", "v=w"), ("x", "")),
        "e",
        "c",
        "s",
        False,
    )


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "no command"),
        (["--"], "no command"),
        (["--jsn", "x", "true"], "--jsn"),
        (["--json"], "--json"),
        (["--interval", "5", "true"], "'5'"),
        (["--interval", "1ms", "true"], "50ms"),
        (["--attribution", "all", "true"], "marginal"),
        (["--run-id", "../x", "true"], "../x"),
        (["--run-id", "", "true"], "run-id"),
        (["--tag", "k", "true"], "KEY=VALUE"),
    ],
)
def test_a_wrong_option_is_named(argv: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named.replace("(", r"\(")):
        parse_run(argv)


def test_help_fits_a_screen() -> None:
    assert parse_run(["--help", "whatever"]) is None
    lines = USAGE.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100

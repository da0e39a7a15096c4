"""The command line of ``run``."""

from __future__ import annotations

import re

import pytest

from lowtide_sampler.options import (
    ATTACH_USAGE,
    USAGE,
    Begun,
    RunOptions,
    UsageError,
    parse_attach,
    parse_run,
)


def test_the_command_begins_after_the_dashes_or_at_the_first_word() -> None:
    assert parse_run(["--", "--json", "x"]).argv == ("--json", "x")
    assert parse_run(["--quiet", "ls", "--json", "x"]).argv == ("ls", "--json", "x")
    assert parse_run(["ls", "--", "a"]).argv == ("ls", "--", "a")


def test_every_option_has_its_place() -> None:
    options = parse_run(
        ["--json=r.json", "--journal", "d", "--interval", "500ms", "--attribution", "node", "--run-id", "a-1", "--plan",
         "p", "--tag", "k=v=w", "--tag", "x=", "--exit-file", "e", "--child-file", "c", "--sysroot", "s", "--scope",
         "node", "--pue", "1.3", "--live", "--intensity", "120", "--duration", "2h", "true"]
    )  # fmt: skip
    assert options == RunOptions(
        argv=("true",),
        json_file="r.json",
        journal_dir="d",
        interval_s=0.5,
        attribution="node",
        run_id="a-1",
        plan_id="p",
        tags=(("k", "v=w"), ("x", "")),
        exit_file="e",
        child_file="c",
        sysroot="s",
        scope="node",
        pue=1.3,
        live=True,
        intensity_g_per_kwh=120.0,
        expected_s=7200.0,
    )


def test_attach_takes_a_process_before_or_behind_its_options_or_a_group() -> None:
    assert parse_attach(["12", "--quiet"]) == RunOptions(pid=12, quiet=True)
    assert parse_attach(["--interval", "1s", "12"]) == RunOptions(pid=12, interval_s=1.0)
    assert parse_attach(["--cgroup", "a/b"]) == RunOptions(cgroup="a/b")
    assert parse_attach(["--marks-fd", "3", "--begun", "1.5,2.5,0.25", "7"]) == RunOptions(
        pid=7, marks_fd=3, begun=Begun(1.5, 2.5, 0.25)
    )
    assert parse_attach(["--help"]) is None


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "one process"),
        (["12", "13"], "one process"),
        (["--cgroup", "a", "12"], "one process"),
        (["x"], "one process"),
        (["0"], "one process"),
        (["\u00b2"], "one process"),
        (["--exit-file", "e", "12"], "--exit-file"),
        (["--begun", "1,2", "12"], "--begun"),
        (["--marks-fd", "x", "12"], "--marks-fd"),
        (["--marks-fd", "3"], "one process"),
    ],
)
def test_what_attach_does_not_take_is_named(argv: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=re.escape(named)):
        parse_attach(argv)


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


@pytest.mark.parametrize("usage", [USAGE, ATTACH_USAGE])
def test_help_fits_a_screen(usage: str) -> None:
    assert parse_run(["--help", "whatever"]) is None
    lines = usage.splitlines()
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 100

"""Turns: how long each request waits, what all processes of a machine share, and what works without sharing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import responses

from lowtide_core.errors import Unavailable
from lowtide_providers import locks
from lowtide_providers.http import Http, Question
from lowtide_providers.limits import BUDGETS, Budget, Limits, limits_of
from lowtide_providers.signals.registry import SignalSettings

if TYPE_CHECKING:
    from pathlib import Path

SPACED = "https://spaced.example/a"
COUNTED = "https://counted.example/a"
QUIET = "https://quiet.example/a"
BUDGETS_HERE = {
    "spaced.example": Budget(spacing_s=2.0),
    "counted.example": Budget(most=3, window_s=60.0),
    "counted.example/login": Budget(most=1, window_s=60.0),
    "quiet.example": Budget(most=1, window_s=3600.0, background=True),
}


@dataclass
class Clock:
    at_s: float = 1_000_000.0
    slept_s: list[float] = field(default_factory=list)

    def now_s(self) -> float:
        return self.at_s

    def sleep(self, wait_s: float) -> None:
        self.slept_s.append(wait_s)
        self.at_s += wait_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["shared", "alone"])
def limits(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Limits:
    folder = tmp_path / "limits" if request.param == "shared" else None
    return Limits(folder, budgets=BUDGETS_HERE, now_s=clock.now_s)


def test_requests_keep_their_distance(limits: Limits, clock: Clock) -> None:
    assert [limits.take_turn(SPACED, longest_s=10) for _ in range(3)] == [0.0, 2.0, 4.0]
    clock.at_s += 5.0
    assert limits.take_turn(SPACED, longest_s=10) == 1.0


def test_no_window_holds_more_than_its_number(limits: Limits, clock: Clock) -> None:
    assert [limits.take_turn(COUNTED, longest_s=100) for _ in range(3)] == [0.0, 0.0, 0.0]
    clock.at_s += 20.0
    assert limits.take_turn(COUNTED, longest_s=100) == 40.0
    clock.at_s += 41.0
    assert [limits.take_turn(COUNTED, longest_s=100) for _ in range(3)] == [0.0, 0.0, 59.0]


def test_too_long_a_wait_is_told_and_takes_no_turn(limits: Limits, clock: Clock) -> None:
    for _ in range(3):
        limits.take_turn(COUNTED, longest_s=10)
    assert [limits.take_turn(COUNTED, longest_s=10) for _ in range(3)] == [60.0] * 3
    clock.at_s += 60.0
    assert [limits.take_turn(COUNTED, longest_s=10) for _ in range(3)] == [0.0] * 3


def test_a_request_counts_for_its_path_and_for_its_host(limits: Limits) -> None:
    login = "https://counted.example/login"
    assert limits.take_turn(login, longest_s=0) == 0.0
    assert limits.take_turn(login, longest_s=0) == 60.0
    assert limits.take_turn("https://counted.example/loginless", longest_s=0) == 0.0
    assert limits.take_turn(COUNTED, longest_s=0) == 0.0
    assert limits.take_turn(COUNTED, longest_s=0) == 60.0


def test_a_host_without_a_limit_is_asked_at_once(limits: Limits) -> None:
    assert [limits.take_turn("https://free.example/", longest_s=0) for _ in range(5)] == [0.0] * 5
    assert limits.take_turn("https://user:word@SPACED.example/", longest_s=9) == 0.0
    assert limits.take_turn(SPACED, longest_s=9) == 2.0


def test_a_supposed_limit_makes_nobody_wait_and_holds_the_recorder_back(tmp_path: Path, clock: Clock) -> None:
    asking = Limits(tmp_path, budgets=BUDGETS_HERE, now_s=clock.now_s)
    recording = Limits(tmp_path, background=True, budgets=BUDGETS_HERE, now_s=clock.now_s)
    assert [asking.take_turn(QUIET, longest_s=0) for _ in range(2)] == [0.0, 0.0]
    assert recording.take_turn(QUIET, longest_s=0) == 3600.0, "what was asked in the foreground was not counted"


def test_who_is_told_to_wait_lets_the_others_wait_too(limits: Limits, clock: Clock) -> None:
    limits.hold(SPACED, 90.0)
    limits.hold(SPACED, 5.0)  # a shorter one ends no longer one
    assert limits.take_turn(SPACED, longest_s=10) == 90.0
    assert limits.take_turn(COUNTED, longest_s=10) == 0.0
    clock.at_s += 90.0
    assert limits.take_turn(SPACED, longest_s=10) == 0.0


def test_nobody_is_held_for_longer_than_a_day(limits: Limits) -> None:
    limits.hold(SPACED, 1e12)
    assert limits.take_turn(SPACED, longest_s=10) == 86400.0


def test_a_clock_that_was_set_back_holds_nobody(limits: Limits, clock: Clock) -> None:
    limits.take_turn(SPACED, longest_s=10)
    limits.hold(SPACED, 60.0)
    clock.at_s -= 5 * 86400.0
    assert limits.take_turn(SPACED, longest_s=10) == 0.0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"spaced.example": "x", "not_before_s": "y"}', '{"spaced.example": [null, "1"]}', "\x00\x00"],
)
def test_a_damaged_file_begins_anew(tmp_path: Path, clock: Clock, content: str) -> None:
    (tmp_path / "spaced.example.json").write_text(content)
    limits = Limits(tmp_path, budgets=BUDGETS_HERE, now_s=clock.now_s)
    assert [limits.take_turn(SPACED, longest_s=10) for _ in range(2)] == [0.0, 2.0]


def test_a_file_stays_small(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(tmp_path, budgets=BUDGETS_HERE, now_s=clock.now_s)
    for _ in range(100):
        clock.sleep(limits.take_turn(COUNTED, longest_s=100))
        clock.sleep(limits.take_turn(SPACED, longest_s=100))
    kept = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert max(len(turns) for state in kept for turns in state.values()) <= 3


def test_without_a_folder_it_counts_in_its_own_process(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("in the way")
    limits = Limits(tmp_path / "file", budgets=BUDGETS_HERE, now_s=clock.now_s)
    assert [limits.take_turn(SPACED, longest_s=10) for _ in range(2)] == [0.0, 2.0]


def test_without_fcntl_it_counts_in_its_own_process(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    limits = Limits(tmp_path, budgets=BUDGETS_HERE, now_s=clock.now_s)
    assert [limits.take_turn(SPACED, longest_s=10) for _ in range(2)] == [0.0, 2.0]


def test_where_nothing_can_be_written_it_counts_in_its_own_process(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path) -> object:
        path.touch()
        return path.open("rb", buffering=0)

    monkeypatch.setattr(locks, "_opened", read_only)
    limits = Limits(tmp_path, budgets=BUDGETS_HERE, now_s=clock.now_s)
    assert [limits.take_turn(SPACED, longest_s=10) for _ in range(2)] == [0.0, 2.0]


_TAKE = """
import json, sys
from pathlib import Path
from lowtide_providers.limits import Budget, Limits
limits = Limits(Path(sys.argv[1]), budgets={"spaced.example": Budget(spacing_s=2.0)}, now_s=lambda: 1_000_000.0)
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([limits.take_turn("https://spaced.example/a", longest_s=500.0) for _ in range(40)]))
"""


def test_two_processes_share_their_turns(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _TAKE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [one.stdout.readline() for one in both if one.stdout] == ["ready\n"] * 2
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    waits = [wait_s for one in both for wait_s in json.loads(one.communicate(timeout=60)[0])]
    assert sorted(waits) == [2.0 * turn for turn in range(80)], "two processes took the same turn, or one was lost"


def test_threads_share_their_turns(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(tmp_path, budgets=BUDGETS_HERE, now_s=clock.now_s)
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.append(limits.take_turn(SPACED, longest_s=100))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [2.0 * turn for turn in range(8)]


def test_a_lock_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    slept: list[float] = []
    with locks.locked(tmp_path / "lock", patience_s=0.0) as first:
        assert first is not None
        with locks.locked(tmp_path / "lock", patience_s=1.0, sleep=slept.append) as second:
            assert second is None
    assert sum(slept) == pytest.approx(1.0, abs=0.05)
    with locks.locked(tmp_path / "lock", patience_s=0.0) as third:
        assert third is not None


def _http(limits: Limits, clock: Clock, **more: int) -> Http:
    return Http(timeout_s=5.0, limits=limits, sleep=clock.sleep, **more)


def _ask(http: Http, url: str) -> object:
    return http.get_json(Question(url, provider="invented", operation="x"))


@responses.activate
def test_a_short_wait_is_sat_out(limits: Limits, clock: Clock) -> None:
    responses.get(SPACED, json=1)
    for _ in range(3):
        assert _ask(_http(limits, clock), SPACED) == 1
    assert clock.slept_s == [2.0, 2.0]


@responses.activate
def test_a_long_wait_is_an_error_that_says_how_long(limits: Limits, clock: Clock) -> None:
    responses.get(COUNTED, json=1)
    for _ in range(3):
        _ask(_http(limits, clock), COUNTED)
    with pytest.raises(Unavailable) as caught:
        _ask(_http(limits, clock), COUNTED)
    assert caught.value.retry_after_s == 60.0
    assert "another 60 s" in caught.value.message
    assert (clock.slept_s, len(responses.calls)) == ([], 3)


@responses.activate
def test_every_try_takes_a_turn(limits: Limits, clock: Clock) -> None:
    responses.get(COUNTED, status=500)
    with pytest.raises(Unavailable) as caught:
        _ask(_http(limits, clock, retries=5), COUNTED)
    assert len(responses.calls) == 3
    assert "limit of requests" in caught.value.message


@responses.activate
def test_after_a_429_nobody_asks_before_the_time_that_it_told(limits: Limits, clock: Clock) -> None:
    responses.get(SPACED, status=429, headers={"Retry-After": "900"})
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            _ask(_http(limits, clock), SPACED)
        assert caught.value.retry_after_s == 900.0
    assert len(responses.calls) == 1


def test_offline_takes_no_turn(limits: Limits, clock: Clock) -> None:
    with pytest.raises(Unavailable):
        _ask(Http(offline=True, limits=limits), SPACED)
    assert limits.take_turn(SPACED, longest_s=10) == 0.0


def test_sources_of_one_cache_folder_share_their_limits(tmp_path: Path) -> None:
    settings = SignalSettings(cache_dir=tmp_path)
    assert settings.http.limits is settings.http.limits is limits_of(tmp_path / "limits", False)
    assert settings.http.limits is not None
    assert not settings.http.limits.background
    recording = SignalSettings(background=True).http.limits
    assert recording is not None
    assert (recording.folder, recording.background) == (None, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BUDGETS)
def test_every_built_in_budget_limits_something(name: str) -> None:
    budget = BUDGETS[name]
    assert budget.spacing_s > 0 or (budget.most > 0 and budget.window_s > 0)
    assert name == name.lower()
    assert "://" not in name

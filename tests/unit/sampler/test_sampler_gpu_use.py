"""Who used a shared device, from looks at it: no driver, a clock moved by hand."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from lowtide_sampler.gpu_use import Look, Sample, UseTally, process_exists
from lowtide_sampler.meters import DeviceUse

OURS, THEIRS, ELSEWHERE = 11, 12, 900_000
LIVING = frozenset({OURS, THEIRS, 13, 14})


class Watched:
    """A tally on a clock of its own; ``for_s`` looks at uneven times and returns what was added."""

    def __init__(self, *, is_named: bool = False) -> None:
        self.now_s = 0.0
        self.living = set(LIVING)
        self.tally = UseTally(lambda: self.now_s, is_named=is_named, exists=lambda pid: pid in self.living)
        self._random = random.Random(7)

    def look(self, look: Look, own: frozenset[int] = frozenset({OURS})) -> DeviceUse:
        self.tally.add(look, own)
        return self.tally.use

    def for_s(
        self, seconds: float, make: Callable[[float], Look], own: frozenset[int] = frozenset({OURS})
    ) -> DeviceUse:
        end_s = self.now_s + seconds
        before = self.look(make(self.now_s), own)
        while self.now_s < end_s:
            self.now_s = min(self.now_s + 0.5 * self._random.uniform(0.5, 1.5), end_s)
            after = self.look(make(self.now_s), own)
        return DeviceUse(*(late - early for late, early in zip(after, before, strict=True)))


def looks(*users: int, samples: dict[int, float] | None = None, busy: float | None = 1.0) -> Callable[[float], Look]:
    work = None if samples is None else tuple(Sample(pid, share) for pid, share in samples.items())
    return lambda _: Look(users, work, busy)


def test_work_goes_by_the_samples_and_time_by_heads() -> None:
    use = Watched().for_s(60.0, looks(OURS, THEIRS, samples={OURS: 0.25, THEIRS: 0.75}))
    assert use.own_s / use.all_s == pytest.approx(0.25)
    assert use.all_s == pytest.approx(60.0)
    assert use.equal_s == pytest.approx(30.0)
    assert use.blind_s == 0.0


def test_samples_are_averaged_not_their_maximum() -> None:
    work = (Sample(OURS, 1.0), Sample(OURS, 0.0), Sample(OURS, 0.0), Sample(OURS, 0.0), *(Sample(THEIRS, 0.25),) * 4)
    use = Watched().for_s(10.0, lambda _: Look((OURS, THEIRS), work, 1.0))
    assert use.own_s / use.all_s == pytest.approx(0.5)


def test_who_has_no_sample_of_a_period_did_nothing_in_it() -> None:
    use = Watched().for_s(
        10.0, lambda _: Look((OURS, THEIRS), (Sample(OURS, 0.5), Sample(THEIRS, 0.5), Sample(THEIRS, 0.5)), 1.0)
    )
    assert use.own_s / use.all_s == pytest.approx(1 / 3)


def test_a_process_counts_once_however_many_contexts_it_has() -> None:
    use = Watched().for_s(10.0, looks(OURS, THEIRS, THEIRS, THEIRS, samples={OURS: 1.0}))
    assert use.equal_s == pytest.approx(5.0)


def test_a_device_with_none_but_ours_is_all_ours_whatever_the_samples_call_us() -> None:
    use = Watched().for_s(10.0, looks(OURS, 13, samples={ELSEWHERE: 0.8}, busy=0.8), frozenset({OURS, 13}))
    assert use == pytest.approx(DeviceUse(8.0, 8.0, 10.0, 0.0))


@pytest.mark.parametrize(
    "look",
    [
        looks(ELSEWHERE, ELSEWHERE + 1, samples={ELSEWHERE: 1.0}),
        looks(samples=None),
        looks(samples={ELSEWHERE: 1.0}, busy=None),
        looks(0, samples=None),
        lambda _: Look(None, None, 1.0),
        lambda _: Look(None, None, None),
    ],
    ids=["foreign pids", "empty and busy", "foreign samples", "unnamed", "no list", "mute"],
)
def test_where_nobody_can_say_the_time_is_blind_and_in_no_other_sum(look: Callable[[float], Look]) -> None:
    use = Watched().for_s(10.0, look)
    assert use == pytest.approx(DeviceUse(0.0, 0.0, 0.0, 10.0))


def test_the_list_in_another_namespace_is_replaced_by_the_samples() -> None:
    use = Watched().for_s(10.0, looks(ELSEWHERE, ELSEWHERE + 1, samples={OURS: 0.25, THEIRS: 0.75}))
    assert (use.own_s / use.all_s, use.equal_s, use.blind_s) == pytest.approx((0.25, 5.0, 0.0))


def test_the_samples_in_another_namespace_leave_the_work_to_the_heads() -> None:
    use = Watched().for_s(10.0, looks(OURS, THEIRS, 13, 14, samples={ELSEWHERE: 0.25, ELSEWHERE + 1: 0.5}, busy=0.75))
    assert (use.own_s, use.all_s, use.equal_s, use.blind_s) == pytest.approx((1.875, 7.5, 2.5, 0.0))


def test_a_user_that_the_driver_will_not_name_counts_beside_ours() -> None:
    assert Watched().for_s(10.0, looks(OURS, 0, 0, samples=None)).equal_s == pytest.approx(10 / 3)


def test_users_behind_a_server_share_by_heads() -> None:
    use = Watched().for_s(10.0, lambda _: Look((OURS, THEIRS), (Sample(13, 1.0),), 1.0, by_server=True))
    assert (use.own_s / use.all_s, use.equal_s) == pytest.approx((0.5, 5.0))


def test_an_idle_device_is_its_last_users_or_his_who_named_it() -> None:
    idle = looks(samples={}, busy=0.0)
    untouched, named = Watched(), Watched(is_named=True)
    assert untouched.for_s(10.0, idle) == DeviceUse(0.0, 0.0, 0.0, 0.0)
    assert named.for_s(10.0, idle).equal_s == pytest.approx(10.0)
    untouched.for_s(10.0, looks(OURS, samples={OURS: 1.0}))
    assert untouched.for_s(10.0, idle).equal_s == pytest.approx(10.0)
    untouched.for_s(10.0, looks(THEIRS, samples={THEIRS: 1.0}))
    untouched.for_s(1.0, idle)
    assert untouched.for_s(10.0, idle).equal_s == 0.0
    named.for_s(10.0, looks(THEIRS, samples={THEIRS: 1.0}))
    named.for_s(1.0, idle)
    assert named.for_s(10.0, idle).equal_s == pytest.approx(10.0)


def test_what_a_device_tells_of_a_process_that_just_ended_is_not_blindness() -> None:
    watched = Watched()
    watched.for_s(10.0, looks(OURS, samples={OURS: 1.0}))
    watched.living.discard(OURS)
    use = watched.for_s(1.0, looks(samples={OURS: 1.0}), frozenset())
    assert (use.equal_s, use.blind_s) == pytest.approx((1.0, 0.0))
    assert use.own_s == use.all_s


def test_a_number_that_passed_to_somebody_else_is_his() -> None:
    watched = Watched()
    watched.for_s(5.0, looks(OURS, samples={OURS: 1.0}))
    watched.for_s(1.0, looks(OURS, samples={OURS: 1.0}), frozenset())
    use = watched.for_s(5.0, looks(OURS, samples={OURS: 1.0}), frozenset())
    assert use.own_s == use.equal_s == 0.0


def test_looks_between_two_samples_add_up_to_the_same() -> None:
    def sampled_each_second() -> Callable[[float], Look]:
        seen = 0

        def look(now_s: float) -> Look:
            nonlocal seen
            fresh, seen = int(now_s) > seen, int(now_s)
            return Look((OURS, THEIRS), (Sample(OURS, 0.25), Sample(THEIRS, 0.75)) if fresh else (), 1.0)

        return look

    use = Watched().for_s(120.0, sampled_each_second())
    assert use.own_s / use.all_s == pytest.approx(0.25, abs=0.01)
    assert use.all_s == pytest.approx(120.0, rel=0.05)


def test_every_field_only_grows_and_shares_stay_within_the_time() -> None:
    chance = random.Random(3)
    watched = Watched()
    before = watched.tally.use
    for _ in range(5000):
        users = tuple(chance.choices([OURS, THEIRS, 13, ELSEWHERE, 0], k=chance.randrange(4)))
        work = tuple(
            Sample(chance.choice([OURS, THEIRS, ELSEWHERE]), chance.random()) for _ in range(chance.randrange(3))
        )
        busy = chance.choice([None, 0.0, 0.5, 1.0])
        listed = chance.choice([None, users, users, users])
        after = watched.look(Look(listed, chance.choice([None, work, work]), busy, chance.random() < 0.1))
        assert all(late >= early for late, early in zip(after, before, strict=True))
        assert after.own_s <= after.all_s + 1e-9
        assert after.equal_s + after.blind_s <= watched.now_s + 1e-9
        before = after
        watched.now_s += chance.random()


def test_a_process_exists_also_where_it_is_not_ours() -> None:
    assert process_exists(os.getpid())
    assert process_exists(1)
    assert not process_exists(0)
    assert not process_exists(2**31 - 1)
    assert not process_exists(2**40)

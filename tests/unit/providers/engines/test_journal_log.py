"""A journal goes through a log and comes back the same, or says what is missing."""

from __future__ import annotations

import random

import pytest

from lowtide_providers.engines import journal_log

KEY = "ab12.1"
LINES = b"".join(b'{"t":%d,"utc":%d.25,"uj":{"cpu":%d}}\n' % (n, 1_700_000_000 + n, n * 31_337) for n in range(4000))
NOISE = random.Random(3).randbytes(50_000)


def logged(content: bytes, step: int) -> bytes:
    """As a job prints it: in parts while it runs, with its own lines between."""
    log = b"epoch 1\n"
    for offset in range(0, len(content), step):
        log += journal_log.pieces(KEY, content[offset : offset + step], offset) + b"loss 0.3\n"
    return log + journal_log.closing(KEY, content)


@pytest.mark.parametrize("content", [LINES, LINES[:-7], NOISE, b"\n"], ids=["lines", "cut off", "noise", "one byte"])
@pytest.mark.parametrize("step", [1 << 20, 40_000, 999])
def test_it_comes_back_the_same(content: bytes, step: int) -> None:
    assert journal_log.unpack(logged(content, step), KEY) == journal_log.Carried(content, True, "")


def test_what_the_job_printed_stays() -> None:
    assert journal_log.without(logged(LINES, 40_000)) == b"epoch 1\n" + b"loss 0.3\n" * 6
    assert journal_log.without(b"half a line" + journal_log.closing(KEY, LINES)) == b"half a line"


def test_lines_are_short_enough_for_container_runtimes() -> None:
    assert max(map(len, logged(LINES, 1 << 20).splitlines())) < 16 << 10


def test_the_order_of_lines_and_their_number_do_not_matter() -> None:
    lines = logged(LINES, 9000).splitlines(keepends=True) * 2
    random.Random(5).shuffle(lines)
    assert journal_log.unpack(b"".join(lines).replace(b"\n", b"\r\n"), KEY).content == LINES


def test_a_job_that_was_killed_leaves_what_had_been_printed() -> None:
    log = logged(LINES, 40_000)
    carried = journal_log.unpack(log[: log.index(b" end ") - 40_000], KEY)
    assert LINES.startswith(carried.content)
    assert len(carried.content) > 16 << 10
    assert (carried.is_whole, carried.why) == (False, "the log ends before it does")


def test_a_missing_or_damaged_piece_ends_what_counts() -> None:
    lines = logged(LINES, 1 << 20).splitlines(keepends=True)
    without_third = b"".join(lines[:3] + lines[4:])
    carried = journal_log.unpack(without_third, KEY)
    assert carried.content == LINES[: 2 * (16 << 10)]
    assert carried.why == f"{2 * (16 << 10)} of its {len(LINES)} bytes have come"
    damaged = lines[3][:200] + b"A" * 9 + lines[3][209:]
    carried = journal_log.unpack(b"".join([*lines[:3], damaged, *lines[4:]]), KEY)
    assert carried.content == LINES[: 2 * (16 << 10)]
    assert "1 of its" in carried.why


def test_another_key_s_lines_are_not_ours() -> None:
    assert journal_log.unpack(logged(LINES, 999), "ab12.2").why == "nothing of it is in the log"


def test_a_journal_that_never_was_says_why() -> None:
    log = b"hello\n" + journal_log.absence(KEY, "there is no\npython3 in the image")
    assert journal_log.unpack(log, KEY) == journal_log.Carried(b"", False, "there is no python3 in the image")
    assert journal_log.without(log) == b"hello\n"


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_makes_it_fail_or_lie(seed: int) -> None:
    chance = random.Random(seed)
    log = bytearray(logged(LINES, 5000))
    for _ in range(chance.randint(1, 30)):
        at = chance.randrange(len(log))
        log[at : at + chance.randint(0, 300)] = chance.randbytes(chance.randint(0, 20))
    carried = journal_log.unpack(bytes(log), KEY)
    assert LINES.startswith(carried.content)
    assert carried.is_whole == (carried.content == LINES)

"""The journal: cut off anywhere it still reads, replayed it gives the same result, recovered it is closed once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lowtide_sampler.child import identity
from lowtide_sampler.folders import spool_folder
from lowtide_sampler.journal import Journal, JournalError, encode, read_journal, recover, replay
from lowtide_sampler.meters import Source
from lowtide_sampler.result import summary

KEPT = Path(__file__).parent / "journals"
PACKAGE = Source("p", "RAPL package", "cpu", "counter", pmax_w=500.0, range_uj=10**12, error_share=0.05)


def header(**other: object) -> dict:
    return {"journal": "lowtide-journal/1", "run_id": "r", "host": os.uname().nodename, "pid": 1, "start_ticks": -1,
            "boot_id": "gone", "start_utc_s": 1.8e9, "interval_s": 5.0, "threads": 2, "allocated_share": 1.0,
            "idle_share": 0.2, "sources": [{**PACKAGE._asdict(), "flags": []}], **other}  # fmt: skip


def ticks(count: int) -> list[dict]:
    return [{"t": 5.0 * i, "utc": 1.8e9 + 5 * i, "boot": 0.0, "job": 4.0 * i, "busy": 5.0 * i, "uj": [500_000_000 * i]}
            for i in range(count)]  # fmt: skip


END = {"end": "ok", "exit_status": 3, "signal": None}


def write(folder: Path, *records: dict, name: str = "r") -> Path:
    path = folder / f"{name}.jsonl"
    path.write_bytes(b"".join(map(encode, records)))
    return path


def test_a_journal_cut_off_at_any_byte_reads_as_a_prefix(tmp_path: Path) -> None:
    whole = b"".join(map(encode, (header(), *ticks(4), END)))
    path = tmp_path / "r.jsonl"
    seen = []
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        records = read_journal(path)
        assert records.ticks == ticks(4)[: len(records.ticks)]
        assert records.header in (None, header())
        assert records.damaged_lines <= 1
        seen.append(len(records.ticks))
        if records.header is not None:
            assert replay(records)["duration_s"] == 5.0 * max(len(records.ticks) - 1, 0)
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2, 3, 4}
    assert records.end == END


def test_damage_in_the_middle_costs_that_line_alone(tmp_path: Path) -> None:
    lines = [encode(record) for record in (header(), *ticks(3), END)]
    lines[2] = b"\x00\xff{]\n"
    (tmp_path / "r.jsonl").write_bytes(b"".join(lines))
    records = read_journal(tmp_path / "r.jsonl")
    assert records.damaged_lines == 1
    assert replay(records)["attribution"]["energy_node_j"] == pytest.approx(1000.0)


def test_a_headless_or_newer_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no first line"):
        replay(read_journal(write(tmp_path, *ticks(2))))
    with pytest.raises(JournalError, match="lowtide-journal/9"):
        replay(read_journal(write(tmp_path, header(journal="lowtide-journal/9"))))


def test_fields_of_a_newer_writer_are_left_aside(tmp_path: Path) -> None:
    newer = {**PACKAGE._asdict(), "colour": "green"}
    path = write(tmp_path, header(sources=[newer], mood="good"), *ticks(2), {"note": "?"}, END)
    assert replay(read_journal(path))["attribution"]["energy_node_j"] == pytest.approx(500.0)


def test_recover_closes_what_a_dead_sampler_left_once(tmp_path: Path) -> None:
    path = write(tmp_path, header(), *ticks(3))
    path.write_bytes(path.read_bytes() + b'{"t":15.0,"ut')
    (lost,) = recover(tmp_path, now_utc_s=1.8e9 + 12)
    assert lost["end"] == "lost"
    assert lost["exit_status"] is None
    assert lost["attribution"]["energy_node_j"] == pytest.approx(1000.0)
    assert "tail_unseen" in lost["flags"]
    before = path.read_bytes()
    assert recover(tmp_path) == []
    assert path.read_bytes() == before
    assert replay(read_journal(path)) == lost
    assert read_journal(path).end["tail_s"] == pytest.approx(2.0)


def test_recover_leaves_the_ended_the_living_and_those_of_other_hosts(tmp_path: Path) -> None:
    write(tmp_path, header(), *ticks(2), END, name="ended")
    write(tmp_path, header(**identity(os.getpid())), *ticks(2), name="living")
    write(tmp_path, header(host="elsewhere"), *ticks(2), name="other")
    write(tmp_path, header(journal="lowtide-journal/9"), *ticks(2), name="newer")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.txt").write_text("x")
    held = Journal(str(tmp_path), "held")
    held.append(header(), *ticks(1))
    assert recover(tmp_path) == []
    held.close()
    assert [result["end"] for result in recover(tmp_path)] == ["lost"]
    assert recover(tmp_path / "absent") == []


def test_a_sampler_that_was_taken_for_lost_and_writes_on_was_not_lost(tmp_path: Path) -> None:
    path = write(tmp_path, header(), *ticks(1), {"end": "lost", "tail_s": 5.0}, ticks(2)[1], END)
    assert replay(read_journal(path))["end"] == "ok"
    path = write(tmp_path, header(), *ticks(1), {"end": "lost", "tail_s": 5.0}, ticks(2)[1])
    assert read_journal(path).end is None


def test_what_the_disk_refuses_is_written_when_it_takes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(str(tmp_path), "r")
    genuine = os.write
    journal.append(header())

    def full(fd: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    journal.append(ticks(1)[0])
    assert not journal.is_whole
    assert "No space left" in journal.trouble
    monkeypatch.setattr(os, "write", lambda fd, content: genuine(fd, bytes(content)[:7]))
    journal.append(ticks(2)[1])
    assert not journal.is_whole
    monkeypatch.setattr(os, "write", genuine)
    journal.append(END)
    journal.close()
    assert journal.is_whole
    assert read_journal(journal.path) == (header(), ticks(2), END, 0, ())


def test_another_runs_journal_is_never_written_into(tmp_path: Path) -> None:
    path = write(tmp_path, header(), *ticks(2), END)
    before = path.read_bytes()
    journal = Journal(str(tmp_path), "r")
    journal.append(header())
    assert not journal.is_whole
    assert path.read_bytes() == before


def test_the_spool_is_where_the_person_says_or_in_the_state_folder() -> None:
    assert spool_folder({"LOWTIDE_SPOOL": "/s"}) == "/s"
    assert spool_folder({"XDG_STATE_HOME": "/state"}) == "/state/lowtide/spool"
    assert spool_folder({}).endswith("/.local/state/lowtide/spool")


def test_a_record_is_one_line_of_json() -> None:
    line = encode(ticks(2)[1])
    assert line.count(b"\n") == 1
    assert len(line) < 150
    assert json.loads(line) == ticks(2)[1]


@pytest.mark.parametrize("version", [1, 2])
def test_a_kept_journal_of_each_version_still_reads(version: int) -> None:
    """Three counters over a few seconds, and the rest of the node modelled: the node's sum is worked out here."""
    records = read_journal(KEPT / f"version-{version}.jsonl")
    assert records.header["journal"] == f"lowtide-journal/{version}"
    first, *_, last = records.ticks
    seconds = last["t"] - first["t"]
    counted_j = sum(1e-6 * (after - before) for before, after in zip(first["uj"], last["uj"], strict=True))
    result = replay(records)
    assert result["end"] == "ok"
    assert result["attribution"]["energy_node_j"] == pytest.approx(counted_j + 70.0 * seconds, rel=1e-9)
    assert result["duration_s"] == pytest.approx(seconds)
    assert result["attribution"]["allocated_share"] == 1.0
    assert result["tags"] == {"team": "grid"}
    assert 0 < result["energy_low_j"] < result["energy_j"] < result["energy_high_j"]


WRONG = [("t", "x"), ("t", float("nan")), ("t", 1e300), ("utc", 1e19), ("utc", None), ("boot", "x"),
         ("job", float("inf")), ("busy", float("nan")), ("home", "x"), ("uj", 5), ("uj", ["x"]), ("use", 5),
         ("use", [[1.0]])]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_record_that_no_run_can_have_written_is_left_aside(key: str, value: object, tmp_path: Path) -> None:
    path = write(tmp_path, header(), *ticks(3), {**ticks(4)[-1], key: value})
    records = read_journal(path)
    assert records.damaged_lines == 1
    assert replay(records) == replay(read_journal(write(tmp_path, header(), *ticks(3), name="good")))


def test_a_line_of_brackets_alone_is_left_aside(tmp_path: Path) -> None:
    path = write(tmp_path, header(), *ticks(3))
    path.write_bytes(path.read_bytes() + b"[" * 100_000)
    assert read_journal(path).damaged_lines == 1


@pytest.mark.parametrize("other", [{"host": None}, {"threads": 0}, {"sources": None}, {"interval_s": "x"},
                                   {"start_utc_s": 1e300}, {"attribution": "zzz"}])  # fmt: skip
def test_a_journal_that_nobody_can_read_keeps_no_other_from_being_closed(other: dict, tmp_path: Path) -> None:
    path = write(tmp_path, header(**other), *ticks(3), name="a")
    before = path.read_bytes()
    write(tmp_path, header(), *ticks(3), name="b")
    assert [result["end"] for result in recover(tmp_path)] == ["lost"]
    assert path.read_bytes() == before


def test_a_damaged_first_line_is_an_error_of_the_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="damaged"):
        replay(read_journal(write(tmp_path, header(sources=[{}]), *ticks(2), END)))


def test_a_user_without_a_home_has_no_folder_called_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does where there is neither HOME nor a name
    assert spool_folder({"TMPDIR": "/scratch"}) == f"/scratch/lowtide-{os.getuid()}/spool"
    assert os.path.isabs(spool_folder({}))


@pytest.mark.parametrize(
    "key", ["run_id", "host", "boot_id", "pid", "start_ticks", "threads", "sources", "start_utc_s"]
)
def test_a_first_line_that_lacks_a_part_is_none(key: str, tmp_path: Path) -> None:
    first = {name: value for name, value in header().items() if name != key}
    assert read_journal(write(tmp_path, first, *ticks(2), END)).header is None


def test_a_run_that_ended_before_its_first_reading_has_no_energy_rather_than_none_of_it(tmp_path: Path) -> None:
    write(tmp_path, header())
    (result,) = recover(tmp_path)
    assert result["energy_j"] is None
    assert result["flags"] == ["no_reading"]
    assert summary(result) == "energy unknown: it ended before the first reading"

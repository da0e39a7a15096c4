"""The live line, on a true terminal and off it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

from lowtide_sampler.live import LiveLine

RUN = [sys.executable, "-m", "lowtide_sampler", "run", "--live"]


def result(energy_j: float | None, duration_s: float) -> dict[str, float | None]:
    return {"energy_j": energy_j, "duration_s": duration_s}


def seen_on_terminal(*argv: str, environ: dict[str, str] | None = None) -> str:
    main, side = pty.openpty()
    env = {**os.environ, "TERM": "xterm", **(environ or {})}
    with subprocess.Popen([*RUN, *argv], stderr=side, env=env) as process:
        os.close(side)
        seen = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:
                break
            if not part:
                break
            seen += part
    os.close(main)
    assert process.returncode == 3
    return seen.decode()


def test_a_terminal_sees_one_line_rewritten_and_the_end_in_its_place(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path))
    seen = seen_on_terminal("--intensity", "300", "--duration", "1h", "--", "sh", "-c", "sleep 2.5; exit 3")
    assert seen.count("\n") == 1
    states = seen.split("\r\x1b[K")
    assert len(states) >= 4
    assert re.search(
        r"lowtide: 2 s · [\d.]+ W · [\d.]+ J (modelled|\d+ % measured) · [\d.e-]+ g · [\d.]+ g expected in 59",
        seen,
    )
    assert "measured" in states[-1] or "modelled" in states[-1]


def test_no_terminal_sees_nothing_of_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path))
    got = subprocess.run([*RUN, "--", "sleep", "0.6"], capture_output=True, text=True, check=True)
    assert got.stderr.count("\r") == 0
    assert got.stderr.count("\n") == 1
    assert "\r" not in seen_on_terminal("--", "sh", "-c", "sleep 1; exit 3", environ={"TERM": "dumb"}).rstrip("\r\n")


def test_what_is_not_known_is_left_out() -> None:
    line = LiveLine(None, 1.0, None)
    assert line.line(None, 5.0) == "lowtide: 5 s · energy unknown"
    assert line.line(7200.0, 90.0) == "lowtide: 1 min 30 s · 2 Wh"


def test_what_is_modelled_is_said_to_be() -> None:
    line = LiveLine(None, None, None)
    assert line.line(7200.0, 90.0, 0.0) == "lowtide: 1 min 30 s · 2 Wh modelled"
    assert line.line(7200.0, 90.0, 0.914) == "lowtide: 1 min 30 s · 2 Wh 91 % measured"


def test_watts_are_those_of_the_last_readings_and_grams_have_the_pue() -> None:
    read, write = os.pipe()
    line = LiveLine(360.0, 1.5, 200.0, write)
    line.show(result(0.0, 0.0))
    line.show(result(1000.0, 10.0))
    line.show(result(3000.0, 20.0))
    os.close(write)
    last = os.read(read, 4096).decode().split("\r\x1b[K")[-1]
    os.close(read)
    assert last == "lowtide: 20 s · 200 W · 0.833 Wh · 0.45 g · 5.85 g expected in 3 min 00 s"

"""A3, A4, A10: what it costs to be measured, ours and codecarbon's by turns, so that a slow moment slows both.

A bar in seconds is held by the best of the rounds: a busy machine only ever adds to it. Shares are of medians.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import opponent
from sampler_table import Line, show

from fakes import powercap_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOWTIDE = str(Path(sys.executable).with_name("lowtide"))
ROUNDS = int(os.environ.get("LOWTIDE_ROUNDS", "5"))
JOB_S = float(os.environ.get("LOWTIDE_JOB_S", "10"))
STEADY_S = float(os.environ.get("LOWTIDE_STEADY_S", "20"))
_SETTLED_S = 5.0
_CHILDREN = 50
_MEBIBYTE = 1 << 20
SPIN = "x = 0\nfor i in range({count}): x += i * i\n"


class Cost(NamedTuple):
    """Of a wrapper around a command that sleeps: until it began, CPU of the wrapper alone, memory half-way."""

    before_s: float
    cpu_s: float
    pss_mebibyte: float


def wrapper(argv: list[str], job_s: float, folder: Path) -> Cost:
    """Runs one wrapper around a sleeping command."""
    window = folder / "window"
    window.unlink(missing_ok=True)
    started_s = time.monotonic()
    used_s = _children_cpu_s()
    process = subprocess.Popen([*argv, str(powercap_world.program()), "sleep", str(job_s), str(window)],
                               cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    time.sleep(0.6 * job_s)
    memory = pss_bytes(process.pid) / _MEBIBYTE
    process.wait()
    first_s = 1e-9 * int(window.read_text().split()[0])
    return Cost(first_s - started_s, _children_cpu_s() - used_s, memory)


def pss_bytes(pid: int) -> int:
    """Proportional memory of a process; the sleeping command is left aside: it is no part of the wrapper."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def on_cpu_s(pid: int) -> float:
    """CPU time of all threads of a process, to the nanosecond; s."""
    return 1e-9 * sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def costs() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _wrappers(folder)
        yield from _running(folder)
        yield from _many_children(folder)
        yield from _imports()
        yield from _slowing(folder)


def _lowtide(folder: Path, *options: str) -> list[str]:
    return [LOWTIDE, "run", "--quiet", "--journal", str(folder / "spool"), *options, "--"]


def _wrappers(folder: Path) -> Iterator[Line]:
    try:
        other = opponent.monitor_argv([])
    except opponent.Unavailable as error:
        other = []
        print(f"codecarbon is not in this table: {error}", file=sys.stderr)
    wrapper(_lowtide(folder), 0.1, folder)
    # A command's length costs the wrapper nothing before it starts: short ones tell as much of that.
    short, theirs_short = [], []
    for _ in range(ROUNDS):
        short.append(wrapper(_lowtide(folder), 0.3, folder).before_s)
        if other:
            theirs_short.append(wrapper(other, 0.3, folder).before_s)
    long = [wrapper(_lowtide(folder), JOB_S, folder) for _ in range(3)]
    theirs = wrapper(other, JOB_S, folder) if other else None
    before_s, their_before_s = statistics.median(short), statistics.median(theirs_short) if theirs_short else None
    cpu_s = statistics.median(cost.cpu_s for cost in long)
    memory = statistics.median(cost.pss_mebibyte for cost in long)
    yield Line(
        "A3", f"before the command starts, best of {ROUNDS}, s", min(short), None, 0.10, min(theirs_short, default=None)
    )
    yield Line("A3", "  the same, median", before_s, theirs=their_before_s)
    yield Line(
        "A3", "  a bare Python in the same minutes, CPU, s", min(_cpu_s([sys.executable, "-c", "pass"]) for _ in short)
    )
    best_cpu_s = min(cost.cpu_s for cost in long)
    yield Line("A3", f"CPU for a {JOB_S:g} s command, best of 3, s", best_cpu_s, None, 0.10, theirs and theirs.cpu_s)
    yield Line("A3", "memory (PSS), MiB", memory, None, 20, theirs and theirs.pss_mebibyte)
    if theirs is not None and their_before_s is not None:
        yield Line("A3", "before, share of codecarbon's", before_s / their_before_s, None, 1 / 15, 1)
        yield Line("A3", "CPU, share of codecarbon's", cpu_s / theirs.cpu_s, None, 1 / 15, 1)
        yield Line("A3", "memory, share of codecarbon's", memory / theirs.pss_mebibyte, None, 1 / 5, 1)


def _running(folder: Path) -> Iterator[Line]:
    """CPU for each second that a command runs, after the first seconds."""
    for title, options, theirs, bar_ms in (
        ("at defaults", (), {}, 0.5),
        ("at 0.1 s", ("--interval", "100ms"), {"measure_power_secs": 0.1}, 5.0),
    ):
        ours = steady_ms_per_s([*_lowtide(folder, *options), "sleep", str(STEADY_S + _SETTLED_S + 2)],
                               windows=4 if options else 1)  # fmt: skip
        try:
            ran = subprocess.run(opponent.tracker_argv(STEADY_S, **theirs), capture_output=True, text=True, check=True,
                                 cwd=folder)  # fmt: skip
            other = 1e3 * opponent.tracked(ran.stdout)["running_cpu_s"] / STEADY_S
        except (opponent.Unavailable, subprocess.CalledProcessError):
            other = None
        yield Line("A4", f"running {title}, CPU ms per s", ours, None, bar_ms, other)


def steady_ms_per_s(
    argv: list[str], settled_s: float = _SETTLED_S, steady_s: float = STEADY_S, windows: int = 1
) -> float:
    """CPU of the wrapper itself while its command runs, in the best of the windows; ms per s."""
    process = subprocess.Popen(argv)
    found = []
    try:
        time.sleep(settled_s)
        for _ in range(windows):
            first_s, used_s = time.monotonic(), on_cpu_s(process.pid)
            time.sleep(steady_s / windows)
            found.append(1e3 * (on_cpu_s(process.pid) - used_s) / (time.monotonic() - first_s))
        return min(found)
    finally:
        process.wait()


def _many_children(folder: Path) -> Iterator[Line]:
    seconds = 10
    script = f"for i in $(seq {_CHILDREN}); do sleep {seconds} & done; wait"
    argv = [*_lowtide(folder, "--interval", "100ms"), "sh", "-c", script]
    per_tick_ms = 0.1 * steady_ms_per_s(argv, settled_s=2.0, steady_s=seconds - 3.0, windows=3)
    yield Line("A4", f"a reading with {_CHILDREN} children, CPU ms", per_tick_ms, None, 3.0)


def _imports() -> Iterator[Line]:
    """Processor time of the import over that of the bare interpreter; by turns, medians."""
    modules = "import lowtide_sampler.main, lowtide_sampler.loop"
    ours = _difference_ms([sys.executable, "-c", modules], [sys.executable, "-c", "pass"])
    try:
        python = str(opponent.folder() / "python")
        theirs = _difference_ms([python, "-c", "import codecarbon"], [python, "-c", "pass"], rounds=3)
    except opponent.Unavailable:
        theirs = None
    yield Line("A10", "import of lowtide_sampler over bare Python, CPU ms", ours, None, 25, theirs)
    probe = "import sys, lowtide_sampler.main as m; m.run_main(['--quiet', '--', 'true']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-Sc", _with_path(probe)], capture_output=True, text=True, check=True)
    yield Line("A10", "third-party modules before the command", len(third_party(shown.stdout.split())), None, 0)


def _with_path(code: str) -> str:
    return f"import sys; sys.path[:0] = {[path for path in sys.path if 'scheduler' in path]!r}\n{code}"


def third_party(modules: list[str]) -> list[str]:
    """Of loaded modules, those that neither Python nor the sampler ships."""
    known = {*sys.stdlib_module_names, "lowtide_sampler", "__main__"}
    return sorted({name.partition(".")[0] for name in modules} - known)


def _difference_ms(argv: list[str], bare: list[str], rounds: int = 15) -> float:
    pairs = [(_cpu_s(argv), _cpu_s(bare)) for _ in range(rounds)]
    return 1e3 * (min(pair[0] for pair in pairs) - min(pair[1] for pair in pairs))


def _cpu_s(argv: list[str]) -> float:
    used_s = _children_cpu_s()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return _children_cpu_s() - used_s


def _slowing(folder: Path) -> Iterator[Line]:
    """The processor time of a busy command, wrapped over bare: by turns, the median of the pairs' ratios."""
    spin = "import sys, resource\n" + SPIN.format(count=6_000_000)
    spin += "usage = resource.getrusage(resource.RUSAGE_SELF)\nprint(usage.ru_utime + usage.ru_stime)"
    argv = [sys.executable, "-S", "-c", spin]
    wrapped = [*_lowtide(folder), *argv]

    def used_s(command: list[str]) -> float:
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    used_s(wrapped)
    ratios = [_in_turn(lambda: used_s(wrapped), lambda: used_s(argv), number) for number in range(4 * ROUNDS)]
    yield Line("A6", "a busy command's CPU time, wrapped / bare", statistics.median(ratios), None, 1.01)


def _in_turn(ours: Callable[[], float], bare: Callable[[], float], number: int) -> float:
    """Their ratio; which goes first alternates."""
    if number % 2:
        one = ours()
        return one / bare()
    other = bare()
    return ours() / other


def main() -> None:
    sys.exit(not show(costs()))


if __name__ == "__main__":
    main()

"""A command under ``lowtide run`` is as it is bare: its status and, byte for byte, its output, whatever is wrong."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes import powercap_world

RUN = [sys.executable, "-m", "lowtide_sampler", "run"]
STATUSES = range(256) if int(os.environ.get("LOWTIDE_EXAMPLES", "200")) >= 256 else (0, 3, 64, 100, 129, 200, 253)
# Tells what it got: its open descriptors, whether each stream can be used, what came in; ends with 6.
TELL = """
import os
said = []
if os.path.isdir("/proc/self"):
    said.append(str(sorted(os.listdir("/proc/self/fd"))))
try:
    said.append(repr(os.read(0, 100)))
except OSError as error:
    said.append(error.strerror)
for stream in (1, 2):
    try:
        os.write(stream, b"to %d" % stream)
        said.append("written")
    except OSError as error:
        said.append(error.strerror)
open(os.environ["TOLD"], "w").write(" ".join(said))
os._exit(6)
"""
needs_namespace = pytest.mark.skipif(
    bool(powercap_world.why_not()), reason=powercap_world.why_not() or "it can be made"
)


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWTIDE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_the_commands(status: int) -> None:
    ran = subprocess.run([*RUN, "--quiet", "--", "sh", "-c", f"exit {status}"], check=False, timeout=60)
    assert ran.returncode == status


def compare(
    tmp_path: Path, shell: str = '"$@"', *, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Runs the telling command bare and wrapped by the same shell words; they must not differ. Returns the wrapped."""
    both, told = [], []
    for wrapper in ([], [*RUN, "--quiet"]):
        named = {**os.environ, **(env or {}), "TOLD": str(tmp_path / "told")}
        argv = [*prefix, "sh", "-c", shell, "sh", *wrapper, sys.executable, "-Sc", TELL]
        both.append(subprocess.run(argv, input=b"in", capture_output=True, check=False, timeout=60, env=named))
        told.append((tmp_path / "told").read_text())
        (tmp_path / "told").unlink()
    bare, wrapped = both
    assert told[1] == told[0]
    assert (wrapped.returncode, wrapped.stdout, wrapped.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert wrapped.returncode == 6
    return wrapped


STREAMS = (
    "<&-",
    ">&-",
    "2>&-",
    "<&- >&-",
    ">&- 2>&-",
    "<&- >&- 2>&-",
    ">/dev/full",
    ">/dev/full 2>/dev/full",
    "</dev/null",
)


@pytest.mark.parametrize("streams", ["", *STREAMS])
def test_streams_closed_or_full_are_as_bare(streams: str, tmp_path: Path, spool: Path) -> None:
    compare(tmp_path, f'"$@" {streams}')
    (journal,) = spool.glob("*.jsonl")
    for line in journal.read_text().splitlines():  # it may have got the number of a closed stream
        json.loads(line)


def test_a_full_standard_output_takes_the_result_and_not_the_status(tmp_path: Path) -> None:
    words = " ".join(map(shlex.quote, [*RUN, "--json", "-", "--", "sh", "-c", "exit 6"]))
    ran = subprocess.run(["sh", "-c", f"{words} >/dev/full"], capture_output=True, check=False, timeout=60)
    assert ran.returncode == 6
    assert b"Traceback" not in ran.stderr


def in_namespace(*mounts: str) -> tuple[str, ...]:
    """The start of a command line that runs the rest in a namespace with these mounts."""
    return (*powercap_world._unshare(), "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh")


@needs_namespace
@pytest.mark.parametrize("hidden", ["/proc/stat", "/proc/cpuinfo", "/proc/meminfo"])
def test_a_node_that_hides_its_figures_is_no_reason_to_fail(hidden: str, tmp_path: Path) -> None:
    compare(tmp_path, prefix=in_namespace(f"mount --bind /dev/null {hidden}"))


@needs_namespace
def test_a_node_without_proc_is_no_reason_to_fail(tmp_path: Path) -> None:
    compare(tmp_path, prefix=in_namespace("mount -t tmpfs none /proc"))


@needs_namespace
def test_a_node_without_sys_is_no_reason_to_fail(tmp_path: Path) -> None:
    compare(tmp_path, prefix=in_namespace("mount -t tmpfs none /sys"))


@needs_namespace
def test_a_home_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOWTIDE_SPOOL")
    home = tmp_path / "home"
    home.mkdir()
    compare(tmp_path, env={"HOME": str(home)}, prefix=in_namespace(f"mount -t tmpfs -o ro none {home}"))


@needs_namespace
def test_a_full_disk_is_no_reason_to_fail(tmp_path: Path, spool: Path) -> None:
    spool.mkdir()
    fill = f"{{ head -c 8192 /dev/zero > {spool}/fill 2>/dev/null || true; }}"
    compare(tmp_path, prefix=in_namespace(f"mount -t tmpfs -o size=4k none {spool}", fill))


@functools.cache
def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


LIBRARIES = {
    "a text": None,
    "without functions": "int nothing_of_nvml(void) { return 0; }",
    "init fails": "int nvmlInitWithFlags(unsigned f) { return 9; } int nvmlInit_v2(void) { return 9; } "
    'const char *nvmlErrorString(int r) { return "Driver Not Loaded"; }',
    "no device can be counted": "int nvmlInitWithFlags(unsigned f) { return 0; } int nvmlInit_v2(void) { return 0; } "
    'int nvmlDeviceGetCount_v2(unsigned *n) { return 999; } const char *nvmlErrorString(int r) { return "Unknown"; }',
    "devices without a handle": "int nvmlInitWithFlags(unsigned f) { return 0; } int nvmlInit_v2(void) { return 0; } "
    "int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; } "
    "int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { return 15; } "
    'const char *nvmlErrorString(int r) { return "GPU is lost"; }',
}


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_wrong_library_in_the_drivers_place_is_no_reason_to_fail(kind: str, tmp_path: Path) -> None:
    library = tmp_path / "libnvidia-ml.so.1"
    if LIBRARIES[kind] is None:
        library.write_text("not a library\n")
    else:
        (tmp_path / "wrong.c").write_text(LIBRARIES[kind])
        subprocess.run([compiler(), "-shared", "-fPIC", "-w", "-o", library, tmp_path / "wrong.c"], check=True)
    compare(tmp_path, env={"LD_LIBRARY_PATH": str(tmp_path)})


def test_a_stopped_sampler_stops_nothing(tmp_path: Path) -> None:
    done, child_file = tmp_path / "done", tmp_path / "child"
    argv = [*RUN, "--json", str(tmp_path / "r.json"), "--child-file", str(child_file), "--interval", "100ms", "--",
            "sh", "-c", f"sleep 0.5; echo out; echo x > {done}; exit 6"]  # fmt: skip
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as wrapped:
        deadline_s = time.monotonic() + 20
        while not child_file.exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        wrapped.send_signal(signal.SIGSTOP)
        try:
            while not (done.exists() and done.read_text()):
                assert time.monotonic() < deadline_s, "the command waits for its sampler"
                time.sleep(0.01)
        finally:
            wrapped.send_signal(signal.SIGCONT)
        out, _ = wrapped.communicate(timeout=30)
    assert (wrapped.returncode, out) == (6, b"out\n")
    assert json.loads((tmp_path / "r.json").read_text())["exit_status"] == 6

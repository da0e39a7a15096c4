"""The sampler as one file: reproducible, alone, on every Python that it promises."""

from __future__ import annotations

import ast
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lowtide.sampler_file
from lowtide.sampler_file import build_sampler, sampler_file

SOURCES = sorted((Path(__file__).parents[3] / "scheduler/lowtide_sampler").glob("*.py"))
OLDEST = (3, 9)
ALONE = ["-I", "-S"]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sampler(tmp_path_factory.mktemp("single") / "lowtide-sampler.pyz").path


def alone(single: Path, home: Path, *argv: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home)}
    return subprocess.run(
        [python, *ALONE, str(single), *argv], env=environ, cwd=home, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("status", [0, 7, 125, 255])
def test_it_runs_with_nothing_around_it_and_keeps_the_status(single: Path, tmp_path: Path, status: int) -> None:
    got = alone(single, tmp_path, "run", "--json", "r.json", "--", "/bin/sh", "-c", f"exit {status}")
    assert got.returncode == status, got.stderr
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["exit_status"] == status
    assert result["energy_j"] > 0


def test_a_command_that_dies_of_a_signal_looks_as_if_run_bare(single: Path, tmp_path: Path) -> None:
    got = alone(single, tmp_path, "run", "--quiet", "--", "/bin/sh", "-c", "kill -TERM $$")
    assert got.returncode == -signal.SIGTERM


def test_every_other_command_works_too(single: Path, tmp_path: Path) -> None:
    assert "attach" in alone(single, tmp_path, "--help").stdout
    assert json.loads(alone(single, tmp_path, "sources", "--json").stdout)
    assert alone(single, tmp_path, "recover").returncode == 0


def test_track_finds_the_helper_in_the_file(single: Path, tmp_path: Path) -> None:
    script = (
        f"import sys, json, time; sys.path.insert(0, {str(single)!r})\nfrom lowtide_sampler.track import track\n"
        "with track('x') as run: time.sleep(0.3)\nprint(json.dumps(run.result))"
    )
    got = subprocess.run(
        [sys.executable, *ALONE, "-c", script], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert json.loads(got.stdout)["end"] == "ok", got.stdout


def test_two_builds_are_the_same_file_and_it_is_built_once(single: Path, tmp_path: Path) -> None:
    built = sampler_file(tmp_path)
    assert built.path.read_bytes() == single.read_bytes()
    assert built.version in built.path.name
    before = built.path.stat().st_mtime_ns
    assert sampler_file(tmp_path) == built
    assert built.path.stat().st_mtime_ns == before
    assert built.path.stat().st_mode & 0o111


def test_nvidia_s_module_comes_with_what_says_whose_it_is(single: Path) -> None:
    names = set(zipfile.ZipFile(single).namelist())
    assert {"__main__.py", "pynvml.py", "nvidia-ml-py-METADATA"} <= names
    assert {f"lowtide_sampler/{source.name}" for source in SOURCES} <= names


def test_without_nvidia_s_module_it_is_built_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise lowtide.sampler_file.PackageNotFoundError(name)

    monkeypatch.setattr(lowtide.sampler_file, "distribution", absent)
    built = build_sampler(tmp_path / "s.pyz")
    assert built.nvidia == ""
    assert alone(built.path, tmp_path, "run", "--quiet", "--", "/bin/sh", "-c", "exit 3").returncode == 3


def test_code_of_another_python_is_left_aside(single: Path, tmp_path: Path) -> None:
    """What a node with another version does: the compiled code is not its own, the sources are."""
    other = tmp_path / "other.pyz"
    with zipfile.ZipFile(single) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"\0\0\r\n" + old.read(name)[4:] if name.endswith(".pyc") else old.read(name))
    assert alone(other, tmp_path, "run", "--quiet", "--", "/bin/sh", "-c", "exit 4").returncode == 4


def interpreter(name: str) -> str:
    """An interpreter that starts: on the path, or installed beside the one that runs this; "" where there is none."""
    beside = Path(sys.base_prefix).parent.glob(f"{name.removeprefix('python')}.*/bin/{name}")
    for path in (shutil.which(name), *map(str, sorted(beside))):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return ""


@pytest.mark.parametrize("name", ["python3.9", "python3.10", "python3.12", "python3.13"])
def test_it_runs_on_other_versions(single: Path, tmp_path: Path, name: str) -> None:
    python = interpreter(name)
    if not python:
        pytest.skip(f"{name} is not installed here")
    got = alone(single, tmp_path, "run", "--json", "r.json", "--", "/bin/sh", "-c", "exit 5", python=python)
    assert got.returncode == 5, got.stderr
    assert json.loads((tmp_path / "r.json").read_text())["energy_j"] > 0


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_no_source_needs_a_newer_python(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"), feature_version=OLDEST)
    assert "from __future__ import annotations" in source.read_text(encoding="utf-8") or not has_annotations(tree)
    assert not list(newer_than_oldest(tree))


def has_annotations(tree: ast.AST) -> bool:
    return any(isinstance(node, (ast.AnnAssign, ast.FunctionDef)) for node in ast.walk(tree))


NEWER_MODULES = frozenset({"tomllib", "zoneinfo"})
NEWER_NAMES = frozenset({"pairwise", "batched", "StrEnum", "Self", "TypeAlias", "ParamSpec", "UTC", "override"})


def newer_than_oldest(tree: ast.AST) -> list[str]:
    """What a parser lets pass and Python 3.9 does not: arguments, names, ``X | Y`` between types at run time."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg for keyword in node.keywords}
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            refused = {"zip": {"strict"}, "dataclass": {"slots", "kw_only"}, "bisect_left": {"key"}}.get(name, set())
            found += [f"{name}({word}=)" for word in keywords & refused]
            if name in ("isinstance", "issubclass") and isinstance(node.args[1], ast.BinOp):
                found.append(f"{name} with |")
            if name in ("aiter", "anext"):
                found.append(name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = {getattr(node, "module", None) or "", *(alias.name for alias in node.names)}
            found += sorted(modules & (NEWER_MODULES | NEWER_NAMES))
        elif isinstance(node, ast.Match):
            found.append("match")
    return found


@pytest.mark.parametrize(
    "text",
    [
        "zip(a, b, strict=True)",
        "isinstance(a, int | str)",
        "@dataclass(slots=True)\nclass A: pass",
        "from itertools import pairwise",
        "import tomllib",
    ],
)
def test_the_check_finds_what_it_is_for(text: str) -> None:
    assert newer_than_oldest(ast.parse(text))


def test_the_parser_refuses_newer_syntax() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("match a:\n    case 1: pass\n", feature_version=OLDEST)

"""What the fast commands import, and what each package brings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lowtide.testing.engines import FakeEngine
from lowtide_core.ports import Engine, Logged, SignalSource
from lowtide_providers.engines.local import LocalEngine
from lowtide_providers.signals.registry import BUILT_IN, SignalSettings, build_source

ROOT = Path(__file__).parents[2]
SOURCES = [
    ROOT / "core/lowtide_core",
    ROOT / "regions_data/lowtide_facts",
    ROOT / "providers/lowtide_providers",
    ROOT / "scheduler/lowtide_sampler",
    ROOT / "scheduler/lowtide",
]
SLOW = ("requests", "sqlalchemy", "alembic", "apscheduler", "jinja2", "pyarrow", "rich", "pandas", "pynvml", "asyncio")
COMMANDS = [
    (["--help"], ("numpy", *SLOW)),
    (["plan", "--help"], SLOW),
    (["plan", "--duration", "4h", "--deadline", "24h", "--zone", "DE", "--signal", "climatology"], SLOW),
    (["plan", "--duration", "4h", "--deadline", "24h", "--zone", "DE", "--json"], SLOW),
    (["regions", "--gpu", "H100"], SLOW),
    (["run", "--quiet", "--", "true"], ("click", "numpy", "lowtide_core", "lowtide.settings", *SLOW)),
]


@pytest.mark.parametrize(("arguments", "forbidden"), COMMANDS, ids=lambda value: " ".join(value[:3]))
def test_the_fast_commands_import_nothing_slow(arguments: list[str], forbidden: tuple[str, ...]) -> None:
    script = (
        "import sys, json, os\n"
        f"sys.argv = ['lowtide', *{arguments!r}]\n"
        "from lowtide.entry import main\n"
        "status = main()\n"
        "sys.stdout.flush()\n"
        "print('\\nMODULES ' + json.dumps(sorted(sys.modules)))\n"
        "sys.exit(status)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    loaded = json.loads(ran.stdout.rpartition("MODULES ")[2])
    assert not [name for name in loaded if name.split(".")[0] in forbidden or name in forbidden]


def test_importing_the_library_imports_none_of_it() -> None:
    script = "import sys, lowtide; sys.exit(any(n in sys.modules for n in ('numpy', 'click', 'lowtide.api')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("folder", SOURCES, ids=lambda folder: folder.name)
def test_every_package_says_that_it_is_typed(folder: Path) -> None:
    assert (folder / "py.typed").exists()


def test_every_adapter_stands_behind_its_port(tmp_path: Path) -> None:
    for name in BUILT_IN:
        source = build_source(name, SignalSettings())
        assert isinstance(source, SignalSource)
        assert source.name == name
    engine = LocalEngine(tmp_path)
    assert isinstance(engine, Engine)
    assert isinstance(engine, Logged)
    assert isinstance(FakeEngine(), Engine)


def test_the_wheel_holds_all_that_it_needs(tmp_path: Path) -> None:
    import zipfile

    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in SOURCES:
        for file in folder.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.relative_to(folder.parent).as_posix() in names
    for needed in (
        "lowtide_facts/tables/offers.csv",
        "lowtide_facts/odbl/climatology.npy",
        "lowtide_facts/odbl/LICENSE.txt",
        "lowtide_facts/NOTICE",
        "lowtide/store/migrations/versions/0001_first.py",
        "lowtide/reports/templates/report.html.j2",
        "lowtide/examples/train.py",
    ):
        assert needed in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {folder.name for folder in SOURCES}

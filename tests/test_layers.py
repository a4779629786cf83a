"""The floors of the house: imports run down only, and Ray stays in the shells."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "platform" / "figclip"

FLOORS = [
    {"jobs", "serve_apps"},
    {"evaluation", "serving", "tuning", "client"},
    {"training", "embedding", "statistics", "exports"},
    {"models", "inputs", "corpus", "panels"},
    {"sources", "jats", "pictures"},
    {"store", "schema", "resources", "tasks", "config", "log"},
]
"""From the roof to the ground, which alone may be read among its own."""

SHELLS = {
    "tasks.py",
    "inputs/batches.py",
    "panels/pieces.py",
    "training/elastic.py",
    "training/group.py",
    "training/pretrain.py",
    "training/uploads.py",
    "training/worker.py",
    "embedding/bulk.py",
    "evaluation/spread.py",
    "evaluation/vqa/workers.py",
    "serving/deployments.py",
    "serving/door/listening.py",
    "serving/ray_meter.py",
    "tuning/losses.py",
    "tuning/schedulers.py",
    "tuning/sweep.py",
    "tuning/workers.py",
}
"""The thin modules that hold a flow, and so may know Ray."""


def contract(name: str) -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = [one for one in settings["contracts"] if one["name"] == name]
    return found


def test_platform_does_not_shadow_the_standard_module():
    import platform

    assert platform.system()
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not (ROOT / "platform.py").exists()
    assert not (ROOT / "platform" / "platform.py").exists()


def test_the_contract_has_the_floors_of_the_house_and_no_more_than_six():
    layers = contract("Imports run down the floors")["layers"]
    assert len(layers) <= 6
    words = [layer.replace(" : ", " | ").split(" | ") for layer in layers]
    assert [{word.removeprefix("figclip.") for word in floor} for floor in words] == FLOORS
    assert [" : " in layer for layer in layers] == [False] * 5 + [True]


def test_every_room_stands_on_a_floor():
    rooms = {path.stem for path in PACKAGE.glob("*.py")}
    rooms |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"__init__", "__main__"} - set().union(*FLOORS) == set()
    assert {path.name for path in PACKAGE.iterdir() if list(path.glob("*.py"))} <= rooms


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """The contracts, checked in a process of its own: the linter turns other loggers off."""
    code = "from importlinter.cli import lint_imports as lint; exit(lint(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder / 'platform'}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
    )


def test_the_contracts_hold():
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("schema.py", "import figclip.sources"),
        ("corpus/__init__.py", "from figclip.models import *"),
        ("models/__init__.py", "def late():\n    import figclip.training"),
        ("sources/__init__.py", "def late():\n    from ray import data"),
    ],
)
def test_the_contracts_would_notice(room: str, line: str, tmp_path: Path):
    """Each in a copy of the house with one wall broken."""
    for path in [*ROOT.glob("platform/figclip/**/*.py"), ROOT / "pyproject.toml"]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for name in ("jobs", "serve_apps", "tune_spaces"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    broken = tmp_path / "platform" / "figclip" / room
    broken.write_text(f"{broken.read_text()}\n{line}\n")
    done = linted(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 broken" in done.stdout


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Of every import, wherever it stands, `import_module("name")` included."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(name), level=0):
                yield name
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def knows_ray(source: str) -> bool:
    return any(name.split(".")[0] == "ray" for name in imported_names(ast.parse(source)))


def test_imports_of_ray_are_seen_wherever_they_stand():
    for source in (
        "import ray",
        "import os, ray.data as rd",
        "from ray.train import torch",
        "def f():\n    from ray import serve",
        "if TYPE_CHECKING:\n    import ray",
        "importlib.import_module('ray.data')",
    ):
        assert knows_ray(source), source
    for source in ("import arrayed", "from figclip import ray", "from . import ray", "ray = 'ray'"):
        assert not knows_ray(source), source


def test_ray_is_known_in_the_shells_only():
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if knows_ray(path.read_text())
    }
    assert knowing <= SHELLS


def test_the_contract_names_the_same_shells():
    found = contract("Pure modules know no Ray")
    assert found["source_modules"] == ["figclip"]
    assert found["forbidden_modules"] == ["ray"]
    allowed = {line.removesuffix(" -> ray") for line in found["ignore_imports"]}
    assert allowed == {f"figclip.{path[:-3].replace('/', '.')}" for path in SHELLS}

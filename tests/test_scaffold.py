"""``zoo new`` writes what trains and passes its checks as it stands, and CONTRIBUTING walks through it."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from command_line import ok, refused

from zoo.data.dataset import DATASETS, Rows, get_dataset
from zoo.errors import ZooError
from zoo.model import registry
from zoo.testing import check_dataset, check_family
from zoo.training.recipe import load_recipe
from zoo.workflows import scaffold

ROOT = Path(__file__).parents[1]


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package with a data set, a family and a model, each by its command."""
    monkeypatch.chdir(tmp_path)
    ok("new", "dataset", "my-points", "--package", "my-plugin")
    ok("new", "family", "my-line", "--package", "my-plugin")
    ok("new", "model", "my-first", "--family", "my-line", "--dataset", "my-points", "--package", "my-plugin")
    monkeypatch.setattr(registry, "_families", dict(registry._families))
    monkeypatch.setattr(DATASETS, "_found", dict(DATASETS._found))
    monkeypatch.syspath_prepend(tmp_path / "my-plugin")
    yield tmp_path / "my-plugin"
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_plugin"]:
        del sys.modules[name]


def test_a_package_of_ones_own(plugin):
    entry_points = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]["entry-points"]
    assert entry_points == {
        "zoo.models": {"my-plugin": "my_plugin.models"},
        "zoo.datasets": {"my-points": "my_plugin.my_points:MyPoints"},
        "zoo.families": {"my-line": "my_plugin.my_line:MyLine"},
    }
    for group in ("zoo.datasets", "zoo.families"):
        for value in entry_points[group].values():
            module, _, attribute = value.partition(":")
            assert hasattr(importlib.import_module(module), attribute)
    small = {"train": 200, "validation": 50, "test": 100}
    check_dataset(get_dataset("my-points", **small), again=lambda: get_dataset("my-points", **small))
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    rows = Rows({"x": x}, (x[:, :1] > 0).astype(np.float32), np.arange(16))
    check_family(registry.get_family("my-line"), {"inputs": 3}, rows, opsets=[13])
    recipe = load_recipe(plugin / "my_plugin" / "my-first.yaml")
    assert (recipe.name, recipe.family, recipe.data.source) == ("my-first", "my-line", "my-points")
    assert "TODO" in (plugin / "my_plugin" / "my-first.yaml").read_text()


def test_what_is_there_stays(plugin):
    before = {path: path.read_bytes() for path in plugin.rglob("*.*") if path.is_file() and path.suffix != ".pyc"}
    for kind, name in (("family", "my-line"), ("dataset", "my-points"), ("dataset", "my-line")):
        assert "is there: choose another name" in refused("new", kind, name, "--package", "my-plugin")
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in plugin.rglob("*.*") if path.is_file() and path.suffix != ".pyc"} == set(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("family My_Line --package x", "lower case letters, digits and hyphens, such as my-family, given 'My_Line'"),
        ("family 2d-line --package x", "of which Python can make a module"),
        ("dataset import --package x", "of which Python can make a module"),
        ("model mine --package x", "give --family NAME and --dataset NAME"),
        ("model mlp-jets --package x --family mlp --dataset jets", "is a released model"),
        ("family my-line --package taken", "taken holds files and no pyproject.toml"),
    ],
)
def test_what_cannot_be_new(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    assert message in refused("new", *arguments.split())
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "notes.txt"]


def test_beside_ours(tmp_path, monkeypatch):
    """In a clone: modules, and the tables that name them, which stay Python."""
    for file in ("tests/tiny_networks.py", "zoo/data/dataset.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    monkeypatch.setattr(scaffold, "CLONE", tmp_path)
    scaffold.new("family", "my-line")
    scaffold.new("dataset", "my-points")
    (recipe,) = scaffold.new("model", "my-first", family="my-line", dataset="my-points")
    assert recipe == tmp_path / "training" / "recipes" / "my-first.yaml"
    for file in ("zoo/families/my_line.py", "zoo/data/my_points.py", "tests/test_my_points.py"):
        ast.parse((tmp_path / file).read_text())
    names: dict[str, object] = {}
    exec((tmp_path / "tests" / "tiny_networks.py").read_text(), names)
    assert names["CONFIGS"]["my-line"] == {"inputs": 7}
    table = (tmp_path / "zoo" / "data" / "dataset.py").read_text()
    ast.parse(table)
    assert '"my-points": "zoo.data.my_points"' in table
    monkeypatch.setattr(scaffold, "CLONE", tmp_path / "elsewhere")
    with pytest.raises(ZooError, match="is no clone of physzoo: give package=DIR"):
        scaffold.new("family", "my-line")


@pytest.mark.pages
def test_contributing_is_followed_to_the_letter(tmp_path):
    """Each line of its first block, in an empty folder; the package is installed beside what is installed here."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    site = tmp_path / "site"
    path = os.pathsep.join([str(site), str(tmp_path / "my-plugin"), *filter(None, sys.path)])
    aside = ["--no-build-isolation", "--no-index", "--target", str(site)]
    said = ""
    for line in block.splitlines():
        program, *arguments = line.split()
        if program == "pip":
            arguments = [one for one in arguments if one != "--editable"] + aside  # from where it lies, by the path above
        module = {"zoo": ["-m", "zoo"], "pip": ["-m", "pip"], "python": []}[program]
        command = [sys.executable, *module, *arguments]
        ran = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=500
        )
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        said = ran.stdout
        if program == "pip":
            shutil.rmtree(site / "my_plugin")  # the entry points stay
    assert "my-first revision 1" in said

"""The package under ``examples/plugin``, installed as a user would, passes its own tests: nothing of ours names it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.pages

PLUGIN = Path(__file__).parents[1] / "examples" / "plugin"


def test_installed_package_adds_a_family_a_data_set_an_evaluation_and_a_model(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    install = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", *install, str(source)], check=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}
    tests = ["pytest", "-q", "-p", "no:cacheprovider", "-n0", str(source / "tests")]
    ran = subprocess.run(
        [sys.executable, "-m", *tests], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_nothing_of_the_zoo_names_it():
    code = [path for folder in ("zoo", "training", "export", "serving") for path in (PLUGIN.parents[1] / folder).rglob("*.py")]
    assert code
    assert not [path for path in code if "physzoo_example" in path.read_text() or "kepler" in path.read_text()]

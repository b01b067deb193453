"""The wheel holds what the folders hold."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAPPED = {"training": "zoo.training", "export": "zoo.export", "serving": "zoo.serving", "model_cards": "zoo.model_cards"}


def test_packages_list_every_folder():
    """A package that the list forgets is missing from the wheel alone, where no other test looks."""
    data = {"zoo.artefacts", "zoo.data.shipped", "zoo.training.recipes"}
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "zoo").rglob("__init__.py")}
    for folder, name in MAPPED.items():
        nested = (path.parent.relative_to(ROOT / folder).parts for path in (ROOT / folder).rglob("__init__.py"))
        found |= {".".join([name, *parts]) for parts in nested}
    assert listed == found | data


@pytest.mark.parametrize(
    "module", ["zoo", "zoo.model.registry", "zoo.model.store", "zoo.serving", "zoo.serving.server", "zoo.cli"]
)
def test_light_modules_load_neither_keras_nor_tensorflow(module):
    code = (
        f"import sys, {module}; print(sorted(set(sys.modules) & {{'keras', 'tensorflow', 'tf2onnx', 'matplotlib', 'sklearn'}}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_every_name_of_the_facade_is_there():
    import zoo

    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    with pytest.raises(AttributeError, match="attribute lod"):
        _ = zoo.lod

"""The wheel holds what the folders hold."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from released_models import BIG

ROOT = Path(__file__).parents[1]
MAPPED = {"training": "zoo.training", "export": "zoo.export", "serving": "zoo.serving", "model_cards": "zoo.model_cards"}
MODELS, LARGE = (ROOT / "packages" / name for name in ("physzoo-models", "physzoo-models-large"))
LIMIT = 100e6
"""Bytes of the largest file that the Python Package Index takes."""


def project(folder: Path) -> dict:
    """Content of a pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text())


def packed(folder: Path, package: str, root: Path) -> set[Path]:
    """The data files of a package that a project packs."""
    tool = project(folder)["tool"]["setuptools"]
    wanted, others = (tool.get(kind, {}).get(package, []) for kind in ("package-data", "exclude-package-data"))
    found, left = ({path for pattern in patterns for path in root.glob(pattern)} for patterns in (wanted, others))
    return found - left


def test_each_file_of_a_model_is_in_one_of_the_wheels():
    small = packed(ROOT, "zoo.model_cards", ROOT / "model_cards")
    models = packed(MODELS, "physzoo_models", ROOT / "model_cards")
    large = packed(LARGE, "physzoo_models_large", ROOT / "model_cards")
    files = {path for path in (ROOT / "model_cards").rglob("*.*") if path.parent.parent == ROOT / "model_cards"}
    assert sorted([*small, *models, *large]) == sorted(path for path in files if path.parent.name != "__pycache__")
    assert sorted({path.parent.name for path in large}) == BIG
    sizes = [sum(path.stat().st_size for path in wheel) for wheel in (small, models, large)]
    assert sizes[0] < 3e6
    assert max(sizes) < 0.7 * LIMIT  # beside what ships of data


def test_shipped_data_are_in_the_wheel_of_the_models():
    shipped = ROOT / "zoo" / "data" / "shipped"
    assert packed(MODELS, "physzoo_models.shipped", shipped) == set(shipped.iterdir())


def test_the_wheels_are_of_one_version():
    code, *models = (project(folder)["project"] for folder in (ROOT, MODELS, LARGE))
    assert {wheel["version"] for wheel in models} == {code["version"]}
    assert code["optional-dependencies"]["models"] == [f"{wheel['name']}=={wheel['version']}" for wheel in models]
    for wheel in models:
        assert wheel["entry-points"]["zoo.models"] == {wheel["name"]: wheel["name"].replace("-", "_")}


def test_packages_list_every_folder():
    """A package that the list forgets is missing from the wheel alone, where no other test looks."""
    data = {"zoo.training.recipes"}
    listed = set(project(ROOT)["tool"]["setuptools"]["packages"])
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

"""What is not installed is named with the extra that brings it, before anything that takes long."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from command_line import refused

import zoo
from zoo.errors import MissingExtraError
from zoo.extras import EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
WITHOUT = """
import sys
for name in {names}:
    sys.modules[name] = None
sys.argv = ["zoo", *{arguments}]
"""


def requirements(extra: str) -> set[str]:
    """Distributions of an extra, with those of the extras that it names."""
    found = set()
    for line in PROJECT["optional-dependencies"][extra]:
        name, _, rest = line.partition("[")
        if name == "physzoo":
            found |= {one for other in rest.partition("]")[0].split(",") for one in requirements(other)}
        else:
            found.add(line.split(";")[0].split(">")[0].split("=")[0].split("<")[0].split("[")[0].strip().lower())
    return found


@pytest.mark.parametrize(("extra", "module"), [(extra, module) for extra, modules in EXTRAS.items() for module in modules])
def test_the_extra_brings_the_module(extra, module):
    distributions = {name.lower().replace("_", "-") for name in packages_distributions().get(module, [])}
    if not distributions:
        pytest.skip(f"{module} is not installed here")
    assert distributions & {one for each in extra.split(",") for one in requirements(each)}


def said(names: list[str], *arguments: str) -> str:
    """What a command says where modules are not installed, in a process of its own."""
    code = WITHOUT.format(names=names, arguments=list(arguments)) + "from zoo.cli import main\nmain()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 1
    (line,) = ran.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("names", "arguments", "extra"),
    [
        (
            ["keras"],
            "finetune mlp-jets --data mine.csv --folder mine",
            "keras, which is not installed: pip install 'physzoo[train]'",
        ),
        (["onnxruntime"], "predict mlp-jets", "zoo.serving needs ONNX Runtime: pip install 'physzoo[cpu]'"),
        (["httptools"], "serve mlp-jets", "httptools, which is not installed: pip install 'physzoo[serve]'"),
    ],
)
def test_a_command_names_the_extra(names, arguments, extra):
    line = said(names, *arguments.split())
    assert line.startswith("error: ")
    assert extra in line


def test_a_list_says_why_it_measures_nothing():
    code = WITHOUT.format(names=["onnxruntime"], arguments=["list", "mlp-jets", "--latency", "--json"])
    code += "from zoo.cli import main\nmain()"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    for one in json.loads(ran.stdout):
        assert one["latency"]["ms"] is None
        assert one["latency"]["error"] == "this needs onnxruntime, which is not installed: pip install 'physzoo[cpu]'"


CALLS = """
import sys
sys.modules["keras"] = None
import zoo
prior = {"a": ("uniform", 0.0, 1.0)}
for call in (
    lambda: zoo.load("mlp-jets"),
    lambda: zoo.fine_tune("mlp-jets", "no.csv", folder="mine"),
    lambda: zoo.calibrate("mlp-jets", folder="mine"),
    lambda: zoo.ensemble(["mlp-jets", "mlp-jets"], folder="mine"),
    lambda: zoo.train_npe(lambda theta, rng: theta, prior, folder="mine"),
    lambda: zoo.train_nle(lambda theta, rng: theta, prior, folder="mine"),
    lambda: zoo.posterior_report("mine", {}),
):
    try:
        call()
    except zoo.ZooError as error:
        print(error)
"""


def test_python_names_the_extra():
    ran = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.splitlines() == ["this needs keras, which is not installed: pip install 'physzoo[train]'"] * 7


LACKING = """
import sys
sys.modules[sys.argv[1]] = None
import zoo
from zoo.training.recipe import load_recipe
from zoo.workflows.train import train
prior = {"a": ("uniform", 0.0, 1.0)}
never = lambda theta, rng: print("simulated")
def figure():
    import zoo.interpret.plots
for call in (
    lambda: zoo.fine_tune("mlp-jets", "no.csv", folder="mine"),
    lambda: zoo.train_npe(never, prior, folder="mine"),
    lambda: zoo.train_nle(never, prior, folder="mine"),
    lambda: zoo.posterior_report("mine", {}),
    lambda: train(load_recipe("ive-pendulum"), "runs"),
    *([figure] if sys.argv[1] == "matplotlib" else []),
):
    try:
        call()
    except zoo.ZooError as error:
        print(error)
"""


@pytest.mark.parametrize(("module", "calls"), [("matplotlib", 6), ("corner", 5)])
def test_what_comes_with_keras_is_asked_for_before_a_training(module, calls, tmp_path):
    """Not when the curves of a fine-tuning are drawn, or corners of a posterior; and nothing is left behind."""
    ran = subprocess.run(
        [sys.executable, "-c", LACKING, module], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )
    line = f"this needs {module}, which is not installed: pip install 'physzoo[train]'"
    assert ran.stdout.splitlines() == [line] * calls, ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_tf2onnx(monkeypatch):
    """As after ``pip install 'physzoo[train,cpu]'``."""
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    return "this needs tf2onnx, which is not installed: pip install 'physzoo[export,cpu]'"


@pytest.mark.usefixtures("without_tf2onnx")
def test_what_the_end_of_a_training_needs_is_asked_for_before(tmp_path, without_tf2onnx):
    """Of a fine-tuning, an ensemble, a calibration, a posterior, a likelihood and a release; nothing is left behind."""
    from zoo.training.recipe import load_recipe
    from zoo.workflows.release import release

    folder = tmp_path / "mine"
    prior = {"a": ("uniform", 0.0, 1.0)}
    for run in (
        lambda: zoo.fine_tune("mlp-jets", tmp_path / "no.csv", folder=folder),
        lambda: zoo.calibrate("mlp-jets", folder=folder),
        lambda: zoo.ensemble(["mlp-jets", "mlp-jets"], folder=folder),
        lambda: zoo.train_npe(lambda theta, rng: theta, prior, folder=folder),
        lambda: zoo.train_nle(lambda theta, rng: theta, prior, folder=folder),
        lambda: release(load_recipe("ive-pendulum"), tmp_path / "run", folder),
    ):
        with pytest.raises(MissingExtraError) as raised:
            run()
        assert str(raised.value) == without_tf2onnx
    assert list(tmp_path.iterdir()) == []
    assert refused("finetune", "mlp-jets", "--data", "no.csv", "--folder", folder) == f"error: {without_tf2onnx}\n"

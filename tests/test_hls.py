"""Projects for hls4ml: what stays with the host, which types numbers get, and docs/trigger.md as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from zoo.cli import app
from zoo.data.dataset import get_dataset
from zoo.errors import ExportError, InputError
from zoo.export.hls import SCALING, fixed, split_scaling, to_hls
from zoo.serving import Session

PAGE = (Path(__file__).parents[1] / "docs" / "trigger.md").read_text()


@pytest.fixture
def hls4ml():
    """The test skips without hls4ml, qonnx or g++."""
    for package in ("hls4ml", "qonnx"):
        pytest.importorskip(package)
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")


def make_graph(*nodes, inputs=("x",), **constants):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in inputs]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(value, "f"), name) for name, value in constants.items()]
    return helper.make_graph([helper.make_node(op, given, [made]) for op, given, made in nodes], "g", values, [result], tensors)


def test_scaling_is_taken_off_the_start():
    graph = make_graph(
        ("Sub", ["x", "a"], "s"),
        ("Div", ["s", "b"], "d"),
        ("Add", ["d", "c"], "e"),
        ("Relu", ["e"], "y"),
        a=[1, 2],
        b=[4, 5],
        c=3,
    )
    scaling = split_scaling(graph)
    assert [(node.op_type, list(node.input)) for node in graph.node] == [("Relu", ["x"])]
    x = np.array([[7, -8]])
    np.testing.assert_allclose(scaling["x"](x), (x - [1, 2]) / [4, 5] + 3, rtol=1e-6)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Sub", ["a", "x"], "s"), ("Relu", ["s"], "y")],  # the constant comes first
        [("Sub", ["x", "a"], "s"), ("Mul", ["x", "s"], "y")],  # used twice
        [("Sub", ["x", "a"], "y")],  # nothing would be left
    ],
)
def test_other_arithmetic_stays(nodes):
    graph = make_graph(*nodes, a=[1, 2])
    np.testing.assert_array_equal(split_scaling(graph)["x"](np.array([[3, 4]])), [[3, 4]])
    assert len(graph.node) == len(nodes)


def test_types_hold_their_range():
    assert fixed(12, 0.0, 3.9) == "ufixed<12,2,RND,SAT>"
    assert fixed(12, -0.3, 0.2) == "fixed<12,0,RND,SAT>"
    assert fixed(12, -4.1, 0.2, spare=1) == "fixed<12,5,RND,SAT>"
    assert fixed(8, 0.0, 0.0) == "ufixed<8,-7,RND,SAT>"


def test_refusals(hls4ml, tmp_path):
    spectra = get_dataset("cmb-feature").rows("validation").inputs
    with pytest.raises(InputError, match="4 to 32 bits, given 64"):
        to_hls("mlp-cmb-feature", tmp_path / "new", spectra, width=64)
    with pytest.raises(InputError, match="expected the inputs"):
        to_hls("mlp-cmb-feature", tmp_path / "new", {})
    with pytest.raises(InputError, match="given no row"):
        to_hls("mlp-cmb-feature", tmp_path / "new", {"spectrum": np.empty((0, 215))})
    with pytest.raises(ExportError, match="exists: choose a new folder"):
        to_hls("mlp-cmb-feature", tmp_path, spectra)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("width", [24, 10])
def test_a_probability_in_fixed_point(hls4ml, tmp_path, width):
    skies = get_dataset("cmb-feature")
    project = to_hls("logistic-cmb-running", tmp_path / "new", skies.rows("validation").inputs, width=width)
    project.compile()
    inputs = skies.rows("test").inputs
    expected = Session("logistic-cmb-running").run(inputs)["probability"]
    given = project.run(inputs)["probability"]
    assert given.shape == expected.shape
    assert np.abs(given - expected).max() < (2e-3 if width == 24 else 2e-2)
    assert (tmp_path / "new" / SCALING).is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_decoder_in_fixed_point(hls4ml, tmp_path):
    pendulum, cases = Session("ive-pendulum"), []
    for split in ("validation", "test"):
        rows = {name: array[:500] for name, array in get_dataset("pendulum").rows(split).inputs.items()}
        cases.append({"latent": pendulum.run({"trajectory": rows["trajectory"]}, "encode")["mean"], "time": rows["time"]})
    project = to_hls("ive-pendulum", tmp_path / "new", cases[0], endpoint="decode", width=24)
    project.compile()
    expected = pendulum.run(cases[1], "decode")["displacement"]
    assert np.abs(project.run(cases[1])["displacement"] - expected).max() < 0.02


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page(hls4ml, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert [command[0] for command in commands] == ["zoo"]
    result = CliRunner().invoke(app, commands[0][1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/trigger.md", "exec"), names)
    assert "largest difference 0.00" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "firmware").iterdir()} >= {"firmware", "build_prj.tcl", SCALING}

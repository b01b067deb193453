"""Targets of an export: what each accepts, and the sentence that names the node it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
from command_line import ok  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import zoo  # noqa: E402
from zoo.errors import ExportError, UnknownNameError  # noqa: E402
from zoo.export import export  # noqa: E402
from zoo.export.report import ExportReport  # noqa: E402
from zoo.export.targets import TARGETS, check, find_target, fit  # noqa: E402
from zoo.model.spec import onnx_file  # noqa: E402
from zoo.model.store import locate  # noqa: E402
from zoo.serving.verify import verify  # noqa: E402

RELEASED = [(name, endpoint) for name in zoo.list_models() for endpoint in zoo.get_spec(name).endpoints]
RUNTIMES = Path(__file__).parents[1] / "benchmarks" / "results" / "runtimes.json"


def graph(*nodes, opset: int = 13, ir: int = 7, shape=(3,), constants=(), domains=()) -> onnx.ModelProto:
    """Nodes from x to y, both (batch, *shape)."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name in "xy"]
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants]
    made = helper.make_graph(nodes, "g", values[:1], values[1:], initializers)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(made, opset_imports=opsets, ir_version=ir)


def node(operator: str, *inputs: str, output: str = "y", name: str = "n", **attributes):
    return helper.make_node(operator, list(inputs), [output], name=name, **attributes)


@pytest.mark.parametrize("target", ["cmssw", "athena", "triton", "web"])
@pytest.mark.parametrize(("name", "endpoint"), RELEASED)
def test_every_released_graph_suits_what_runs_onnx_runtime(name, endpoint, target):
    check(onnx.load(locate(name).path(onnx_file(endpoint))), TARGETS[target], name)


@pytest.mark.parametrize(
    ("name", "endpoint", "suits"),
    [
        ("logistic-cmb-running", "predict", None),
        ("mlp-cmb-feature", "predict", None),
        ("ive-pendulum", "decode", None),
        ("ive-pendulum", "reconstruct", r"node \d+, Exp 'Exp': no such operator"),
        ("gbt-halo-mass", "predict", r"node 0, ai.onnx.ml.TreeEnsembleRegressor .*operators of ai.onnx.ml"),
        ("cnn3d-halo-mass", "predict", r"node \d+, Unsqueeze"),
        ("realnvp-two-moons", "log_prob", r"node \d+, Gather"),
    ],
)
def test_released_graphs_for_a_trigger(name, endpoint, suits):
    given = onnx.load(locate(name).path(onnx_file(endpoint)))
    if suits is None:
        fitted = fit(given, TARGETS["hls4ml"], name)
        assert [value.type.tensor_type.shape.dim[0].dim_value for value in fitted.graph.input] == [1] * len(given.graph.input)
        assert given.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"  # the original is left alone
    else:
        with pytest.raises(ExportError, match=f"{name}: not for hls4ml .*{suits}"):
            fit(given, TARGETS["hls4ml"], name)


@pytest.mark.parametrize(
    ("target", "made", "message"),
    [
        ("cmssw", graph(node("LayerNormalization", "x", "s"), constants=[("s", np.ones(3, "f"))], opset=17, ir=7), "set 17"),
        ("cmssw", graph(node("Relu", "x"), opset=17), "operator set ai.onnx 17, expected at most 15"),
        ("cmssw", graph(node("Relu", "x"), ir=8), "IR version 8, expected at most 7"),
        (
            "athena",
            graph(node("Mine", "x", domain="my.own"), domains=["my.own"]),
            r"node 0, my.own.Mine 'n': operators of my.own",
        ),
        ("web", graph(node("NoSuch", "x")), r"node 0, NoSuch 'n': no operator of ai.onnx 13"),
        (
            "hls4ml",
            graph(node("Reshape", "x", "s", output="r", name="a"), node("Relu", "r"), constants=[("s", np.array([-1, 3]))]),
            "expected as batch 1",
        ),
        ("hls4ml", graph(node("Shape", "x", output="s", name="first"), node("Reshape", "x", "s")), "node 0, Shape 'first'"),
        (
            "hls4ml",
            graph(node("MatMul", "x", "x"), shape=(1,)),
            "node 0, MatMul 'n': a product of 1 computed|a product of 2 computed",
        ),
        ("hls4ml", graph(node("Max", "x", "c"), constants=[("c", np.zeros(3, "f"))]), "compares with a constant"),
        ("hls4ml", graph(node("Floor", "x")), "comes from zoo.export.fixed_point"),
        ("hls4ml", graph(node("Sum", "x", "x", "x")), "joins 3 tensors"),
        ("hls4ml", graph(node("Transpose", "x", perm=[0, 1, 2, 3, 4]), shape=(2, 2, 2, 2)), "4 dimensions beside the batch"),
    ],
)
def test_the_first_node_that_does_not_run_there_is_named(target, made, message):
    with pytest.raises(ExportError, match=f"m: not for {target} .*({message})"):
        check(made, TARGETS[target], "m")


def test_a_computed_shape_is_named():
    made = graph(node("Identity", "s0", output="s"), node("Reshape", "x", "s", name="r"), constants=[("s0", np.array([1, 3]))])
    with pytest.raises(ExportError, match="node 1, Reshape 'r': a shape that is computed"):
        fit(made, TARGETS["hls4ml"], "m")


def test_nodes_in_branches_are_checked_too():
    inner = helper.make_graph(
        [node("NoSuch", "x", output="z", name="deep")], "b", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    )
    made = graph(node("If", "c", then_branch=inner, else_branch=inner), constants=[("c", np.array(True))])
    with pytest.raises(ExportError, match="NoSuch 'deep'"):
        check(made, TARGETS["cmssw"], "m")


def test_weights_in_another_file_are_refused():
    made = graph(node("Add", "x", "c"), constants=[("c", np.zeros(3, "f"))])
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(ExportError, match="lies in a file of its own"):
        check(made, TARGETS["web"], "m")


def test_unknown_target_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean cmssw"):
        find_target("cmsw")


@pytest.fixture(scope="module")
def pendulum():
    return zoo.load("ive-pendulum")


def test_an_endpoint_for_a_trigger_takes_one_row_and_verifies(pendulum, tmp_path):
    report = export(pendulum, tmp_path / "out", target="hls4ml", endpoints=["decode"], parity_rows=40)
    assert (report.target, [parity.endpoint for parity in report.endpoints]) == ("hls4ml", ["decode"])
    assert {path.name for path in (tmp_path / "out").glob("*.onnx")} == {"decode.onnx"}
    assert "checked for hls4ml" in (tmp_path / "out" / "report.md").read_text()
    checked = verify(tmp_path / "out")
    assert checked.ok
    assert [row.rows for row in checked.rows] == [1]
    given = onnx.load(tmp_path / "out" / "decode.onnx").graph.input
    assert [value.type.tensor_type.shape.dim[0].dim_value for value in given] == [1, 1]


@pytest.mark.parametrize("target", ["cmssw", "athena"])
def test_an_export_without_the_form_of_an_experiment_says_so(target, tmp_path):
    said = ok("export", "logistic-cmb-running", "--target", target, "--folder", tmp_path / "out")
    folder = f"no folder {target}/, as the model is no tagger of particles"
    expected = (
        f"{folder}: graphs are checked for what runs there, {TARGETS[target].runtime}, and software of your own calls them"
    )
    assert expected in said.splitlines()
    report = ExportReport.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert report.note == expected
    assert f"\n\nN{expected[1:]}.\n\n" in (tmp_path / "out" / "report.md").read_text()
    assert not (tmp_path / "out" / target).exists()


def test_a_graph_that_does_not_suit_leaves_nothing(pendulum, tmp_path):
    with pytest.raises(ExportError, match=r"endpoint 'reconstruct': not for hls4ml .*Exp"):
        export(pendulum, tmp_path / "out", target="hls4ml", parity_rows=8)
    assert list(tmp_path.iterdir()) == []


def test_a_target_runs_onnx_alone_and_endpoints_exist(pendulum, tmp_path):
    with pytest.raises(ExportError, match="target web: it runs ONNX graphs"):
        export(pendulum, tmp_path / "out", format="savedmodel", target="web")
    with pytest.raises(UnknownNameError, match="did you mean"):
        export(pendulum, tmp_path / "out", endpoints=["decod"])


@pytest.mark.parametrize("name", zoo.list_models())
def test_card_lists_the_runtimes_that_run_the_graphs(name):
    """What benchmarks/runtimes.py found, old versions and new, is what the card says."""
    found, spec = json.loads(RUNTIMES.read_text()), zoo.get_spec(name)
    graphs = {f"{name}/{endpoint}": spec.file(onnx_file(endpoint)).sha256 for endpoint in spec.endpoints}
    if any(found["sha256"].get(graph) != sha256 for graph, sha256 in graphs.items()):
        pytest.skip("graphs newer than the results: run benchmarks/runtimes.py --specs")
    results = found["results"]
    assert len(results) > 1
    agreed = [f"onnxruntime {version}" for version, said in results.items() if all(said[graph]["ok"] for graph in graphs)]
    assert spec.export.runtimes == agreed

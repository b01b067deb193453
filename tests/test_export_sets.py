"""Exports of sets: named free dimensions, dtypes, masks and positions, from the graph to every form that it is given."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
tf2onnx = pytest.importorskip("tf2onnx")
import onnx  # noqa: E402
from keras import ops  # noqa: E402
from set_families import ENDPOINTS, SETS, DeepSet, EdgeNetwork, released, rows, write_folder  # noqa: E402

import zoo  # noqa: E402
from zoo.data.dataset import Rows  # noqa: E402
from zoo.errors import ExportError, ParityError, ReproductionError, UnknownNameError  # noqa: E402
from zoo.export import add_to_repository, check_export, export, in_range_rows, targets, to_onnx  # noqa: E402
from zoo.export.gradient.explain import EXPLAIN, Explained  # noqa: E402
from zoo.export.parity import check_parity, onnx_function  # noqa: E402
from zoo.export.rows import padded, resized, sizes_to_try  # noqa: E402
from zoo.export.targets import TARGETS, Target, find_target, fit, register_target  # noqa: E402
from zoo.loading import read_test_tensors, verify_model  # noqa: E402
from zoo.model.axes import Axis  # noqa: E402
from zoo.model.inputs import InputCheck  # noqa: E402
from zoo.model.registry import get_family  # noqa: E402
from zoo.model.spec import TEST_TENSORS, Tolerance, onnx_file  # noqa: E402
from zoo.model.store import locate  # noqa: E402
from zoo.testing import check_family  # noqa: E402
from zoo.workflows.folder import write_model_folder  # noqa: E402

EVERY = [(family, endpoint) for family, endpoints in ENDPOINTS.items() for endpoint in endpoints]
OTHER_SIZES = {
    "deep-set": [{"particle": 1}, {"particle": 12}],
    "edge-network": [{"node": 9, "edge": 1}, {"node": 2, "edge": 20}],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """The folder of a released model of each family."""
    root = tmp_path_factory.mktemp("sets")
    return {family: write_folder(family, root / family) for family in ENDPOINTS}


@functools.cache
def converted(family: str, endpoint: str, opset: int) -> onnx.ModelProto:
    """A graph for tests that leave it as it is."""
    model = released(family)
    return to_onnx(model, model.spec, endpoint, opset)


def graph_of(family: str, endpoint: str = "predict", opset: int = 13):
    return released(family), converted(family, endpoint, opset)


def described(value: onnx.ValueInfoProto) -> tuple[str, list[str | int]]:
    tensor = value.type.tensor_type
    dims = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
    return onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, dims


# -- graphs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "endpoint"), EVERY)
def test_graph_has_the_dtypes_of_the_spec_and_dimensions_called_as_its_axes(family, endpoint):
    model, proto = graph_of(family, endpoint)
    expected = model.spec.endpoint(endpoint)
    for tensors, values in ((expected.inputs, proto.graph.input), (expected.outputs, proto.graph.output)):
        assert [value.name for value in values] == [tensor.name for tensor in tensors]
        for tensor, value in zip(tensors, values, strict=True):
            assert described(value) == (tensor.dtype, ["batch", *(axis.size or axis.name for axis in tensor.axes)])
    assert not proto.graph.value_info
    assert "unk__" not in str(proto)


@pytest.mark.parametrize("family", SETS)
def test_one_row_and_seven_of_other_sizes_answer_as_the_model(family):
    model, proto = graph_of(family)
    run = onnx_function(proto.SerializeToString())
    for n in (1, 7):
        for sizes in OTHER_SIZES[family]:
            inputs = rows(family, n, seed=n, **sizes)
            for name, expected in model.endpoint("predict")(**inputs).items():
                np.testing.assert_allclose(run(inputs)[name], np.asarray(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("family", "endpoint"), EVERY)
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_families_pass_the_gate(family, endpoint, opset):
    if (family, opset) == ("edge-network", 11):
        with pytest.raises(ExportError, match=r"GatherV2.*export with opset 13 or higher"):
            graph_of(family, endpoint, opset)
        return
    model, proto = graph_of(family, endpoint, opset)
    report = check_export(model, model.spec, endpoint, onnx_function(proto.SerializeToString()), rows(family), 50)
    assert report.sizes == sizes_to_try(model.spec.endpoint(endpoint))
    assert len(report.sizes) == (3 if family in SETS else 0)
    assert {parity.rows for parity in report.outputs.values()} == {50 + 40 * len(report.sizes)}
    for tensor in model.spec.endpoint(endpoint).outputs:
        assert report.outputs[tensor.name].max_absolute <= (1e-5 if tensor.dtype.startswith("float") else 0)


def test_fewer_rows_are_compared_where_these_are_large(monkeypatch):
    """Of up to 12 particles of some numbers each, sets of one are small, those of more are not."""
    model, proto = graph_of("deep-set", "predict")
    smallest = max(array[:1, :1].size for array in rows("deep-set").values()) + 1
    monkeypatch.setattr("zoo.export.parity.LARGE", smallest)
    report = check_export(model, model.spec, "predict", onnx_function(proto.SerializeToString()), rows("deep-set"), 100)
    assert report.sizes[0] == {"particle": 1}
    assert {parity.rows for parity in report.outputs.values()} == {64 + 40 + 9 * (len(report.sizes) - 1)}


def test_fewer_rows_are_compared_where_the_model_takes_long(monkeypatch):
    model, proto = graph_of("deep-set", "predict")
    monkeypatch.setattr("zoo.export.parity.PATIENCE", -1e9)
    report = check_export(model, model.spec, "predict", onnx_function(proto.SerializeToString()), rows("deep-set"), 100)
    assert {parity.rows for parity in report.outputs.values()} == {64 + 40 * len(report.sizes)}


def test_an_ensemble_of_sets_passes_too():
    model = get_family("ensemble")(member="deep-set", config={}, count=2)
    one = ENDPOINTS["deep-set"]["predict"]
    deviation = one.outputs[0].model_copy(update={"name": "deviation"})
    endpoint = one.model_copy(update={"outputs": [*one.outputs, deviation]})
    spec = released("deep-set").spec.model_copy(update={"endpoints": {"predict": endpoint}})
    report = check_export(
        model, spec, "predict", onnx_function(to_onnx(model, spec, "predict").SerializeToString()), rows("deep-set"), 20
    )
    assert len(report.sizes) == 3


@pytest.mark.parametrize("family", SETS)
def test_same_model_gives_the_same_bytes(family, monkeypatch):
    """tf2onnx keeps any one of the many equal shapes that a graph with free axes asks for."""
    model, first = graph_of(family)
    for counter in (95, 996):
        monkeypatch.setattr(tf2onnx.utils, "INTERNAL_NAME", counter)
        assert to_onnx(model, model.spec, "predict").SerializeToString(deterministic=True) == first.SerializeToString(
            deterministic=True
        )


@pytest.mark.parametrize(("family", "cls"), [("deep-set", DeepSet), ("edge-network", EdgeNetwork)])
def test_sets_pass_the_kit_for_families(family, cls):
    data = Rows(rows(family, 24), np.linspace(0, 1, 24, dtype=np.float32)[:, None], np.arange(24))
    check_family(cls, {}, data, endpoints=ENDPOINTS[family], opsets=[11, 13])  # the gate above looks at the others


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_only_numbers_of_rows_with_the_same_mask_are_mixed():
    given = rows("deep-set", 6, seed=3)
    given["mask"] = given["mask"][[0, 1, 0, 1, 0, 5]]
    made = in_range_rows(given, 200)
    assert {name: array.dtype for name, array in made.items()} == {name: array.dtype for name, array in given.items()}
    known = [array.tobytes() for array in given["mask"]]
    assert {array.tobytes() for array in made["mask"]} == set(known)
    for particles, mask in zip(made["particles"], made["mask"], strict=True):
        among = given["particles"][[key == mask.tobytes() for key in known]]
        assert (particles >= among.min(axis=0)).all()
        assert (particles <= among.max(axis=0)).all()
    assert len({array.tobytes() for array in made["particles"]}) > 50  # mixtures, not copies alone


def test_positions_are_copied_whole():
    given = rows("edge-network", 5)
    made = in_range_rows(given, 50)
    for place in range(50):
        (row,) = {row for row in range(5) if np.array_equal(given["edges"][row], made["edges"][place])}
        np.testing.assert_array_equal(made["nodes"][place], given["nodes"][row])  # no other row has these edges


@pytest.mark.parametrize("sizes", [{"node": 2}, {"node": 9, "edge": 20}, {"edge": 1}])
def test_rows_of_other_sizes_are_inputs_of_the_endpoint(sizes):
    endpoint = ENDPOINTS["edge-network"]["predict"]
    made = InputCheck(endpoint)(resized(endpoint, rows("edge-network"), sizes))
    assert made["nodes"].shape[1] == sizes.get("node", 4)
    assert made["edges"].shape[1] == made["edge_mask"].shape[1] == sizes.get("edge", 7)


@pytest.mark.parametrize(("family", "grown"), [("deep-set", {"particle"}), ("edge-network", {"edge"})])
@pytest.mark.parametrize("full", [False, True])
def test_padded_rows_differ_in_nothing_but_padding(family, grown, full):
    """Along the axes that have a mask, at any size, the largest too; nodes have none, so their number stays."""
    endpoint = ENDPOINTS[family]["predict"]
    sizes = {name: axis.most for name, axis in endpoint.free.items()} if full else {}
    given = rows(family, **sizes)
    kept = {name: array.copy() for name, array in given.items()}
    before, after = padded(endpoint, given)
    InputCheck(endpoint)(after)
    for tensor in endpoint.inputs:
        np.testing.assert_array_equal(given[tensor.name], kept[tensor.name])
        short, long = before[tensor.name], after[tensor.name]
        assert (long.shape[1] > short.shape[1]) == (tensor.axes[0].name in grown)
        cut = long[:, : short.shape[1]]
        real = before[tensor.mask] if tensor.mask else np.ones(short.shape[:2], bool)
        np.testing.assert_array_equal(cut[real], short[real])
        if tensor.mask:
            assert not np.array_equal(cut[~real], short[~real])
        if tensor.dtype == "bool":
            assert not long[:, short.shape[1] :].any()
    assert padded(ENDPOINTS["clock"]["predict"], rows("clock")) is None


# -- what the gate refuses ----------------------------------------------------------------------------------------------


class Ignores(DeepSet):
    """Wrong on purpose: the mean is over all particles, real or not."""

    def answer(self, particles, mask):
        return self.head(ops.mean(self.particle(self.standardize(particles)), axis=1)) + 0 * ops.cast(mask[:, :1], "float32")


class Counts(DeepSet):
    """Wrong on purpose: the values in the padding are left out, their number is not."""

    def answer(self, particles, mask):
        real = ops.cast(mask, "float32")[..., None]
        return self.head(ops.mean(self.particle(self.standardize(particles)) * real, axis=1))


class OneSize(DeepSet):
    """Wrong on purpose: the graph takes five particles and no others."""

    def answer(self, particles, mask):
        return super().answer(ops.reshape(ops.reshape(particles, (-1, 15)), (-1, 5, 3)), mask)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Ignores, "padding changes the answer: row .*where 'mask' is false; a model must leave out"),
        (Counts, "padding changes the answer"),
        (OneSize, "the model does not run with particle 1: correct least and most of the axis"),
    ],
)
def test_a_model_that_is_wrong_with_padding_or_sizes_is_refused(wrong, message):
    model = wrong()
    model.spec = released("deep-set").spec
    model.spec = model.spec.model_copy(update={"endpoints": {"predict": model.spec.endpoints["predict"]}})
    exported = onnx_function(to_onnx(model, model.spec, "predict").SerializeToString())
    given = rows("deep-set")
    check_parity(model, model.spec, "predict", exported, given)  # the graph is what the model is, at this size
    with pytest.raises(ParityError, match=f"'predict'.*{message}"):
        check_export(model, model.spec, "predict", exported, given, 20)


def test_padding_in_a_set_of_a_fixed_size_must_change_nothing_either():
    model, spec = Ignores(), released("deep-set").spec
    one = spec.endpoints["predict"]
    fixed = {"particle": Axis(name="particle", size=5)}
    inputs = [t.model_copy(update={"axes": [fixed.get(axis.name, axis) for axis in t.axes]}) for t in one.inputs]
    spec = spec.model_copy(update={"endpoints": {"predict": one.model_copy(update={"inputs": inputs})}})
    exported = onnx_function(to_onnx(model, spec, "predict").SerializeToString())
    given = rows("deep-set")
    given["mask"][:] = True  # no test row has padding
    with pytest.raises(ParityError, match="padding changes the answer"):
        check_export(model, spec, "predict", exported, given, 20)


@pytest.mark.parametrize(
    ("output", "change", "message"),
    [
        ("count", lambda x: x + (x == x.max()), r"output 'count': differs .*int64 is to be equal"),
        ("high", lambda x: ~x, "output 'high': differs .*bool is to be equal"),
        ("count", lambda x: x.astype("i4"), "Keras gives int64 .*, the exported graph int32"),
    ],
)
def test_whole_numbers_and_truth_values_are_to_be_equal(output, change, message):
    model, proto = graph_of("deep-set", "inspect")
    model.spec = model.spec.model_copy(update={"tolerance": Tolerance(absolute=5.0)})
    run = onnx_function(proto.SerializeToString())

    def changed(inputs):
        outputs = run(inputs)
        return outputs | {output: change(outputs[output])}

    with pytest.raises(ParityError, match=message):
        check_export(model, model.spec, "inspect", changed, rows("deep-set"), 20)


# -- folders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ENDPOINTS)
def test_a_released_folder_loads_and_its_export_says_at_which_sizes(folders, family, tmp_path):
    model = zoo.load(folders[family])
    report = export(model, tmp_path / "out", parity_rows=20)
    assert [parity.sizes for parity in report.endpoints] == [sizes_to_try(e) for e in model.spec.endpoints.values()]
    if family == "deep-set":
        assert "predict was compared with particle 1, particle 3, particle 12 too." in report.summary()
    for endpoint in model.spec.endpoints:
        assert (tmp_path / "out" / onnx_file(endpoint)).read_bytes() == (folders[family] / onnx_file(endpoint)).read_bytes()


@pytest.mark.parametrize(("output", "value"), [("high", False), ("count", 3)])
def test_a_model_that_counts_otherwise_is_not_loaded(folders, output, value):
    model = zoo.load(folders["deep-set"])
    tensors = read_test_tensors(folders["deep-set"] / TEST_TENSORS, model.spec)
    verify_model(model, tensors)
    wrong = tensors["inspect"][1][output]
    wrong.flat[0] = not wrong.flat[0] if wrong.dtype == bool else wrong.flat[0] + 1
    with pytest.raises(ReproductionError, match=rf"inspect/{output}\[0, 0\] should be .*expected no difference"):
        verify_model(model, tensors)


@pytest.mark.parametrize("family", ENDPOINTS)
def test_saved_model_has_the_same_signatures(folders, family, tmp_path):
    report = export(zoo.load(folders[family]), tmp_path / "saved", format="savedmodel", parity_rows=20)
    assert len(report.endpoints[0].sizes) == (3 if family in SETS else 0)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    for endpoint, expected in ENDPOINTS[family].items():
        taken = loaded.signatures[endpoint].structured_input_signature[1]
        assert {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in taken.items()} == {
            tensor.name: (tensor.dtype, [None, *tensor.shape]) for tensor in expected.inputs
        }


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_lower_precision_keeps_dtypes_and_sizes(precision, tmp_path):
    """One hidden layer wide enough to be worth it; what is counted stays exact."""
    keras.utils.set_random_seed(5)
    model = DeepSet(hidden=400)
    model.spec = released("deep-set").spec.model_copy(update={"config": model.config})
    folder = tmp_path / "wide"
    write_model_folder(model, model.spec, folder, dict.fromkeys(model.endpoints, tuple(rows("deep-set", 40).values())))
    calibration = rows("deep-set", 60, seed=9)
    report = export(
        zoo.load(folder), tmp_path / "out", precision=precision, calibration=calibration, endpoints=["predict"], parity_rows=60
    )
    assert report.reduced is not None
    assert set(report.reduced.differences["predict"]) == {"mass"}
    run = onnx_function(tmp_path / "out" / "predict.onnx")
    tolerance = locate(tmp_path / "out").spec.tolerance
    inputs = rows("deep-set", 7, seed=2, particle=11)
    expected = np.asarray(model.answer(**inputs))
    np.testing.assert_allclose(run(inputs)["mass"], expected, rtol=tolerance.relative, atol=10 * tolerance.absolute)


# -- explanations -------------------------------------------------------------------------------------------------------


def explained(family: str, endpoint: str = "predict") -> Explained:
    model = released(family)
    model.spec = model.spec.model_copy(update={"endpoints": {endpoint: model.spec.endpoints[endpoint]}})
    inputs = rows(family)
    outputs = {name: np.asarray(array) for name, array in model.endpoint(endpoint)(**inputs).items()}
    return Explained(model, model.spec, {endpoint: (inputs, outputs)})


@pytest.mark.parametrize(
    ("family", "endpoint", "opset"),
    [("deep-set", endpoint, opset) for endpoint in ("predict", "inspect") for opset in (11, 13, 18)]
    + [("edge-network", "predict", 18)],
)
def test_gradient_of_a_set_is_the_tapes_at_every_size(family, endpoint, opset):
    made = explained(family, endpoint)
    run = onnx_function(made.to_onnx(opset).SerializeToString())
    report = check_export(made, made.spec, EXPLAIN, run, made.tensors[0], 60, made.gradients)
    assert len(report.sizes) == 3
    inputs = made.tensors[0]
    (name,) = made.gradients
    gradient = run(inputs)[name]
    if family == "edge-network":
        assert np.abs(gradient).max() > 0
        return
    assert np.abs(gradient[inputs["mask"]]).max() > 0
    assert not gradient[~inputs["mask"]].any()


def test_gradients_are_of_numbers_and_weights_have_the_axes_of_the_answer():
    one, many = (explained("deep-set", endpoint).spec.endpoint(EXPLAIN) for endpoint in ("predict", "inspect"))
    assert [tensor.name for tensor in one.inputs] == ["particles", "mask"]
    assert [tensor.name for tensor in one.outputs] == ["mass", "particles_gradient"]
    (weight,) = (tensor for tensor in many.inputs if tensor.name == "weight")
    assert ([axis.name for axis in weight.axes], weight.mask) == (["particle"], "mask")
    gradient = one.outputs[-1]
    assert [gradient.unit_of((0, feature)) for feature in range(3)] == ["GeV / GeV", "GeV", "GeV / rad"]


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("clock", "gradients are of a float32 output and of float32 inputs, 'phase' is float64"),
        ("edge-network", "operation GatherND .* takes computed positions, whose gradient needs opset 16 or higher"),
    ],
)
def test_what_has_no_gradient_is_refused(family, message):
    with pytest.raises(ExportError, match=message):
        explained(family).to_onnx(13)


# -- targets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cmssw", "athena", "triton", "web"])
@pytest.mark.parametrize("family", ENDPOINTS)
def test_graphs_suit_what_runs_onnx_runtime(folders, family, target):
    proto = onnx.load(folders[family] / "predict.onnx")
    assert fit(proto, TARGETS[target], family) == proto


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("deep-set", "the axis 'particle' of tensor 'particles' is free, expected every size to be known"),
        ("edge-network", "the axis 'node' of tensor 'nodes' is free"),
        ("clock", "tensor 'time' is float64, expected float32"),
    ],
)
def test_a_trigger_takes_no_sets(folders, family, message, tmp_path):
    with pytest.raises(ExportError, match=f"not for hls4ml .*: {message}"):
        export(zoo.load(folders[family]), tmp_path / "out", target="hls4ml", parity_rows=10)
    assert list(tmp_path.iterdir()) == []


def test_a_package_adds_a_target(folders, monkeypatch, tmp_path):
    (tmp_path / "lab_targets.py").write_text(
        "from zoo.export.targets import Target, register_target\n"
        "register_target(Target('lab', 'our daemon', 13, None, 7, dtypes=frozenset({'float32'})))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(targets, "TARGETS", dict(TARGETS))
    points = (EntryPoint("lab", "lab_targets", "zoo.targets"),)
    monkeypatch.setattr(targets, "entry_points", lambda group: points if group == "zoo.targets" else ())
    assert find_target("lab").runtime == "our daemon"
    with pytest.raises(ExportError, match=r"not for lab .our daemon.: tensor 'mask' is bool, expected float32"):
        export(zoo.load(folders["deep-set"]), tmp_path / "out", target="lab", parity_rows=10)
    with pytest.raises(ValueError, match="two targets are named 'lab'"):
        register_target(Target("lab", "another", max_opset=13, max_ml_opset=None, max_ir=7))
    with pytest.raises(UnknownNameError, match="did you mean lab"):
        find_target("labb")


# -- Triton -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ENDPOINTS)
def test_triton_is_told_dtypes_and_free_dimensions(folders, family, tmp_path):
    pytest.importorskip("tritonclient.grpc")
    import onnxruntime
    from tritonclient.grpc import model_config_pb2 as triton

    from zoo.export.model_config import check_config, read_config

    added = add_to_repository(folders[family], tmp_path / "models")
    names = {"float32": "FP32", "float64": "FP64", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}
    for one, (endpoint, expected) in zip(added, ENDPOINTS[family].items(), strict=True):
        model = tmp_path / "models" / one.model
        config = read_config(model)
        for tensors, messages in ((expected.inputs, config.input), (expected.outputs, config.output)):
            for tensor, message in zip(tensors, messages, strict=True):
                assert triton.DataType.Name(message.data_type) == f"TYPE_{names[tensor.dtype]}", endpoint
                assert list(message.dims) == [axis.size or -1 for axis in tensor.axes]
        check_config(model, one.folder / "model.onnx")
        session = onnxruntime.InferenceSession(one.folder / "model.onnx", providers=["CPUExecutionProvider"])
        stored, _ = read_test_tensors(folders[family] / TEST_TENSORS, locate(folders[family]).spec)[endpoint]
        assert [sample.batch_size for sample in config.model_warmup] == [1, 32]
        for sample in config.model_warmup:
            feeds = {}
            for name, given in sample.inputs.items():
                row = np.fromfile(model / "warmup" / given.input_data_file, stored[name].dtype).reshape(1, *given.dims)
                np.testing.assert_array_equal(row[0], stored[name][0])
                feeds[name] = np.repeat(row, sample.batch_size, axis=0)
            session.run(None, feeds)
    path = next((tmp_path / "models").glob("*/config.pbtxt"))
    path.write_text(path.read_text().replace(f"TYPE_{names[expected.inputs[0].dtype]}", "TYPE_UINT8", 1))
    with pytest.raises(ExportError, match=r"describes as input .*TYPE_UINT8"):
        check_config(path.parent, next(path.parent.glob("1/model.onnx")))

"""The export wing: names, opsets, the parity gate, and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
tf2onnx = pytest.importorskip("tf2onnx")
import onnx  # noqa: E402

from zoo.errors import ExportError, FullDiskError, InputError, ParityError, ReproductionError, UnknownNameError  # noqa: E402
from zoo.export import (  # noqa: E402
    ExportReport,
    check_parity,
    export,
    in_range_rows,
    pipeline,
    to_onnx,
    to_saved_model,
)
from zoo.export.parity import onnx_function  # noqa: E402
from zoo.families.base import ZooModel  # noqa: E402
from zoo.families.ive import IVE  # noqa: E402
from zoo.families.layers import Standardize  # noqa: E402
from zoo.families.mlp import MLP  # noqa: E402
from zoo.model.axes import fixed_axes  # noqa: E402
from zoo.model.card import write_card  # noqa: E402
from zoo.model.model_json import read_spec, write_spec  # noqa: E402
from zoo.model.spec import Data, Endpoint, File, ModelSpec, Tensor, Tolerance  # noqa: E402
from zoo.model.store import locate  # noqa: E402


def tensor(name: str, *shape: int, unit: str = "1") -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, list(shape)), unit=unit, description=f"the {name}")


def endpoint(inputs: list[Tensor], outputs: list[Tensor]) -> Endpoint:
    return Endpoint(description="for the test", inputs=inputs, outputs=outputs)


def describe(model: ZooModel, **endpoints: Endpoint) -> ZooModel:
    data = Data(source="none", description="none", simulator="none", seed=0, rows={})
    model.spec = ModelSpec(
        name="tiny",
        family="tiny",
        config={},
        task="test",
        summary="A tiny model",
        endpoints=endpoints,
        data=data,
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )
    return model


TIMES, ANGLES = tensor("times", 4, unit="s"), tensor("angles", 3, unit="rad")
SPEED, ALARM = tensor("speed", 2, unit="m/s"), tensor("alarm", 1)


class Tiny(ZooModel):
    """Inputs and outputs whose alphabetical order is not theirs."""

    endpoints = {"both": "both", "one": "one"}

    def __init__(self) -> None:
        super().__init__()
        self.standardize = Standardize((4,), name="standardize")
        self.hidden = keras.layers.Dense(8, activation="relu", name="hidden")
        self.hidden.build((None, 7))
        self.head = keras.layers.Dense(2, name="head")
        self.head.build((None, 8))
        self.built = True

    def both(self, times, angles):
        speed = self.head(self.hidden(keras.ops.concatenate([self.standardize(times), angles], axis=-1)))
        return speed, keras.ops.exp(speed[:, :1])

    def one(self, times):
        return self.standardize(times)


class Function(ZooModel):
    """Any function of ``times`` and ``angles`` as the endpoint ``f`` with one output ``y``."""

    endpoints = {"f": "f"}

    def __init__(self, function, *, shape: tuple[int, ...] = (4,)) -> None:
        super().__init__()
        self.function, self.built = function, True
        describe(self, f=endpoint([TIMES, ANGLES], [tensor("y", *shape)]))

    def f(self, times, angles):
        return self.function(times, angles)


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    keras.utils.set_random_seed(1)
    model = describe(Tiny(), both=endpoint([TIMES, ANGLES], [SPEED, ALARM]), one=endpoint([TIMES], [tensor("scaled", 4)]))
    model.standardize.adapt(np.random.default_rng(0).normal(3.0, 2.0, (100, 4)))
    model.hidden.bias.assign(np.linspace(-1, 1, 8))
    return model


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {"times": rng.normal(3, 2, (300, 4)).astype("f"), "angles": rng.normal(0, 1, (300, 3)).astype("f")}


@pytest.fixture(scope="module")
def source(tiny, rows, tmp_path_factory) -> Path:
    """A user's folder with what an export takes along: card and test tensors."""
    folder = tmp_path_factory.mktemp("tiny")
    few = {name: array[:5] for name, array in rows.items()}
    arrays = {}
    for name, described in tiny.spec.endpoints.items():
        inputs = {t.name: few[t.name] for t in described.inputs}
        arrays |= {f"{name}/in/{key}": value for key, value in inputs.items()}
        arrays |= {f"{name}/out/{key}": np.asarray(value) for key, value in tiny.endpoint(name)(**inputs).items()}
    np.savez(folder / "test_tensors.npz", **arrays)
    file = File.of(folder / "test_tensors.npz")
    spec = write_spec(folder, tiny.spec.model_copy(update={"files": [file]}))
    write_card(folder, spec, prose="# Tiny\n\nWritten by a person.\n")
    return folder


def by_hand(model: Tiny, times: np.ndarray, angles: np.ndarray) -> dict[str, np.ndarray]:
    """The endpoint ``both`` in NumPy and double precision, from the weights alone."""
    mean, scale = (np.asarray(w, float) for w in (model.standardize.mean, model.standardize.scale))
    (w1, b1), (w2, b2) = ([np.asarray(w, float) for w in layer.weights] for layer in (model.hidden, model.head))
    speed = np.maximum(np.concatenate([(times - mean) / scale, angles], -1) @ w1 + b1, 0) @ w2 + b2
    return {"speed": speed, "alarm": np.exp(speed[:, :1])}


def dims(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


# IR versions as in the table of the ONNX versioning document.
@pytest.mark.parametrize(("opset", "ir"), [(9, 4), (11, 6), (13, 7), (18, 8)])
def test_graph_has_the_names_order_and_shapes_of_the_spec(tiny, rows, opset, ir):
    proto = to_onnx(tiny, tiny.spec, "both", opset)
    assert [(v.name, dims(v)) for v in proto.graph.input] == [("times", ["batch", 4]), ("angles", ["batch", 3])]
    assert [(v.name, dims(v)) for v in proto.graph.output] == [("speed", ["batch", 2]), ("alarm", ["batch", 1])]
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", opset)]
    assert proto.ir_version == ir
    assert not proto.graph.value_info
    for n in (1, 7, 300):
        some = {name: array[:n] for name, array in rows.items()}
        given, expected = onnx_function(proto.SerializeToString())(some), by_hand(tiny, **some)
        for name in ("speed", "alarm"):
            np.testing.assert_allclose(given[name], expected[name], rtol=1e-5, atol=1e-5)


def test_graph_says_where_it_comes_from_and_in_which_units(tiny):
    proto = to_onnx(tiny, tiny.spec, "both")
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert (proto.producer_name, proto.graph.name) == ("physzoo", "both")
    assert {key: metadata[key] for key in ("model", "revision", "endpoint")} == {
        "model": "tiny",
        "revision": "1",
        "endpoint": "both",
    }
    assert json.loads(metadata["units"]) == {"times": "s", "angles": "rad", "speed": "m/s", "alarm": "1"}
    assert proto.graph.input[1].doc_string == "the angles [rad]"


def test_same_model_gives_the_same_bytes(tiny, monkeypatch):
    first = to_onnx(tiny, tiny.spec, "both").SerializeToString(deterministic=True)
    for counter in (7, 95, 996):  # so that the numbers in tf2onnx's names get another digit on the way
        monkeypatch.setattr(tf2onnx.utils, "INTERNAL_NAME", counter)
        assert to_onnx(tiny, tiny.spec, "both").SerializeToString(deterministic=True) == first


@pytest.mark.parametrize("opset", [8, 19, 0])
def test_opset_out_of_range_is_refused(tiny, opset):
    with pytest.raises(ExportError, match=f"opset {opset}: expected 9 to 18"):
        to_onnx(tiny, tiny.spec, "both", opset)


def test_unknown_endpoint_gets_a_suggestion(tiny):
    with pytest.raises(UnknownNameError, match="did you mean both"):
        to_onnx(tiny, tiny.spec, "bth")


def loop_with_noise(times, angles):
    def body(i, x):
        return i + 1, x + tf.random.normal(tf.shape(x))

    return keras.ops.while_loop(lambda i, x: i < 3, body, (0, times))[1]


DROPOUT = keras.layers.Dropout(0.5, seed=1)
SEED = keras.random.SeedGenerator(1)
CONSTANT = tf.constant([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda times, angles: tf.math.lgamma(times), r"Lgamma.*not supported"),
        (lambda times, angles: times + tf.random.normal(tf.shape(times)), r"random.*RandomStandardNormal"),
        (lambda times, angles: times + keras.random.uniform(keras.ops.shape(times), seed=SEED), r"random.*RandomUniform"),
        (lambda times, angles: DROPOUT(times, training=True), r"random.*StatelessRandom"),
        (loop_with_noise, r"random.*RandomStandardNormal"),
        (lambda times, angles: times * CONSTANT, "non-trainable weight"),
        (lambda times, angles: times * float(times[0, 0].numpy()), "'f': the method does not run as a graph"),
        (lambda times, angles: angles, r"'y' should be float32 of shape \(batch, 4\).*\(None, 3\)"),
        (lambda times, angles: keras.ops.cast(times, "int32"), "float32.*int32"),
        (lambda times, angles: (times, times), r"expected 1 outputs \(y\), the method returns 2"),
    ],
)
def test_what_onnx_cannot_say_is_refused_by_name(function, message, caplog, capfd):
    model = Function(function)
    with pytest.raises(ExportError, match=message):
        to_onnx(model, model.spec, "f")
    assert not [record for record in caplog.records if record.name.startswith("tf2onnx")]
    assert "not supported" not in capfd.readouterr().err


def test_one_name_for_an_input_and_an_output_is_refused():
    model = describe(Function(lambda times, angles: times), f=endpoint([TIMES, ANGLES], [TIMES]))
    with pytest.raises(ExportError, match="times names an input and an output"):
        to_onnx(model, model.spec, "f")


def test_endpoint_that_the_family_lacks_is_refused(tiny):
    spec = tiny.spec.model_copy(update={"endpoints": {"neither": tiny.spec.endpoints["one"]}})
    with pytest.raises(ExportError, match="'neither', Tiny has both, one"):
        to_onnx(tiny, spec, "neither")


def test_unused_input_and_passed_through_input_stay(rows):
    model = Function(lambda times, angles: times)
    graph = to_onnx(model, model.spec, "f")
    assert [value.name for value in graph.graph.input] == ["times", "angles"]
    np.testing.assert_array_equal(onnx_function(graph.SerializeToString())(rows)["y"], rows["times"])


@pytest.mark.parametrize("opset", [11, 13])
def test_loops_and_branches_are_exported(rows, opset):
    def function(times, angles):
        grown = keras.ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 1.5 + angles[:, :1]), (0, times))[1]
        return keras.ops.cond(keras.ops.sum(grown[0]) > -1e9, lambda: grown * 2, lambda: grown - 1)

    model = Function(function)
    given = onnx_function(to_onnx(model, model.spec, "f", opset).SerializeToString())(rows)["y"]
    a = rows["angles"][:, :1]
    np.testing.assert_allclose(given, 2 * (((rows["times"] * 1.5 + a) * 1.5 + a) * 1.5 + a), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [11, 13])
def test_families_pass_the_gate(opset):
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(4)
    spectrum, probability = tensor("spectrum", 215, unit="muK^2"), tensor("probability", 1)
    classifier = describe(MLP(215, [64, 64]), predict=endpoint([spectrum], [probability]))
    trajectory, time, noise = tensor("trajectory", 50, unit="m"), tensor("time", 1, unit="s"), tensor("noise", 3)
    displacement, latent = tensor("displacement", 1, unit="m"), tensor("latent", 3)
    pendulum = describe(
        IVE(50, 1, 3, [64, 64], [64, 64]),
        predict=endpoint([trajectory, time], [displacement]),
        encode=endpoint([trajectory], [tensor("mean", 3), tensor("log_variance", 3)]),
        decode=endpoint([latent, time], [displacement]),
        reconstruct=endpoint([trajectory, time, noise], [displacement]),
    )
    for model in (classifier, pendulum):
        for name, described in model.spec.endpoints.items():
            inputs = {t.name: rng.normal(size=(20, *t.shape)).astype("f") for t in described.inputs}
            exported = onnx_function(to_onnx(model, model.spec, name, opset).SerializeToString())
            report = check_parity(model, model.spec, name, exported, in_range_rows(inputs))
            assert {out.rows for out in report.outputs.values()} == {1000}
            assert report.max_absolute < 1e-5


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_rows_are_mixtures_that_share_pair_and_weight():
    rng = np.random.default_rng(5)
    a = rng.normal(size=(6, 3, 2)).astype("f")
    made = in_range_rows({"a": a, "twice": 2 * a, "flat": np.float32([[0.1]] * 6)}, n=500)
    assert {name: (rows.shape, rows.dtype) for name, rows in made.items()} == {
        "a": ((500, 3, 2), np.float32),
        "twice": ((500, 3, 2), np.float32),
        "flat": ((500, 1), np.float32),
    }
    np.testing.assert_array_equal(made["a"][:6], a)
    np.testing.assert_allclose(made["twice"], 2 * made["a"], rtol=1e-5, atol=1e-6)
    assert (made["flat"] == np.float32(0.1)).all()  # no rounding out of the hull
    assert (made["a"] >= a.min(0)).all()
    assert (made["a"] <= a.max(0)).all()
    assert len(np.unique(made["a"][:, 0, 0])) > 400
    again, other = (in_range_rows({"a": a}, n=500, seed=seed)["a"] for seed in (0, 1))
    np.testing.assert_array_equal(again, made["a"])
    assert not np.array_equal(other, made["a"])


def test_fewer_rows_than_test_tensors_and_none_at_all():
    assert in_range_rows({"a": np.ones((6, 2), "f")}, n=4)["a"].shape == (4, 2)
    for test_rows, n in ((0, 10), (5, 0)):
        with pytest.raises(InputError, match="at least one row"):
            in_range_rows({"a": np.ones((test_rows, 2), "f")}, n=n)


# -- parity -------------------------------------------------------------------------------------------------------------


def with_weight(proto: onnx.ModelProto, factor: float, offset: float = 0.0) -> bytes:
    changed = onnx.ModelProto.FromString(proto.SerializeToString())
    weight = next(w for w in changed.graph.initializer if list(w.dims) == [8, 2])
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(factor) + offset, weight.name))
    return changed.SerializeToString()


def test_report_says_how_close_the_graph_is(tiny, rows):
    graph = to_onnx(tiny, tiny.spec, "both")
    report = check_parity(tiny, tiny.spec, "both", onnx_function(with_weight(graph, 1 + 1e-4)), rows, Tolerance(absolute=1e-2))
    speed = by_hand(tiny, **rows)["speed"]
    bias = np.asarray(tiny.head.bias, float)
    difference = np.abs(1e-4 * (speed - bias))
    assert report.outputs["speed"].rows == 300
    assert report.outputs["speed"].max_absolute == pytest.approx(difference.max(), rel=0.05)
    assert report.max_absolute >= report.outputs["speed"].max_absolute
    assert list(report.outputs) == ["speed", "alarm"]


@pytest.mark.parametrize("factor", [1.001, float("nan"), float("inf")])
def test_changed_weight_fails_and_the_worst_element_is_named(tiny, rows, factor):
    exported = onnx_function(with_weight(to_onnx(tiny, tiny.spec, "both"), factor))
    with pytest.raises(ParityError, match=r"'both', output 'speed': differs .* of 300 rows, most in row \d+, element \[\d\]"):
        check_parity(tiny, tiny.spec, "both", exported, rows)


def test_worst_element_is_the_worst(tiny, rows):
    good = onnx_function(to_onnx(tiny, tiny.spec, "both").SerializeToString())

    def exported(inputs):
        outputs = good(inputs)
        outputs["alarm"] = outputs["alarm"] + np.where(inputs["times"][:, :1] == rows["times"][123, 0], 1, 1e-3).astype("f")
        return outputs

    with pytest.raises(
        ParityError, match=r"output 'alarm': differs from Keras in 300 of 300 rows, most in row 123, element \[0\]"
    ):
        check_parity(tiny, tiny.spec, "both", exported, rows)


def test_swapped_outputs_and_wrong_shape_fail(tiny, rows):
    good = onnx_function(to_onnx(tiny, tiny.spec, "both").SerializeToString())
    with pytest.raises(ParityError, match="shape"):
        check_parity(tiny, tiny.spec, "both", lambda x: {"speed": good(x)["alarm"], "alarm": good(x)["speed"]}, rows)


def test_answer_that_depends_on_the_batch_fails(rows):
    model = Function(lambda times, angles: times - keras.ops.mean(times, axis=0))
    exported = onnx_function(to_onnx(model, model.spec, "f").SerializeToString())
    with pytest.raises(ParityError, match="differs from Keras"):
        check_parity(model, model.spec, "f", exported, rows)


def test_graph_that_only_takes_one_batch_size_fails(rows):
    model = Function(lambda times, angles: keras.ops.reshape(keras.ops.reshape(times, (256, 4)), (-1, 4)))
    exported = onnx_function(to_onnx(model, model.spec, "f").SerializeToString())
    with pytest.raises(ParityError, match="does not run"):
        check_parity(model, model.spec, "f", exported, {name: array[:256] for name, array in rows.items()})


# -- folders ------------------------------------------------------------------------------------------------------------


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WITHOUT_TENSORFLOW = """
import sys
from zoo.serving import Session
from zoo.serving.verify import verify

report = verify(sys.argv[1])
assert report.ok and report.files == 3 and len(report.rows) == 3, report
session = Session(sys.argv[1])
assert session.run({"angles": [[0, 1, 2]], "times": [[1, 2, 3, 4]]}, "both")["speed"].shape == (1, 2)
assert not {"tensorflow", "keras"} & sys.modules.keys()
"""


def test_onnx_folder_is_a_model_folder_that_runs_without_tensorflow(tiny, source, tmp_path):
    report = export(tiny, tmp_path / "new" / "out", source=source, opset=11, parity_rows=50)
    folder = tmp_path / "new" / "out"
    assert leftovers(folder.parent) == ["out"]
    reports = ["report.json", "report.md", "test_tensors.npz"]
    assert leftovers(folder) == ["README.md", "both.onnx", "clients", "model.json", "one.onnx", *reports]
    model = locate(folder)
    assert [model.path(file.path).name for file in model.spec.files] == ["both.onnx", "one.onnx", "test_tensors.npz"]
    assert model.spec.model_copy(update={"files": [], "export": tiny.spec.export}) == tiny.spec
    assert (model.spec.export.opset, model.spec.export.ir_version) == (11, 6)
    assert model.spec.export.parity == {parity.endpoint: parity.max_absolute for parity in report.endpoints}
    assert "Written by a person." in (folder / "README.md").read_text()
    assert onnx.load(folder / "both.onnx").opset_import[0].version == 11
    assert ExportReport.model_validate_json((folder / "report.json").read_text()) == report
    assert "| both | alarm | 50 |" in (folder / "report.md").read_text()
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW, str(folder)], check=True, cwd=tmp_path)


WITHOUT_ZOO = """
import sys

sys.modules["zoo"] = sys.modules["keras"] = None  # an import of either fails
import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
with np.load(sys.argv[1] + "/test_tensors.npz") as stored:
    tensors = {"both": (["times", "angles"], ["speed", "alarm"]), "one": (["times"], ["scaled"])}
    for endpoint, (inputs, outputs) in tensors.items():
        given = loaded.signatures[endpoint](**{name: tf.constant(stored[f"{endpoint}/in/{name}"]) for name in inputs})
        assert sorted(given) == sorted(outputs), given
        for name in outputs:
            np.testing.assert_allclose(given[name], stored[f"{endpoint}/out/{name}"], rtol=1e-5, atol=1e-5)
        assert given[name].shape[0] == 5
"""


def test_saved_model_runs_without_our_code(tiny, source, tmp_path):
    report = export(tiny, tmp_path / "saved", source=source, format="savedmodel", parity_rows=50)
    assert {parity.endpoint for parity in report.endpoints} == {"both", "one"}
    assert (report.opset, report.ir_version) == (None, None)
    assert locate(tmp_path / "saved").spec.export == tiny.spec.export
    subprocess.run([sys.executable, "-c", WITHOUT_ZOO, str(tmp_path / "saved")], check=True, cwd=tmp_path)


def test_saved_model_refuses_randomness(tmp_path):
    model = Function(lambda times, angles: times + tf.random.normal(tf.shape(times)))
    with pytest.raises(ExportError, match="random"):
        to_saved_model(model, model.spec, tmp_path / "saved")


def fail_at(endpoint: str, error: Exception):
    def to_onnx_or_not(model, spec, name, opset):
        if name == endpoint:
            raise error
        return to_onnx(model, spec, name, opset)

    return to_onnx_or_not


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FullDiskError),
        (ParityError("no"), ParityError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failure_midway_leaves_nothing(tiny, source, tmp_path, monkeypatch, error, expected):
    monkeypatch.setattr(pipeline, "to_onnx", fail_at("one", error))
    with pytest.raises(expected):
        export(tiny, tmp_path / "out", source=source, parity_rows=10)
    assert leftovers(tmp_path) == []


def test_folder_that_cannot_be_made_is_named(tiny, source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="file/out was not written: "):
        export(tiny, tmp_path / "file" / "out", source=source)


def test_failure_midway_keeps_the_earlier_export(tiny, source, tmp_path, monkeypatch):
    export(tiny, tmp_path / "out", source=source, parity_rows=10)
    before = contents(tmp_path / "out")
    monkeypatch.setattr(pipeline, "to_onnx", fail_at("one", ParityError("no")))
    with pytest.raises(ParityError):
        export(tiny, tmp_path / "out", source=source, parity_rows=10, overwrite=True)
    assert contents(tmp_path / "out") == before
    assert leftovers(tmp_path) == ["out"]


def test_only_an_earlier_export_is_overwritten(tiny, source, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    with pytest.raises(ExportError, match="exists"):
        export(tiny, tmp_path / "thesis", source=source)
    with pytest.raises(ExportError, match="something else has made it"):
        export(tiny, tmp_path / "thesis", source=source, overwrite=True)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"
    export(tiny, tmp_path / "out", source=source, opset=13, parity_rows=10)
    with pytest.raises(ExportError, match="exists"):
        export(tiny, tmp_path / "out", source=source)
    export(tiny, tmp_path / "out", source=source, opset=11, parity_rows=10, overwrite=True)
    assert read_spec(tmp_path / "out").export.opset == 11
    assert leftovers(tmp_path) == ["out", "thesis"]


def test_model_that_is_not_the_source_is_refused(tiny, source, tmp_path):
    other = describe(Tiny(), **tiny.spec.endpoints)
    with pytest.raises(ReproductionError):
        export(other, tmp_path / "out", source=source)
    assert leftovers(tmp_path) == []


def test_unknown_format_gets_a_suggestion(tiny, source, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean onnx"):
        export(tiny, tmp_path / "out", source=source, format="onx")


def test_export_is_gated(tiny, source, tmp_path, monkeypatch):
    monkeypatch.setattr(
        pipeline, "to_onnx", lambda *args: onnx.ModelProto.FromString(with_weight(to_onnx(*args), 1.01)), raising=True
    )
    with pytest.raises(ParityError, match="differs from Keras"):
        export(tiny, tmp_path / "out", source=source, parity_rows=10)
    assert leftovers(tmp_path) == []


def test_missing_package_is_named():
    code = "import sys; sys.modules['tf2onnx'] = None; from zoo.export import to_onnx"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "this needs tf2onnx, which is not installed: pip install 'physzoo[export,cpu]'" in ran.stderr


def test_files_are_described_as_they_are(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert File.of(tmp_path / "x.onnx") == File(path="x.onnx", sha256=sha256, bytes=3)

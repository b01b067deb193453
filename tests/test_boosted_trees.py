"""Boosted trees, a model that is not Keras: by the same calls from a recipe to a served answer."""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import tritonclient.http as triton
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from live_server import infer, running
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.inspection import partial_dependence, permutation_importance
from tiny_models import DENSITIES, TREES_RECIPE, TinyDensities
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.errors import (
    ExplanationError,
    ExportError,
    FolderError,
    InputError,
    IntegrityError,
    ParityError,
    ReproductionError,
    ZooError,
)
from zoo.export import check_parity, export, in_range_rows, pipeline, to_onnx
from zoo.export.parity import onnx_function
from zoo.families.boosted_trees import BoostedTrees, rounded_down
from zoo.families.tree_arrays import to_arrays
from zoo.loading import load_weights
from zoo.model.axes import fixed_axes
from zoo.model.card import check_card
from zoo.model.model_json import write_spec
from zoo.model.spec import METRICS, RANGES, TEST_TENSORS, WEIGHTS
from zoo.serving import Session
from zoo.serving.server import Server
from zoo.serving.verify import verify
from zoo.training import boosting
from zoo.training.fit import fit
from zoo.training.recipe import Recipe, RecipeError, load_recipe
from zoo.workflows.release import release


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.model_validate(TREES_RECIPE)


@pytest.fixture(scope="module")
def folder(recipe, tmp_path_factory) -> Path:
    """The recipe's released model."""
    root = tmp_path_factory.mktemp("trees")
    release(recipe, root / "run", root / "tiny-trees")
    return root / "tiny-trees"


@pytest.fixture(scope="module")
def model(folder) -> BoostedTrees:
    return zoo.load(folder)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return TinyDensities().rows("test").inputs["densities"]


def on_thresholds(model: BoostedTrees) -> np.ndarray:
    """Rows each of whose elements is a threshold of the trees, or the number beside it; float32."""
    nodes = to_arrays(model.regressor)
    rng, inner = np.random.default_rng(3), nodes["is_leaf"] == 0
    x = np.empty((2000, DENSITIES), np.float32)
    for feature in range(DENSITIES):
        t = nodes["num_threshold"][inner & (nodes["feature_idx"] == feature)].astype(np.float32)
        x[:, feature] = rng.choice(
            np.concatenate([t, np.nextafter(t, np.float32(np.inf)), np.nextafter(t, np.float32(-np.inf))]), 2000
        )
    return x


# -- training -----------------------------------------------------------------------------------------------------------


def plain(trees: int = 80) -> HistGradientBoostingRegressor:
    """A regressor of scikit-learn alone, with the recipe's settings."""
    train = TinyDensities().rows("train")
    regressor = HistGradientBoostingRegressor(
        max_iter=trees, max_leaf_nodes=8, min_samples_leaf=10, learning_rate=0.1, early_stopping=False
    )
    return regressor.fit(train.inputs["densities"], train.target[:, 0])


def test_trees_are_those_of_scikit_learn(model, rows):
    np.testing.assert_array_equal(model(rows)[:, 0], plain().predict(rows).astype(np.float32))


def test_history_is_the_mean_squared_error_after_each_tree(recipe, tmp_path):
    model, history = fit(recipe, tmp_path)
    for split, key in (("train", "loss"), ("validation", "val_loss")):
        rows = TinyDensities().rows(split)
        for trees in (1, 30, 80):
            error = plain(trees).predict(rows.inputs["densities"]) - rows.target[:, 0].astype(float)
            assert history[key][trees - 1] == pytest.approx(np.mean(error**2), rel=1e-9)
        assert len(history[key]) == 80
    assert model.regressor.n_iter_ == 80
    assert history["val_loss"][-1] < 0.2 * history["val_loss"][0]


@pytest.mark.parametrize("step", [50, 7, 1000])
def test_patience_keeps_the_trees_of_the_lowest_validation_loss(recipe, tmp_path, monkeypatch, step):
    monkeypatch.setattr(boosting, "STEP", step)
    model, history = fit(recipe.changed({"epochs": 400, "patience": 5, "optimizer.learning_rate": 0.5}), tmp_path)
    losses = history["val_loss"]
    assert len(losses) == len(history["loss"]) == int(np.argmin(losses)) + 1 + 5
    assert model.regressor.n_iter_ == int(np.argmin(losses)) + 1 < 100
    rows = TinyDensities().rows("validation")
    assert np.mean(np.square(model(rows.inputs["densities"]) - rows.target)) == pytest.approx(min(losses), rel=1e-5)


def test_finished_run_is_read_and_an_interrupted_one_starts_again(recipe, tmp_path, rows, monkeypatch):
    first, history = fit(recipe, tmp_path)
    (tmp_path / boosting.HISTORY).unlink()  # as if it was killed while it wrote
    (tmp_path / WEIGHTS).write_bytes(b"half")
    again, same = fit(recipe, tmp_path)
    monkeypatch.setattr(boosting, "_boosted", None)
    read, stored = fit(recipe, tmp_path)
    assert history == same == stored
    for other in (again, read):
        np.testing.assert_array_equal(other(rows), first(rows))


def test_damaged_run_is_named(recipe, tmp_path):
    fit(recipe, tmp_path)
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(IntegrityError, match=r"damaged .*model\.weights\.h5.*delete .*history\.json"):
        fit(recipe, tmp_path)


def test_folder_of_another_run_or_process_is_refused(recipe, tmp_path):
    fit(recipe, tmp_path)
    with pytest.raises(FolderError, match="holds a run made with epochs"):
        fit(recipe.changed({"epochs": 5}), tmp_path)
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RecipeError, match="another process"):
            fit(recipe, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 32}, "no use for batch_size 32"),
        (
            {"optimizer": {"schedule": "cosine", "weight_decay": 0.1}},
            r"optimizer\.schedule cosine, optimizer\.weight_decay 0\.1",
        ),
        ({"config": {"inputs": 6, "depth": 3}}, "depth"),
        ({"config.max_leaf_nodes": 1}, "max_leaf_nodes to be a whole number of at least 2, given 1"),
        ({"config.min_samples_leaf": 0.5}, "min_samples_leaf .* given 0.5"),
        ({"config.inputs": 5}, r"one input \(n, 5\).*\(1500, 6\)"),
        ({"data.parameters": {"outputs": 2}}, r"target \(n, 1\).*\(1500, 2\)"),
        ({"data.parameters": {"broken": True}}, "train: expected finite inputs"),
    ],
)
def test_recipe_that_trees_cannot_follow_is_refused_before_a_folder_is_made(recipe, tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        fit(recipe.changed(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_network_without_a_batch_size_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="family mlp is trained in batches: give the recipe a batch_size"):
        fit(load_recipe("mlp-cmb-emulator").changed({"batch_size": None}), tmp_path)


# -- weights ------------------------------------------------------------------------------------------------------------


def test_file_gives_back_the_estimator(model, rows, tmp_path):
    model.save_weights(tmp_path / WEIGHTS)
    twin = BoostedTrees(**model.config)
    load_weights(twin, tmp_path / WEIGHTS)
    np.testing.assert_array_equal(twin(rows), model(rows))
    ours, theirs = twin.regressor, plain()
    assert (ours.n_iter_, ours.learning_rate, ours.n_features_in_, ours.max_iter) == (80, 0.1, DENSITIES, 80)
    # These are what people look into trees with.
    y = TinyDensities().rows("test").target[:, 0]
    for look in (
        lambda r: partial_dependence(r, rows, [0], method="recursion")["average"],
        lambda r: partial_dependence(r, rows[:50], [1], method="brute")["average"],
        lambda r: permutation_importance(r, rows, y, n_repeats=2, random_state=0).importances,
    ):
        np.testing.assert_allclose(look(ours), look(theirs), rtol=1e-6)
    np.testing.assert_allclose(twin.baseline("densities"), TinyDensities().rows("train").inputs["densities"].mean(0), atol=1e-6)


def test_file_holds_nothing_but_numbers_and_the_same_bytes(model, tmp_path):
    for name in ("a", "b"):
        model.save_weights(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with h5py.File(tmp_path / "a") as file:
        assert {item.dtype.kind for item in file.values()} == {"f", "u"}
        assert not file.attrs


def first_inner(file: h5py.File, number: int = 0) -> int:
    return int(np.flatnonzero(file["is_leaf"][()] == 0)[number])


def put(name: str, value: float, number: int = 0):
    """Change one inner node."""

    def change(file: h5py.File) -> None:
        file[name][first_inner(file, number)] = value

    return change


def swap(name: str, array: np.ndarray | h5py.Empty):
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = array

    return change


def shared(file: h5py.File) -> None:
    root = first_inner(file)
    file["left"][root] = file["right"][root]


def remove(file: h5py.File) -> None:
    del file["gain"]


def add(file: h5py.File) -> None:
    file["more"] = np.ones(3)


CORRUPTIONS = {
    "child is its own parent": (put("left", 0), "left: expected children between"),
    "child before its parent": (put("right", 0, 2), "right: expected children between"),
    "child beyond the tree": (put("left", 15), "left: expected children between"),
    "child beyond everything": (put("left", 4_000_000_000), "left: expected numbers from 0 to"),
    "two parents": (shared, "child of one node"),
    "feature": (put("feature_idx", DENSITIES), "feature_idx: expected features below 6, given 6"),
    "value": (put("value", np.nan), "value: expected finite"),
    "threshold": (put("num_threshold", np.inf), "num_threshold: expected finite"),
    "double threshold": (put("num_threshold", 0.1), "num_threshold: expected float32"),
    "leaf": (put("is_leaf", 2), "is_leaf: expected 0 or 1"),
    "sizes": (swap("depth", np.zeros(3, np.uint32)), r"depth: expected shape \(\d+,\), given \(3,\)"),
    "kind": (swap("first", np.array([0.0, 15.0])), "first: expected whole numbers"),
    "kind of value": (swap("baseline", np.array([13])), "baseline: expected finite floating-point"),
    "no tree": (swap("first", np.array([0])), "first: expected the first nodes"),
    "backwards": (swap("first", np.array([0, 20, 15])), "first: expected the first nodes"),
    "mean": (swap("mean", np.zeros(2)), "mean: expected 6 finite"),
    "scalar": (swap("baseline", np.float64(1)), "expected the arrays"),
    "missing": (remove, "expected the arrays .*gain"),
    "more": (add, "found .*more"),
}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_file_that_holds_no_trees_is_refused(model, tmp_path, kind):
    change, message = CORRUPTIONS[kind]
    path = tmp_path / WEIGHTS
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(IntegrityError, match=f"{WEIGHTS} does not fit its model: .*{message}"):
        load_weights(BoostedTrees(**model.config), path)


def test_file_that_is_none_or_points_elsewhere_is_refused(model, tmp_path):
    path = tmp_path / WEIGHTS
    path.write_bytes(b"\x80\x04]\x94.")  # a pickle
    with pytest.raises(IntegrityError, match="not a readable HDF5 file"):
        load_weights(BoostedTrees(**model.config), path)
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["value"]
        file["value"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(IntegrityError, match="is a link"):
        load_weights(BoostedTrees(**model.config), path)


def test_another_scikit_learn_is_named(model):
    class Other:
        """What keeps its trees under another name."""

    with pytest.raises(ZooError, match=r"scikit-learn .* keeps its boosted trees otherwise .*_predictors.*install"):
        to_arrays(Other())


def test_model_that_does_not_reproduce_is_refused(folder, tmp_path):
    import shutil

    from zoo.workflows.folder import describe_files

    copy = shutil.copytree(folder, tmp_path / "copy")
    with h5py.File(copy / WEIGHTS, "r+") as file:
        file["baseline"][0] += 0.01
    spec = zoo.model.store.locate(folder).spec
    write_spec(copy, spec.model_copy(update={"files": describe_files(copy)}))
    with pytest.raises(ReproductionError, match="predict/log_mass"):
        zoo.load(copy)


# -- thresholds ---------------------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False), st.integers(-2, 2))
def test_rounding_sends_every_float32_number_the_same_way(threshold, anywhere, steps):
    rounded = rounded_down(np.array([threshold]))[0]
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(np.copysign(np.inf, steps)))
    for x in (np.float32(anywhere), near):
        assert (float(x) <= threshold) == (float(x) <= rounded)
    assert rounded == np.float32(rounded)


def test_unrounded_thresholds_would_go_wrong_in_onnx(model):
    """The reason for rounding: rows at the nearest float32 number above a double threshold."""
    arrays = to_arrays(plain())
    inner = arrays["is_leaf"] == 0
    assert (arrays["num_threshold"][inner].astype(np.float32) > arrays["num_threshold"][inner]).mean() > 0.1
    raw = BoostedTrees(**model.config)
    raw.regressor, raw.spec = plain(), model.spec
    x = on_thresholds(raw)
    answer = onnx_function(to_onnx(raw, model.spec, "predict").SerializeToString())({"densities": x})["log_mass"]
    assert np.abs(answer[:, 0] - raw.regressor.predict(x)).max() > 1e-3


# -- export -------------------------------------------------------------------------------------------------------------


# IR versions as in the table of the ONNX versioning document.
@pytest.mark.parametrize(("opset", "ir"), [(9, 4), (11, 6), (13, 7), (18, 8)])
def test_graph_answers_as_scikit_learn_on_thresholds_too(model, rows, opset, ir):
    graph = to_onnx(model, model.spec, "predict", opset)
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", opset), ("ai.onnx.ml", 1)]
    assert graph.ir_version == ir
    run = onnx_function(graph.SerializeToString())
    x = on_thresholds(model)
    holes = np.where(np.random.default_rng(0).random(rows.shape) < 0.3, np.float32(np.nan), rows)
    for given_rows in (x, x[:1], x[:7], rows, holes):
        expected = plain().predict(given_rows)  # before the rounding
        np.testing.assert_allclose(run({"densities": given_rows})["log_mass"][:, 0], expected, rtol=0, atol=1e-5)


def test_graph_says_what_it_is(model):
    graph = to_onnx(model, model.spec, "predict")
    (taken,), (given_back,) = graph.graph.input, graph.graph.output
    shapes = [[dim.dim_param or dim.dim_value for dim in v.type.tensor_type.shape.dim] for v in (taken, given_back)]
    assert (taken.name, given_back.name, shapes) == ("densities", "log_mass", [["batch", DENSITIES], ["batch", 1]])
    assert given_back.doc_string == "log10 M [dex]"
    assert (graph.producer_name, graph.graph.name) == ("physzoo", "predict")
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(metadata["units"]) == {"densities": "1", "log_mass": "dex"}
    assert metadata["model"] == "tiny-trees"
    assert graph.SerializeToString(deterministic=True) == to_onnx(model, model.spec, "predict").SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize(("side", "shape", "message"), [("inputs", [5], "one input"), ("outputs", [], "one output")])
def test_tensors_that_trees_do_not_have_are_refused(model, side, shape, message):
    described = model.spec.endpoints["predict"]
    (tensor,) = getattr(described, side)
    changed = described.model_copy(
        update={side: [tensor.model_copy(update={"axes": fixed_axes("x", shape), "low": None, "high": None})]}
    )
    with pytest.raises(ExportError, match=message):
        to_onnx(model, model.spec.model_copy(update={"endpoints": {"predict": changed}}), "predict")


def test_saved_model_is_refused_and_says_why(model, tmp_path):
    with pytest.raises(ExportError, match="TensorFlow graphs, and a model made with scikit-learn has none: export it to ONNX"):
        export(model, tmp_path / "saved", format="savedmodel")
    assert not list(tmp_path.iterdir())


def test_export_is_gated(model, tmp_path, monkeypatch):
    def changed(*arguments):
        graph = to_onnx(*arguments)
        weights = next(a for a in graph.graph.node[0].attribute if a.name == "target_weights")
        weights.floats[0] += 0.1
        return graph

    monkeypatch.setattr(pipeline, "to_onnx", changed)
    with pytest.raises(ParityError, match=r"differs from scikit-learn in \d+ of 1000 rows"):
        export(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_parity_report(model, rows):
    run = onnx_function(to_onnx(model, model.spec, "predict").SerializeToString())
    report = check_parity(model, model.spec, "predict", run, in_range_rows({"densities": rows}))
    assert report.outputs["log_mass"].rows == 1000
    assert report.max_absolute < 1e-5


def test_exported_folder_verifies(model, folder, tmp_path):
    report = export(model, tmp_path / "out", opset=11)
    assert verify(tmp_path / "out").ok
    assert {"scikit-learn", "skl2onnx", "onnxruntime"} <= report.versions.keys()
    assert "tensorflow" not in report.versions
    assert "Differences from scikit-learn" in (tmp_path / "out" / "report.md").read_text()
    assert onnx.load(tmp_path / "out" / "predict.onnx").opset_import[0].version == 11
    export(model, tmp_path / "same")
    assert (tmp_path / "same" / "predict.onnx").read_bytes() == (folder / "predict.onnx").read_bytes()


def test_without_skl2onnx_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ZooError, match=r"needs skl2onnx.*pip install 'physzoo\[export,cpu\]'"):
        to_onnx(model, model.spec, "predict")


# -- the same calls -----------------------------------------------------------------------------------------------------


def test_endpoint_takes_and_gives_named_arrays(model, rows):
    answer = model.endpoint("predict")(densities=rows)["log_mass"]
    assert (type(answer), answer.dtype, answer.shape) == (np.ndarray, np.float32, (500, 1))
    assert model.endpoint("predict")(densities=rows[:0])["log_mass"].shape == (0, 1)
    assert np.corrcoef(answer[:, 0], TinyDensities().rows("test").target[:, 0])[0, 1] > 0.9


def test_card_says_that_it_is_not_keras(folder, model):
    check_card(folder, json.loads((folder / METRICS).read_text()))
    data = ModelCard.load(folder / "README.md").data
    assert (data.library_name, data.pipeline_tag) == ("physzoo", "tabular-regression")
    assert {"sklearn", "onnx", "boosted-trees"} <= set(data.tags)
    text = (folder / "README.md").read_text()
    assert "made with scikit-learn, not a Keras model" in text
    assert model.spec.library == "sklearn"
    assert [file.path for file in model.spec.files] == [METRICS, WEIGHTS, "predict.onnx", RANGES, TEST_TENSORS]


def test_session_answers_as_the_model(folder, model, rows):
    session, inside = Session(folder), rows[(np.abs(rows) < 2.5).all(axis=1)]
    for n in (1, 7, len(inside)):
        answer = session.run({"densities": inside[:n]})["log_mass"]
        np.testing.assert_allclose(answer, model(inside[:n]), rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="densities"):
        session.run({"densities": rows + 100})


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_gets_what_scikit_learn_says(folder, model, rows, binary):
    inside = rows[(np.abs(rows) < 2.5).all(axis=1)][:20]
    with running(Server([folder])) as address, triton.InferenceServerClient(address) as client:
        answer = infer(client, "tiny-trees", {"densities": inside}, binary=binary)
        np.testing.assert_allclose(answer.as_numpy("log_mass"), model(inside), rtol=0, atol=1e-5)


def test_explanations_that_need_gradients_say_what_works(model, rows):
    with pytest.raises(ExplanationError, match=r"'integrated_gradients' needs gradients.*permutation_importance.*shap"):
        zoo.explain(model, rows[:3])


runner = CliRunner()


def ok(*arguments: object) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_command_line(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_PATH", str(folder.parent))
    monkeypatch.chdir(tmp_path)
    assert "tiny-trees" in ok("list", "--family", "boosted-trees")
    assert "log_mass" in ok("show", "tiny-trees")
    assert json.loads(ok("show", "tiny-trees", "--json"))["library"] == "sklearn"
    assert json.loads(ok("verify", "tiny-trees", "--json"))["ok"] is True
    assert np.shape(json.loads(ok("predict", "tiny-trees", "--json"))["log_mass"]) == (16, 1)
    assert "parity with scikit-learn" in ok("export", "tiny-trees", "--opset", "18")
    assert isinstance(runner.invoke(app, ["export", "tiny-trees", "--format", "savedmodel"]).exception, ExportError)
    assert isinstance(runner.invoke(app, ["explain", "tiny-trees"]).exception, ExplanationError)


def test_train_from_a_recipe_file(tmp_path):
    import yaml

    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TREES_RECIPE))
    output = ok("train", "--recipe", tmp_path / "mine.yaml", "--set", "epochs=20", "--out", tmp_path / "run")
    assert "scatter" in output
    assert len(json.loads((tmp_path / "run" / METRICS).read_text())["history"]["val_loss"]) == 20
    model = BoostedTrees(**TREES_RECIPE["config"])
    load_weights(model, tmp_path / "run" / WEIGHTS)
    assert model.regressor.n_iter_ == 20

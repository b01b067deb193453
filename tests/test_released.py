"""Every released model, whatever its family: from name to served answer."""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from released_models import BIG, LARGE, ONE_A_FAMILY, ONE_A_SMALL_FAMILY, RELEASED, SMALLEST, bounds

import zoo
from zoo.errors import ExportError, IntegrityError, ReproductionError
from zoo.export import ExportReport, export, to_onnx
from zoo.export.report import REPORT
from zoo.loading import read_test_tensors, verify_model
from zoo.model.card import check_card
from zoo.model.card_sections import headline
from zoo.model.model_json import write_spec
from zoo.model.spec import METRICS, TEST_TENSORS, WEIGHTS
from zoo.model.store import locate
from zoo.serving import Session
from zoo.serving.verify import verify

ENDPOINTS = [(name, endpoint) for name in RELEASED for endpoint in zoo.get_spec(name).endpoints]


def expect_released(fresh: bytes, name: str, endpoint: str) -> None:
    """The bytes of a graph are the released ones; where they are not, this says which of its nodes and constants differ."""
    released = locate(name).path(f"{endpoint}.onnx").read_bytes()
    if fresh != released:
        graphs = [onnx.load_from_string(content).graph for content in (fresh, released)]
        parts = [[part.SerializeToString(deterministic=True) for part in (*g.node, *g.initializer)] for g in graphs]
        named = [[f"{part.name} {getattr(part, 'op_type', '')}" for part in (*g.node, *g.initializer)] for g in graphs]
        only = [
            [label for label, part in zip(labels, own, strict=True) if part not in others]
            for labels, own, others in zip(named, parts, reversed(parts), strict=True)
        ]
        pytest.fail(f"{endpoint} of {name}: only in the fresh graph {only[0]}, only in the released one {only[1]}")


@pytest.fixture(scope="module")
def session():
    return functools.cache(Session)


def tensors(name):
    folder = locate(name)
    return read_test_tensors(folder.path(TEST_TENSORS), folder.spec)


def test_the_spine_is_released():
    assert {"logistic-cmb-running", "mlp-cmb-feature", "ive-pendulum"} <= set(RELEASED)


@pytest.mark.parametrize("name", RELEASED)
def test_card_holds_what_was_measured(name):
    """A number edited by hand fails here."""
    folder = locate(name)
    check_card(folder.folder, json.loads(folder.path(METRICS).read_text()))
    front = folder.card.read_text().split("---\n")[1]
    assert len(front.splitlines()) < 40


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_card_says_how_the_model_is_used(name, unverified):
    """The five lines of Python and the command run as they stand."""
    import typer.testing

    from zoo.cli import app

    python, command = re.findall(r"```(?:python)?\n(.*?)```", locate(name).card.read_text(), re.DOTALL)[:2]
    assert len([line for line in python.splitlines() if line]) == 5
    names: dict = {}
    exec(python, names)
    spec = zoo.get_spec(name)
    assert set(names["answer"]) == {tensor.name for tensor in spec.endpoints[spec.default_endpoint].outputs}
    program, *arguments = command.split()
    assert program == "zoo"
    assert typer.testing.CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize("name", RELEASED)
def test_figures_of_the_card_are_there(name):
    folder = locate(name)
    shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", folder.card.read_text())
    assert all((folder.folder / path).is_file() for path in shown)


@pytest.mark.parametrize("name", RELEASED)
def test_card_says_how_sure_its_numbers_are(name):
    spec = zoo.get_spec(name)
    for metric in spec.metrics:
        assert metric.n > 0
        assert metric.interval, metric.name
        assert metric.interval[0] <= metric.value <= metric.interval[1], metric.name
    assert 1 <= len(headline(spec)) <= 6


@pytest.mark.parametrize("name", RELEASED)
def test_recipe_is_that_of_the_card(name):
    from zoo.training.recipe import Recipe, load_recipe

    recipe, spec = load_recipe(name), zoo.get_spec(name)
    measured = json.loads(locate(name).path(METRICS).read_text())
    assert (recipe.family, recipe.config, recipe.revision) == (spec.family, spec.config, spec.revision)
    made = {key: value for key, value in measured["recipe"].items() if key != "loss"}  # which recipes named before
    assert Recipe.model_validate({**made, "endpoints": recipe.endpoints}) == recipe
    assert list(recipe.endpoints) == list(spec.endpoints)


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASED)
def test_recipe_gives_the_released_numbers(name, tmp_path):
    """The released seed trained anew: bit for bit on the same machine, close anywhere."""
    from zoo.training.recipe import load_recipe
    from zoo.workflows.train import train

    _, evaluation = train(load_recipe(name), tmp_path)
    anew = {(metric.name, metric.split): metric.value for metric in evaluation.metrics}
    for metric in headline(zoo.get_spec(name)):
        if not re.search(r"\blatent \d", metric.name):  # the order of latents means nothing
            low, high = bounds(metric)
            assert low <= anew[metric.name, metric.split] <= high, metric.name


def test_another_number_is_not_taken_for_the_released_one():
    """A classifier that guesses is not the released one, and neither is one that is a fifth better or worse."""
    auc = headline(zoo.get_spec("mlp-cmb-feature"))[0]
    low, high = bounds(auc)
    assert 0.516 < low < auc.value < high < 1.2 * auc.value


def test_released_files_are_small():
    """The wheels carry them all. Weights are in a file and in each graph, and graphs of latents are several."""
    sizes = {name: sum(file.bytes for file in zoo.get_spec(name).files) for name in RELEASED}
    assert [name for name, size in sizes.items() if size > 5e6] == BIG
    assert sum(sizes.values()) < 120e6


@pytest.mark.parametrize("name", RELEASED)
def test_every_tensor_has_unit_and_description(name):
    for endpoint in zoo.get_spec(name).endpoints.values():
        for tensor in (*endpoint.inputs, *endpoint.outputs):
            assert tensor.unit
            assert tensor.description


@pytest.mark.parametrize("name", RELEASED)
def test_the_loaded_model_gives_the_released_answers(name, load):
    verify_model(load(name), tensors(name))


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS)
def test_onnx_runtime_gives_the_released_answers(name, endpoint, session):
    inputs, expected = tensors(name)[endpoint]
    answer, tolerance = session(name).run(inputs, endpoint), zoo.get_spec(name).tolerance
    for key, values in expected.items():
        np.testing.assert_allclose(answer[key], values, rtol=tolerance.relative, atol=tolerance.absolute)


@pytest.mark.parametrize(("name", "endpoint"), ENDPOINTS)
def test_rows_do_not_depend_on_their_batch(name, endpoint, session):
    inputs, _ = tensors(name)[endpoint]
    whole, tolerance = session(name).run(inputs, endpoint), zoo.get_spec(name).tolerance
    for row in range(3):
        one = session(name).run({key: array[row : row + 1] for key, array in inputs.items()}, endpoint)
        for key, values in one.items():
            np.testing.assert_allclose(values[0], whole[key][row], rtol=tolerance.relative, atol=tolerance.absolute)


@pytest.mark.parametrize("name", ONE_A_SMALL_FAMILY)
def test_no_rows_have_no_answers(name, load, session):
    endpoint = load(name).data_endpoint
    inputs, expected = tensors(name)[endpoint]
    nothing = {key: array[:0] for key, array in inputs.items()}
    for answer in (load(name).endpoint(endpoint)(**nothing), session(name).run(nothing, endpoint)):
        shapes = {key: np.shape(value) for key, value in answer.items()}
        assert shapes == {key: (0, *array.shape[1:]) for key, array in expected.items()}


@pytest.mark.parametrize("name", ONE_A_SMALL_FAMILY)
def test_fresh_export_passes_parity_and_verifies(name, exported):
    folder = exported(name)
    report = ExportReport.model_validate_json((folder / REPORT).read_text())
    rows = [output.rows for parity in report.endpoints for output in parity.outputs.values()]
    assert min(rows) >= 1000
    assert verify(folder).ok


@pytest.mark.parametrize("name", ONE_A_SMALL_FAMILY)
def test_fresh_export_is_the_released_graph(name, exported):
    folder = exported(name)
    for endpoint in zoo.get_spec(name).endpoints:
        expect_released((folder / f"{endpoint}.onnx").read_bytes(), name, endpoint)


@pytest.mark.parametrize("name", [name for name in SMALLEST if zoo.get_spec(name).family in LARGE])
def test_fresh_graph_of_a_large_model_is_the_released_one(name, load):
    """The smallest one, as all of them take many seconds; that the released graph answers as Keras does is tested above."""
    model = load(name)
    sizes = {file.path.removesuffix(".onnx"): file.bytes for file in model.spec.files if file.path.endswith(".onnx")}
    endpoint = min(sizes, key=lambda graph: sizes[graph])
    expect_released(to_onnx(model, model.spec, endpoint).SerializeToString(deterministic=True), name, endpoint)


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.slow  # of every family by tests/test_export.py and tests/test_flows_export.py
def test_other_opsets_pass_parity(name, opset, load, tmp_path):
    assert export(load(name), tmp_path / "out", opset=opset, parity_rows=100).opset == opset


@pytest.mark.parametrize("name", ONE_A_SMALL_FAMILY)  # large ones: tests/test_flows_export.py, tests/test_beta_vae.py
def test_saved_model_passes_parity(name, load, tmp_path):
    if load(name).library != "keras":
        with pytest.raises(ExportError, match="export it to ONNX"):
            export(load(name), tmp_path / "out", format="savedmodel")
        return
    assert export(load(name), tmp_path / "out", format="savedmodel", parity_rows=100).format == "savedmodel"


def copy_of(name: str, folder: Path) -> Path:
    """A released model as a folder of a user's."""
    source = locate(name)
    folder.mkdir()
    for file in source.spec.files:
        shutil.copy(source.path(file.path), folder / file.path)
    write_spec(folder, source.spec)
    return folder


def test_folder_loads_as_the_name_does(tmp_path):
    folder = copy_of("mlp-cmb-feature", tmp_path / "copy")
    inputs, expected = tensors("mlp-cmb-feature")["predict"]
    np.testing.assert_allclose(np.asarray(zoo.load(folder)(inputs["spectrum"])), expected["probability"], atol=1e-6)


@pytest.mark.parametrize("file", [WEIGHTS, "predict.onnx", TEST_TENSORS])
def test_flipped_byte_is_refused_and_named(tmp_path, file):
    folder = copy_of("mlp-cmb-feature", tmp_path / "copy")
    damaged = bytearray((folder / file).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / file).write_bytes(damaged)
    with pytest.raises(IntegrityError, match=file):
        verify(folder)
    if file != "predict.onnx":
        with pytest.raises(IntegrityError, match=file):
            zoo.load(folder)


def _rehash(folder: Path) -> None:
    """Make the spec agree with a changed file, as an attacker would."""
    from zoo.workflows.folder import describe_files

    spec = zoo.model.store.locate(folder).spec
    write_spec(folder, spec.model_copy(update={"files": describe_files(folder)}))


def test_model_that_does_not_reproduce_is_refused(tmp_path):
    import h5py

    folder = copy_of("logistic-cmb-running", tmp_path / "copy")
    with h5py.File(folder / WEIGHTS, "r+") as file:
        changed = []

        def disturb(name, item):
            if isinstance(item, h5py.Dataset) and item.shape == (215, 1):
                item[...] = np.asarray(item) + 0.01
                changed.append(name)

        file.visititems(disturb)
    assert changed
    _rehash(folder)
    with pytest.raises(ReproductionError, match="predict/probability"):
        zoo.load(folder)
    assert zoo.load(folder, verify=False).spec.name == "logistic-cmb-running"


@pytest.mark.parametrize("attack", ["pickle", "link", "external", "truncated"])
def test_malicious_weights_are_refused(tmp_path, attack):
    """The spec agrees with the file, so that nothing but the reader itself stands in the way."""
    import pickle

    import h5py

    folder = copy_of("logistic-cmb-running", tmp_path / "copy")
    weights = folder / WEIGHTS
    if attack == "pickle":
        weights.write_bytes(pickle.dumps({"a": 1}))
    elif attack == "truncated":
        weights.write_bytes(weights.read_bytes()[:3000])
    else:
        with h5py.File(weights, "r+") as file:
            if attack == "link":
                file["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
            else:
                file.create_dataset("stolen", (1,), dtype="f4", external=[("/etc/passwd", 0, 4)])
    _rehash(folder)
    with pytest.raises(IntegrityError, match=WEIGHTS):
        zoo.load(folder)

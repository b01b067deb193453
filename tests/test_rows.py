"""Rows that a model is calibrated, explained or rounded with are of its own data or asked for, never of another model's."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from command_line import ok, runner
from quick_training import eagerly
from tiny_networks import released

import zoo
from zoo.cli import app
from zoo.cli.deploy import _calibration
from zoo.errors import InputError, ZooError
from zoo.model.spec import Lineage
from zoo.workflows.rows import MissingSimulationsError, own_rows, quantities_of

ROWS = 400


def write_rows(path, seed: int = 0, rows: int = ROWS):
    """Seven numbers, and a kind that follows from the first with noise."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(2.0, 3.0, (rows, 7)).astype(np.float32)
    kind = (numbers[:, 0] + rng.normal(0, 2.0, rows) > 2).astype(int)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"observed_{i}" for i in range(7)), "kind"])
        writer.writerows([*map(float, row), label] for row, label in zip(numbers, kind, strict=True))
    return numbers


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A classifier fine-tuned on a file, and the numbers in it."""
    place = tmp_path_factory.mktemp("tuned")
    numbers = write_rows(place / "my räws 1.csv")
    words = {"target": "kind", "outputs": 1, "task": "classification", "epochs": 2, "seed": 5}
    with eagerly(), pytest.warns(UserWarning, match="independent test rows"):
        model = zoo.fine_tune(released("mlp"), place / "my räws 1.csv", folder=place / "my-kinds", **words)
    return place, model, numbers


@pytest.fixture
def moved(tuned, tmp_path):
    """The same model where the file is not what it was; the file is put back afterwards."""
    place, _, _ = tuned
    (place / "my räws 1.csv").rename(tmp_path / "away.csv")
    yield tmp_path / "away.csv"
    (tmp_path / "away.csv").rename(place / "my räws 1.csv")


def test_the_file_and_how_it_was_read_are_recorded(tuned):
    place, model, numbers = tuned
    recorded = model.spec.data.parameters
    assert (recorded["file"], recorded["target"], recorded["seed"]) == (str(place / "my räws 1.csv"), ["kind"], 5)
    assert recorded["sha256"] == model.spec.lineage.data_sha256
    found = own_rows(model, "train", "validation", "test")
    assert [len(rows) for rows in found] == [model.spec.data.rows[split] for split in ("train", "validation", "test")]
    together = np.concatenate([rows.inputs["observed"] for rows in found])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(numbers, axis=0))


def test_rows_held_out_at_the_training_are_those_held_out_later(tuned):
    _, model, _ = tuned
    (test,) = own_rows(model, "test")
    loss = np.asarray(model.objective(test.target, model(test.inputs["observed"]))).mean()
    assert next(metric for metric in model.spec.metrics if metric.name == "loss").value == pytest.approx(loss, rel=1e-4)


def test_calibration_is_on_its_own_rows(tuned, tmp_path):
    place, model, _ = tuned
    output = ok("calibrate", place / "my-kinds", "--folder", tmp_path / "cooler")
    assert "temperature" in output
    metrics = {metric.name: metric for metric in zoo.load(tmp_path / "cooler").spec.metrics}
    assert (metrics["temperature"].n, metrics["ece"].n) == (80, 80)
    again = zoo.load(tmp_path / "cooler")  # it is made of the same data, and knows them too
    np.testing.assert_array_equal(own_rows(again, "test")[0].target, own_rows(model, "test")[0].target)


def test_int8_is_calibrated_on_its_own_rows(tuned):
    _, model, _ = tuned
    np.testing.assert_array_equal(_calibration(model, None)["observed"], own_rows(model, "validation")[0].inputs["observed"])


def test_explanations_are_of_its_own_rows(tuned, tmp_path):
    place, _, _ = tuned
    arguments = ("explain", place / "my-kinds", "--method", "partial_dependence", "--features", "0", "--rows", 30)
    ok(*arguments, "--out", tmp_path)
    assert (tmp_path / "my-kinds-partial-dependence.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("calibrate {} --folder {}/cooler", "--data FILE"),
        ("export {} --precision int8 --folder {}/small", "--data FILE"),
        ("explain {} --method permutation_importance --out {}", "--input FILE"),
    ],
)
def test_without_the_file_rows_are_asked_for(tuned, moved, tmp_path, arguments, option):
    place, _, _ = tuned
    result = runner.invoke(app, arguments.format(place / "my-kinds", tmp_path).split())
    assert isinstance(result.exception, InputError)
    assert f"my räws 1.csv, which is not here. Give rows with {option}" in str(result.exception)


def test_rows_may_be_given(tuned, moved, tmp_path):
    place, _, _ = tuned
    ok("calibrate", place / "my-kinds", "--folder", tmp_path / "cooler", "--data", moved)
    write_rows(tmp_path / "other.csv", seed=1, rows=100)
    model = zoo.load(place / "my-kinds")
    assert len(own_rows(model, "test", data=tmp_path / "other.csv")[0]) == 20
    assert len(_calibration(model, tmp_path / "other.csv")["observed"]) == 20


def test_a_file_that_has_changed_is_not_taken(tuned, moved):
    place, model, _ = tuned
    write_rows(place / "my räws 1.csv", seed=1)
    with pytest.raises(InputError, match=r"of sha256 .*, the one here has .*Give rows with data=FILE"):
        own_rows(model, "test")
    (place / "my räws 1.csv").unlink()


def test_a_users_folder_of_a_released_name_gets_no_released_rows(tuned):
    """As older versions wrote them: fine-tuned under a released name, with no record but the hash of the data."""
    _, model, _ = tuned
    data = model.spec.data.model_copy(update={"source": "pendulum", "parameters": {}})
    lineage = Lineage(parent="mlp-cmb-feature", revision="1", data_sha256="0" * 64)
    model = zoo.load(model.folder.folder)
    model.spec = model.spec.model_copy(update={"name": "mlp-cmb-feature", "data": data, "lineage": lineage})
    with pytest.raises(InputError, match="fine-tuned on rows of pendulum, of which it knows no file"):
        own_rows(model, "test")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"source": "my räws 1.csv", "parameters": {}}, "'my räws 1.csv', which is no data set of this installation"),
        ({"source": "simulations", "parameters": {"file": "simulations.npz"}}, "beside the recipe"),
        ({"source": "simulations", "parameters": {"prior": {}, "test": 100, "sha256": "0" * 64}}, "beside the recipe"),
        ({"source": "pendulum", "parameters": {"tset": 5}}, "does not take the parameters that are recorded"),
        ({"source": "two-moons", "parameters": {}, "rows": {"test": 7}}, "made with 7 test rows"),
    ],
)
def test_data_that_cannot_be_made_again_are_asked_for(data, reason):
    model = zoo.load("nsf-two-moons")
    model.spec = model.spec.model_copy(update={"data": model.spec.data.model_copy(update=data)})
    with pytest.raises(InputError, match=reason):
        own_rows(model, "test")


def test_a_released_model_has_the_rows_that_it_records():
    model = zoo.load("nsf-two-moons")
    (rows,) = own_rows(model, "validation")
    assert len(rows) == model.spec.data.rows["validation"]
    assert quantities_of(model) is None


def test_simulations_are_not_run_for_int8(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    model = zoo.load("cnn3d-halo-mass")
    with pytest.raises(MissingSimulationsError, match="validation rows of halo-mass"):
        own_rows(model, "validation", simulate=False)
    assert _calibration(model, None) is None


def test_released_names_are_refused(tuned, tmp_path):
    place, model, _ = tuned
    folder = tmp_path / "ive-pendulum"
    refused = pytest.raises(ZooError, match="'ive-pendulum' is a released model, whose name never changes its meaning")
    with refused:
        zoo.fine_tune(model, place / "my räws 1.csv", folder=folder, target="kind")
    with refused:
        zoo.calibrate(place / "my-kinds", folder=folder)
    with refused:
        zoo.ensemble([model, model], folder=folder)
    with refused:
        zoo.train_npe(lambda theta: theta, {}, folder=folder)
    assert not folder.exists()

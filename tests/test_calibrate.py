"""A temperature that is known is found, goes into the weights, and is in every export."""

from __future__ import annotations

import json
import re

import numpy as np
import onnx
import pytest
from test_ensemble import member_folder, tensor

import zoo
from zoo.data.dataset import Rows
from zoo.errors import InputError, ZooError
from zoo.interpret import fit_temperature
from zoo.model.card import check_card
from zoo.model.metric_text import metric_unit
from zoo.serving import Session
from zoo.workflows.calibrate import calibrate


class Held:
    """Rows by split."""

    def __init__(self, validation: Rows, test: Rows) -> None:
        self.splits = {"validation": validation, "test": test}

    def rows(self, split: str, epoch: int = 0) -> Rows:
        return self.splits[split]


CONFIG = {"inputs": 4, "hidden": [5]}
TRUE = 2.5
ROWS = 2000


def test_temperature_of_logits_that_are_too_large():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 50_000)
    label = rng.uniform(size=len(logit)) < 1 / (1 + np.exp(-logit))
    assert fit_temperature(TRUE * logit, label.astype(int)) == pytest.approx(TRUE, rel=0.05)
    assert fit_temperature(logit / TRUE, label.astype(int)) == pytest.approx(1 / TRUE, rel=0.05)


def test_temperature_of_several_classes():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (50_000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (p.cumsum(axis=1) < rng.uniform(size=(len(p), 1))).sum(axis=1)
    assert fit_temperature(TRUE * logits, label) == pytest.approx(TRUE, rel=0.05)
    two = fit_temperature(np.stack([np.zeros(500), logits[:500, 0]], axis=1), (label[:500] == 0).astype(int))
    assert two == pytest.approx(fit_temperature(logits[:500, 0], (label[:500] == 0).astype(int)))


def test_temperature_is_where_the_likelihood_is_largest():
    rng = np.random.default_rng(2)
    logit, label = rng.normal(0, 3, 300), rng.integers(0, 2, 300)
    label = np.where(rng.uniform(size=300) < 0.4, (logit > 0).astype(int), label)
    best = fit_temperature(logit, label)

    def loss(temperature):
        return np.mean(np.logaddexp(0, np.where(label == 1, -logit, logit) / temperature))

    assert loss(best) < min(loss(0.99 * best), loss(1.01 * best))


@pytest.mark.parametrize(
    ("logit", "label", "message"),
    [
        ([1.0, -1.0], [1, 0], "separate"),
        ([1.0, -1.0], [0, 1], "contrary"),
        ([1.0, np.nan], [0, 1], "finite"),
        ([1.0, 2.0], [0, 2], "expected 0 to 1"),
        ([1.0, 2.0], [0], "given"),
    ],
)
def test_bad_input(logit, label, message):
    with pytest.raises(InputError, match=message):
        fit_temperature(np.array(logit), np.array(label))


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    """A classifier, and rows whose labels are drawn from its logits divided by the true temperature."""
    folder = member_folder(tmp_path_factory.mktemp("sure") / "model", "mlp", CONFIG, 5, [tensor("probability", 1)])
    model = zoo.load(folder)
    rng = np.random.default_rng(3)
    rows = []
    for first in (0, 10_000):
        x = rng.normal(0, 4, (ROWS, 4)).astype(np.float32)
        p = 1 / (1 + np.exp(-np.asarray(model.logits(x), np.float64) / TRUE))
        rows.append(Rows({"x": x}, (rng.uniform(size=p.shape) < p).astype(np.float32), first + np.arange(ROWS)))
    return folder, model, rows


def test_calibrated_model_is_a_folder_whose_graph_has_the_temperature(sure, tmp_path):
    folder, model, (validation, test) = sure
    found = calibrate(folder, folder=tmp_path / "my-calibrated", data=Held(validation, test))
    metrics = {metric.name: metric for metric in found.spec.metrics}
    temperature = metrics["temperature"]
    assert temperature.interval[0] < TRUE < temperature.interval[1]
    assert (temperature.split, temperature.n) == ("validation", ROWS)
    assert metrics["ece"].value < 0.03 < metrics["ece"].baseline
    assert metrics["log loss"].value < metrics["log loss"].baseline
    assert [metric_unit(metrics[name]) for name in ("log loss", "log loss minus that before", "ece")] == ["nat", "nat", ""]
    assert metrics["ece"].interval[0] <= metrics["ece"].value
    assert (found.spec.name, found.spec.lineage.parent) == ("my-calibrated", "tiny")
    check_card(found.folder.folder, json.loads(found.folder.path("metrics.json").read_text()))

    x = test.inputs["x"][:50]
    wanted = 1 / (1 + np.exp(-np.asarray(model.logits(x)) / temperature.value))
    np.testing.assert_allclose(Session(tmp_path / "my-calibrated").run({"x": x})["probability"], wanted, atol=1e-5)
    calibrated = zoo.load(tmp_path / "my-calibrated")
    np.testing.assert_allclose(calibrated.logits(x), np.asarray(model.logits(x)) / temperature.value, rtol=1e-4, atol=1e-5)
    before, after = (onnx.load(place / "predict.onnx").graph.node for place in (folder, tmp_path / "my-calibrated"))
    assert [node.op_type for node in before] == [node.op_type for node in after]


def labeled(model, temperature, first, seed):
    """Rows whose labels are drawn from the model's logits divided by a temperature."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 4, (ROWS, 4)).astype(np.float32)
    p = 1 / (1 + np.exp(-np.asarray(model.logits(x), np.float64) / temperature))
    return Rows({"x": x}, (rng.uniform(size=p.shape) < p).astype(np.float32), first + np.arange(ROWS))


def cross_entropy(logit, label):
    return -(label * np.log(1 / (1 + np.exp(-logit))) + (1 - label) * np.log(1 / (1 + np.exp(logit))))


def test_it_says_what_came_of_it_everywhere(sure, tmp_path, capsys):
    folder, model, (validation, test) = sure
    found = calibrate(folder, folder=tmp_path / "cooler", data=Held(validation, test))
    calibrated, better = found.spec.verdict
    assert calibrated.startswith(f"Calibrated, as far as {ROWS} rows tell: the best temperature is ")
    metrics = {metric.name: metric for metric in found.spec.metrics}
    low, high = metrics["best temperature"].interval
    assert low < 1 < high
    before = np.asarray(model.logits(test.inputs["x"]), np.float64)
    gain = cross_entropy(before, test.target) - cross_entropy(before / metrics["temperature"].value, test.target)
    value, least, most = map(float, re.fullmatch(
        r"Better than the model before: `log loss` is lower by (\S+) \((\S+) to (\S+)\)\.", better
    ).groups())  # fmt: skip
    assert value == pytest.approx(gain.mean(), rel=0.01)
    half = 1.96 * gain.std() / np.sqrt(ROWS)
    assert (least, most) == pytest.approx((gain.mean() - half, gain.mean() + half), rel=0.1)
    card, printed = (tmp_path / "cooler" / "README.md").read_text(), capsys.readouterr().out
    for sentence in (calibrated, better):
        assert f"- {sentence}\n" in card
        assert f"- {sentence}\n" in printed
    assert (tmp_path / "cooler" / "figures" / "reliability.png").exists()


def test_what_was_calibrated_is_to_be_kept(sure, tmp_path):
    folder, model, _ = sure
    found = calibrate(folder, folder=tmp_path / "same", data=Held(labeled(model, 1.0, 0, 5), labeled(model, 1.0, 10_000, 6)))
    assert found.spec.verdict[1].startswith("Not told apart from the model before: `log loss` differs by ")
    assert "Keep that one" in found.spec.verdict[1]


def test_a_temperature_of_other_rows_is_no_better(sure, tmp_path):
    folder, model, _ = sure
    found = calibrate(
        folder, folder=tmp_path / "other", data=Held(labeled(model, 1 / TRUE, 0, 7), labeled(model, TRUE, 10_000, 8))
    )
    calibrated, worse = found.spec.verdict
    assert calibrated.startswith("Not calibrated (too sure")
    assert "Try more rows to fit the temperature on" in calibrated
    assert "zoo calibrate" not in calibrated
    assert worse.startswith("Worse than the model before: `log loss` is higher by ")


def test_what_cannot_be_calibrated_is_refused(sure, tmp_path):
    folder, _, (validation, test) = sure
    with pytest.raises(ZooError, match=f"share {ROWS} simulations"):
        calibrate(folder, folder=tmp_path / "out", data=Held(validation, validation))
    regressor = member_folder(
        tmp_path / "r", "mlp", CONFIG | {"outputs": 2, "output_activation": "linear"}, 1, [tensor("y", 2)]
    )
    with pytest.raises(ZooError, match="expected a classifier"):
        calibrate(regressor, folder=tmp_path / "out", data=Held(validation, test))
    with pytest.raises(ValueError, match="positive temperature"):
        zoo.load(folder).soften(0.0)
    with pytest.raises(InputError, match=r"tiny: its own rows cannot be made again: its data came from 'none'.*data=FILE"):
        calibrate(folder, folder=tmp_path / "out")
    with pytest.raises(ZooError, match="is a released model, whose name never changes its meaning"):
        calibrate(folder, folder=tmp_path / "mlp-cmb-feature", data=Held(validation, test))
    assert not (tmp_path / "out").exists()


def test_under_its_own_name_it_is_the_next_revision(sure, tmp_path):
    folder, _, (validation, test) = sure
    found = calibrate(zoo.load(folder), folder=tmp_path / "tiny", data=Held(validation.some(200), test.some(200)))
    assert (found.spec.name, found.spec.revision, found.spec.lineage.revision) == ("tiny", "2", "1")

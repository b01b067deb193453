"""Evaluation of answers with an uncertainty, on a toy whose best answer is known; the trees beside it."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from zoo.data.dataset import Rows
from zoo.families.cnn3d import CNN3D
from zoo.training import trees
from zoo.training.distribution import evaluate
from zoo.training.evaluate import Run
from zoo.training.recipe import Distribution


class Toy:
    """y = a + b x, with noise that a third column tells; the first set of features lacks what matters."""

    feature_sets = ("noise", "all")

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def rows(self, split: str, epoch: int = 0) -> Rows:
        rng = np.random.default_rng({"train": 0, "validation": 1, "test": 2}[split])
        x = rng.uniform(-1, 1, (3000, 3)).astype(np.float32)
        y = self.shift + x[:, :1] + (0.1 + 0.1 * (x[:, 2:] > 0)) * rng.standard_normal((3000, 1))
        return Rows({"x": x}, y.astype(np.float32), np.arange(3000) // 10)

    def features(self, rows: Rows, names: str) -> np.ndarray:
        return rows.inputs["x"][:, 2:] if names == "noise" else rows.inputs["x"]


class Exact:
    """The best answer, its scale wrong by a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, gaussian = factor, CNN3D(size=2, channels=[1], hidden=[])
        self.log_likelihood, self.half_width = gaussian.log_likelihood, gaussian.half_width

    def __call__(self, x):
        x = keras.ops.convert_to_numpy(x)
        return np.stack([x[:, 0], self.factor * (0.1 + 0.1 * (x[:, 2] > 0))], axis=1)


def run(model: Exact) -> Run:
    history = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]}
    return Run(SimpleNamespace(data=SimpleNamespace(dataset=Toy)), 0, model, history)


@pytest.fixture(scope="module")
def metrics():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "STAGES", 60)
        settings = Distribution(kind="distribution", also_on={"shifted": {"shift": 0.5}})
        found = evaluate({"": [run(Exact())], "sure": [run(Exact(0.5))]}, settings)
    return {metric.name: metric for metric in found.metrics}


def test_numbers_of_the_best_answer(metrics):
    scatter = np.sqrt((0.1**2 + 0.2**2) / 2)
    assert metrics["scatter"].value == pytest.approx(scatter, rel=0.05)
    assert metrics["scatter"].interval[0] < scatter < metrics["scatter"].interval[1]
    assert metrics["bias"].value == pytest.approx(0, abs=0.01)
    assert metrics["coverage of 68%"].value == pytest.approx(0.68, abs=0.03)
    assert metrics["coverage of 95%"].value == pytest.approx(0.95, abs=0.015)
    entropy = np.mean([stats.norm(scale=s).entropy() for s in (0.1, 0.2)])
    assert metrics["log likelihood"].value == pytest.approx(-entropy, abs=0.05)


def test_one_too_sure_and_one_off_are_seen(metrics):
    assert metrics["sure/coverage of 68%"].value < 0.45
    assert metrics["sure/log likelihood"].value < metrics["log likelihood"].value - 0.5
    assert metrics["scatter over that of sure"].value == 1
    assert metrics["shifted/bias"].value == pytest.approx(-0.5, abs=0.01)


def test_trees_are_as_good_as_their_features(metrics):
    for kind in trees.TREES:
        blind, seeing = (metrics[f"scatter of {kind} on {names}"] for names in Toy.feature_sets)
        assert blind.value == pytest.approx(np.sqrt(1 / 3 + 0.025), rel=0.05)
        assert metrics["scatter"].value < seeing.value < 1.1 * metrics["scatter"].value
        assert metrics[f"shifted/scatter of {kind} on all"].value > 0.5


def test_impurity_importance_is_scikit_learns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    forest = RandomForestRegressor(20, min_samples_leaf=5, random_state=0).fit(x, x[:, 0] + 0.3 * x[:, 1] ** 2)
    np.testing.assert_allclose(trees.impurity_importance(forest), forest.feature_importances_, atol=1e-12)

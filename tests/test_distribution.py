"""Evaluation of answers with an uncertainty, on a toy whose best answer is known; the trees beside it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import RandomForestRegressor

from zoo.data.dataset import Rows, register_dataset
from zoo.interpret.kernel_density import divergence
from zoo.training.evaluate import Run
from zoo.training.evaluations import distribution
from zoo.training.evaluations import tree_baseline as trees
from zoo.training.evaluations.distribution import Distribution, evaluate
from zoo.training.recipe import Source


@register_dataset("toy")
class Toy:
    """Rows of y = a + b x, with noise that a third column tells; the first set of features lacks what matters."""

    feature_sets = ("noise", "all")
    scales, scale_label, kinds_of_feature = np.arange(1), "scale", ("first", "second", "third")
    description, simulator, seed = "a line with noise", "numpy", 0
    units = {"y": "m"}

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def rows(self, split: str, epoch: int = 0) -> Rows:
        rng = np.random.default_rng({"train": 0, "validation": 1, "test": 2}[split])
        x = rng.uniform(-1, 1, (3000, 3)).astype(np.float32)
        y = self.shift + x[:, :1] + (0.1 + 0.1 * (x[:, 2:] > 0)) * rng.standard_normal((3000, 1))
        return Rows({"x": x}, y.astype(np.float32), np.arange(3000) // 10)

    def features(self, rows: Rows, names: str) -> np.ndarray:
        return rows.inputs["x"][:, 2:] if names == "noise" else rows.inputs["x"]


@register_dataset("toy-events")
class Events(Toy):
    """The same rows with the first thousand twice more, once of weight +1 and once of -1, answered wrongly."""

    def rows(self, split: str, epoch: int = 0) -> Rows:
        rows = super().rows(split)
        x, y = (np.concatenate([array, array[:1000] + 5, array[:1000] + 5]) for array in (rows.inputs["x"], rows.target))
        weight = np.concatenate([np.ones(3000), np.ones(1000), -np.ones(1000)])
        return Rows({"x": x}, y + 9 * (np.arange(5000) >= 3000)[:, None], np.arange(5000) // 10, weight=weight)


class Exact:
    """The best answer, its scale wrong by a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def predictive(self, inputs, target):
        x = inputs["x"]
        answer = stats.norm(x[:, 0], self.factor * (0.1 + 0.1 * (x[:, 2] > 0)))
        return x[:, 0], answer.logpdf(target[:, 0]), answer.cdf(target[:, 0])


class Blunt:
    """An answer without a distribution."""

    def predictive(self, inputs, target):
        return inputs["x"][:, 0], None, None


def run(model) -> Run:
    history = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]}
    return Run(SimpleNamespace(name="toy", data=Source(source="toy")), 0, lambda: model, history)


@pytest.fixture(scope="module")
def evaluation():
    with pytest.MonkeyPatch.context() as patch:
        for name, less in {"STAGES": 60, "TUNED_ON": 10, "FOREST": 60, "REPEATS": 2}.items():
            patch.setattr(trees, name, less)
        patch.setattr(distribution, "measured", partial(distribution.measured, draws=80))
        settings = Distribution(kind="distribution", trees=Source(source="toy"), also_on={"shifted": {"shift": 0.5}})
        return evaluate({"": [run(Exact())], "sure": [run(Exact(0.5))], "blunt": [run(Blunt())]}, settings)


@pytest.fixture(scope="module")
def metrics(evaluation):
    return {metric.name: metric for metric in evaluation.metrics}


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
        ratio = metrics[f"scatter over that of {kind} on all"]
        assert ratio.value == pytest.approx(metrics["scatter"].value / seeing.value)
        added = metrics[f"{kind}: scatter on all over that on noise"]
        assert added.value == pytest.approx(seeing.value / blind.value)
        assert added.interval[0] < added.value < added.interval[1] < 0.5


def test_an_answer_without_a_distribution_has_no_coverage(metrics):
    assert metrics["blunt/scatter"].value == metrics["scatter"].value
    assert not any(name.startswith("blunt/coverage") for name in metrics)


def test_figures(evaluation):
    expected = {"coverage", "error", "importance_all", "importance_noise", "learning_curves", "values"}
    assert evaluation.figures.keys() == expected
    lines = evaluation.figures["importance_all"].axes[0].get_lines()
    assert all(line.get_ydata()[0] > 0.9 for line in lines)  # the first column says it all


def test_divergence_of_normals_is_the_formula():
    """KL(N(0, 1) || N(m, s)) = ln s + (1 + m^2) / (2 s^2) - 1 / 2, the kernels' widths added to both."""
    draws = stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    for mean, scale in ((0.0, 1.0), (0.5, 1.0), (0.2, 1.5)):
        width = 1 + 20000**-0.4
        expected = np.log(scale) + (1 + mean**2 / width) / (2 * scale**2) - 0.5
        assert divergence(draws, mean + scale * draws) == pytest.approx(expected, abs=2e-3)


def test_impurity_importance_is_scikit_learns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    forest = RandomForestRegressor(20, min_samples_leaf=5, random_state=0).fit(x, x[:, 0] + 0.3 * x[:, 1] ** 2)
    np.testing.assert_allclose(trees.impurity_importance(forest), forest.feature_importances_, atol=1e-12)


def test_events_that_cancel_change_no_number(metrics):
    run_of_events = Run(SimpleNamespace(name="toy", data=Source(source="toy-events")), 0, Exact, {"loss": [1], "val_loss": [1]})
    found = {metric.name: metric for metric in evaluate({"": [run_of_events]}, Distribution()).metrics}
    for name in ("scatter", "bias", "coverage of 68%"):
        assert found[name].value == pytest.approx(metrics[name].value, abs=1e-6)
        assert found[name].interval[0] < found[name].value < found[name].interval[1]
        assert "sum of weights 3000" in found[name].detail
    assert "divergence" not in found

"""Evaluation of moment networks, on a toy of two quantities whose best answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from zoo.data.dataset import Rows, register_dataset
from zoo.training.evaluate import Run
from zoo.training.evaluations.moments import MomentsSettings, evaluate
from zoo.training.recipe import RecipeError, Source

SPREAD = np.array([0.2, 0.5])
"""Deviations of a row's numbers from the quantities of its simulation."""


@register_dataset("toy-simulations")
class Toy:
    """Four rows of each simulation, each of which sees its two quantities with independent noise."""

    description, simulator, seed = "two quantities with noise", "numpy", 0
    units = {"a": "m", "b": "s"}

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def rows(self, split: str, epoch: int = 0) -> Rows:
        rng = np.random.default_rng({"train": 0, "validation": 1, "test": 2}[split])
        group = np.repeat(np.arange(1000), 4)
        truth = rng.normal(0, 10, (1000, 2))[group]
        seen = truth + SPREAD * rng.standard_normal((4000, 2)) + [self.shift, 0]
        return Rows({"seen": seen.astype(np.float32)}, truth.astype(np.float32), group)


class Exact:
    """The best answer, its deviations wrong by a factor."""

    answers_with = "gaussian"

    def __init__(self, factor: float = 1.0, worse: float = 0.0) -> None:
        self.factor, self.worse = factor, worse

    def __call__(self, seen):
        wrong = self.worse * np.random.default_rng(5).standard_normal(seen.shape)
        return np.concatenate([seen + wrong, np.broadcast_to(self.factor * SPREAD, seen.shape)], axis=1)


def run(model, seed: int = 0, family: str = "toy") -> Run:
    recipe = SimpleNamespace(name="toy", family=family, data=Source(source="toy-simulations"))
    return Run(recipe, seed, lambda: model, {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]})


@pytest.fixture(scope="module")
def evaluation():
    settings = MomentsSettings(also_on={"shifted": {"shift": 1.0}})
    return evaluate(
        {"": [run(Exact()), run(Exact(), 1)], "noisier": [run(Exact(worse=0.2)), run(Exact(worse=0.2), 1)]}, settings
    )


def test_errors_are_those_of_the_noise_of_rows_and_of_simulations(evaluation):
    found = {metric.name: metric for metric in evaluation.metrics}
    for name, spread in zip("ab", SPREAD, strict=True):
        assert found[f"rmse {name}"].value == pytest.approx(spread, rel=0.05)
        assert found[f"rmse {name} of a box"].value == pytest.approx(spread / 2, rel=0.1)
        assert found[f"noisier/rmse {name}"].value == pytest.approx(np.hypot(spread, 0.2), rel=0.05)
        assert found[f"rmse {name} over that of noisier"].value == pytest.approx(spread / np.hypot(spread, 0.2), rel=0.05)
        assert found[f"rmse {name}"].baseline == pytest.approx(10, rel=0.1)
    assert found["shifted/bias a"].value == pytest.approx(1, abs=0.02)
    assert found["shifted/bias b"].value == pytest.approx(0, abs=0.05)
    expected = -np.log(SPREAD).sum() - np.log(2 * np.pi) - 1
    assert found["log likelihood"].value == pytest.approx(expected, abs=0.05)
    assert all(
        metric.interval[0] <= metric.value <= metric.interval[1] and metric.interval[0] < metric.interval[1]
        for metric in evaluation.metrics
    )


def test_the_baseline_is_the_best_of_other_families():
    runs = {
        "": [run(Exact())],
        "same": [run(Exact())],
        "worst": [run(Exact(worse=9.0), family="b")],
        "worse": [run(Exact(worse=0.2), family="c")],
    }
    found = {metric.name: metric for metric in evaluate(runs, MomentsSettings()).metrics}
    for name in ("rmse a", "rmse b of a box"):
        assert (found[name].baseline, found[name].baseline_name) == (found[f"worse/{name}"].value, "worse")
    assert found["worst/rmse a"].baseline == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("factor", [1.0, 0.5, 2.0])
def test_coverage_is_that_of_gaussians_of_the_deviations_that_were_said(factor):
    found = {metric.name: metric for metric in evaluate({"": [run(Exact(factor))]}, MomentsSettings()).metrics}
    for level in (0.68, 0.95):
        inside = 2 * stats.norm.cdf(factor * stats.norm.ppf((1 + level) / 2)) - 1
        for name in ("", ", a", ", b"):
            assert found[f"coverage of {level:.0%}{name}"].value == pytest.approx(inside, abs=0.02)


def test_what_answers_without_deviations_is_refused():
    with pytest.raises(RecipeError, match="expected a family that answers with Gaussians"):
        MomentsSettings().expect("toy", {"": Exact(), "plain": SimpleNamespace(answers_with="number")})

"""Evaluation of densities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from zoo.data.dataset import Dataset, KnowsDensity, Rows
from zoo.errors import InputError
from zoo.families.contracts import Density, Generates
from zoo.interpret import plots
from zoo.model.registry import get_spec
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, mean, measured
from zoo.training.recipe import Source
from zoo.training.weights import relative_weights

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)
"""Sizes of the Gaussian mixture, the best on the validation split taken."""
DRAWN = 10_000
"""Samples of the figure."""


@register_evaluation("density")
class DensityEvaluation(EvaluationSettings):
    """Test log-likelihood, beside the true density where the data set knows it and a tuned Gaussian mixture."""

    kind: Literal["density"] = "density"
    beside: list[str] = []
    """Released models of the same data, whose log-likelihoods are shown too."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)

    def without_training(self, data: Source) -> list[Metric]:
        dataset = data.dataset()
        if not isinstance(dataset, KnowsDensity):
            return []
        rows = dataset.rows("test")
        found = dataset.log_density(_variables(rows))
        meaning = "nat per row, minus the entropy of the data, above which no density comes in the mean"
        return [measured("log likelihood of the true density", mean, [found], Units.of(rows), meaning)]


def evaluate(runs: Runs, settings: DensityEvaluation) -> Evaluation:
    """Test log-likelihood of every variant, beside a Gaussian mixture and, where it is known, the density itself."""
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    floor_name, mixture = _gaussian(dataset) if rows.weight is not None else _gaussian_mixture(dataset)
    evaluation = Evaluation()
    units, floor = Units.of(rows), mean(mixture(_variables(rows)), rows.weight)
    found = {variant: [_log_density(run, rows) for run in members] for variant, members in runs.items()}
    for variant, values in found.items():
        evaluation.metrics.append(
            measured(
                f"{variant}/log likelihood" if variant else "log likelihood",
                mean,
                values,
                units,
                "nat per row",
                baseline=floor,
                baseline_name=floor_name,
            )
        )
    if isinstance(dataset, KnowsDensity):
        shortfall = dataset.log_density(_variables(rows)) - found[""][0]
        evaluation.metrics.append(
            measured("divergence from the true density", mean, [shortfall], units, "KL(true || model) in nat, zero at best")
        )
    for name in settings.beside:
        other = next(metric for metric in get_spec(name).metrics if metric.name == "log likelihood")
        evaluation.metrics.append(other.model_copy(update={"name": f"log likelihood, {name}"}))
    evaluation.figures = {"learning_curves": plots.learning_curves(released.history)}
    model: Any = released.load()
    drawn = model.draw(DRAWN) if isinstance(model, Generates) else None
    if drawn is not None and model.dimensions == 2:
        evaluation.figures["density"] = plots.density_and_samples(model.log_density, drawn, _variables(rows))
    return evaluation


def _variables(rows: Rows) -> np.ndarray:
    return next(iter(rows.inputs.values()))


def _log_density(run: Run, rows: Rows) -> np.ndarray:
    model: Density = run.load()
    return model.log_density(_variables(rows)).astype(np.float64)


Named = tuple[str, Callable[[np.ndarray], np.ndarray]]
"""What a density is called, and its logarithm (n,) at rows (n, D)."""


def _gaussian(dataset: Dataset) -> Named:
    """The Gaussian of the training rows by their event weights, which scikit-learn's mixtures do not take."""
    from scipy.stats import multivariate_normal

    rows = dataset.rows("train")
    weight, x = relative_weights(rows, "training rows"), _variables(rows).astype(np.float64)
    mean = np.average(x, axis=0, weights=weight)
    covariance = np.einsum("n,ni,nj->ij", np.ones(len(x)) if weight is None else weight, x - mean, x - mean) / len(x)
    if np.linalg.eigvalsh(covariance).min() <= 0:
        raise InputError("training rows: negative event weights leave no positive covariance: give more rows")
    return "Gaussian of the weighted rows", multivariate_normal(mean, covariance).logpdf


def _gaussian_mixture(dataset: Dataset) -> Named:
    """The mixture of scikit-learn, its size chosen on the validation split."""
    from sklearn.mixture import GaussianMixture

    training, validation = (_variables(dataset.rows(split)) for split in ("train", "validation"))
    fitted = [GaussianMixture(components, random_state=0).fit(training) for components in COMPONENTS]
    best = max(fitted, key=lambda mixture: mixture.score(validation))
    return f"Gaussian mixture, {best.n_components} components", best.score_samples

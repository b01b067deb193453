"""Evaluation of densities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.data.dataset import Dataset, Rows
from zoo.interpret import plots
from zoo.model.registry import get_spec
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Density

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)
"""Sizes of the Gaussian mixture, the best on the validation split taken."""
DRAWN = 10_000
"""Samples of the figure."""


def evaluate(runs: Runs, settings: Density) -> Evaluation:
    """Test log-likelihood of every variant, beside a Gaussian mixture and, where it is known, the density itself."""
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    mixture, components = _gaussian_mixture(dataset)
    evaluation = Evaluation()
    for variant, members in runs.items():
        found = [_log_density(run, rows) for run in members]
        interval = bootstrap(lambda i: float(found[0][i].mean()), rows.group)  # noqa: B023 - called at once
        evaluation.metrics.append(
            Metric(
                name=f"{variant}/log likelihood" if variant else "log likelihood",
                value=float(found[0].mean()),
                interval=interval,
                n=len(rows),
                seeds=len(members),
                baseline=float(mixture(_variables(rows)).mean()),
                baseline_name=f"Gaussian mixture, {components} components",
                detail=f"nat per row; {over_seeds([float(values.mean()) for values in found])}; bootstrap interval",
            )
        )
    if hasattr(dataset, "log_density"):
        shortfall = dataset.log_density(_variables(rows)) - _log_density(released, rows)
        evaluation.metrics.append(
            Metric(
                name="divergence from the true density",
                value=float(shortfall.mean()),
                interval=bootstrap(lambda i: float(shortfall[i].mean()), rows.group),
                n=len(rows),
                detail="KL(true || model) in nat, zero at best; bootstrap interval",
            )
        )
    for name in settings.beside:
        other = next(metric for metric in get_spec(name).metrics if metric.name == "log likelihood")
        evaluation.metrics.append(other.model_copy(update={"name": f"log likelihood, {name}"}))
    evaluation.figures = {"learning_curves": plots.learning_curves(released.history)}
    if released.model.dimensions == 2:
        drawn = released.model.draw(DRAWN)
        evaluation.figures["density"] = plots.density_and_samples(released.model.log_density, drawn, _variables(rows))
    return evaluation


def _variables(rows: Rows) -> np.ndarray:
    return next(iter(rows.inputs.values()))


def _log_density(run: Run, rows: Rows) -> np.ndarray:
    return run.model.log_density(_variables(rows)).astype(np.float64)


def _gaussian_mixture(dataset: Dataset) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """scikit-learn's, its size chosen on the validation split: log density (n,) of rows (n, D)."""
    from sklearn.mixture import GaussianMixture

    training, validation = (_variables(dataset.rows(split)) for split in ("train", "validation"))
    fitted = [GaussianMixture(components, random_state=0).fit(training) for components in COMPONENTS]
    best = max(fitted, key=lambda mixture: mixture.score(validation))
    return best.score_samples, best.n_components

"""Evaluation of regressors: how far each output is from the truth, in the scale that matters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Literal, cast

import keras
import numpy as np

from zoo.data.dataset import Rows, Scaled
from zoo.interpret import plots
from zoo.model.spec import Metric
from zoo.training.baselines import not_negative
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Statistic, Units, mean, measured, quantile, rms

WITHIN = 0.1
"""Error, in the data set's scale, below which an output counts as right."""


@register_evaluation("regression")
class Regression(EvaluationSettings):
    """Error of each output, absolute and in the data set's own scale, beside a polynomial regression."""

    kind: Literal["regression"] = "regression"

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


NEAR_ALL = partial(quantile, level=0.99)

STATISTICS: dict[str, tuple[Statistic, str]] = {
    "worst error, 99%": (
        lambda error, weight: NEAR_ALL(error.max(axis=1), weights=weight),
        "99th percentile over rows of the largest |error| among a row's outputs",
    ),
    f"rows within {WITHIN}": (
        lambda error, weight: mean(error.max(axis=1) < WITHIN, weight),
        f"fraction of rows whose every output has |error| below {WITHIN}",
    ),
    "error, 99%": (
        lambda error, weight: NEAR_ALL(error, weights=weight),
        "99th percentile of |error| over rows and outputs",
    ),
    "total error, 99%": (
        lambda error, weight: NEAR_ALL(np.sqrt(np.square(error).sum(axis=1)), weights=weight),
        "99th percentile over rows of the root of the summed squares of a row's errors",
    ),
    "rmse": (rms, "root mean square over rows and outputs"),
}
"""Name -> statistic of absolute errors (n, outputs) in the data set's scale, and what it is."""

DEGREES, PENALTIES = (2, 3, 4), 10.0 ** np.arange(-10, 0, 2)


def evaluate(runs: Runs, settings: Regression) -> Evaluation:
    """Errors on the test split of every variant, beside a polynomial tuned on the validation split; data are `Scaled`."""
    released = runs[""][0]
    dataset = cast(Scaled, released.recipe.data.dataset())
    rows = dataset.rows("test")
    errors = {variant: [np.abs(residual(run, rows)) for run in members] for variant, members in runs.items()}
    polynomial, name = _polynomial(dataset)
    beside = np.abs(polynomial(rows) - rows.target) / dataset.scale
    evaluation = Evaluation()
    for variant, found in errors.items():
        for statistic in STATISTICS:
            evaluation.metrics.append(
                _metric(f"{variant}/" if variant else "", statistic, found, rows, dataset.scale_description, beside, name)
            )
    evaluation.curves = {"error_99": [quantile(column, 0.99, rows.weight) for column in errors[""][0].T]}
    evaluation.figures = {
        "error": plots.error_quantiles(errors[""][0], dataset.panels, dataset.abscissa, dataset.scale_description, rows.weight),
        "learning_curves": plots.learning_curves(released.history),
    }
    return evaluation


def residual(run: Run, rows: Rows) -> np.ndarray:
    """Residual (answer - target) / scale of each row and output, (n, outputs)."""
    (inputs,) = rows.inputs.values()
    answer = keras.ops.convert_to_numpy(run.load()(inputs)).astype(np.float64)
    return (answer - rows.target) / cast(Scaled, run.recipe.data.dataset()).scale


def _metric(
    prefix: str, name: str, errors: list[np.ndarray], rows: Rows, unit: str, beside: np.ndarray, baseline: str
) -> Metric:
    statistic, meaning = STATISTICS[name]
    unit = "" if name.startswith("rows") else f", in units of the {unit}"
    return measured(
        f"{prefix}{name}",
        statistic,
        errors,
        Units.of(rows),
        f"{meaning}{unit}",
        trials=len(np.unique(rows.group)) if name.startswith("rows") else None,
        baseline=statistic(beside, rows.weight),
        baseline_name=baseline,
    )


def _polynomial(dataset: Scaled) -> tuple[Callable[[Rows], np.ndarray], str]:
    """Ridge regression of scikit-learn on powers of the inputs, degree and penalty chosen on the validation split; its name."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    train, validation = dataset.rows("train"), dataset.rows("validation")
    inputs, held_out = (next(iter(rows.inputs.values())).astype(np.float64) for rows in (train, validation))
    candidates = []
    for degree, penalty in product(DEGREES, PENALTIES):
        model = make_pipeline(StandardScaler(), PolynomialFeatures(degree), StandardScaler(), Ridge(penalty * len(inputs)))
        model.fit(inputs, train.target / dataset.scale, ridge__sample_weight=not_negative(train, "the polynomial"))
        loss = mean(np.square(model.predict(held_out) - validation.target / dataset.scale), validation.weight)
        candidates.append((loss, degree, model))
    _, degree, best = min(candidates, key=lambda candidate: candidate[0])

    def answer(rows: Rows) -> np.ndarray:
        (tested,) = rows.inputs.values()
        return best.predict(tested.astype(np.float64)) * dataset.scale

    return answer, f"scikit-learn, polynomial of degree {degree}"

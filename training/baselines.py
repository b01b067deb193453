"""Baselines, trained as carefully as the models they stand beside."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.training.recipe import Recipe
from zoo.training.weights import relative_weights

DRAWS = 5
"""Epochs of fresh noise that a baseline without epochs is fitted to at once."""


def baseline_scores(name: str, recipe: Recipe) -> Callable[[Rows], np.ndarray]:
    """A function of rows that returns the baseline's probability of class 1, (n,)."""
    if name == "scikit-learn":
        return _logistic_regression(recipe)
    from zoo.loading import load

    model = load(name)

    def scores(rows: Rows) -> np.ndarray:
        (inputs,) = rows.inputs.values()
        return keras.ops.convert_to_numpy(model(inputs))[:, 0].astype(np.float64)

    return scores


def _logistic_regression(recipe: Recipe) -> Callable[[Rows], np.ndarray]:
    """The logistic regression of scikit-learn, its penalty chosen on the validation split."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    dataset = recipe.data.dataset()
    weight = not_negative(dataset.rows("train"), "scikit-learn's logistic regression")
    weights = None if weight is None else np.concatenate([weight] * DRAWS)
    draws = [dataset.rows("train", epoch) for epoch in range(DRAWS)]
    inputs = np.concatenate([next(iter(rows.inputs.values())) for rows in draws])
    labels = np.concatenate([rows.target[:, 0] for rows in draws])
    validation = dataset.rows("validation")
    (held_out,) = validation.inputs.values()
    candidates = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000)) for c in 10.0 ** np.arange(-4, 1)]
    for fit in candidates:
        fit.fit(inputs, labels, logisticregression__sample_weight=weights)
    losses = [
        log_loss(validation.target[:, 0], fit.predict_proba(held_out)[:, 1], sample_weight=validation.weight)
        for fit in candidates
    ]
    best = candidates[int(np.argmin(losses))]

    def scores(rows: Rows) -> np.ndarray:
        (tested,) = rows.inputs.values()
        return best.predict_proba(tested)[:, 1]

    return scores


def not_negative(rows: Rows, what: str) -> np.ndarray | None:
    """Relative event weights for what takes no negative ones, None where all rows count the same."""
    weight = relative_weights(rows, "training rows")
    if weight is not None and weight.min() < 0:
        raise InputError(
            f"{what} takes no negative event weights, which the training rows have: choose another baseline or none"
        )
    return weight

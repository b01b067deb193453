"""Shapley values through the library ``shap``: exact for trees and linear models, by permutations of patches elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import ExplanationError, InputError
from zoo.families.contracts import Trees
from zoo.interpret.attribution.patches import answer_left, patches_of, spread
from zoo.interpret.attribution.scalar_output import Answer
from zoo.interpret.methods import explanation_method
from zoo.progress import track
from zoo.seeds import SHORT, expect_seed


@explanation_method("shap", "Shapley values", baseline=True, takes_away=True)
def shap(
    answer: Answer,
    x: np.ndarray,
    start: np.ndarray | None,
    *,
    patch: int | None = None,
    samples: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Shapley values against the baseline (Lundberg & Lee 2017, arXiv:1705.07874); they add up to f(x) - f(baseline).

    Linear models and trees are solved exactly. Elsewhere ``samples`` permutations, each forwards and backwards, take patches
    away, which is exact where no three patches interact.
    """
    library = _library()
    if start is not None and isinstance(answer.model, Trees):
        trees = answer.model.regressor
        return _from(start, lambda base: library.TreeExplainer(trees, base, feature_perturbation="interventional"), x)
    if start is not None and answer.model.linear_output == answer.output:
        coefficients = answer.gradient(start[:1], np.zeros(1, int)).ravel().astype(float)
        return _from(start, lambda base: library.LinearExplainer((coefficients, 0.0), base), x)
    expect_seed(seed, below=SHORT)
    if samples < 1:
        raise InputError(f"samples: expected at least 1 permutation, given {samples}")
    labels = patches_of(answer, x, patch)
    patches = labels.max() + 1
    evaluations = 2 * patches + 1
    found = np.empty((len(x), patches))
    state = np.random.get_state()  # noqa: NPY002 - the library seeds numpy's global generator
    try:
        for row in track(range(len(x)), "SHAP"):

            def present(kept: np.ndarray, row: int = row) -> np.ndarray:
                left = kept.astype(bool)[:, labels]
                return answer_left(answer, x, start, np.full(len(kept), row), left).astype(float)

            explainer = library.PermutationExplainer(present, np.zeros((1, patches)), seed=seed)
            shares = explainer(np.ones((1, patches)), max_evals=samples * evaluations, batch_size=evaluations, silent=True)
            found[row] = shares.values[0]
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return spread(found, labels).astype(x.dtype)


def _from(start: np.ndarray, explainer: Any, x: np.ndarray) -> np.ndarray:
    """Values of rows (n, elements) by an explainer of each different baseline."""
    different, which = np.unique(start, axis=0, return_inverse=True)
    found = np.empty(x.shape, x.dtype)
    for number, base in enumerate(different):
        rows = which.reshape(-1) == number
        found[rows] = explainer(base[None].astype(float)).shap_values(x[rows].astype(float))
    return found


def _library() -> Any:
    try:
        import shap as library
    except ImportError as error:
        raise ExplanationError(f"method 'shap' needs the library shap ({error}): pip install 'physzoo[interpret]'") from error
    return library

"""A local surrogate in the manner of LIME (Ribeiro et al. 2016, arXiv:1602.04938): a linear model of what patches are there."""

from __future__ import annotations

import numpy as np

from zoo.interpret.attribution.patches import masked_answers, patches_of, spread
from zoo.interpret.attribution.scalar_output import Answer
from zoo.interpret.methods import explanation_method
from zoo.seeds import generator

WIDTH = 0.25
"""Width of the Gaussian weight of a sample in its cosine distance from the whole input, LIME's own for images."""
RIDGE = 1e-6
"""Penalty: only enough to make the fit unique."""
PER_PATCH = 10
"""Samples for each patch, by default."""


@explanation_method("lime", "local linear surrogate", baseline=True, takes_away=True)
def lime(
    answer: Answer,
    x: np.ndarray,
    start: np.ndarray | None,
    *,
    patch: int | None = None,
    samples: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Coefficients of a weighted ridge regression of the answers where half of the patches are at the baseline.

    All rows share one design, so that one factorization serves them all.
    """
    from sklearn.linear_model import Ridge

    labels = patches_of(answer, x, patch)
    patches = labels.max() + 1
    kept = generator(seed).random((samples or PER_PATCH * patches, patches)) < 0.5
    kept[0] = True
    distance = 1 - np.sqrt(kept.mean(axis=1))
    answers = masked_answers(answer, x, start, labels, kept, "LIME")
    fitted = Ridge(alpha=RIDGE).fit(kept.astype(float), answers.T, sample_weight=np.exp(-((distance / WIDTH) ** 2)))
    return spread(np.reshape(fitted.coef_, (len(x), patches)), labels).astype(x.dtype)

"""Occlusion: what an answer loses when one patch of the input is replaced by the baseline (Zeiler & Fergus 2014)."""

from __future__ import annotations

import numpy as np

from zoo.interpret.attribution.patches import masked_answers, patches_of, spread
from zoo.interpret.attribution.scalar_output import Answer
from zoo.interpret.methods import explanation_method


@explanation_method("occlusion", "what the answer loses with a patch", baseline=True, takes_away=True)
def occlusion(answer: Answer, x: np.ndarray, start: np.ndarray | None, *, patch: int | None = None) -> np.ndarray:
    """The loss of each patch, divided evenly among its elements."""
    labels = patches_of(answer, x, patch)
    kept = ~np.eye(labels.max() + 1, dtype=bool)
    lost = answer.at(x)[:, None] - masked_answers(answer, x, start, labels, kept, "occlusion")
    return spread(lost, labels).astype(x.dtype)

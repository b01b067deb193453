"""What stands beside taggers: single observables, and boosted trees tuned on the validation split."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

import numpy as np

from zoo.data.dataset import Dataset, Rows, Split
from zoo.progress import track
from zoo.training.baselines import not_negative
from zoo.training.metrics import auc

STAGES = 600
"""Most trees of each class; the validation split says how many are kept."""


def observable(validation: Rows, rows: Rows, name: str) -> np.ndarray:
    """Scores (n, 2) of two classes by a truth of rows, which class has more of it being found on the validation split."""
    pairs = np.stack([validation.truth[name], validation.target[:, 0]], axis=1)
    more = 1 if auc(pairs, validation.weight) >= 0.5 else -1
    value = more * rows.truth[name].astype(np.float64)
    return np.stack([-value, value], axis=1)


def boosted_classifier(dataset: Dataset) -> np.ndarray:
    """Probabilities (n, classes) of the test rows by boosted trees; leaves, rate and number by the validation log loss."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss

    (x, y, weight), (held_x, held_y, held_weight) = (_arrays(dataset, split) for split in ("train", "validation"))
    best: tuple[float, Any, int] = (np.inf, None, 0)
    for leaves, rate in track(list(product((15, 31, 63), (0.03, 0.1))), "boosted trees beside the model"):
        model = HistGradientBoostingClassifier(
            max_iter=STAGES,
            max_leaf_nodes=leaves,
            learning_rate=rate,
            min_samples_leaf=50,
            early_stopping=False,
            random_state=0,
        )
        model.fit(x, y, sample_weight=weight)
        losses = [log_loss(held_y, answer, sample_weight=held_weight) for answer in model.staged_predict_proba(held_x)]
        if min(losses) < best[0]:
            best = min(losses), model, int(np.argmin(losses))
    _, kept, last = best
    return next(islice(kept.staged_predict_proba(_arrays(dataset, "test")[0]), last, None))


def _arrays(dataset: Dataset, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Inputs (n, features), numbers of the classes (n,), and weights (n,)."""
    rows = dataset.rows(split)
    (inputs,) = rows.inputs.values()
    return inputs, rows.target[:, 0].astype(int), not_negative(rows, "the boosted trees beside the model")

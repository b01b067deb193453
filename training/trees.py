"""Tree regressions on engineered features, tuned as carefully as the networks that they stand beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Protocol

import numpy as np

from zoo.data.dataset import Dataset, Rows

STAGES = 600
"""Most trees of a boosting; the validation split says how many are kept."""


class Featured(Dataset, Protocol):
    """A data set that can describe its rows by engineered features."""

    feature_sets: tuple[str, ...]

    def features(self, rows: Rows, names: str) -> np.ndarray:
        """(n, features) of the named set."""
        ...


def boosted_trees(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> Any:
    """scikit-learn's histogram gradient boosting; leaves, rate and number of trees by the error on the held-out rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    def candidates() -> Iterator[tuple[float, dict[str, Any]]]:
        for leaves, rate in product((7, 15, 31), (0.03, 0.1)):
            settings = {"max_leaf_nodes": leaves, "learning_rate": rate, "min_samples_leaf": 50, "random_state": 0}
            model = HistGradientBoostingRegressor(max_iter=STAGES, early_stopping=False, **settings).fit(x, y)
            losses = [np.mean(np.square(answer - held_y)) for answer in model.staged_predict(held_x)]
            yield float(min(losses)), {**settings, "max_iter": int(np.argmin(losses)) + 1}

    _, best = min(candidates(), key=lambda candidate: candidate[0])
    return HistGradientBoostingRegressor(early_stopping=False, **best).fit(x, y)


def random_forest(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> Any:
    """scikit-learn's random forest; leaf size and features per split by the error on the held-out rows."""
    from sklearn.ensemble import RandomForestRegressor

    candidates = [
        RandomForestRegressor(200, min_samples_leaf=leaf, max_features=share, n_jobs=-1, random_state=0).fit(x, y)
        for leaf, share in product((5, 20, 50), (0.33, 1.0))
    ]
    return min(candidates, key=lambda model: float(np.mean(np.square(model.predict(held_x) - held_y))))


TREES: dict[str, Callable[..., Any]] = {"boosted trees": boosted_trees, "random forest": random_forest}


def impurity_importance(forest: Any) -> np.ndarray:
    """(features,) share of each feature in the decrease of impurity, averaged over trees, normalised to one.

    A split of node t counts N_t / N (i_t - N_left / N_t i_left - N_right / N_t i_right) for its feature, with i the variance
    of the target in a node and N_t its rows (Breiman et al. 1984; Louppe 2014, arXiv:1407.7502, section 6.1).
    """
    total = np.zeros(forest.n_features_in_)
    for tree in (member.tree_ for member in forest.estimators_):
        weighted = tree.weighted_n_node_samples * tree.impurity
        inner = np.flatnonzero(tree.children_left >= 0)
        decrease = weighted[inner] - weighted[tree.children_left[inner]] - weighted[tree.children_right[inner]]
        share = np.bincount(tree.feature[inner], decrease, minlength=len(total))
        total += share / max(share.sum(), np.finfo(float).tiny)
    return total / total.sum()

"""Tree regressions on engineered features, tuned as carefully as the networks that they stand beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.dataset import Featured, Rows, Split
from zoo.interpret import plots
from zoo.progress import track
from zoo.training.metrics import expect_equal_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPEATS = 5
"""Shuffles of each feature."""
TUNED_ON, FOREST = 50, 200
"""Trees of a random forest, and of those on which its settings are tried."""
STAGES = 600
"""Most trees of a boosting; the validation split says how many are kept."""


def boosted_trees(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> Any:
    """Histogram gradient boosting of scikit-learn; leaves, rate and number of trees by the error on the held-out rows."""
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
    """Random forest of scikit-learn; leaf size and features per split by the error of smaller forests on the held-out rows."""
    from sklearn.ensemble import RandomForestRegressor

    def forest(trees: int, leaf: int, share: float) -> Any:
        return RandomForestRegressor(trees, min_samples_leaf=leaf, max_features=share, n_jobs=-1, random_state=0).fit(x, y)

    def error(settings: tuple[int, float]) -> float:
        return float(np.mean(np.square(forest(TUNED_ON, *settings).predict(held_x) - held_y)))

    return forest(FOREST, *min(product((5, 20, 50), (0.33, 1.0)), key=error))


TREES: dict[str, Callable[..., Any]] = {"boosted trees": boosted_trees, "random forest": random_forest}
Key = tuple[str, str]
"""Kind of tree, name of the features."""


def fitted_trees(dataset: Featured) -> dict[Key, Any]:
    """Each kind of tree on each set of features, its settings chosen on the validation split."""
    (train, x), (validation, held_x) = described(dataset, "train"), described(dataset, "validation")
    expect_equal_weights(train, "trees beside the model")
    return {
        (kind, names): TREES[kind](x[names], train.target[:, 0], held_x[names], validation.target[:, 0])
        for names, kind in track(list(product(dataset.feature_sets, TREES)), "trees beside the model")
    }


def described(dataset: Featured, split: Split) -> tuple[Rows, dict[str, np.ndarray]]:
    """The rows of a split, and each set of their features."""
    rows = dataset.rows(split)
    return rows, {names: dataset.features(rows, names) for names in dataset.feature_sets}


def impurity_importance(forest: Any) -> np.ndarray:
    """Share (features,) of each feature in the decrease of impurity, averaged over trees, normalized to one.

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


def importance_figures(
    trees: dict[Key, Any], dataset: Featured, rows: Rows, features: dict[str, np.ndarray]
) -> dict[str, Figure]:
    """How much each feature counts, over the scale that it is of: a figure for each set of features.

    Impurity as the forest was grown on the training split, permutation as the error on the test split, whose rows and features
    these are, grows when a feature is shuffled among the rows.
    """
    from sklearn.inspection import permutation_importance

    figures = {}
    for names, x in features.items():
        curves = {"impurity, random forest": (impurity_importance(trees["random forest", names]), None)}
        for kind in track(list(TREES), f"permutation importance: {names}"):
            found = permutation_importance(
                trees[kind, names], x, rows.target[:, 0], n_repeats=REPEATS, random_state=0, scoring="neg_mean_squared_error"
            )
            total = found.importances_mean.sum()
            curves[f"permutation, {kind}"] = (found.importances_mean / total, found.importances_std / total)
        figures[f"importance_{names.replace(' ', '_')}"] = plots.importance_over_scale(
            curves, dataset.scales, dataset.scale_label, dataset.kinds_of_feature
        )
    return figures

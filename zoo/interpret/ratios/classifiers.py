"""The classifiers that density ratios are learned by."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier

from zoo.errors import InputError, option


def chosen(classifier: Any) -> Any:
    """An unfitted classifier with scikit-learn's interface.

    Parameters
    ----------
    classifier : str or object
        "trees", the name of a family that classifies, such as "mlp", or an estimator of scikit-learn's interface.

    Returns
    -------
    object
        The classifier.

    Raises
    ------
    UnknownNameError
        There is no family of that name.
    InputError
        It is no classifier that can be cloned, takes weights and answers with probabilities.
    """
    if classifier == "trees":
        return trees()
    if isinstance(classifier, str):
        from zoo.interpret.ratios.network import NetworkClassifier  # imports Keras, which trees do without

        return NetworkClassifier(classifier)
    if isinstance(classifier, type) or not all(hasattr(classifier, name) for name in ("fit", "predict_proba", "get_params")):
        raise InputError(
            f"expected {option('classifier', '...')} as 'trees', a family such as 'mlp', or an estimator of scikit-learn's"
            f" interface with fit, predict_proba and get_params, given {classifier!r}"
        )
    return clone(classifier)


class Trees(HistGradientBoostingClassifier):
    """Boosted trees in bins that are quantiles of the rows as they are: those by weight take most of the time of a fit."""

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Trees:
        """Fit rows (n, inputs) with labels 0 and 1 and event weights (n,).

        Returns
        -------
        Trees
            Itself.
        """
        self.edges_ = [_edges(column, self.max_bins) for column in x.T]
        return super().fit(self._binned(x), y, sample_weight)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (n, 2) of the labels 0 and 1."""
        return super().predict_proba(self._binned(x))

    def _binned(self, x: np.ndarray) -> np.ndarray:
        """The bin of each value, which trees cannot tell from the value itself."""
        places = (np.searchsorted(edges, column, side="right") for edges, column in zip(self.edges_, x.T, strict=True))
        return np.stack(list(places), axis=1).astype(np.float64)


def _edges(column: np.ndarray, bins: int) -> np.ndarray:
    """Edges between bins: between all values where there are few, else quantiles."""
    values = np.unique(column)
    return values if len(values) <= bins else np.unique(np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1]))


def trees() -> Trees:
    """Boosted trees of a fixed size.

    They are small and of a fixed number: to stop early would leave a ratio nearer to one than the data say, the more so the
    fewer the events, and an unfolding would need more iterations.
    """
    return Trees(max_iter=100, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=50, early_stopping=False)

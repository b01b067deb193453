"""The classifiers that density ratios are learned by."""

from __future__ import annotations

from typing import Any

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
        from zoo.workflows.unfolding.network import NetworkClassifier  # imports Keras, which trees do without

        return NetworkClassifier(classifier)
    if isinstance(classifier, type) or not all(hasattr(classifier, name) for name in ("fit", "predict_proba", "get_params")):
        raise InputError(
            f"expected {option('classifier', '...')} as 'trees', a family such as 'mlp', or an estimator of scikit-learn's"
            f" interface with fit, predict_proba and get_params, given {classifier!r}"
        )
    return clone(classifier)


def trees() -> HistGradientBoostingClassifier:
    """Boosted trees of a fixed size.

    They are small and of a fixed number: to stop early would leave a ratio nearer to one than the data say, the more so the fewer
    the events, and an unfolding would need more iterations.
    """
    return HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=50, early_stopping=False
    )

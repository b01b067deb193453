"""A network of the zoo's families as a classifier of scikit-learn's interface."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from zoo.errors import InputError
from zoo.families.batches import in_batches
from zoo.families.state import apart
from zoo.model.registry import get_family


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """A family of the zoo as a classifier of scikit-learn's interface, trained by Adam with a learning rate along a cosine.

    Parameters
    ----------
    family : str
        A family whose answer is one probability of rows of numbers.
    config : dict, optional
        Its config but for ``inputs``; of "mlp" two layers of 64 units by default.
    epochs, batch_size : int
        Length of the training.
    learning_rate : float
        At the start.
    random_state : int
        Seed of weights and order.
    """

    def __init__(
        self,
        family: str = "mlp",
        config: dict[str, Any] | None = None,
        epochs: int = 20,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        random_state: int = 0,
    ) -> None:
        self.family, self.config, self.epochs, self.batch_size = family, config, epochs, batch_size
        self.learning_rate, self.random_state = learning_rate, random_state

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> NetworkClassifier:
        """Train on rows (n, inputs) with labels 0 and 1 and event weights (n,).

        Returns
        -------
        NetworkClassifier
            Itself.

        Raises
        ------
        InputError
            The family does not answer with one probability.
        """
        self.classes_ = np.array([0, 1])
        scale = x.std(axis=0)  # in float64, so that an offset costs no digits
        self.mean_, self.scale_ = x.mean(axis=0), np.where(scale > 0, scale, 1)
        config = (
            {"hidden": [64, 64], "standardize": False} if self.config is None and self.family == "mlp" else self.config or {}
        )
        with apart(self.random_state):
            model = get_family(self.family)(inputs=x.shape[1], **config)
            if model.answers_with != "probability" or np.shape(model(self._scaled(x[:1]))) != (1, 1):
                raise InputError(f"expected a family that answers with one probability, such as mlp, given {self.family}")
            steps = -(-len(x) // self.batch_size) * self.epochs
            rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)
            model.compile(keras.optimizers.Adam(rate), loss=model.objective)
            weight = None if sample_weight is None else np.asarray(sample_weight, np.float32)
            label = np.asarray(y, np.float32)[:, None]
            model.fit(self._scaled(x), label, sample_weight=weight, batch_size=self.batch_size, epochs=self.epochs, verbose=0)
        self.model_ = model
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (n, 2) of the labels 0 and 1."""
        logit = in_batches(self.model_.logits, self._scaled(x))[:, 0].astype(np.float64)
        return np.stack([0.5 * (1 - np.tanh(logit / 2)), 0.5 * (1 + np.tanh(logit / 2))], axis=1)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.mean_) / self.scale_).astype(np.float32)

"""Logistic regression: one dense layer on standardized inputs."""

from __future__ import annotations

from typing import ClassVar

import keras
import numpy as np

from zoo.families.mlp import MLP
from zoo.model.registry import register_family


@register_family("logistic")
class Logistic(MLP):
    """Logistic regression, p(class 1 | x) = sigmoid(w (x - mean) / scale + b).

    Parameters
    ----------
    inputs : int
        Number of input elements.
    standardize : bool
        Whether inputs are scaled by the mean and standard deviation of the training data.
    whiten : bool
        Whether standardized inputs are then mapped to uncorrelated ones, by the correlations of the rows of class 0.
    """

    linear_output: ClassVar[str | None] = "logits"

    def __init__(self, inputs: int, standardize: bool = True, whiten: bool = False, **kwargs) -> None:
        super().__init__(inputs=inputs, hidden=[], standardize=standardize, whiten=whiten, **kwargs)
        self.config = {"inputs": inputs, "standardize": standardize, **({"whiten": True} if whiten else {})}

    def coefficients(self) -> np.ndarray:
        """What each standardized input adds to the log odds, (inputs,); each input itself where none is standardized."""
        kernel = keras.ops.convert_to_numpy(self.head.kernel)[:, 0].astype(np.float64)
        if self.whiten is not None:
            return keras.ops.convert_to_numpy(self.whiten.matrix).astype(np.float64) @ kernel
        return kernel

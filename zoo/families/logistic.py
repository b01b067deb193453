"""Logistic regression: one dense layer on standardized inputs."""

from __future__ import annotations

from typing import ClassVar

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
    """

    linear_output: ClassVar[str | None] = "logits"

    def __init__(self, inputs: int, standardize: bool = True, **kwargs) -> None:
        super().__init__(inputs=inputs, hidden=[], standardize=standardize, **kwargs)
        self.config = {"inputs": inputs, "standardize": standardize}

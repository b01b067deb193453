"""A classifier whose answer to background does not depend on a variable (Kasieczka & Shih 2020, arXiv:2001.05310)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from zoo.errors import InputError, option
from zoo.families.distance_correlation import distance_correlation
from zoo.families.mlp import MLP
from zoo.model.registry import register_family

PAIRED = 2048
"""Rows of a batch, about, of which all pairs are compared: of larger batches, every second, third, ... row."""


@register_family("decorrelated-mlp")
class DecorrelatedMLP(MLP):
    """A binary classifier, trained with a penalty on the distance correlation of its answer with one of its inputs.

    The loss is the log loss plus the penalty times the squared distance correlation of both in the batch's rows of class 0, by
    their event weights. Independence is what it asks for, so that a cut on the answer leaves the variable's distribution in the
    background as it was, which a background estimate in that variable needs. Batches are to hold a thousand rows or more.

    What a cut keeps of the background, a hundredth of it, hardly counts in that correlation. Rows may therefore count by a
    power of their answer: where variables are independent, they are so by weights that follow from one of them alone.

    Parameters
    ----------
    inputs : int
        Number of input elements.
    hidden : list of int
        Units of each hidden layer.
    protected : int
        Number of the input element that the answer is not to depend on.
    penalty : float
        What the squared distance correlation, from 0 to 1, is multiplied by, in nat.
    tail : float
        Power of the answer by which rows count in the correlation; 0 as in the paper.
    activation : str
        Activation of the hidden layers.

    Raises
    ------
    ValueError
        If there is no such element, or penalty or tail are negative.
    """

    def __init__(
        self,
        inputs: int,
        hidden: list[int],
        protected: int,
        penalty: float,
        tail: float = 0.0,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        if not 0 <= protected < inputs:
            raise ValueError(f"protected: expected the number of an element, 0 to {inputs - 1}, given {protected}")
        for name, number in (("penalty", penalty), ("tail", tail)):
            if not number >= 0 or not np.isfinite(number):
                raise ValueError(f"{name}: expected a number of at least 0, given {number}")
        super().__init__(inputs=inputs, hidden=hidden, activation=activation, **kwargs)
        self.config = {
            "inputs": inputs,
            "hidden": list(hidden),
            "protected": protected,
            "penalty": penalty,
            "tail": tail,
            "activation": activation,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + self.config["penalty"] * self.correlation(x, y, y_pred, sample_weight)

    def correlation(self, x: Any, target: Any, answer: Any, weight: Any = None) -> Any:
        """Squared distance correlation of the answer with the protected input in rows of class 0, as the penalty is on.

        Parameters
        ----------
        x : Tensor of shape (batch, inputs)
            Inputs.
        target : Tensor of shape (batch, 1)
            Classes, 0 or 1.
        answer : Tensor of shape (batch, 1)
            Answers.
        weight : Tensor of shape (batch,), optional
            Event weights, none negative.

        Returns
        -------
        Tensor
            The number, a scalar; 0 where there is no such row.
        """
        step = ops.maximum(1, ops.shape(x)[0] // PAIRED)
        background = 1.0 - ops.cast(ops.reshape(target, (-1,)), answer.dtype)
        background = background if weight is None else background * ops.cast(ops.reshape(weight, (-1,)), answer.dtype)
        score, weight = answer[::step, 0], background[::step]
        if self.config["tail"]:
            weight = weight * ops.stop_gradient(score) ** self.config["tail"]
        return distance_correlation(x[::step, self.config["protected"]], score, weight)

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if (outputs, task) == (1, "classification"):
            return "decorrelated-mlp", self.config
        return super().with_head(outputs, task)

    def with_inputs(self, inputs) -> tuple[dict[str, Any], list[str]]:
        raise InputError(
            "which of other inputs is protected is not known: leave out inputs and give rows like those of the training"
        )

    def adapt(self, inputs, target, weight=None) -> None:
        if weight is not None and np.min(weight) < 0:
            raise InputError(
                f"decorrelated-mlp takes no negative event weights, of which there is no distance correlation, given"
                f" {np.min(weight):g}: leave out {option('weights')}, or choose family mlp"
            )
        super().adapt(inputs, target, weight)

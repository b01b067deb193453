"""Moment networks: mean and standard deviation of each of several quantities.

With a Gaussian likelihood of each quantity, training tends to the mean of its posterior and to its standard deviation (Jeffrey
& Wandelt 2020, arXiv:2011.05991); networks of CAMELS' maps answer so (Villaescusa-Navarro et al. 2021, arXiv:2109.10915).
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.errors import InputError
from zoo.families.base import ZooModel
from zoo.families.cnn3d import LIKELIHOODS
from zoo.families.layers import Standardize, dense_stack
from zoo.model.registry import register_family

LOG_SCALE = 5.0
"""Bound of |log scale|, in standard deviations of the training targets: keeps the likelihood finite."""


class Moments(ZooModel):
    """What networks share that answer with the mean and the standard deviation of each of several quantities.

    A subclass sets ``config``, says in ``features`` what it makes of its input, and calls ``build_head`` with how many numbers
    these are.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "moments"}
    answers_with = "gaussian"
    objective_name = "negative log-likelihood, nat"

    def build_head(self, features: int, hidden: list[int], outputs: int, activation: str) -> None:
        """Build the layers between the features and the answer."""
        self.hidden = dense_stack("hidden", features, hidden, activation) if hidden else None
        self.head = keras.layers.Dense(2 * outputs, kernel_initializer="zeros", name="head")
        self.head.build((None, hidden[-1] if hidden else features))
        self.rescale = Standardize((outputs,), name="rescale")
        self.built = True

    def features(self, x):
        """What is seen of an input, (batch, features)."""
        raise NotImplementedError

    @property
    def seeing(self) -> dict[str, list[keras.layers.Layer]]:
        """Blocks between the input and the features."""
        raise NotImplementedError

    def moments(self, x):
        """Means and standard deviations of the quantities, in their units, (batch, outputs) each."""
        seen = self.features(x)
        mean, log_scale = ops.split(self.head(seen if self.hidden is None else self.hidden(seen)), 2, axis=-1)
        scale = ops.exp(LOG_SCALE * ops.tanh(log_scale / LOG_SCALE))
        return mean * self.rescale.scale + self.rescale.mean, scale * self.rescale.scale

    def call(self, x):
        return ops.concatenate(self.moments(x), axis=-1)

    def objective(self, target, answer):
        mean, scale = ops.split(answer, 2, axis=-1)
        log_density, _ = LIKELIHOODS["gaussian"]
        return ops.sum(ops.log(scale) - log_density((target - mean) / scale), axis=-1)

    def point(self, answer):
        return ops.split(answer, 2, axis=-1)[0]

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if task != "regression":
            raise InputError(
                f"{type(self).__name__} answers with means and standard deviations, given the task {task}: use regression, or a"
                " model of another family"
            )
        return self.spec.family, {**self.config, "outputs": outputs}

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        hidden = [] if self.hidden is None else list(self.hidden.layers)
        return {**self.seeing, "hidden": hidden, "head": [self.head, self.rescale]}

    def adapt(self, inputs, target, weight=None) -> None:
        self.rescale.adapt(np.asarray(target[:]), weight)


@register_family("moment-mlp")
class MomentMLP(Moments):
    """Dense layers from a row of standardized numbers, such as a power spectrum.

    Parameters
    ----------
    inputs : int
        Numbers of a row.
    hidden : list of int
        Units of the hidden layers.
    outputs : int
        Number of quantities.
    activation : str
        Activation of the hidden layers.
    """

    def __init__(self, inputs: int, hidden: list[int], outputs: int = 1, activation: str = "swish", **kwargs) -> None:
        super().__init__(**kwargs)
        self.config = {"inputs": inputs, "hidden": list(hidden), "outputs": outputs, "activation": activation}
        self.standardize = Standardize((inputs,), name="standardize")
        self.build_head(inputs, list(hidden), outputs, activation)

    def features(self, x):
        return self.standardize(x)

    def standardized(self, *inputs) -> tuple:
        return (self.standardize(inputs[0]),)

    @property
    def seeing(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [self.standardize]}

    def adapt(self, inputs, target, weight=None) -> None:
        super().adapt(inputs, target, weight)
        (rows,) = inputs.values()
        self.standardize.adapt(np.asarray(rows[:]), weight)

    def baseline(self, tensor: str) -> np.ndarray | None:
        return ops.convert_to_numpy(self.standardize.mean)

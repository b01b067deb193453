"""A family: one positive quantity as a product of powers of others."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.layers import Standardize
from zoo.model.registry import register_family


@register_family("power-law")
class PowerLaw(ZooModel):
    """A power law y = c x_1^k_1 x_2^k_2 ..., fitted to the logarithm.

    Parameters
    ----------
    inputs : int
        Number of quantities, all positive.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}
    objective_name = "squared error of the natural logarithm"

    def __init__(self, inputs: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config: dict[str, Any] = {"inputs": inputs}
        self.standardize = Standardize((inputs,), name="standardize")
        self.exponents = keras.layers.Dense(1, name="exponents")
        self.exponents.build((None, inputs))
        self.built = True

    def call(self, x):
        """Quantities (batch, inputs) -> y (batch, 1), in units that follow from theirs."""
        return ops.exp(self.exponents(self.standardize(ops.log(x))))

    def objective(self, target, answer):
        return ops.mean(ops.square(ops.log(answer) - ops.log(target)), axis=-1)

    def point(self, answer):
        return answer

    def powers(self) -> np.ndarray:
        """The vector k of each quantity, (inputs,): kernels are of standardized logarithms."""
        kernel, scale = (ops.convert_to_numpy(one) for one in (self.exponents.kernel, self.standardize.scale))
        return kernel[:, 0] / scale

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [self.standardize], "head": [self.exponents]}

    def adapt(self, inputs, target) -> None:
        (x,) = inputs.values()
        self.standardize.adapt(np.log(x))

    def baseline(self, tensor: str) -> np.ndarray | None:
        return np.exp(ops.convert_to_numpy(self.standardize.mean))

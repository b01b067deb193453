"""What generators of maps share: they see the standardized logarithm of a density, and parameters of mean 0 and deviation 1."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.fields.convolutions import FLOOR, log_density, spread
from zoo.families.layers import MEASURED, Standardize, cells


class MapGenerator(ZooModel):
    """A family that draws maps of an overdensity given parameters; rows of its data hold parameters and a map.

    Parameters
    ----------
    parameters : int
        Number of parameters that a map is given by.
    """

    repeats_operations = True  # each cell at an edge is taken many times

    def __init__(self, parameters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.given = Standardize((parameters,), name="given")
        self.standardize = Standardize((), name="standardize")

    def seen(self, overdensity):
        """The standardized logarithm of the density of overdensities (batch, height, width)."""
        return self.standardize(log_density(overdensity))

    def unseen(self, y):
        """Overdensities (batch, height, width) of which ``seen`` makes y."""
        density = ops.exp(y * self.standardize.scale + self.standardize.mean) - FLOOR
        return ops.maximum(density, 0.0) - 1

    def objective(self, target, answer):
        return answer

    def standardized(self, *inputs) -> tuple:
        return self.given(inputs[0]), self.seen(inputs[1])

    def adapt(self, inputs, target, weight=None) -> None:
        theta, fields = inputs.values()
        self.given.adapt(np.asarray(theta[:]), weight)
        some = spread(len(fields), MEASURED)
        logarithm = ops.convert_to_numpy(log_density(fields[some]))
        self.standardize.adapt(*cells(logarithm, None if weight is None else weight[some]))

    def baseline(self, tensor: str) -> np.ndarray | None:
        if tensor == "theta":
            return ops.convert_to_numpy(self.given.mean)
        return np.zeros((), np.float32)  # the mean density, or no noise

    @property
    def stem(self) -> list[keras.layers.Layer]:
        """What scales the inputs."""
        return [self.given, self.standardize]

"""Convolutional network from maps or cubes of an overdensity, of any size, to the moments of several quantities."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np

from zoo.families.batches import in_batches
from zoo.families.fields.convolutions import FieldFeatures, filled, spread
from zoo.families.fields.moments import Moments
from zoo.families.fields.unlikeness import Unlikeness
from zoo.model.registry import register_family

MEASURED = 4096
"""Training fields at most, by which others are told to be unlike them."""


@register_family("field-cnn")
class FieldCNN(Moments):
    """Convolutions of the logarithm of the density, means over places, and dense layers.

    Beside the moments stand how unlike a field is those of the training, and the share of cells that hold exactly their
    neighbor's value, as holes do that somebody filled.

    Parameters
    ----------
    dimensions : int
        Axes of a field: 2 for maps, 3 for cubes.
    channels : list of int
        Channels of each stage of `FieldFeatures`.
    hidden : list of int
        Units of the dense layers after the means over places.
    outputs : int
        Number of quantities.
    activation : str
        Activation of all hidden layers.
    smoothing : float
        Standard deviation in cells of a Gaussian by which densities are smoothed first.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "predict_moments"}
    distances = frozenset({"unlikeness", "filled"})
    repeats_operations = True  # each cell at an edge is taken many times

    def __init__(
        self,
        dimensions: int,
        channels: list[int],
        hidden: list[int],
        outputs: int = 1,
        activation: str = "swish",
        smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = {
            "dimensions": dimensions,
            "channels": list(channels),
            "hidden": list(hidden),
            "outputs": outputs,
            "activation": activation,
            "smoothing": smoothing,
        }
        self.seen = FieldFeatures(dimensions, channels, activation, smoothing, name="seen")
        self.unlikeness = Unlikeness(dimensions, name="unlikeness")
        self.build_head(self.seen.width, list(hidden), outputs, activation)

    def features(self, x):
        return self.seen(x)

    def predict_moments(self, x):
        """Means, standard deviations (batch, outputs) each, how unlike the training's a field is, and how filled, (batch,)."""
        return *self.moments(x), self.unlikeness(x), filled(x)

    def standardized(self, *inputs) -> tuple:
        return (self.seen.standardize(self.seen.logarithm(inputs[0])),)

    @property
    def seeing(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [self.seen.standardize, self.unlikeness], "stages": [*self.seen.stages, *self.seen.scales]}

    def adapt(self, inputs, target, weight=None) -> None:
        super().adapt(inputs, target, weight)
        (fields,) = inputs.values()
        self.seen.adapt(fields, weight)
        some = spread(len(fields), MEASURED)
        self.unlikeness.adapt(in_batches(self.unlikeness.statistics, fields[some]), None if weight is None else weight[some])

    def baseline(self, tensor: str) -> np.ndarray | None:
        return np.zeros((), np.float32)  # the mean density

"""ParticleNet: edge convolutions over the particles of a jet (Qu & Gouskos 2020, arXiv:1902.08570)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zoo.families.clouds.cloud import CloudClassifier, summed
from zoo.families.clouds.edge_conv import EdgeConv, neighbors, squared_distances
from zoo.families.clouds.frame import about_axis, squared_distance
from zoo.families.clouds.rows import AllRows, RealRows
from zoo.families.set_layers import built_dense, through
from zoo.model.registry import register_family


@register_family("particle-net")
class ParticleNet(CloudClassifier):
    """Edge convolutions one after another, the mean over particles, and dense layers.

    Neighbors are nearest in (y, phi), for the first convolution; for others too, or else in what the one before gave. The
    paper's ParticleNet has 16 neighbors, channels [[64] * 3, [128] * 3, [256] * 3] and hidden [256], ParticleNet-Lite 7,
    channels [[32] * 3, [64] * 3] and hidden [128]. Its dropout before the head is left out: early stopping does its work.

    Parameters
    ----------
    channels : list of list of int
        Units of the layers of each edge convolution.
    hidden : list of int
        Units of the dense layers, at least one.
    neighbors : int
        Number of neighbors.
    dynamic : bool
        Whether neighbors are found anew before each convolution, in what the one before gave.
    identity : bool
        Whether the kind of a particle is seen.
    outputs : int
        Number of probabilities: 1 for that of class 1 of two, else one for each class.
    activation : str
        Activation of all hidden layers.

    Raises
    ------
    ValueError
        No convolutions, layers or neighbors.
    """

    family = "particle-net"

    def __init__(
        self,
        channels: list[list[int]],
        hidden: list[int],
        neighbors: int = 16,
        dynamic: bool = True,
        identity: bool = True,
        outputs: int = 1,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(outputs, identity, **kwargs)
        if not channels or not all(channels) or not hidden or neighbors < 1:
            raise ValueError(f"expected channels, hidden and neighbors, given {channels}, {hidden} and {neighbors}")
        self.config = {
            "channels": [list(units) for units in channels],
            "hidden": list(hidden),
            "neighbors": neighbors,
            "dynamic": dynamic,
            "identity": identity,
            "outputs": outputs,
            "activation": activation,
        }
        widths = [self.seen, *(units[-1] for units in channels)]
        self.convolutions = [
            EdgeConv(width, list(units), activation, name=f"edge_conv_{i}")
            for i, (width, units) in enumerate(zip(widths, channels, strict=False))
        ]
        self.hidden = built_dense("hidden", widths[-1], hidden, activation)
        self.finish(hidden[-1])

    def embed(self, particles, *others):
        return self._seen(AllRows(others[-1]), particles, *others)

    def call(self, inputs, training=False):
        # JAX and XLA need the number of rows before they see the numbers.
        free = training and keras.backend.backend() == "tensorflow" and not self.jit_compile
        rows = (RealRows if free else AllRows)(inputs[-1])
        return self.probabilities(self.head(self._seen(rows, *inputs)))

    def _seen(self, rows: AllRows, particles, *others):
        """What the head sees, by convolutions over such rows of particles."""
        *identity, real = others
        frame = about_axis(particles, real)
        x, found = rows.pick(self.features(frame, identity)), None
        for convolution in self.convolutions:
            if found is None or self.config["dynamic"]:
                distance = squared_distance(frame) if found is None else squared_distances(rows.spread(x))
                found = neighbors(distance, real, self.config["neighbors"], rows)
            x = convolution(x, *found, rows.real, fused=rows.free)
        here = ops.cast(real, "float32")
        mean = summed(rows.spread(x), here / ops.maximum(ops.sum(here, axis=1, keepdims=True), 1.0))
        return through(self.hidden, mean)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        convolutions = {convolution.name: convolution.layers for convolution in self.convolutions}
        return {"stem": [self.standardize], **convolutions, "hidden": self.hidden, "head": [self.head]}

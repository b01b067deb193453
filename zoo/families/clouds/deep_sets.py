"""Deep sets of particles: energy flow networks and particle flow networks (Komiske et al. 2019, arXiv:1810.05165)."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import keras
from keras import ops

from zoo.families.clouds.cloud import CloudClassifier, summed
from zoo.families.clouds.frame import KINEMATICS, Frame, about_axis
from zoo.families.set_layers import built_dense, through
from zoo.model.registry import register_family


@register_family("deep-sets")
class DeepSets(CloudClassifier):
    """A network of each particle, the sum over particles, and a network of the sum.

    An energy flow network sees the direction of a particle alone and weighs it in the sum by its share of the transverse
    momentum. Its answer is infrared and collinear safe by construction: a particle may be split in its own direction, and one
    without momentum be added, about an axis that such particles do not move. A particle flow network sees momentum, and the
    kind of the particle, and counts every particle the same. An energy flow network has one endpoint more, ``filters``: what
    its network of a particle makes of a direction.

    Parameters
    ----------
    particle : list of int
        Units of the layers of the network of a particle; the last are what is summed, at least one.
    jet : list of int
        Units of the layers of the network of the sum, at least one.
    sees : {"direction", "momentum", "identity"}
        What it sees of a particle: the "direction" (an energy flow network), the "momentum", or the "identity" too.
    outputs : int
        Number of probabilities: 1 for that of class 1 of two, else one for each class.
    activation : str
        Activation of all hidden layers.

    Raises
    ------
    ValueError
        Another word, or no layers.
    """

    family = "deep-sets"

    def __init__(
        self,
        particle: list[int],
        jet: list[int],
        sees: Literal["direction", "momentum", "identity"] = "identity",
        outputs: int = 1,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        if sees not in ("direction", "momentum", "identity"):
            raise ValueError(f"expected sees direction, momentum or identity, given {sees!r}")
        if not particle or not jet:
            raise ValueError(f"expected layers of particle and of jet, given {particle} and {jet}")
        super().__init__(outputs, sees == "identity", 2 if sees == "direction" else KINEMATICS, **kwargs)
        self.safe = sees == "direction"
        self.config = {
            "particle": list(particle),
            "jet": list(jet),
            "sees": sees,
            "outputs": outputs,
            "activation": activation,
        }
        if self.safe:
            self.endpoints = {**self.endpoints, "filters": "filters"}  # type: ignore[misc]
        layers = partial(built_dense, activation=activation, kernel_initializer="he_uniform")  # as the paper's
        self.particle = layers("particle", self.seen, particle)
        self.jet = layers("jet", particle[-1], jet)
        self.finish(jet[-1])

    def scalings(self, frame: Frame):
        return ops.stack([frame.dy, frame.dphi], axis=-1) if self.safe else super().scalings(frame)

    def importance(self, frame: Frame):
        return frame.share if self.safe else super().importance(frame)

    def embed(self, particles, *others):
        *identity, real = others
        frame = about_axis(particles, real)
        weight = frame.share if self.safe else ops.cast(real, "float32")
        return through(self.jet, summed(through(self.particle, self.features(frame, identity)), weight))

    def filters(self, direction):
        """What the network of a particle, which an energy flow network sums, makes of directions.

        Parameters
        ----------
        direction : Tensor
            Rapidity and azimuth (rad) less those of the jet's axis, (batch, 2).

        Returns
        -------
        Tensor
            Latents (batch, units).
        """
        return through(self.particle, self.standardize(direction))

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [self.standardize], "particle": self.particle, "jet": self.jet, "head": [self.head]}

    def example(self, inputs, rng):
        examples = {name: tuple(inputs.values()) for name in self.endpoints if name != "filters"}
        if self.safe:
            particles, real = inputs.values()
            frame = about_axis(particles, real)
            hardest = ops.stack([frame.dy[:, 0], frame.dphi[:, 0]], axis=-1)
            examples["filters"] = (ops.convert_to_numpy(hardest),)
        return examples

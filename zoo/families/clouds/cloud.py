"""What classifiers of particle clouds share: inputs, scaling, head, and what fine-tuning asks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.clouds.frame import KINEMATICS, Frame, about_axis, kinematics
from zoo.families.clouds.identity import identities
from zoo.families.clouds.kinds import IDENTITIES
from zoo.families.layers import Standardize

MEASURED = 4096
"""Training jets on which mean and scale of what is seen of a particle are measured."""


class CloudClassifier(ZooModel):
    """A network that gives the probabilities of classes of a jet, given its particles.

    Inputs are ``particles`` (batch, particle, 3), transverse momentum in GeV, rapidity and azimuth in rad, ``identity``
    (batch, particle) of PDG codes where the network sees them, and ``real`` (batch, particle), which elements are particles.
    Their order means nothing.

    Parameters
    ----------
    outputs : int
        Number of probabilities: 1 for that of class 1 of two, else one for each class.
    identity : bool
        Whether the kind of a particle is seen.
    scaled : int
        Number of what is seen of the momentum of a particle, which is scaled.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer", "embed": "embed"}
    padding_mask: ClassVar[str] = "real"
    no_baseline: ClassVar[str | None] = "on a path from any momenta to those of a jet, its particles would be others"
    family: ClassVar[str]
    """Name under which the family is registered."""

    def __init__(self, outputs: int, identity: bool, scaled: int = KINEMATICS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if outputs < 1:
            raise ValueError(f"expected outputs of at least 1, given {outputs}")
        self.answers_with = "probability"
        self.squash: Literal["sigmoid", "softmax"] = "sigmoid" if outputs == 1 else "softmax"
        self.standardize = Standardize((scaled,), name="standardize")
        self.seen = scaled + (IDENTITIES if identity else 0)

    def finish(self, width: int) -> None:
        """Build the head over what ``embed`` gives."""
        self.head = keras.layers.Dense(self.config["outputs"], name="head")
        self.head.build((None, width))
        self.built = True

    @abstractmethod
    def embed(self, particles, *others):
        """What the head sees of a jet, (batch, width)."""

    def scalings(self, frame: Frame):
        """What of the momenta of particles is scaled, (batch, particle, scaled)."""
        return kinematics(frame)

    def importance(self, frame: Frame):
        """By what each particle counts where mean and scale are measured, (batch, particle).

        Where it is its share of the momentum, directions are scaled by how wide the flow of energy is. The many soft particles
        are spread twice as far, and scaled by them, an energy flow network learns far more slowly.
        """
        return ops.ones_like(frame.share)

    def features(self, frame: Frame, identity: list):
        """What the network sees of each particle, (batch, particle, seen)."""
        x = self.standardize(self.scalings(frame))
        return ops.concatenate([x, identities(identity[0])], axis=-1) if identity else x

    def logits(self, *inputs):
        """Logits (batch, outputs) of the inputs of ``predict``."""
        return self.head(self.embed(*inputs))

    def answer(self, particles, *others):
        """Probabilities (batch, outputs)."""
        return self.probabilities(self.logits(particles, *others))

    def probabilities(self, logits):
        """Probabilities (batch, outputs) by their logits."""
        return ops.sigmoid(logits) if self.squash == "sigmoid" else ops.softmax(logits)

    def call(self, inputs):
        return self.answer(*inputs)

    def soften(self, temperature: float) -> None:
        """Divide the logits by a temperature for good, in the weights of the head.

        Raises
        ------
        ValueError
            If the temperature is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"expected a positive temperature, given {temperature}")
        for weight in self.head.weights:
            weight.assign(weight / temperature)

    @property
    def classes(self) -> int | None:
        return max(2, self.config["outputs"])

    objective_name = "log loss, nat"

    def objective(self, target, answer):
        if self.squash == "softmax":
            return keras.losses.sparse_categorical_crossentropy(target[:, 0], answer)
        return keras.losses.binary_crossentropy(target, answer)

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if task != "classification":
            return super().with_head(outputs, task)
        return self.family, {**self.config, "outputs": outputs}

    def adapt(self, inputs: Mapping[str, Any], target: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure the scaling on real particles of training jets, by their importance and the event weights of the jets."""
        frame, real, weight = some(inputs, weight)
        if real.any():
            each = ops.convert_to_numpy(self.importance(frame)) * (1.0 if weight is None else weight[:, None])
            self.standardize.adapt(ops.convert_to_numpy(self.scalings(frame))[real], each[real])

    def standardized(self, particles, *others) -> tuple:
        seen = ops.convert_to_numpy(self.standardize(self.scalings(about_axis(particles, others[-1]))))
        return (seen[ops.convert_to_numpy(others[-1])],)


def some(
    inputs: Mapping[str, Any], weight: np.ndarray | None, n: int = MEASURED
) -> tuple[Frame, np.ndarray, np.ndarray | None]:
    """Training jets spread over all of them about their axes, which of their elements are real, and their event weights."""
    particles, *_, real = inputs.values()
    chosen = np.unique(np.linspace(0, len(particles) - 1, min(n, len(particles))).astype(int))
    here = np.asarray(real[chosen])
    frame = about_axis(np.asarray(particles[chosen], np.float32), here)
    return frame, here, None if weight is None else np.asarray(weight)[chosen]


def summed(x, weight):
    """Sum (batch, numbers) over particles of x (batch, particle, numbers), each by its weight (batch, particle)."""
    return ops.matmul(weight[:, None], x)[:, 0]

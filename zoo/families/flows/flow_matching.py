"""Flow matching (Lipman et al. 2022, arXiv:2210.02747), for posteriors as Wildberger et al. 2023 (arXiv:2305.17161) have it."""

from __future__ import annotations

import keras
from keras import ops

from zoo.families.flows.bijector import Bijector
from zoo.families.flows.continuous import Continuous
from zoo.families.flows.flow import Flow
from zoo.model.registry import register_family

HELD_OUT = 8
"""Noises, each at its own time, that the loss of a held-out row is the mean over; they are the same in every epoch."""


@register_family("flow-matching")
class FlowMatching(Flow):
    """One bijector that a network's velocity makes, trained on that velocity: a step costs one pass of a free network.

    The density and a draw cost four passes for each step of the integration, the density times the number of variables.

    Parameters
    ----------
    dimensions : int
        Number D of variables.
    hidden : list of int
        Units of each residual block of the network; the first is the width of its stream.
    steps : int
        Steps of the integration.
    """

    objective_name = "squared error of the velocity"

    def __init__(
        self,
        dimensions: int,
        hidden: list[int] = [128, 128, 128],  # noqa: B006 - plain data, copied by the flow
        steps: int = 24,
        **kwargs,
    ) -> None:
        if steps < 1:
            raise ValueError(f"expected at least one step, given {steps}")
        self.steps = steps
        super().__init__(dimensions=dimensions, hidden=hidden, transforms=1, activation="silu", **kwargs)
        kept = {key: value for key, value in self.config.items() if key not in ("transforms", "activation")}
        self.config = {**kept, "steps": steps}
        self.noise = keras.random.SeedGenerator(seed=0)

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        return Continuous(self.dimensions, context, hidden, self.steps, name=f"transform_{index}")

    def call(self, inputs, training: bool = False):
        """Squared error (batch,) of the velocity of each row, at a time and noise that are drawn anew in training."""
        x, *context = self.parts(inputs)
        features = self.condition(*context) if context else None
        x, _ = self._to_residuals(x, features)
        if training:
            return self._mismatch(x, features, self.noise, self.noise)
        x = ops.tile(x, (HELD_OUT, 1))
        features = None if features is None else ops.tile(features, (HELD_OUT, 1))
        return ops.mean(ops.reshape(self._mismatch(x, features, 0, 1), (HELD_OUT, -1)), axis=0)

    def _mismatch(self, x, features, time_seed, noise_seed):
        """The error of each row; times are spread evenly over the batch: row i of n has one between i / n and (i + 1) / n."""
        rows = ops.shape(x)[0]
        place = ops.cast(ops.reshape(ops.arange(rows), (-1, 1)), x.dtype)
        time = (place + keras.random.uniform((rows, 1), seed=time_seed)) / ops.cast(rows, x.dtype)
        noise = keras.random.normal(ops.shape(x), seed=noise_seed)
        (path,) = self.transforms
        return path.mismatch(x, features, time, noise)

    def objective(self, target, answer):
        return answer

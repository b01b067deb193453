"""A network that learns a Hamiltonian (Greydanus et al. 2019, arXiv:1906.01563)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.dynamics.conservative import Conservative
from zoo.families.layers import Standardize
from zoo.model.registry import register_family


@register_family("hamiltonian")
class Hamiltonian(Conservative):
    """A network of positions and canonical momenta to one number H, which moves by the equations of Hamilton.

    dq/dt = dH/dp and dp/dt = -dH/dq, so that H is kept. Before training it is a free particle. Momenta have to be the canonical
    ones. H is in the unit of momentum times velocity, and has no zero.

    Parameters
    ----------
    coordinates : int
        Number n of positions.
    hidden : list of int
        Units of each hidden layer.
    **kwargs : object
        Others, as `Motion` takes them.

    Raises
    ------
    ValueError
        The config is none, as `Motion` says.
    """

    endpoints: ClassVar[dict[str, str]] = {"derivative": "rate", "energy": "energy", "step": "step", "rollout": "rollout"}
    data_endpoint: ClassVar[str] = "derivative"

    def __init__(self, coordinates: int, hidden: list[int], **kwargs: Any) -> None:
        super().__init__(coordinates, hidden, learned=2 * coordinates, **kwargs)
        self.unit = Standardize((1,), name="unit")
        self.built = True

    def rate(self, state, parameters=None):
        found = self.derivatives(state, parameters)
        velocity = ops.transpose(found.by_moving) / self.seen.scale[self.coordinates :]
        return self.unit.scale * ops.concatenate([velocity, -ops.transpose(found.by_position)], axis=1)

    change = rate

    def energy(self, state, parameters=None):
        """The energy (batch, 1) that the motion keeps, up to a constant."""
        return self.unit.scale * self.derivatives(state, parameters).value[:, None]

    def adapt(self, inputs: Mapping[str, Any], target: Any, weight: np.ndarray | None = None) -> None:
        super().adapt(inputs, target, weight)
        n = self.coordinates
        momentum, velocity = (ops.convert_to_numpy(scaling.scale) for scaling in (self.seen, self.rescale))
        self.unit.scale.assign([float(np.mean(momentum[n:] * velocity[:n]))])

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [*self.stem, self.unit], "hamiltonian": [*self.root, *self.free]}

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
        Others, as `Conservative` takes them.

    Raises
    ------
    ValueError
        The config is none, as `Conservative` says.
    """

    endpoints: ClassVar[dict[str, str]] = {
        "derivative": "change_and_energy",
        "energy": "energy",
        "step": "step_and_energy",
        "rollout": "rollout_and_energy",
    }
    data_endpoint: ClassVar[str] = "derivative"
    bent = False

    def __init__(self, coordinates: int, hidden: list[int], **kwargs: Any) -> None:
        super().__init__(coordinates, hidden, learned=2 * coordinates, **kwargs)
        self.unit = Standardize((1,), name="unit")
        self.built = True

    def change_of(self, state, found):
        velocity = ops.transpose(found.by_moving) / self.seen.scale[self.coordinates :]
        return self.unit.scale * ops.concatenate([velocity, -ops.transpose(found.by_position)], axis=1)

    def energy_of(self, state, found):
        return self.unit.scale * found.value[:, None]

    def rate(self, state, parameters=None):
        return self.change(state, parameters)

    def adapt(self, inputs: Mapping[str, Any], target: Any, weight: np.ndarray | None = None) -> None:
        super().adapt(inputs, target, weight)
        n = self.coordinates
        momentum, velocity = (ops.convert_to_numpy(scaling.scale) for scaling in (self.seen, self.rescale))
        self.unit.scale.assign([float(np.mean(momentum[n:] * velocity[:n]))])

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [*self.stem, self.unit], "hamiltonian": [*self.root, *self.free]}

"""A plain network of motion, which knows no law of mechanics: what others are held against."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from zoo.families.dynamics.motion import Motion
from zoo.families.layers import dense_stack
from zoo.model.registry import register_family


@register_family("unconstrained-motion")
class UnconstrainedMotion(Motion):
    """A network of a state to accelerations, or to the rates of all that it holds. Nothing is kept.

    It sees what the other networks of motion see, has their scales, and is a polynomial in velocities or momenta as they are.

    Parameters
    ----------
    coordinates : int
        Number n of positions.
    hidden : list of int
        Units of each hidden layer.
    canonical : bool
        Whether states hold momenta, so that the rates of positions are learned too, and not known to be velocities.
    **kwargs : object
        Others, as `Motion` takes them.

    Raises
    ------
    ValueError
        The config is none, as `Motion` says.
    """

    endpoints: ClassVar[dict[str, str]] = {"change": "change", "step": "step", "rollout": "rollout"}
    data_endpoint: ClassVar[str] = "change"

    def __init__(self, coordinates: int, hidden: list[int], *, canonical: bool = False, **kwargs: Any) -> None:
        super().__init__(coordinates, hidden, learned=2 * coordinates if canonical else coordinates, **kwargs)
        self.config["canonical"] = canonical
        self.hidden = dense_stack("hidden", self.width, hidden, self.activation)
        self.head = keras.layers.Dense(self.learned * (1 + len(self.products)), name="head")
        self.head.build((None, hidden[-1]))
        self.built = True

    def change(self, state, parameters=None):
        coefficients = ops.reshape(
            self.head(self.hidden(self.features(state, parameters))), (-1, self.learned, 1 + len(self.products))
        )
        found = ops.sum(coefficients * self.quadratic(state)[:, None], axis=2)
        return found * self.rescale.scale + self.rescale.mean

    def rate(self, state, parameters=None):
        found = self.change(state, parameters)
        return found if self.config["canonical"] else ops.concatenate([state[:, self.coordinates :], found], axis=1)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": self.stem, "hidden": list(self.hidden.layers), "head": [self.head]}

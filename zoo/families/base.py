"""What every family gives: endpoints, blocks, a spec, and standardisation from training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import keras
import numpy as np

from zoo.errors import UnknownNameError
from zoo.spec import ModelSpec
from zoo.store import ModelFolder


class ZooModel(keras.Model):
    """A Keras model with named endpoints.

    A family is a subclass whose constructor takes plain data and builds every weight, so that loading is
    ``Family(**config)`` followed by numbers.
    """

    endpoints: ClassVar[dict[str, str]]
    """Endpoint name -> method; the method takes the endpoint's inputs and returns its outputs, in the spec's order."""

    spec: ModelSpec
    """Set by ``zoo.load``; a freshly built model has none."""

    folder: ModelFolder | None = None
    """Where it was loaded from."""

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        """Ordered stages, input to output, that fine-tuning freezes and unfreezes."""
        raise TypeError(f"{type(self).__name__} declares no blocks")

    def adapt(self, inputs: Mapping[str, np.ndarray], target: np.ndarray) -> None:
        """Measure the standardisation on training rows, before the first step."""

    def baseline(self, tensor: str) -> np.ndarray | None:
        """The uninformative value of an input tensor (its training mean), None where the model holds none."""
        return None

    def endpoint(self, name: str) -> Callable[..., dict[str, object]]:
        """An endpoint as a function of named tensors that returns named tensors.

        Examples
        --------
        >>> model = zoo.load("ive-pendulum")  # doctest: +SKIP
        >>> model.endpoint("encode")(trajectory=x)["mean"]  # doctest: +SKIP
        """
        if not hasattr(self, "spec"):
            raise TypeError("this model has no spec: load it with zoo.load, or assign model.spec")
        described = self.spec.endpoint(name)
        if name not in self.endpoints:
            raise UnknownNameError(f"endpoint of family {self.spec.family}", name, self.endpoints)
        function = getattr(self, self.endpoints[name])

        def call(**tensors):
            outputs = function(*(tensors[tensor.name] for tensor in described.inputs))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return {tensor.name: value for tensor, value in zip(described.outputs, outputs, strict=True)}

        return call

    def example(self, inputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, tuple[np.ndarray, ...]]:
        """Inputs of every endpoint for rows of a data set: endpoint -> tensors in the spec's order.

        Families with endpoints that take more than the data (latents, noise) extend it.
        """
        return dict.fromkeys(self.endpoints, tuple(inputs.values()))

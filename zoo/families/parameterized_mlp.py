"""One classifier for all values of a parameter, which it takes beside the event (Baldi et al. 2016, arXiv:1601.07913)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from keras import ops

from zoo.errors import InputError
from zoo.families.mlp import MLP
from zoo.model.registry import register_family


@register_family("parameterized-mlp")
class ParameterizedMLP(MLP):
    """A multilayer perceptron over a row and a positive parameter of the hypothesis that is tested, such as a mass.

    Where background is trained with parameters drawn as those of the signal, it learns the ratio of signal at that parameter to
    background. Elements in the parameter's unit may be seen over the parameter, so that what a network learns of one mass
    holds for others where the physics knows no other scale; without these, inputs are joined as in the paper.

    Parameters
    ----------
    inputs : int
        Number of elements of a row.
    hidden : list of int
        Units of each hidden layer.
    over_parameter : list of int
        Numbers of the elements that are seen over the parameter.
    activation : str
        Activation of the hidden layers.

    Raises
    ------
    ValueError
        If there is no element of one of these numbers, or a number is there twice.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer"}

    def __init__(
        self, inputs: int, hidden: list[int], over_parameter: list[int], activation: str = "relu", **kwargs: Any
    ) -> None:
        chosen = sorted(set(over_parameter))
        if len(chosen) != len(over_parameter) or not set(chosen) <= set(range(inputs)):
            raise ValueError(f"over_parameter: expected numbers of elements from 0 to {inputs - 1}, given {over_parameter}")
        super().__init__(inputs=inputs + 1, hidden=hidden, activation=activation, **kwargs)
        self.config = {
            "inputs": inputs,
            "hidden": list(hidden),
            "over_parameter": list(over_parameter),
            "activation": activation,
        }
        self.over = np.isin(np.arange(inputs), chosen)

    def joined(self, x: Any, parameter: Any) -> Any:
        """What is standardized (batch, inputs + 1): rows (batch, inputs), partly over the parameter, and it (batch, 1)."""
        scale = ops.where(ops.convert_to_tensor(self.over), parameter, ops.ones_like(parameter))
        return ops.concatenate([x / scale, parameter], axis=1)

    def logits(self, x, parameter):
        """Logits (batch, 1) of rows (batch, inputs) under the hypothesis of a parameter (batch, 1) each."""
        return super().logits(self.joined(x, parameter))

    def answer(self, x, parameter):
        """Probabilities (batch, 1) of signal, taking the same inputs."""
        return self.output_activation(self.logits(x, parameter))

    def call(self, inputs):
        return self.answer(*inputs)

    def standardized(self, *inputs) -> tuple:
        return super().standardized(self.joined(*inputs))

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if (outputs, task) != (1, "classification"):
            raise InputError(
                f"a parameterized classifier has one output, given {outputs} for {task}: leave out outputs and task"
            )
        return "parameterized-mlp", self.config

    def with_inputs(self, inputs) -> tuple[dict[str, Any], list[str]]:
        return super(MLP, self).with_inputs(inputs)

    def adapt(self, inputs, target, weight=None) -> None:
        rows, parameter = (np.asarray(array[:], np.float64) for array in inputs.values())
        seen = np.concatenate([np.where(self.over, rows / parameter, rows), parameter], axis=1)
        assert self.standardize is not None
        self.standardize.adapt(seen, weight)

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec") or self.standardize is None:
            return None
        event, parameter = self.spec.endpoint("predict").inputs
        mean = ops.convert_to_numpy(self.standardize.mean)
        if tensor == event.name:
            return mean[:-1] * np.where(self.over, mean[-1], 1)
        return mean[-1:] if tensor == parameter.name else None

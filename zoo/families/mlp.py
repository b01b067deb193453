"""Multilayer perceptron over standardized inputs: classifier or regressor."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import numpy as np

from zoo.families.base import ZooModel
from zoo.families.layers import Standardize, Whiten, dense_stack
from zoo.model.registry import register_family


@register_family("mlp")
class MLP(ZooModel):
    """Dense hidden layers and a dense head.

    Parameters
    ----------
    inputs : int
        Number of input elements.
    hidden : list of int
        Units of each hidden layer; none makes a generalized linear model.
    outputs : int
        Number of outputs.
    activation : str
        Activation of the hidden layers.
    output_activation : str
        Activation of the outputs: "sigmoid" for a classifier, "softmax" for one of several classes, "linear" for a regressor.
    standardize : bool
        Whether inputs are scaled by the mean and standard deviation of the training data.
    whiten : bool
        Whether standardized inputs are then mapped to uncorrelated ones, by the correlations of the training rows, for a
        classifier those of its first class: the hypothesis that the others are told from.
    rescale : bool
        Whether the head's outputs are multiplied by the training targets' standard deviation and their mean is added, so that a
        regressor learns in units of order one and answers in physical ones.

    Raises
    ------
    ValueError
        If outputs are to be rescaled and then squashed, or inputs are to be whitened and not standardized.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}
    layer: ClassVar[Any] = keras.layers.Dense
    """Kind of the layers."""
    scaling: ClassVar[type[Standardize]] = Standardize
    """Kind of the scaling of inputs."""

    def __init__(
        self,
        inputs: int,
        hidden: list[int],
        outputs: int = 1,
        activation: str = "relu",
        output_activation: str = "sigmoid",
        standardize: bool = True,
        rescale: bool = False,
        whiten: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if rescale and output_activation != "linear":
            raise ValueError(f"rescale needs output_activation: linear, given {output_activation}")
        if whiten and not standardize:
            raise ValueError("whiten needs standardize: true, given false")
        self.config = {
            "inputs": inputs,
            "hidden": list(hidden),
            "outputs": outputs,
            "activation": activation,
            "output_activation": output_activation,
            "standardize": standardize,
            "rescale": rescale,
            **({"whiten": True} if whiten else {}),  # configs of released models are as they were
        }
        self.standardize = self.scaling((inputs,), name="standardize") if standardize else None
        self.whiten = Whiten(inputs, name="whiten") if whiten else None
        self.hidden = dense_stack("hidden", inputs, hidden, activation, self.layer) if hidden else None
        self.head = self.layer(outputs, name="head")
        self.head.build((None, hidden[-1] if hidden else inputs))
        self.rescale = Standardize((outputs,), name="rescale") if rescale else None
        self.output_activation = keras.activations.get(output_activation)
        squashes: dict[str, Literal["sigmoid", "softmax"]] = {"sigmoid": "sigmoid", "softmax": "softmax"}
        self.squash = squashes.get(output_activation)
        self.answers_with = "number" if self.squash is None else "probability"
        self.built = True

    def logits(self, x):
        """Outputs (batch, outputs) before the output activation, of inputs (batch, inputs)."""
        for stage in (self.standardize, self.whiten, self.hidden):
            x = x if stage is None else stage(x)
        y = self.head(x)
        return y if self.rescale is None else y * self.rescale.scale + self.rescale.mean

    def call(self, x):
        return self.output_activation(self.logits(x))

    def soften(self, temperature: float) -> None:
        """Divide the logits by a temperature for good, in the weights of the head.

        Raises
        ------
        ValueError
            If the model is no classifier, or the temperature not positive.
        """
        if self.answers_with != "probability" or not temperature > 0:
            raise ValueError(f"expected a classifier and a positive temperature, given {self.answers_with} and {temperature}")
        for weight in self.head.weights:
            weight.assign(weight / temperature)

    @property
    def classes(self) -> int | None:
        if self.squash == "softmax":
            return self.head.units
        return 2 if self.squash == "sigmoid" and self.head.units == 1 else None

    @property
    def objective_name(self) -> str:
        if self.squash is not None:
            return "log loss, nat"
        return "squared error" if self.rescale is None else "squared error in units of the targets' deviation"

    def objective(self, target, answer):
        if self.squash == "softmax":
            return keras.losses.sparse_categorical_crossentropy(target[:, 0], answer)
        if self.squash == "sigmoid":
            return keras.losses.binary_crossentropy(target, answer)
        return keras.ops.mean(keras.ops.square((answer - target) / self.target_scale), axis=-1)

    def point(self, answer):
        return None if self.classes else answer

    def standardized(self, *inputs) -> tuple:
        return () if self.standardize is None else (self.standardize(inputs[0]),)

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        activation = "linear" if task == "regression" else "sigmoid" if outputs == 1 else "softmax"
        head = {"outputs": outputs, "output_activation": activation, "rescale": task == "regression"}
        return "mlp", {"hidden": [], **self.config, **head}

    def with_inputs(self, inputs) -> tuple[dict[str, Any], list[str]]:
        if self.hidden is None:
            return super().with_inputs(inputs)
        return {**self.config, "inputs": inputs}, [*(layer.name for layer in self.blocks["stem"]), self.hidden.layers[0].name]

    @property
    def target_scale(self):
        """Unit (outputs,) of a standardized error: the training targets' standard deviation, or 1 without rescaling."""
        return keras.ops.ones(self.config["outputs"]) if self.rescale is None else self.rescale.scale

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        stem = [layer for layer in (self.standardize, self.whiten) if layer is not None]
        head = [self.head] if self.rescale is None else [self.head, self.rescale]
        return {"stem": stem, "hidden": [] if self.hidden is None else list(self.hidden.layers), "head": head}

    def adapt(self, inputs, target, weight=None) -> None:
        if self.standardize is not None:
            (rows,) = inputs.values()
            self.standardize.adapt(rows, weight)
            if self.whiten is not None:
                first = np.asarray(target)[:, 0] == 0 if self.classes else np.full(len(rows), True)
                first = first if first.sum() > 1 else np.full(len(rows), True)
                standardized = keras.ops.convert_to_numpy(self.standardize(np.asarray(rows)[first]))
                self.whiten.adapt(standardized, None if weight is None else weight[first])
        if self.rescale is not None:
            self.rescale.adapt(target, weight)

    def baseline(self, tensor: str) -> np.ndarray | None:
        return None if self.standardize is None else keras.ops.convert_to_numpy(self.standardize.mean)

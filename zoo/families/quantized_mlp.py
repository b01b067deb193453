"""Multilayer perceptron in fixed point, for the trigger of an experiment: a classifier whose bits are trained."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.families.base import ZooModel
from zoo.families.fixed_point import FixedPointDense, Shift
from zoo.families.mlp import MLP
from zoo.model.registry import register_family


@register_family("quantized-mlp")
class QuantizedMLP(MLP):
    """Dense layers with rectifiers between them, in fixed point, and probabilities of their last sums.

    Inputs are scaled by powers of two, so that whoever has them as whole numbers shifts and subtracts. On the chip are the
    layers, which take the scaled inputs and give logits; probabilities are for the host.

    Parameters
    ----------
    inputs : int
        Number of input elements.
    hidden : list of int
        Units of each hidden layer.
    outputs : int
        Number of probabilities: 1 for that of class 1 of two, else one for each class.
    beta : float
        What a bit operation costs in training, in nat. More make fewer bits.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "call", "logits": "logits"}
    layer: ClassVar[Any] = FixedPointDense
    scaling: ClassVar[Any] = Shift
    no_gradient: ClassVar[str | None] = "its numbers are rounded, so that answers are steps of slope zero"
    soften = None  # type: ignore[assignment]  # logits over a temperature would be numbers with other bits

    def __init__(self, inputs: int, hidden: list[int], outputs: int = 1, beta: float = 1e-6, **kwargs) -> None:
        if not beta >= 0:
            raise ValueError(f"expected a beta of at least 0, given {beta}")
        super().__init__(inputs, hidden, outputs, output_activation="sigmoid" if outputs == 1 else "softmax", **kwargs)
        self.config = {"inputs": inputs, "hidden": list(hidden), "outputs": outputs, "beta": beta}
        self.dense[0].signed = True

    @property
    def dense(self) -> list[FixedPointDense]:
        """The layers, input to output."""
        return [*(self.hidden.layers if self.hidden else []), self.head]

    def ebops(self):
        """Effective bit operations of an answer, with which the look-up tables of a chip grow."""
        return sum(layer.ebops() for layer in self.dense)

    def call(self, x, training=False):
        if training:
            self.add_loss(self.config["beta"] * self.ebops())
        return super().call(x)

    @property
    def objective_name(self) -> str:
        return "log loss, nat, in training with beta times the bit operations"

    def with_head(self, outputs, task) -> tuple[str, dict[str, Any]]:
        if task != "classification":
            return ZooModel.with_head(self, outputs, task)
        return "quantized-mlp", {**self.config, "outputs": outputs}

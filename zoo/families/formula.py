"""Formulae as a model: what a search found, as a graph that is deployed like any network's."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.expression import CONSTANT, NUMBER, TOKENS, VARIABLES, Skeleton, is_whole, operators_of, walked
from zoo.model.registry import register_family

_OPERATORS = operators_of(ops)


@register_family("formula")
class FormulaModel(ZooModel):
    """Formulae of the same few inputs, side by side; their constants are the weights.

    Parameters
    ----------
    inputs : int
        Number of inputs, one to four.
    formulae : list of str
        The skeleton of each in prefix order, such as ``"+ * C x1 C"`` for C x1 + C, with the words of
        ``zoo.families.expression.TOKENS``.

    Raises
    ------
    ValueError
        There is no formula, one is not whole, or it has other words or more variables than there are inputs.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}
    no_fine_tuning: ClassVar[str | None] = (
        "its few constants are fitted by least squares: find the formula again on new rows with zoo.interpret.distill, or fit"
        " formula.estimator() to them"
    )

    def __init__(self, inputs: int, formulae: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= inputs <= VARIABLES or not formulae:
            raise ValueError(f"expected 1 to {VARIABLES} inputs and at least one formula, given {inputs} and {formulae}")
        self.skeletons = [skeleton_of(text, inputs) for text in formulae]
        self.config = {"inputs": inputs, "formulae": list(formulae)}
        self.constants = _Constants(sum(skeleton.count(CONSTANT) for skeleton in self.skeletons), name="constants")
        self.built = True

    def call(self, x):
        """Values (batch, formulae) of inputs (batch, inputs)."""
        columns = [x[:, number : number + 1] for number in range(self.config["inputs"])]
        found, first = [], 0
        for skeleton in self.skeletons:
            constants = self.constants.values[first : first + skeleton.count(CONSTANT)]
            value = walked(skeleton, constants.__getitem__, columns.__getitem__, _OPERATORS)
            found.append(value + ops.zeros_like(columns[0]))  # a formula may be a constant
            first += skeleton.count(CONSTANT)
        return ops.concatenate(found, axis=-1)

    def objective(self, target, answer):
        """Squared error of a row, in units of the values."""
        return ops.mean(ops.square(answer - target), axis=-1)

    def point(self, answer):
        """The answer, which is a number like the target."""
        return answer

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        """The constants."""
        return {"constants": [self.constants]}


class _Constants(keras.layers.Layer):
    """The constants of all formulae, in the order in which they are written."""

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.values = self.add_weight(name="values", shape=(count,), initializer="ones")
        self.built = True


def skeleton_of(text: str, inputs: int) -> Skeleton:
    """The skeleton of words in prefix order; ValueError where it is not a whole formula of so many inputs."""
    words = text.split()
    known = [*TOKENS[1 : 1 + inputs], *TOKENS[CONSTANT:]]
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"formula {text!r}: expected {' '.join(known)}, given {unknown[0]}")
    tokens = tuple(NUMBER[word] for word in words)
    if not is_whole(tokens):
        raise ValueError(f"formula {text!r}: expected one whole formula in prefix order, such as '+ * C x1 C'")
    return tokens

"""Deep ensembles (Lakshminarayanan et al. 2017, arXiv:1612.01474): one model from trainings that differ in the seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.model.registry import get_family, register_family
from zoo.model.spec import Endpoint

LEAST_LOG = -1e30
"""A number that stands for the largest of logarithms that are all minus infinity, whose difference from it would be NaN."""


@register_family("ensemble")
class Ensemble(ZooModel):
    """Members of one family and config, whose first endpoint is the ensemble's only one; flows have one of their own.

    Numbers are answered with their mean and the deviation among members, probabilities with their mean, Gaussians with mean and
    deviation of the mixture, log densities with that of the mixture.

    Parameters
    ----------
    member : str
        Family of the members.
    config : dict of str to object
        Config of each member.
    count : int
        Number of members, at least two.

    Raises
    ------
    ValueError
        If there are fewer than two, or the family answers with what cannot be averaged.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer"}
    repeats_operations = True  # members scale and bound alike
    no_fine_tuning = "members trained together would come to agree: fine-tune each and join them with zoo ensemble"

    def __init__(self, member: str, config: dict[str, Any], count: int, **kwargs) -> None:
        super().__init__(**kwargs)
        if count < 2:
            raise ValueError(f"expected at least two members, given {count}")
        self.config: dict[str, Any] = {"member": member, "config": dict(config), "count": count}
        self.members = [get_family(member)(**config, name=f"member_{i}") for i in range(count)]
        first = self.members[0]
        self.kind = first.answers_with
        if self.kind not in POOLS:
            raise ValueError(f"expected a family that answers with {', '.join(POOLS)}, {member} of this config does not")
        self.answers_with = "number" if self.kind == "probability" and first.squash != "sigmoid" else self.kind
        self.squash = first.squash if self.answers_with == "probability" else None
        self.endpoint_of_members = next(iter(first.endpoints))
        self.endpoints = {self.endpoint_of_members: "answer"}  # type: ignore[misc]
        self.built = True

    def answer(self, *inputs):
        """What the first endpoint of all members together answers: one tensor, or a location and a scale of the same shape."""
        method = self.members[0].endpoints[self.endpoint_of_members]
        given = [getattr(member, method)(*inputs) for member in self.members]
        if self.kind == "number":  # what members answer beside it, such as an energy, each may have on a scale of its own
            given = [one[0] if isinstance(one, tuple) else one for one in given]
        elif self.kind == "gaussian":
            given = [one[:2] for one in given]
        return POOLS[self.kind](given)

    def call(self, inputs):
        """Answer as the members' ``call``; locations of Gaussians are the first half of the last axis, scales the other."""
        given = [member(inputs) for member in self.members]
        if self.kind == "gaussian":
            return ops.concatenate(_mixture([ops.split(one, 2, axis=-1) for one in given]), axis=-1)
        pooled = POOLS[self.kind](given)
        return pooled[0] if isinstance(pooled, tuple) else pooled

    def logits(self, *inputs):
        """Logits log(p / (1 - p)) of the mean probability p, precise where p is saturated.

        Raises
        ------
        TypeError
            If the members do not answer with the sigmoid of their logits.
        """
        if self.answers_with != "probability":
            raise TypeError("an ensemble has logits where its members answer with the sigmoid of theirs: ask each member")
        given = ops.stack([member.logits(*inputs) for member in self.members])
        return _log_of_sum(-ops.softplus(-given)) - _log_of_sum(-ops.softplus(given))

    @property
    def classes(self) -> int | None:
        return self.members[0].classes

    @property
    def objective_name(self) -> str:
        return self.members[0].objective_name

    def objective(self, target, answer):
        """The members' loss of each row, of what they answer together."""
        return self.members[0].objective(target, answer)

    def point(self, answer):
        return self.members[0].point(answer)

    def own_target(self, inputs):
        return self.members[0].own_target(inputs)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        parts = [member.blocks for member in self.members]
        return {name: [layer for part in parts for layer in part[name]] for name in parts[0]}

    def baseline(self, tensor: str) -> np.ndarray | None:
        return self.members[0].baseline(tensor)

    def described(self, name: str, endpoint: Endpoint) -> Endpoint:
        """An endpoint of a member as the ensemble has it, with the deviation of answers that were numbers."""
        outputs = endpoint.outputs
        if self.kind == "number":
            answer = outputs[0]
            deviation = answer.model_copy(
                update={
                    "name": f"{answer.name}_deviation",
                    "description": f"standard deviation of {answer.name} among members",
                    "low": None,
                    "high": None,
                }
            )
            outputs = [answer, deviation]
        elif self.kind == "gaussian":
            outputs = outputs[:2]
        return endpoint.model_copy(update={"outputs": outputs, "description": f"{endpoint.description}; mean of the members"})

    def example(self, inputs, rng):
        name = self.endpoint_of_members
        return {name: self.members[0].example(inputs, rng)[name]}


def _numbers(given: Sequence[Any]) -> tuple[Any, Any]:
    """Mean, and the deviation of one member from the mean of many."""
    answers = ops.stack(given)
    mean = ops.mean(answers, axis=0)
    return mean, ops.sqrt(ops.sum(ops.square(answers - mean), axis=0) / (len(given) - 1))


def _mixture(given: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Mean and deviation of a mixture of Gaussians in equal parts."""
    locations, scales = (ops.stack(parts) for parts in zip(*given, strict=True))
    mean = ops.mean(locations, axis=0)
    return mean, ops.sqrt(ops.mean(ops.square(scales) + ops.square(locations - mean), axis=0))


def _log_of_sum(logs):
    """Logarithm of the sum of exponentials along the first axis, minus infinity where all are."""
    top = ops.maximum(ops.max(logs, axis=0), LEAST_LOG)
    return top + ops.log(ops.sum(ops.exp(logs - top), axis=0))


POOLS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "number": _numbers,
    "probability": lambda given: ops.mean(ops.stack(given), axis=0),
    "gaussian": _mixture,
    "log density": lambda given: _log_of_sum(ops.stack(given)) - math.log(len(given)),
}
"""What the ensemble makes of what members answer with."""

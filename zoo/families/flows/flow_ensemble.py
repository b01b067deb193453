"""Ensembles of flows: a mixture of their densities in equal parts, which is a density that can be drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from keras import ops
from scipy.special import ndtri

from zoo.families.ensemble import POOLS, Ensemble
from zoo.families.flows.density import DensityModel
from zoo.families.flows.flow import Flow
from zoo.model.registry import register_family
from zoo.model.spec import DType, Endpoint, Tensor

HALVINGS = 24
"""Halvings of an interval, after which what is left of it is as small as the resolution of single precision."""


@register_family("flow-ensemble")
class FlowEnsemble(DensityModel, Ensemble):
    """A mixture of flows of one config in equal parts.

    ``sample`` takes one number more than the variables: the last, standard normal as the others, says by its quantile which
    member makes the row of them. Whoever hands in normal numbers of the width that the spec names gets draws of the mixture.

    Parameters
    ----------
    member : str
        Family of the members.
    config : dict of str to object
        Config of each member.
    count : int
        Number of members, at least two.
    """

    endpoints: ClassVar[dict[str, str]] = {"log_prob": "log_prob", "sample": "sample"}
    data_endpoint: ClassVar[str] = "log_prob"

    def __init__(self, member: str, config: dict[str, Any], count: int, **kwargs) -> None:
        super().__init__(member, config, count, **kwargs)
        first = self.members[0]
        if not isinstance(first, Flow):
            raise ValueError(f"expected a family of flows, {member} is none: its ensembles are of the family ensemble")
        self.dimensions, self.normals, self.autocast = first.dimensions, first.dimensions + 1, first.autocast
        self.context, self.context_shape, self.features = first.context, first.context_shape, count * first.features
        self.endpoints = {"log_prob": "log_prob", "sample": "sample"}  # type: ignore[misc]
        self.edges = ndtri(np.arange(1, count) / count).astype(np.float32)
        """Quantiles of the normal distribution between which each member has its share of it."""

    def log_prob(self, x, *context):
        """Logarithm of the mixture's density, (batch,)."""
        return self.answer(x, *context)

    def sample(self, z, *context):
        """Variables (batch, D) from standard normal noise z (batch, D + 1), the last of which says whose they are."""
        first, *others = self.members
        noise, place = z[:, :-1], z[:, -1:]
        x = first.sample(noise, *context)
        for edge, member in zip(self.edges, others, strict=True):
            x = ops.where(place >= float(edge), member.sample(noise, *context), x)
        return x

    def condition(self, c, mask=None):
        """Features of all members, (batch, count * F), None without a context."""
        if self.context_shape is None:
            return None
        return ops.concatenate([member.condition(c, mask) for member in self.members], axis=-1)

    def _log_prob(self, x, features):
        each = zip(self.members, self._apart(features), strict=True)
        return POOLS["log density"]([member._log_prob(x, own) for member, own in each])

    def _drawn(self, z, *given):
        """Samples of the member that the last number of the noise picks, as ``sample`` has them, which asks all members."""
        picked = np.searchsorted(self.edges, z[:, -1], side="right")
        drawn = np.empty((len(z), self.dimensions), self.precision(0))
        for i, (member, own) in enumerate(zip(self.members, self._given_to_each(given), strict=True)):
            rows = picked == i
            if rows.any():
                drawn[rows] = member._drawn(z[rows, :-1], *(array[rows] for array in own))
        return drawn

    def _median(self, given, rows):
        """The median, which lies between those of the members, halved until single precision sees no difference."""
        each = self._given_to_each(given)
        medians = np.stack([member._median(own, rows) for member, own in zip(self.members, each, strict=True)])
        low, high = medians.min(axis=0), medians.max(axis=0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            less = self._below(middle, given)[:, None] < 0.5
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return (low + high) / 2

    def _below(self, x, given):
        each = zip(self.members, self._given_to_each(given), strict=True)
        return np.mean([member._below(x, own) for member, own in each], axis=0)

    def _given_to_each(self, given: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Contexts for each member, which are the same, or its own part of the features."""
        if not (given and self._shaped):
            return [list(given)] * len(self.members)
        return [[own] for own in self._apart(given[0])]

    def _apart(self, features):
        """The features (batch, F) of each member."""
        width = self.members[0].features
        return [features[:, i * width : (i + 1) * width] for i in range(len(self.members))]

    def precision(self, place: int) -> DType:
        """The dtype of the variables (place 0) or of the context, as of the members."""
        return self.members[0].precision(place)

    def baseline(self, tensor: str) -> np.ndarray | None:
        first: Flow = self.members[0]
        if hasattr(self, "spec"):
            first.spec = self.spec
        return first.baseline(tensor)

    def described(self, name: str, endpoint: Endpoint) -> Endpoint:
        if name != "sample":
            return super().described(name, endpoint)
        return with_member(endpoint)

    def example(self, inputs, rng):
        x, *context = inputs.values()
        noise = rng.standard_normal((len(x), self.dimensions + 1), dtype=np.float32)
        return {"log_prob": (x, *context), "sample": (noise, *context)}


def with_member(sample: Endpoint) -> Endpoint:
    """The endpoint ``sample`` of a flow as an ensemble has it, with a noise that says which member draws."""
    noise, *context = sample.inputs
    wider = Tensor(
        name=noise.name,
        axes=[noise.axes[0].model_copy(update={"size": noise.fixed_shape[0] + 1, "labels": None})],
        dtype=noise.dtype,
        unit=noise.unit,
        description=f"{noise.description}; the last says by its quantile which member draws",
        low=noise.low if not isinstance(noise.low, list) else min(noise.low),
        high=noise.high if not isinstance(noise.high, list) else max(noise.high),
    )
    return sample.model_copy(
        update={"inputs": [wider, *context], "description": f"{sample.description}; from members in equal parts"}
    )

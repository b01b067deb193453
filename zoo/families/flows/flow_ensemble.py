"""Ensembles of flows: a mixture of their densities in equal parts, which is a density that can be drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from keras import ops
from scipy.special import logsumexp, ndtri

from zoo.families.ensemble import Ensemble
from zoo.families.flows.flow import Flow
from zoo.model.registry import register_family
from zoo.model.spec import Endpoint, Tensor


@register_family("flow-ensemble")
class FlowEnsemble(Ensemble):
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
        self.dimensions, self.context, self.autocast = first.dimensions, first.context, first.autocast
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

    def draw(self, n: int, c: Any = None, seed: int = 0, **options: Any) -> np.ndarray:
        """Draw n samples as ``Flow.draw`` does, each from a member that is picked at random."""
        members = list(self._flows())
        contexts = members[0].draw(1, c, seed, **options).shape[:-2]
        picked = np.random.default_rng(seed).integers(len(members), size=(*contexts, n))
        samples: Any = None
        for i, member in enumerate(members):
            own = picked == i
            if not own.any():
                continue
            drawn = member.draw(int(own.sum(axis=-1).max()), c, [seed, i], **options)
            if samples is None:
                samples = np.empty((*own.shape, self.dimensions), drawn.dtype)
            earlier = np.maximum(np.cumsum(own, axis=-1) - 1, 0)
            samples[own] = np.take_along_axis(drawn, earlier[..., None], axis=-2)[own]
        return samples

    def log_density(self, x: np.ndarray, c: Any = None, **options: Any) -> np.ndarray:
        """Give ``log_prob`` of any number of rows, as ``Flow.log_density`` does."""
        found = np.stack([member.log_density(x, c, **options) for member in self._flows()])
        return (logsumexp(found.astype(np.float64), axis=0) - np.log(len(found))).astype(found.dtype)

    def _flows(self) -> Iterator[Flow]:
        """The members, told what the spec says of their tensors; the first, too, where what is known of contexts lies."""
        self.members[0].folder = self.folder
        for member in self.members:
            if hasattr(self, "spec"):
                member.spec = self.spec
            yield member

    def precision(self, place: int) -> str:
        """The dtype of the variables (place 0) or of the context, as of the members."""
        return self.members[0].precision(place)

    def baseline(self, tensor: str) -> np.ndarray | None:
        return next(self._flows()).baseline(tensor)

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

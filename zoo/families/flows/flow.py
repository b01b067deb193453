"""A density as a chain of bijectors from a standard normal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from scipy.special import ndtr

from zoo.errors import InputError
from zoo.families.batches import in_batches
from zoo.families.compiled import TrainedInXla
from zoo.families.flows.bijector import Bijector
from zoo.families.flows.context_shape import ContextShape
from zoo.families.flows.density import DensityModel
from zoo.families.flows.embeddings import built_embedding
from zoo.families.flows.linear import MEASURED, Linear
from zoo.families.flows.scales import ContextScales, Scales
from zoo.families.flows.support import Support
from zoo.families.layers import Standardize, dense_stack
from zoo.model.spec import DType


class Flow(TrainedInXla, DensityModel):
    """A density p(x) or p(x | c): log p = log N(u; 0, 1) + sum of log |det| of the bijectors, u their image of x.

    Trained on -log p. A family is a subclass that says what its bijectors are.

    Parameters
    ----------
    dimensions : int
        Number D of variables.
    context : int or list of int or None
        Width C of the context, 0 for an unconditional density; or its shape, null first where the number of its elements is
        free: they come with a mask then, and pass an embedding.
    transforms : int
        Number of bijectors.
    hidden : list of int
        Units of the hidden layers of each conditioner.
    activation : str
        Activation of all hidden layers.
    support : list of list of float, optional
        Limits [low, high] of each variable, null where it has no bounds; None if none has.
    embedding : list of int or dict
        Units of dense layers that the context passes first, all its numbers as one row; or the settings of a network of sets,
        sequences or images, ``{"kind": "attention"}``, as ``zoo.families.flows.embeddings`` has them.
    scales : list of dict, optional
        Scale of each variable, in place of ``support``, as :class:`zoo.families.flows.scales.Maps` takes them. Variables are
        float64 then, in and out.
    context_scales : list of dict, optional
        Scale of each feature of the context, which is float64 then: of each number of a row, else of an element's last axis.
    linear : bool
        Whether what a regression on the context says is taken off the variables first; of a context without an embedding.
    """

    endpoints: ClassVar[dict[str, str]] = {"log_prob": "log_prob", "sample": "sample"}
    data_endpoint: ClassVar[str] = "log_prob"
    objective_name = "negative log density, nat"
    answers_with = "log density"
    ensemble_family: ClassVar[str] = "flow-ensemble"

    def __init__(
        self,
        dimensions: int,
        context: int | list[int | None] = 0,
        transforms: int = 5,
        hidden: list[int] = [64, 64],  # noqa: B006 - plain data, copied below
        activation: str = "relu",
        support: list[list[float] | None] | None = None,
        embedding: list[int] | dict[str, Any] = [],  # noqa: B006
        scales: list[dict[str, Any]] | None = None,
        context_scales: list[dict[str, Any]] | None = None,
        linear: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if support is not None and len(support) != dimensions:
            raise ValueError(f"expected the support of {dimensions} variables, given {len(support)}")
        if not hidden or transforms < 1:
            raise ValueError(f"expected hidden layers and transforms, given hidden={hidden} and transforms={transforms}")
        shape = ContextShape.of(context, embedding)
        wanted = 0 if shape is None else shape.features
        if scales is not None and (support is not None or len(scales) != dimensions):
            raise ValueError(f"expected scales of {dimensions} variables and no support, given {len(scales)} and {support}")
        if context_scales is not None and len(context_scales) != wanted:
            raise ValueError(f"expected scales of a context of width {wanted}, given {len(context_scales)}")
        settings = None if shape is None else shape.settings
        self.config = {
            "dimensions": dimensions,
            "context": context if isinstance(context, int) else list(context),
            "transforms": transforms,
            "hidden": list(hidden),
            "activation": activation,
            "support": support,
            "embedding": list(embedding) if settings is None else settings.model_dump(),
        }
        own_scales = {"scales": scales, "context_scales": context_scales}
        self.config |= {key: list(map(dict, given)) for key, given in own_scales.items() if given is not None}
        self.dimensions, self.normals = dimensions, dimensions
        self.context = context if isinstance(context, int) else tuple(context)
        self.support: Scales | Support
        if scales is None:
            self.support = Support([None] * dimensions if support is None else support, name="support")
        else:
            self.support = Scales(scales, name="support")
        self.context_shape, self.features = shape, wanted
        self.embedding: Any = None
        self.convolves = settings is not None and settings.positions == 2
        self.observed: Any = None
        if context_scales is not None:
            self.observed = ContextScales(context_scales, name="observed")
        elif shape is not None and not (settings and settings.scales_itself):
            self.observed = Standardize((wanted,), name="observed")
        self.autocast = scales is None and context_scales is None  # Keras would round to float32 what a scale is to take
        if shape is not None and settings is not None:
            self.embedding, self.features = built_embedding(settings, shape.arranged_shape, activation), settings.units[-1]
        elif embedding and isinstance(embedding, Sequence):
            self.embedding, self.features = dense_stack("embedding", wanted, list(embedding), activation), embedding[-1]
        self.linear: Linear | None = None
        if linear:
            if self.observed is None or self.embedding is not None:
                raise ValueError("a linear part is of a context that passes no embedding")
            self.config["linear"] = True
            self.linear = Linear(dimensions, self.features, name="linear")
        self.transforms = [self.transform(i, self.features, list(hidden), activation) for i in range(transforms)]
        self.built = True

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        """The bijector at ``index``, first the one next to the variables."""
        raise NotImplementedError

    def condition(self, c, mask=None):
        """Features (batch, F) of a context (batch, ...) and its mask, None without one."""
        if self.context_shape is None:
            return None
        c = self.context_shape.arranged(c)
        c = c if self.observed is None else self.observed(c)
        if mask is not None:
            c = ops.where(mask[..., None], c, 0.0)
        if self.embedding is None:
            return c
        return self.embedding(c) if self.context_shape.settings is None else self.embedding(c, mask)

    def to_base(self, x, c=None, mask=None):
        """Map x to u (batch, D), standard normal if the flow is right, and give log abs(det du/dx) (batch,)."""
        with self.exact():
            return self._to_base(x, self.condition(c, mask))

    def _to_base(self, x, features):
        u, total = self._to_residuals(x, features)
        for transform in self.transforms:
            u, log_det = transform.to_base(u, features)
            total = total + log_det
        return u, total

    def _to_residuals(self, x, features):
        """Variables around zero, without what is linear in the context, and log abs(det) of that map."""
        u, log_det = self.support.to_base(x)
        if self.linear is None:
            return u, log_det
        u, white = self.linear.to_base(u, features)
        return u, log_det + white

    def log_prob(self, x, c=None, mask=None):
        """Logarithm of the density per unit of x, (batch,); minus infinity outside the support."""
        with self.exact():
            return self._log_prob(x, self.condition(c, mask))

    def _log_prob(self, x, features):
        u, log_det = self._to_base(x, features)
        return log_det - 0.5 * ops.sum(ops.square(u), axis=-1) - 0.5 * self.dimensions * math.log(2 * math.pi)

    def sample(self, z, c=None, mask=None):
        """Variables (batch, D) from standard normal noise z (batch, D)."""
        with self.exact():
            return self._sample(z, self.condition(c, mask))

    def _sample(self, z, features):
        for transform in reversed(self.transforms):
            z = transform.from_base(z, features)
        if self.linear is not None:
            z = self.linear.from_base(z, features)
        return self.support.from_base(z)

    def __call__(self, *args, **kwargs):
        """Answer as ``call`` does, whose inputs are cast to float32, or to float64 where they have scales."""
        with self.exact():
            return super().__call__(*args, **kwargs)

    def fit(self, *args, **kwargs):
        """Train as Keras does."""
        with self.exact():
            return super().fit(*args, **kwargs)

    def call(self, inputs):
        return self.log_prob(*self.parts(inputs))

    def parts(self, inputs) -> list:
        """Variables and context of what ``call`` is given, each in its dtype."""
        given = inputs if self.context else (inputs,)
        if self.autocast:
            return [*given]
        return [*map(self._exact, (0, 1), given[:2]), *given[2:]]  # a mask is a truth value

    def _exact(self, place: int, x):
        """What the model was called with, in its dtype, unless Keras rounded it, as it does what its own ``fit`` is given."""
        wanted, given = self.precision(place), keras.backend.standardize_dtype(x.dtype)
        if wanted == "float64" and given in ("float32", "float16", "bfloat16"):
            raise InputError(f"this flow has scales, which take float64, given {given}, which has lost digits already")
        return ops.cast(x, wanted)

    def precision(self, place: int) -> DType:
        """The dtype of the variables (place 0) or of the context: float64 where they have scales."""
        return "float64" if isinstance((self.support, self.observed)[place], Scales | ContextScales) else "float32"

    def objective(self, target, answer):
        return -answer

    def own_target(self, inputs):
        return next(iter(inputs.values()))

    def standardized(self, *inputs) -> tuple:
        x, *context = inputs
        with self.exact():
            u, _ = self.support.to_base(x)
            if self.context_shape is None or self.observed is None:
                return (u,)
            return u, self.observed(self.context_shape.arranged(context[0]))

    def _median(self, given, rows):
        noise = np.zeros((rows, 1), np.float32)  # the map to the normal increases with the variable
        median: np.ndarray = in_batches(self._sample_graph, noise, *given)
        return median

    def _below(self, x, given):
        u, _ = in_batches(self._to_base if self._shaped else self.to_base, x, *given)
        return ndtr(u[:, 0].astype(np.float64))

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        stem = [layer for layer in (self.support, self.observed, self.linear) if layer is not None]
        embedding = [] if self.embedding is None else list(getattr(self.embedding, "layers", [self.embedding]))
        return {"stem": stem, "embedding": embedding, "transforms": list(self.transforms)}

    def adapt(self, inputs, target, weight=None) -> None:
        x, *context = inputs.values()
        self.support.adapt(x, weight)
        if self.context_shape is not None and self.observed is None:
            self.embedding.adapt(context[0], weight)
        elif self.context_shape is not None:
            self.observed.adapt(self.context_shape.elements(*context), self.context_shape.per_element(weight, *context))
        if self.linear is not None:
            u, features = in_batches(self.standardized, *(array[:MEASURED] for array in (x, *context)))
            self.linear.adapt(u, features, None if weight is None else weight[:MEASURED])

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec"):
            return None
        variables, *context = (described.name for described in self.spec.endpoint("log_prob").inputs)
        if tensor == variables:
            with self.exact():
                return ops.convert_to_numpy(self.support.from_base(np.zeros((1, self.dimensions), np.float32)))[0]
        if self.context_shape is None or self.observed is None or tensor != context[0]:
            return None
        scaled = isinstance(self.observed, ContextScales)
        return self.context_shape.filled(self.observed.center() if scaled else ops.convert_to_numpy(self.observed.mean))

    def example(self, inputs, rng):
        x, *context = inputs.values()
        return {"log_prob": (x, *context), "sample": (rng.standard_normal(np.shape(x), dtype=np.float32), *context)}

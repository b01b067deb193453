"""A density as a chain of bijectors from a standard normal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops
from scipy.special import ndtr

from zoo.errors import InputError
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.contracts import Prediction
from zoo.families.flows.bijector import Bijector
from zoo.families.flows.maps import double
from zoo.families.flows.scales import ContextScales, Scales
from zoo.families.flows.support import Support
from zoo.families.layers import Standardize, dense_stack
from zoo.model.axes import fixed_axes
from zoo.model.handed_in.tables import is_table
from zoo.model.handed_in.tensors import array_of
from zoo.model.spec import Tensor


class Flow(ZooModel):
    """A density p(x) or p(x | c): log p = log N(u; 0, 1) + sum of log |det| of the bijectors, u their image of x.

    Trained on -log p. A family is a subclass that says what its bijectors are.

    Parameters
    ----------
    dimensions : int
        Number D of variables.
    context : int
        Width C of the context, 0 for an unconditional density.
    transforms : int
        Number of bijectors.
    hidden : list of int
        Units of the hidden layers of each conditioner.
    activation : str
        Activation of all hidden layers.
    support : list of list of float, optional
        Limits [low, high] of each variable, null where it has no bounds; None if none has.
    embedding : list of int
        Units of dense layers that the context passes first.
    scales : list of dict, optional
        Scale of each variable, in place of ``support``, as :class:`zoo.families.flows.scales.Maps` takes them. Variables are
        float64 then, in and out.
    context_scales : list of dict, optional
        Scale of each feature of the context, its last axis, which is float64 then.
    """

    endpoints: ClassVar[dict[str, str]] = {"log_prob": "log_prob", "sample": "sample"}
    data_endpoint: ClassVar[str] = "log_prob"
    objective_name = "negative log density, nat"
    answers_with = "log density"
    ensemble_family: ClassVar[str] = "flow-ensemble"
    _xla = False

    def __init__(
        self,
        dimensions: int,
        context: int = 0,
        transforms: int = 5,
        hidden: list[int] = [64, 64],  # noqa: B006 - plain data, copied below
        activation: str = "relu",
        support: list[list[float] | None] | None = None,
        embedding: list[int] = [],  # noqa: B006
        scales: list[dict[str, Any]] | None = None,
        context_scales: list[dict[str, Any]] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if support is not None and len(support) != dimensions:
            raise ValueError(f"expected the support of {dimensions} variables, given {len(support)}")
        if not hidden or transforms < 1:
            raise ValueError(f"expected hidden layers and transforms, given hidden={hidden} and transforms={transforms}")
        if embedding and not context:
            raise ValueError("an embedding needs a context")
        if scales is not None and (support is not None or len(scales) != dimensions):
            raise ValueError(f"expected scales of {dimensions} variables and no support, given {len(scales)} and {support}")
        if context_scales is not None and len(context_scales) != context:
            raise ValueError(f"expected scales of a context of width {context}, given {len(context_scales)}")
        self.config = {
            "dimensions": dimensions,
            "context": context,
            "transforms": transforms,
            "hidden": list(hidden),
            "activation": activation,
            "support": support,
            "embedding": list(embedding),
        }
        own_scales = {"scales": scales, "context_scales": context_scales}
        self.config |= {key: list(map(dict, given)) for key, given in own_scales.items() if given is not None}
        self.dimensions, self.context = dimensions, context
        self.support: Scales | Support
        if scales is None:
            self.support = Support([None] * dimensions if support is None else support, name="support")
        else:
            self.support = Scales(scales, name="support")
        self.observed = Standardize((context,), name="observed") if context else None
        if context_scales is not None:
            self.observed = ContextScales(context_scales, name="observed")
        self.autocast = scales is None and context_scales is None  # Keras would round to float32 what a scale is to take
        self.embedding = dense_stack("embedding", context, embedding, activation) if embedding else None
        features = embedding[-1] if embedding else context
        self.transforms = [self.transform(i, features, list(hidden), activation) for i in range(transforms)]
        self.built = True

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        """The bijector at ``index``, first the one next to the variables."""
        raise NotImplementedError

    def condition(self, c):
        """Features (batch, F) of a context (batch, C), None without one."""
        if self.observed is None:
            return None
        c = self.observed(c)
        return c if self.embedding is None else self.embedding(c)

    def to_base(self, x, c=None):
        """Map x to u (batch, D), standard normal if the flow is right, and give log abs(det du/dx) (batch,)."""
        with self.exact():
            features = self.condition(c)
            u, total = self.support.to_base(x)
            for transform in self.transforms:
                u, log_det = transform.to_base(u, features)
                total = total + log_det
        return u, total

    def log_prob(self, x, c=None):
        """Logarithm of the density per unit of x, (batch,); minus infinity outside the support."""
        u, log_det = self.to_base(x, c)
        return log_det - 0.5 * ops.sum(ops.square(u), axis=-1) - 0.5 * self.dimensions * math.log(2 * math.pi)

    def sample(self, z, c=None):
        """Variables (batch, D) from standard normal noise z (batch, D)."""
        with self.exact():
            features = self.condition(c)
            for transform in reversed(self.transforms):
                z = transform.from_base(z, features)
            return self.support.from_base(z)

    def __call__(self, *args, **kwargs):
        """Answer as ``call`` does, whose inputs are cast to float32, or to float64 where they have scales."""
        with self.exact():
            return super().__call__(*args, **kwargs)

    def fit(self, *args, **kwargs):
        """Train as Keras does."""
        with self.exact():
            return super().fit(*args, **kwargs)

    def exact(self) -> AbstractContextManager:
        """Where double precision is held if a scale needs it, on JAX too."""
        return nullcontext() if self.autocast else double()

    def call(self, inputs):
        return self.log_prob(*self.parts(inputs))

    def parts(self, inputs) -> list:
        """Variables and context of what ``call`` is given, each in its dtype."""
        given = inputs if self.context else (inputs,)
        return [*given] if self.autocast else [ops.cast(tensor, self.precision(place)) for place, tensor in enumerate(given)]

    def precision(self, place: int) -> str:
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
            return (u,) if self.observed is None else (u, self.observed(context[0]))

    def draw(self, n: int, c: np.ndarray | None = None, seed: int | list[int] = 0) -> np.ndarray:
        """Draw n samples, for each context where there are several.

        Parameters
        ----------
        c : ndarray, optional
            The context (C,), or several (m, C).

        Returns
        -------
        ndarray of shape (n, D)
            The samples; (m, n, D) for c of shape (m, C).
        """
        contexts = self._contexts(c)
        rows = n * (1 if contexts is None else len(contexts))
        z = np.random.default_rng(seed).standard_normal((rows, self.dimensions), dtype=np.float32)
        with self.exact():
            drawn = in_batches(self._sample_graph, z, *([] if contexts is None else [np.repeat(contexts, n, axis=0)]))
        several = c is not None and (is_table(c) or np.ndim(c) == 2)
        return drawn.reshape(-1, n, self.dimensions) if several else drawn

    def log_density(self, x: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        """Give ``log_prob`` of any number of rows x (n, D), in batches; c is (n, C), or (C,) for all rows."""
        x, contexts = self._given(x, 0), self._contexts(c)
        if x.ndim != 2 or x.shape[1] != self.dimensions:
            raise InputError(f"expected rows of {self.dimensions} variables, given shape {x.shape}")
        given = [] if contexts is None else [np.broadcast_to(contexts, (len(x), self.context))]
        with self.exact():
            return in_batches(self._log_prob_graph, x, *given)

    def observations(self, x: np.ndarray) -> np.ndarray:
        """Rows of the variables (n, D), checked as endpoints check them, of one row (D,) or several."""
        rows = self._given(x, 0)
        if rows.ndim != 2 or rows.shape[1] != self.dimensions:
            raise InputError(f"expected rows of {self.dimensions} variables, given shape {np.shape(x)}")
        return rows

    def predictive(self, inputs: Mapping[str, np.ndarray], target: np.ndarray) -> Prediction:
        """Median, log density and the probability of less than the variable; of a flow of one variable.

        The map to the normal increases with the variable, so the probability is the normal's of its image.

        Raises
        ------
        InputError
            If the flow has several variables.
        """
        if self.dimensions != 1:
            raise InputError(f"expected a flow of one variable, this one has {self.dimensions}")
        x, *context = (self._given(array, place) for place, array in enumerate(inputs.values()))
        with self.exact():
            median = in_batches(self._sample_graph, np.zeros(x.shape, np.float32), *context)
            u, _ = in_batches(self.to_base, x, *context)
        return Prediction(median[:, 0], self.log_density(x, *context), ndtr(u[:, 0].astype(np.float64)))

    def _contexts(self, c: np.ndarray | None) -> np.ndarray | None:
        """The contexts (m, C) of c."""
        if self.context == 0:
            if c is not None:
                raise InputError("this density has no context, one was given")
            return None
        contexts = self._given(c, 1) if c is not None else np.empty((0, 0))
        if contexts.ndim != 2 or contexts.shape[1] != self.context:
            raise InputError(f"expected a context of width {self.context}, given {None if c is None else np.shape(c)}")
        return contexts

    def _given(self, value: Any, place: int) -> np.ndarray:
        """What was handed in for the variables (place 0) or the context: in the spec's unit and dtype, nothing missing."""
        if hasattr(self, "spec"):
            tensor = self.spec.endpoint("log_prob").inputs[place]
        else:
            name, width = ("x", self.dimensions) if place == 0 else ("c", self.context)
            tensor = Tensor(name=name, axes=fixed_axes(name, [width]), unit="1", description="")
        return array_of(value, tensor, one_row=True).astype(self.precision(place))

    @cached_property
    def _log_prob_graph(self):
        return self._compiled(self.log_prob, self.precision(0))

    @cached_property
    def _sample_graph(self):
        return self._compiled(self.sample, "float32")

    def _compiled(self, method, first: str):
        """Compile to a graph on TensorFlow and JAX, where single operations take a hundred times longer.

        The first input has the dtype ``first``.
        """
        if keras.backend.backend() == "jax":
            return self._jitted(method)
        if keras.backend.backend() != "tensorflow":
            return method
        import tensorflow as tf

        signature = [tf.TensorSpec([None, self.dimensions], first)]
        if self.context:
            signature.append(tf.TensorSpec([None, self.context], self.precision(1)))
        # Autograph would look through every function for conditions on tensors, of which a flow has none.
        return tf.function(method, input_signature=signature, autograph=False)

    def _jitted(self, method):
        """Compile by JAX, with the weights as arguments: as constants, those of the first call would stay."""
        import jax

        @jax.jit
        def run(values, *arrays):
            with keras.StatelessScope(state_mapping=zip(self.variables, values, strict=True)):
                return method(*arrays)

        return lambda *arrays: run([variable.value for variable in self.variables], *arrays)

    def compile(self, *args, jit_compile: bool | Literal["auto"] = "auto", **kwargs) -> None:
        """Compile as Keras does, by default on TensorFlow with XLA, which fuses the many small operations of a training step.

        Parameters
        ----------
        *args : object
            What Keras' own ``compile`` takes by position.
        jit_compile : bool or {"auto"}
            Whether XLA compiles the step. Keras' own "auto" leaves it out when operations are to be deterministic, for the
            sake of some that a flow has not.
        **kwargs : object
            What Keras' own ``compile`` takes by name.
        """
        if jit_compile == "auto":
            jit_compile = keras.backend.backend() == "tensorflow" and not kwargs.get("run_eagerly", False)
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles the training step; Keras' own property says no under deterministic operations."""
        return self._xla

    @jit_compile.setter
    def jit_compile(self, value: bool) -> None:
        self._xla = bool(value)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        stem = [self.support] if self.observed is None else [self.support, self.observed]
        embedding = [] if self.embedding is None else list(self.embedding.layers)
        return {"stem": stem, "embedding": embedding, "transforms": list(self.transforms)}

    def adapt(self, inputs, target) -> None:
        x, *context = inputs.values()
        self.support.adapt(x)
        if self.observed is not None:
            (c,) = context
            self.observed.adapt(c)

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec"):
            return None
        variables, *context = (described.name for described in self.spec.endpoint("log_prob").inputs)
        if tensor == variables:
            with self.exact():
                return ops.convert_to_numpy(self.support.from_base(np.zeros((1, self.dimensions), np.float32)))[0]
        if self.observed is None or tensor not in context:
            return None
        return self.observed.center() if isinstance(self.observed, ContextScales) else ops.convert_to_numpy(self.observed.mean)

    def example(self, inputs, rng):
        x, *context = inputs.values()
        return {"log_prob": (x, *context), "sample": (rng.standard_normal(np.shape(x), dtype=np.float32), *context)}

    def get_config(self) -> dict:
        return {"name": self.name, **self.config}

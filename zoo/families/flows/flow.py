"""A density as a chain of bijectors from a standard normal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops
from scipy.special import ndtr

from zoo.errors import InputError, option
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.contracts import Prediction
from zoo.families.flows.bijector import Bijector
from zoo.families.flows.context import checked_context
from zoo.families.flows.support import Support
from zoo.families.layers import Standardize, dense_stack
from zoo.model.axes import fixed_axes
from zoo.model.handed_in.tables import is_table
from zoo.model.handed_in.tensors import array_of
from zoo.model.misspecification import Reference
from zoo.model.reference_file import read_reference
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
    """

    endpoints: ClassVar[dict[str, str]] = {"log_prob": "log_prob", "sample": "sample"}
    data_endpoint: ClassVar[str] = "log_prob"
    objective_name = "negative log density, nat"
    answers_with = "log density"
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
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if support is not None and len(support) != dimensions:
            raise ValueError(f"expected the support of {dimensions} variables, given {len(support)}")
        if not hidden or transforms < 1:
            raise ValueError(f"expected hidden layers and transforms, given hidden={hidden} and transforms={transforms}")
        if embedding and not context:
            raise ValueError("an embedding needs a context")
        self.config = {
            "dimensions": dimensions,
            "context": context,
            "transforms": transforms,
            "hidden": list(hidden),
            "activation": activation,
            "support": support,
            "embedding": list(embedding),
        }
        self.dimensions, self.context = dimensions, context
        self.support = Support([None] * dimensions if support is None else support, name="support")
        self.observed = Standardize((context,), name="observed") if context else None
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
        features = self.condition(c)
        for transform in reversed(self.transforms):
            z = transform.from_base(z, features)
        return self.support.from_base(z)

    def call(self, inputs):
        return self.log_prob(*inputs) if self.context else self.log_prob(inputs)

    def objective(self, target, answer):
        return -answer

    def own_target(self, inputs):
        return next(iter(inputs.values()))

    def standardized(self, *inputs) -> tuple:
        x, *context = inputs
        u, _ = self.support.to_base(x)
        return (u,) if self.observed is None else (u, self.observed(context[0]))

    def draw(
        self,
        n: int,
        c: np.ndarray | None = None,
        seed: int = 0,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> np.ndarray:
        """Draw n samples, for each context where there are several.

        Parameters
        ----------
        c : ndarray, optional
            The context (C,), or several (m, C).
        allow_nonfinite : bool
            Let NaN and infinity in the context through, and missing values as NaN.
        allow_out_of_range : bool
            Let a context outside the trained range through.

        Returns
        -------
        ndarray of shape (n, D)
            The samples; (m, n, D) for c of shape (m, C).

        Raises
        ------
        InputError
            The context has another width, is not finite or lies outside the trained range.

        Warns
        -----
        MisspecificationWarning
            The context is unlike all simulations, where the model's folder says what these are like.
        """
        contexts = self._contexts(c, allow_nonfinite, allow_out_of_range)
        rows = n * (1 if contexts is None else len(contexts))
        z = np.random.default_rng(seed).standard_normal((rows, self.dimensions), dtype=np.float32)
        drawn = in_batches(self._sample_graph, z, *([] if contexts is None else [np.repeat(contexts, n, axis=0)]))
        several = c is not None and (is_table(c) or np.ndim(c) == 2)
        return drawn.reshape(-1, n, self.dimensions) if several else drawn

    def log_density(
        self,
        x: np.ndarray,
        c: np.ndarray | None = None,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> np.ndarray:
        """Give ``log_prob`` of any number of rows x (n, D), in batches; c is (n, C), or (C,) for all rows.

        The context is checked as by :meth:`draw`, with the same flags; a density has a value at any finite x.
        """
        x, contexts = self._given(x, 0, allow_nonfinite), self._contexts(c, allow_nonfinite, allow_out_of_range)
        if not allow_nonfinite and (wrong := np.count_nonzero(~np.isfinite(x))):
            raise InputError(f"x: {wrong} values are NaN or infinite; {option('allow_nonfinite')} lets them through")
        if x.ndim != 2 or x.shape[1] != self.dimensions:
            raise InputError(f"expected rows of {self.dimensions} variables, given shape {x.shape}")
        given = [] if contexts is None else [np.broadcast_to(contexts, (len(x), self.context))]
        return in_batches(self._log_prob_graph, x, *given)

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
        median = in_batches(self._sample_graph, np.zeros_like(x), *context)
        u, _ = in_batches(self.to_base, x, *context)
        density = self.log_density(x, *context, allow_out_of_range=True)  # rows of a data set are what they are
        return Prediction(median[:, 0], density, ndtr(u[:, 0].astype(np.float64)))

    @property
    def reference(self) -> Reference | None:
        """What simulated contexts are like, None where the model's folder does not say it; read when it is first asked for."""
        if self.folder is None:  # so also when Keras looks at every attribute as it reads weights
            return None
        if "_reference" not in self.__dict__:
            self.__dict__["_reference"] = read_reference(self.folder)
        found: Reference | None = self.__dict__["_reference"]
        return found

    def _contexts(
        self, c: np.ndarray | None, allow_nonfinite: bool = False, allow_out_of_range: bool = False
    ) -> np.ndarray | None:
        """The contexts (m, C) of c, checked."""
        if self.context == 0:
            if c is not None:
                raise InputError("this density has no context, one was given")
            return None
        contexts = self._given(c, 1, allow_nonfinite) if c is not None else np.empty((0, 0))
        if contexts.ndim != 2 or contexts.shape[1] != self.context:
            raise InputError(f"expected a context of width {self.context}, given {None if c is None else np.shape(c)}")
        (checked,) = checked_context(
            [self._described(1)],
            [contexts],
            self.reference,
            allow_nonfinite=allow_nonfinite,
            allow_out_of_range=allow_out_of_range,
        )
        return checked

    def _described(self, place: int) -> Tensor:
        """The variables (place 0) or the context, as the spec describes them or as they are without one."""
        if hasattr(self, "spec"):
            return self.spec.endpoint("log_prob").inputs[place]
        name, width = ("x", self.dimensions) if place == 0 else ("c", self.context)
        return Tensor(name=name, axes=fixed_axes(name, [width]), unit="1", description="")

    def _given(self, value: Any, place: int, allow_missing: bool = False) -> np.ndarray:
        """What was handed in for the variables (place 0) or the context, as float32: in the spec's unit, nothing missing."""
        return array_of(value, self._described(place), allow_missing, one_row=True).astype(np.float32)

    @cached_property
    def _log_prob_graph(self):
        return self._compiled(self.log_prob)

    @cached_property
    def _sample_graph(self):
        return self._compiled(self.sample)

    def _compiled(self, method):
        """Compile to a graph on TensorFlow and JAX, where single operations take a hundred times longer."""
        if keras.backend.backend() == "jax":
            return self._jitted(method)
        if keras.backend.backend() != "tensorflow":
            return method
        import tensorflow as tf

        widths = [self.dimensions, self.context] if self.context else [self.dimensions]
        # Autograph would look through every function for conditions on tensors, of which a flow has none.
        return tf.function(method, input_signature=[tf.TensorSpec([None, width]) for width in widths], autograph=False)

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

    def adapt(self, inputs, target, weight=None) -> None:
        x, *context = inputs.values()
        self.support.adapt(x, weight)
        if self.observed is not None:
            (c,) = context
            self.observed.adapt(c, weight)

    def baseline(self, tensor: str) -> np.ndarray | None:
        if not hasattr(self, "spec"):
            return None
        variables, *context = (described.name for described in self.spec.endpoint("log_prob").inputs)
        if tensor == variables:
            return ops.convert_to_numpy(self.support.from_base(np.zeros((1, self.dimensions), np.float32)))[0]
        return ops.convert_to_numpy(self.observed.mean) if self.observed is not None and tensor in context else None

    def example(self, inputs, rng):
        x, *context = inputs.values()
        return {"log_prob": (x, *context), "sample": (rng.standard_normal(np.shape(x), dtype=np.float32), *context)}

    def get_config(self) -> dict:
        return {"name": self.name, **self.config}

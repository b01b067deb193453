"""A density as a chain of bijectors from a standard normal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from scipy.special import ndtr

from zoo.errors import InputError, option
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.contracts import Prediction
from zoo.families.flows.bijector import Bijector
from zoo.families.flows.compiled import TrainedInXla, as_graph
from zoo.families.flows.context import checked_context
from zoo.families.flows.context_shape import ContextShape
from zoo.families.flows.embeddings import built_embedding
from zoo.families.flows.maps import double
from zoo.families.flows.scales import ContextScales, Scales
from zoo.families.flows.support import Support
from zoo.families.layers import Standardize, dense_stack
from zoo.model.axes import fixed_axes
from zoo.model.handed_in.tables import is_table
from zoo.model.handed_in.tensors import array_of
from zoo.model.misspecification import Reference
from zoo.model.reference_file import read_reference
from zoo.model.spec import DType, Tensor


class Flow(TrainedInXla, ZooModel):
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
        self.dimensions, self.context = dimensions, context if isinstance(context, int) else tuple(context)
        self.support: Scales | Support
        if scales is None:
            self.support = Support([None] * dimensions if support is None else support, name="support")
        else:
            self.support = Scales(scales, name="support")
        self.context_shape, self.features = shape, wanted
        self.embedding: Any = None
        self.observed: Any = None
        if context_scales is not None:
            self.observed = ContextScales(context_scales, name="observed")
        elif shape is not None:
            self.observed = Standardize((wanted,), name="observed")
        self.autocast = scales is None and context_scales is None  # Keras would round to float32 what a scale is to take
        if shape is not None and settings is not None:
            self.embedding, self.features = built_embedding(settings, shape.arranged_shape, activation), settings.units[-1]
        elif embedding and isinstance(embedding, Sequence):
            self.embedding, self.features = dense_stack("embedding", wanted, list(embedding), activation), embedding[-1]
        self.transforms = [self.transform(i, self.features, list(hidden), activation) for i in range(transforms)]
        self.built = True

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        """The bijector at ``index``, first the one next to the variables."""
        raise NotImplementedError

    def condition(self, c, mask=None):
        """Features (batch, F) of a context (batch, ...) and its mask, None without one."""
        if self.context_shape is None:
            return None
        c = self.observed(self.context_shape.arranged(c))
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
        u, total = self.support.to_base(x)
        for transform in self.transforms:
            u, log_det = transform.to_base(u, features)
            total = total + log_det
        return u, total

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

    def draw(
        self,
        n: int,
        c: Any = None,
        seed: int | list[int] = 0,
        mask: np.ndarray | None = None,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> np.ndarray:
        """Draw n samples, for each context where there are several.

        Parameters
        ----------
        n : int
            Number of samples.
        c : array_like, optional
            The context, (C,) or of whatever shape this flow takes, or several with one axis more, (m, C). Contexts of different
            lengths are a list of arrays, a ragged array, or padded beside their mask.
        seed : int
            Seed of the noise.
        mask : ndarray of bool, optional
            Which elements of padded contexts are real, (m, length).
        allow_nonfinite : bool
            Let NaN and infinity in the context through, and missing values as NaN.
        allow_out_of_range : bool
            Let a context outside the trained range through.

        Returns
        -------
        ndarray of shape (n, D)
            The samples; (m, n, D) for several contexts.

        Raises
        ------
        InputError
            The context has another shape, is not finite or lies outside the trained range.

        Warns
        -----
        MisspecificationWarning
            The context is unlike all simulations, where the model's folder says what these are like.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n: expected a whole number of samples, at least 1, given {n!r}")
        contexts, several = self._contexts(c, mask, allow_nonfinite, allow_out_of_range)
        rows = n * (1 if contexts is None else len(contexts))
        z = np.random.default_rng(seed).standard_normal((rows, self.dimensions), dtype=np.float32)
        with self.exact():
            drawn = in_batches(self._sample_graph, z, *([] if contexts is None else [np.repeat(contexts, n, axis=0)]))
        return drawn.reshape(-1, n, self.dimensions) if several else drawn

    def log_density(
        self,
        x: np.ndarray,
        c: Any = None,
        mask: np.ndarray | None = None,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> np.ndarray:
        """Give ``log_prob`` of any number of rows x (n, D), in batches; c is n contexts, as in ``draw``, or one for all.

        The context is checked as by :meth:`draw`, with the same flags; a density has a value at any finite x.
        """
        x, (contexts, _) = self._given(x, 0, allow_nonfinite), self._contexts(c, mask, allow_nonfinite, allow_out_of_range)
        if not allow_nonfinite and (wrong := np.count_nonzero(~np.isfinite(x))):
            raise InputError(f"x: {wrong} values are NaN or infinite; {option('allow_nonfinite')} lets them through")
        if x.ndim != 2 or x.shape[1] != self.dimensions:
            raise InputError(f"expected rows of {self.dimensions} variables, given shape {x.shape}")
        given = [] if contexts is None else [np.broadcast_to(contexts, (len(x), contexts.shape[1]))]
        with self.exact():
            return in_batches(self._log_prob_graph, x, *given)

    def embedded(self, c: Any, mask: np.ndarray | None = None) -> np.ndarray:
        """Features (m, F) of contexts, as ``draw`` takes them: what the density depends on."""
        if self.context_shape is None:
            raise InputError("this density has no context")
        arrays, _ = self.context_shape.read(c, mask, self._described()[1:])
        return self._features(arrays)

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
        x, c, mask = (*inputs.values(), None, None)[:3]
        # Rows of a data set are what they are.
        x, (contexts, _) = self._given(x, 0), self._contexts(c, mask, allow_out_of_range=True)
        given = [] if contexts is None else [contexts]
        with self.exact():
            median = in_batches(self._sample_graph, np.zeros(x.shape, np.float32), *given)
            u, _ = in_batches(self._to_base if self._shaped else self.to_base, x, *given)
        density = self.log_density(x, c, mask, allow_out_of_range=True)
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

    @property
    def _shaped(self) -> bool:
        """Whether contexts are no rows: each then passes its embedding once, however many draws are made of it."""
        return self.context_shape is not None and (self.context_shape.settings is not None or len(self.context_shape.shape) > 1)

    def _contexts(
        self, c: Any = None, mask: Any = None, allow_nonfinite: bool = False, allow_out_of_range: bool = False
    ) -> tuple[np.ndarray | None, bool]:
        """Rows (m, ...) that the graphs take of c, contexts or their features, checked; and whether c is several."""
        if self.context_shape is None:
            if c is not None:
                raise InputError("this density has no context, one was given")
            return None, False
        tensors = self._described()[1:]
        if self._shaped:
            arrays, several = self.context_shape.read(c, mask, tensors, allow_nonfinite)
        else:
            arrays = [self._given(c, 1, allow_nonfinite) if c is not None else np.empty((0, 0))]
            several, width = is_table(c) or np.ndim(c) == 2, self.context_shape.features
            if arrays[0].ndim != 2 or arrays[0].shape[1] != width or mask is not None:
                raise InputError(f"expected a context of width {width}, given {None if c is None else np.shape(c)}")
        checked = checked_context(
            tensors, arrays, self.reference, allow_nonfinite=allow_nonfinite, allow_out_of_range=allow_out_of_range
        )
        return self._features(checked) if self._shaped else checked[0], several

    def _features(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Features (m, F) of contexts and their mask."""
        with self.exact():
            return in_batches(self._condition_graph, arrays[0].astype(self.precision(1)), *arrays[1:])

    def _described(self) -> list[Tensor]:
        """What the spec says of variables, context and mask; of a flow without a spec, names and shapes alone."""
        if hasattr(self, "spec"):
            return self.spec.endpoint("log_prob").inputs
        axes = fixed_axes("x", [self.dimensions])
        own = Tensor(name="x", axes=axes, dtype=self.precision(0), unit="1", description="")
        return [own, *([] if self.context_shape is None else self.context_shape.tensors(self.precision(1)))]

    def _given(self, value: Any, place: int, allow_missing: bool = False) -> np.ndarray:
        """What was handed in for the variables (place 0) or the context: in the spec's unit and dtype, nothing missing."""
        return array_of(value, self._described()[place], allow_missing, one_row=True).astype(self.precision(place))

    @cached_property
    def _log_prob_graph(self):
        return as_graph(self, self._log_prob if self._shaped else self.log_prob, self._rows(self.precision(0)))

    @cached_property
    def _sample_graph(self):
        return as_graph(self, self._sample if self._shaped else self.sample, self._rows("float32"))

    @cached_property
    def _condition_graph(self):
        return as_graph(self, self.condition, self.context_shape.signature(self.precision(1)))

    def _rows(self, first: str) -> list[tuple[tuple[int | None, ...], str]]:
        """Shape and dtype of the rows that draws and densities are made of: of ``first``, and of contexts or their features."""
        rows: list[tuple[tuple[int | None, ...], str]] = [((self.dimensions,), first)]
        if self.context_shape is not None:
            rows.append(((self.features,), "float32") if self._shaped else ((self.context_shape.features,), self.precision(1)))
        return rows

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        stem = [self.support] if self.observed is None else [self.support, self.observed]
        embedding = [] if self.embedding is None else list(getattr(self.embedding, "layers", [self.embedding]))
        return {"stem": stem, "embedding": embedding, "transforms": list(self.transforms)}

    def adapt(self, inputs, target, weight=None) -> None:
        x, *context = inputs.values()
        self.support.adapt(x, weight)
        if self.context_shape is not None and self.observed is not None:
            self.observed.adapt(self.context_shape.elements(*context), self.context_shape.per_element(weight, *context))

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

    def get_config(self) -> dict:
        return {"name": self.name, **self.config}

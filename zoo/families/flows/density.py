"""What a density is asked for, flow or mixture of flows: draws, log densities and features, of what users hand in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import numpy as np

from zoo.errors import InputError, option
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.compiled import as_graph
from zoo.families.contracts import Prediction
from zoo.families.flows.context import checked_context
from zoo.families.flows.context_shape import ContextShape
from zoo.families.flows.maps import double
from zoo.model.axes import fixed_axes
from zoo.model.fit import best_fits, expect_predicted
from zoo.model.handed_in.tensors import rows_of
from zoo.model.spec import DType, Tensor
from zoo.model.whole_numbers import refuse_fractions
from zoo.seeds import generator

PREDICTED = 200
"""Draws of each observation, at most, whose predictions are held against it."""


class DensityModel(ZooModel):
    """A density p(x) or p(x | c): its methods take tensors; here it is asked for arrays, checked, in any number, compiled.

    Attributes
    ----------
    dimensions : int
        Number D of variables.
    normals : int
        How many normal numbers ``sample`` makes a row of.
    features : int
        Number F of features of a context that the density depends on.
    context_shape : ContextShape or None
        What a context is, None for an unconditional density.
    """

    dimensions: int
    normals: int
    features: int
    context_shape: ContextShape | None

    def log_prob(self, x, c=None, mask=None):
        """Logarithm of the density per unit of x, (batch,); minus infinity outside the support."""
        raise NotImplementedError

    def sample(self, z, c=None, mask=None):
        """Variables (batch, D) from standard normal noise z (batch, noise)."""
        raise NotImplementedError

    def condition(self, c, mask=None):
        """Features (batch, F) of a context (batch, ...) and its mask, None without one."""
        raise NotImplementedError

    def _log_prob(self, x, features):
        """What ``log_prob`` makes of the features of a context."""
        raise NotImplementedError

    def _sample(self, z, features):
        """What ``sample`` makes of the features of a context."""
        raise NotImplementedError

    def _median(self, given: list[np.ndarray], rows: int) -> np.ndarray:
        """Median (rows, 1) of a density of one variable, given contexts or their features."""
        raise NotImplementedError

    def _below(self, x: np.ndarray, given: list[np.ndarray]) -> np.ndarray:
        """Probability (rows,) of less than x (rows, 1), given contexts or their features."""
        raise NotImplementedError

    def precision(self, place: int) -> DType:
        """The dtype of the variables (place 0) or of the context: float64 where they have scales."""
        raise NotImplementedError

    def exact(self) -> AbstractContextManager:
        """Where double precision is held if a scale needs it, on JAX too."""
        return nullcontext() if self.autocast else double()

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
            The context, (C,) or of whatever shape this flow takes, or several with one axis more, (m, C); by name where they
            have names, as a row of a table has and a ``dict`` of numbers. Contexts of different lengths are a list of arrays, a
            ragged array, or padded beside their mask.
        seed : int
            Seed of the noise: the same seed gives the same samples.
        mask : ndarray of bool, optional
            Which elements of padded contexts are real, (m, length).
        allow_nonfinite : bool
            Let NaN and infinity in the context through, and missing values as NaN.
        allow_out_of_range : bool
            Let a context through that is outside the trained range, or that no simulation resembles.

        Returns
        -------
        ndarray of shape (n, D)
            The samples; (m, n, D) for several contexts.

        Raises
        ------
        InputError
            The context has another shape or other names, is not finite, lies outside the trained range, is farther from the
            simulations than all but a thousandth of them are, or is predicted by none of the draws, where a model predicts.

        Warns
        -----
        MisspecificationWarning
            The context is unlike simulations, where the model's folder says what these are like, or is predicted badly.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n: expected a whole number of samples, at least 1, given {n!r}")
        checked, several = self._checked(c, mask, allow_nonfinite, allow_out_of_range)
        contexts = self._of_checked(checked)
        rows = n * (1 if contexts is None else len(contexts))
        z = generator(seed).standard_normal((rows, self.normals), dtype=np.float32)
        with self.exact():
            drawn = self._drawn(z, *([] if contexts is None else [np.repeat(contexts, n, axis=0)]))
        draws = drawn.reshape(-1, n, self.dimensions)
        if checked and len(checked[0]) and not allow_out_of_range:
            self._expect_predicted(draws[:, :PREDICTED], checked[0])
        return draws if several else drawn

    def _expect_predicted(self, draws: np.ndarray, observations: np.ndarray) -> None:
        """Hold the best of the draws (m, n, D) against observations (m, ...), where another model predicts these."""
        if self.emulate is None:
            return
        parameters, observed = self._described()[:2]
        fits = best_fits(self.spec.data.source, self.emulate, parameters, observed, draws, observations)
        if fits is not None:
            expect_predicted(fits, draws.shape[1])

    def _drawn(self, z: np.ndarray, *given: np.ndarray) -> np.ndarray:
        """Samples (rows, D) from noise (rows, noise), given contexts or their features."""
        drawn: np.ndarray = in_batches(self._sample_graph, z, *given)
        return drawn

    def log_density(
        self,
        x: Any,
        c: Any = None,
        mask: np.ndarray | None = None,
        *,
        allow_nonfinite: bool = False,
        allow_out_of_range: bool = False,
    ) -> np.ndarray:
        """Give ``log_prob`` of any number of rows x (n, D), in batches; c is n contexts, as in ``draw``, or one for all.

        The context is checked as by :meth:`draw`, with the same flags; a density has a value at any finite x. That of counts
        was learned of them spread evenly over intervals of 1, as draws of it are: at whole numbers alone it is their
        probability, so that fractions need ``allow_out_of_range``.
        """
        x, (contexts, _) = self._given(x, allow_nonfinite), self._contexts(c, mask, allow_nonfinite, allow_out_of_range)
        if not allow_nonfinite and (wrong := np.count_nonzero(~np.isfinite(x))):
            raise InputError(f"x: {wrong} values are NaN or infinite; {option('allow_nonfinite')} lets them through")
        if not allow_out_of_range:
            refuse_fractions(self._described()[0], x)
        if contexts is not None and len(contexts) not in (1, len(x)):
            raise InputError(f"expected one context for all {len(x)} rows, or one for each, given {len(contexts)}")
        given = [] if contexts is None else [np.broadcast_to(contexts, (len(x), contexts.shape[1]))]
        with self.exact():
            return in_batches(self._log_prob_graph, x, *given)

    def embedded(self, c: Any, mask: np.ndarray | None = None) -> np.ndarray:
        """Features (m, F) of contexts, as ``draw`` takes them: what the density depends on."""
        if self.context_shape is None:
            raise InputError("this density has no context")
        arrays, _ = self.context_shape.read(c, mask, self._described()[1:])
        return self._features(arrays)

    def observations(self, x: Any) -> np.ndarray:
        """Rows of the variables (n, D), checked as endpoints check them, of one row (D,) or several."""
        rows = self._given(x)
        if wrong := np.count_nonzero(~np.isfinite(rows)):
            raise InputError(f"x: {wrong} values are NaN or infinite")
        refuse_fractions(self._described()[0], rows, can_allow=False)
        return rows

    def predictive(self, inputs: Mapping[str, np.ndarray], target: np.ndarray) -> Prediction:
        """Median, log density and the probability of less than the variable; of a density of one variable.

        Raises
        ------
        InputError
            If it has several variables.
        """
        if self.dimensions != 1:
            raise InputError(f"expected a density of one variable, this one has {self.dimensions}")
        x, c, mask = (*inputs.values(), None, None)[:3]
        # Rows of a data set are what they are.
        x, (contexts, _) = self._given(x), self._contexts(c, mask, allow_out_of_range=True)
        given = [] if contexts is None else [contexts]
        with self.exact():
            median, below = self._median(given, len(x)), self._below(x, given)
        return Prediction(median[:, 0], self.log_density(x, c, mask, allow_out_of_range=True), below)

    @property
    def _shaped(self) -> bool:
        """Whether contexts are no rows: each then passes its embedding once, however many draws are made of it."""
        return self.context_shape is not None and (self.context_shape.settings is not None or len(self.context_shape.shape) > 1)

    def _contexts(
        self, c: Any = None, mask: Any = None, allow_nonfinite: bool = False, allow_out_of_range: bool = False
    ) -> tuple[np.ndarray | None, bool]:
        """Rows (m, ...) that the graphs take of c, contexts or their features, checked; and whether c is several."""
        checked, several = self._checked(c, mask, allow_nonfinite, allow_out_of_range)
        return self._of_checked(checked), several

    def _of_checked(self, arrays: list[np.ndarray]) -> np.ndarray | None:
        """What the graphs take of checked contexts: these themselves, their features, or nothing where there are none."""
        return None if not arrays else self._features(arrays) if self._shaped else arrays[0]

    def _checked(self, c: Any, mask: Any, allow_nonfinite: bool, allow_out_of_range: bool) -> tuple[list[np.ndarray], bool]:
        """Contexts and their mask as arrays (m, ...), checked, none without a context; and whether c is several."""
        if self.context_shape is None:
            if c is not None:
                raise InputError("this density has no context, one was given")
            return [], False
        tensors = self._described()[1:]
        if self._shaped:
            arrays, several = self.context_shape.read(c, mask, tensors, allow_nonfinite)
        else:
            rows, several = (np.empty((0, 0)), False) if c is None else rows_of(c, tensors[0], allow_nonfinite)
            width = self.context_shape.features
            if rows.ndim != 2 or rows.shape[1] != width or mask is not None:
                raise InputError(f"expected a context of width {width}, given {None if c is None else np.shape(c)}")
            arrays = [rows.astype(self.precision(1))]
        checked = checked_context(
            tensors, arrays, self.reference, allow_nonfinite=allow_nonfinite, allow_out_of_range=allow_out_of_range
        )
        return checked, several

    def _features(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Features (m, F) of contexts and their mask."""
        with self.exact():
            return in_batches(self._condition_graph, arrays[0].astype(self.precision(1)), *arrays[1:])

    def _described(self) -> list[Tensor]:
        """What the spec says of variables, context and mask; of a model without a spec, names and shapes alone."""
        if hasattr(self, "spec"):
            return self.spec.endpoint("log_prob").inputs
        axes = fixed_axes("x", [self.dimensions])
        own = Tensor(name="x", axes=axes, dtype=self.precision(0), unit="1", description="")
        return [own, *([] if self.context_shape is None else self.context_shape.tensors(self.precision(1)))]

    def _given(self, x: Any, allow_missing: bool = False) -> np.ndarray:
        """Rows of the variables (n, D) of what was handed in for them: in the spec's unit and dtype, nothing missing."""
        rows, _ = rows_of(x, self._described()[0], allow_missing)
        if rows.ndim != 2 or rows.shape[1] != self.dimensions:
            raise InputError(f"expected rows of {self.dimensions} variables, given shape {np.shape(x)}")
        return rows.astype(self.precision(0))

    @cached_property
    def _log_prob_graph(self):
        return as_graph(self, self._log_prob if self._shaped else self.log_prob, self._rows(self.dimensions, self.precision(0)))

    @cached_property
    def _sample_graph(self):
        return as_graph(self, self._sample if self._shaped else self.sample, self._rows(self.normals, "float32"))

    @cached_property
    def _condition_graph(self):
        return as_graph(self, self.condition, self.context_shape.signature(self.precision(1)))

    def _rows(self, first: int, dtype: str) -> list[tuple[tuple[int | None, ...], str]]:
        """Shape and dtype of rows of ``first`` numbers, and of contexts or their features."""
        rows: list[tuple[tuple[int | None, ...], str]] = [((first,), dtype)]
        if self.context_shape is not None:
            rows.append(((self.features,), "float32") if self._shaped else ((self.context_shape.features,), self.precision(1)))
        return rows

"""Whether explanations agree: between methods, and of one method between an input and the same input with noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError
from zoo.interpret.attribution.explain import explain
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.attribution.gradients import noise_of
from zoo.interpret.attribution.scalar_output import answer_of
from zoo.interpret.methods import Asked, default_attribution, explanation_method, possible
from zoo.interpret.result import Result
from zoo.progress import track
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rank_correlation(first: np.ndarray, second: np.ndarray, real: np.ndarray | None = None) -> np.ndarray:
    """Spearman's correlation (n,) of the magnitudes of two attributions (n, ...), row by row.

    Magnitudes, since methods differ in units and in whether a sign is that of a slope or of a contribution; NaN where one of
    them is the same everywhere. Of a set, ``real`` (n, elements) says which elements are compared: padding, to which every
    method gives nothing, would agree.
    """
    from scipy.stats import rankdata

    if real is not None:
        pairs = ((a[here][None], b[here][None]) for a, b, here in zip(first, second, real, strict=True))
        return np.array([rank_correlation(a, b)[0] for a, b in pairs])

    if first.shape != second.shape:
        raise InputError(f"expected attributions of one shape, given {first.shape} and {second.shape}")
    a, b = (rankdata(np.abs(values).reshape(len(values), -1), axis=1) for values in (first, second))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    norm = np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1))
    return np.divide(np.sum(a * b, axis=1), norm, out=np.full(len(a), np.nan), where=norm > 0)


@dataclass(frozen=True, eq=False)
class Agreement(Result):
    """Rank correlation between methods.

    Attributes
    ----------
    correlation : ndarray
        Rank correlation on each row, of shape (methods, methods, n).
    methods : list of str
        Names of the methods.
    model : str
        Name of the model.
    """

    correlation: np.ndarray
    methods: list[str]
    model: str

    @property
    def matrix(self) -> np.ndarray:
        """The mean over rows, of shape (methods, methods)."""
        return np.nanmean(self.correlation, axis=-1)

    def plot(self) -> Figure:
        """The matrix."""
        from zoo.interpret import plots

        return plots.agreement_matrix(self)


def agreement(explanations: Sequence[Explanation]) -> Agreement:
    """Rank correlation of the magnitudes of each pair of explanations of one answer on the same rows.

    Raises
    ------
    InputError
        Fewer than two, or of other rows, tensors or answers.
    """
    if len(explanations) < 2:
        raise InputError(f"expected at least two explanations to compare, given {len(explanations)}")
    first = explanations[0]
    for other in explanations[1:]:
        same = (other.endpoint, other.tensor, other.output, other.target) == (
            first.endpoint,
            first.tensor,
            first.output,
            first.target,
        )
        if not same or not np.array_equal(other.inputs, first.inputs):
            raise InputError("explanations: expected the same rows, tensor and answer in each")
    pairs = [[rank_correlation(one.values, other.values, first.real) for other in explanations] for one in explanations]
    return Agreement(np.array(pairs), [one.method for one in explanations], str(first.meta.get("model", "model")))


@explanation_method("agreement", "rank correlation between all attributions that the model allows", kind="trust")
def _agreement(asked: Asked, **chosen: Any) -> Agreement:
    return agreement([explain(asked.model, asked.inputs, method=one, **chosen) for one in possible(asked.model)])


@dataclass(frozen=True, eq=False)
class Stability(Result):
    """How much of an explanation survives noise in its input.

    Attributes
    ----------
    correlation : ndarray
        Rank correlation with the explanation of the input itself, of shape (noises, draws, n).
    change : ndarray
        ``|values - values of the input| / |values of the input|``, Euclidean norms, of shape (noises, draws, n).
    noises : list of float
        Standard deviations as fractions of the trained range.
    method, model : str
        Names of the method and the model.
    """

    correlation: np.ndarray
    change: np.ndarray
    noises: list[float]
    method: str
    model: str

    def plot(self) -> Figure:
        """Correlation and change against noise, with the band that holds 68% of rows and draws."""
        from zoo.interpret import plots

        return plots.stability_under_noise(self)


def stability(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    *,
    method: str = "integrated_gradients",
    noises: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1),
    draws: int = 5,
    seed: int = 0,
    **options: Any,
) -> Stability:
    """Explain inputs with Gaussian noise of growing amplitude (Yeh et al. 2019, arXiv:1901.09392, take the maximum).

    Parameters
    ----------
    noises : sequence of float
        Standard deviations, as fractions of the trained range of each element.
    draws : int
        Number of draws of each noise.
    **options : object
        Options of `zoo.interpret.explain`.

    Raises
    ------
    InputError, UnknownNameError, ExplanationError
        What `zoo.interpret.explain` refuses, no draws, or noises that are not positive.
    """
    if draws < 1 or not noises:
        raise InputError(f"expected at least one draw and one noise, given {draws} and {len(noises)}")
    plain = explain(model, inputs, method=method, **options)
    given = {plain.tensor: plain.inputs, **plain.fixed}
    where = {"endpoint": plain.endpoint, "output": plain.output, "target": plain.target, "wrt": plain.tensor}
    answer = answer_of(model, given, **where, allow_out_of_range=True)  # type: ignore[arg-type]
    rng = generator(seed)
    norm = _norm(plain.values)
    correlation = np.empty((len(noises), draws, len(norm)))
    change = np.empty_like(correlation)
    for number in track(range(len(noises)), "stability"):
        deviation = noise_of(answer, plain.inputs, noises[number])
        for draw in range(draws):
            noisy = plain.inputs + deviation * rng.standard_normal(plain.inputs.shape, np.float32)
            told = options | where | {"allow_out_of_range": True}
            found = explain(model, {**given, plain.tensor: noisy}, method=method, **told).values
            correlation[number, draw] = rank_correlation(plain.values, found, plain.real)
            change[number, draw] = np.divide(_norm(found - plain.values), norm, out=np.full(len(norm), np.nan), where=norm > 0)
    return Stability(correlation, change, [float(one) for one in noises], method, str(plain.meta["model"]))


@explanation_method("stability", "how much of an attribution survives noise", kind="trust")
def _stability(asked: Asked, *, of: str | None = None, **chosen: Any) -> Stability:
    return stability(asked.model, asked.inputs, method=of or default_attribution(asked.model), **chosen)


def _norm(values: np.ndarray) -> np.ndarray:
    return np.linalg.norm(values.reshape(len(values), -1).astype(float), axis=1)

"""Attribution by derivatives: where an answer is sensitive, and how its change from a baseline divides among the elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError
from zoo.interpret.attribution.scalar_output import Answer, batches
from zoo.interpret.methods import differentiable, explanation_method
from zoo.progress import track
from zoo.seeds import generator

COMPILED = 8
"""Batches from which compiling the gradient takes less time than it saves."""


@explanation_method("gradient", "derivative of the answer", requires=differentiable)
def gradient(answer: Answer, x: np.ndarray, start: None) -> np.ndarray:
    """Simonyan et al. 2013 (arXiv:1312.6034)."""
    parts = batches(np.arange(len(x)), x[0].size)
    return np.concatenate([answer.gradient(x[rows], rows) for rows in track(parts, "gradient")])


@explanation_method("gradient_x_input", "derivative times input", requires=differentiable)
def gradient_x_input(answer: Answer, x: np.ndarray, start: None) -> np.ndarray:
    """Shrikumar et al. 2016 (arXiv:1605.01713)."""
    return gradient(answer, x, start) * x


@explanation_method(
    "integrated_gradients",
    "mean derivative from the baseline to the input, times their difference",
    baseline=True,
    requires=differentiable,
)
def integrated_gradients(answer: Answer, x: np.ndarray, start: np.ndarray, *, steps: int = 64) -> np.ndarray:
    """Multiply x - start by the mean gradient on the straight line between them (Sundararajan et al. 2017, eq. 1)."""
    expect_counts(steps=steps)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    nodes, weights = ((nodes + 1) / 2).astype(x.dtype), (weights / 2).astype(x.dtype)

    def along(rows: np.ndarray, step: np.ndarray) -> np.ndarray:
        share = nodes[step].reshape((-1,) + (1,) * (x.ndim - 1))
        return start[rows] * (1 - share) + x[rows] * share

    return ((x - start) * _mean_gradient(answer, x, weights, along, "integrated gradients")).astype(x.dtype)


@explanation_method("smoothgrad", "mean derivative under noise", requires=differentiable)
def smoothgrad(
    answer: Answer, x: np.ndarray, start: None, *, samples: int = 50, noise: float = 0.1, seed: int = 0
) -> np.ndarray:
    """Mean gradient at the input with Gaussian noise (Smilkov et al. 2017, arXiv:1706.03825)."""
    expect_counts(samples=samples)
    deviation, rng = noise_of(answer, x, noise), generator(seed)

    def scattered(rows: np.ndarray, sample: np.ndarray) -> np.ndarray:
        return x[rows] + deviation[rows] * rng.standard_normal((len(rows), *x.shape[1:]), x.dtype)

    weights = np.full(samples, 1 / samples, x.dtype)
    return _mean_gradient(answer, x, weights, scattered, "SmoothGrad").astype(x.dtype)


def noise_of(answer: Answer, x: np.ndarray, noise: float) -> np.ndarray:
    """Deviation of noise, of the shape of ``x``: a fraction of each element's trained range, or else of the row's own."""
    if not noise > 0:
        raise InputError(f"noise: expected a positive fraction of the trained range, given {noise}")
    if answer.low is not None and answer.high is not None:
        return np.broadcast_to(noise * (answer.high - answer.low), x.shape).astype(x.dtype)
    spans = np.ptp(x.reshape(len(x), -1), axis=1).reshape((-1,) + (1,) * (x.ndim - 1))
    return np.broadcast_to(noise * spans, x.shape).astype(x.dtype)


def _mean_gradient(
    answer: Answer,
    x: np.ndarray,
    weights: np.ndarray,
    points: Callable[[np.ndarray, np.ndarray], np.ndarray],
    description: str,
) -> np.ndarray:
    """Weighted mean of the gradients at several points of each row; ``points`` makes those of given rows and numbers.

    All points of all rows form one list that is cut into batches, so that the batch is full whatever their ratio.
    """
    many = len(weights)
    mean = np.zeros(x.shape)
    parts = batches(np.arange(len(x) * many), x[0].size)
    gradient = answer.gradient if len(parts) < COMPILED else answer.compiled_gradient()
    for part in track(parts, description):
        rows, which = np.divmod(part, many)
        found = gradient(points(rows, which), rows) * weights[which].reshape((-1,) + (1,) * (x.ndim - 1))
        present, first = np.unique(rows, return_index=True)
        mean[present] += np.add.reduceat(found, first)
    return mean

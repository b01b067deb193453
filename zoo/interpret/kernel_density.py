"""Densities of one variable by Gaussian kernels, and how far two of them are apart."""

from __future__ import annotations

import numpy as np

from zoo.effective_number import effective_number

CELLS = 2000
"""Number of cells of the grid on which kernels are laid."""
TRUNCATE = 8.0
"""Standard deviations at which a kernel ends."""


def smoothed(values: np.ndarray, edges: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Density (cells,) of values (n,), weighted or not, in cells of equal width, by kernels of Scott's width n^(-1/5) sigma.

    Of weighted values n is how many of equal weight would tell as much (Kish 1965), and sigma counts them by their weight.
    """
    from scipy.ndimage import gaussian_filter1d

    step = edges[1] - edges[0]
    n, sigma = float(len(values)), np.std(values, ddof=1)
    if weight is not None:
        n = max(1.0, effective_number(weight))
        variance = np.average((values - np.average(values, weights=weight)) ** 2, weights=weight)
        sigma = np.sqrt(variance) if variance > 0 else sigma  # which negative weights may take away
    width = n**-0.2 * sigma
    counts = np.histogram(values, edges, weights=weight)[0].astype(float)
    return gaussian_filter1d(counts, width / step, mode="constant", truncate=TRUNCATE) / (
        (len(values) if weight is None else weight.sum()) * step
    )


def divergence(truth: np.ndarray, answer: np.ndarray) -> float:
    """Kullback-Leibler divergence (nat) of the distribution of ``answer`` from that of ``truth``, both (n,), smoothed.

    The comparison of predicted and true mass functions in Lucie-Smith et al. 2019 (arXiv:1906.06339).
    """
    both = np.concatenate([truth, answer])
    margin = np.ptp(both)
    edges = np.linspace(both.min() - margin / 4, both.max() + margin / 4, CELLS + 1)
    p, q = smoothed(truth, edges), smoothed(answer, edges)
    held = p > 0
    ratio = np.log(p[held] / np.maximum(q[held], np.finfo(float).tiny))
    return float(np.sum(p[held] * ratio) * (edges[1] - edges[0]))

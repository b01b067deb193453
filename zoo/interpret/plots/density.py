"""Densities in two dimensions beside their samples and the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.families.contracts import Density
from zoo.interpret.plots.style import BLUE, RED, SEQUENTIAL, panels, styled

GRID = 200
POINTS = 5000
"""Most points of one scatter plot."""


@styled
def density_and_samples(
    density: Any | Callable[[np.ndarray], np.ndarray],
    samples: np.ndarray,
    data: np.ndarray,
    names: Sequence[str] = ("$x_1$", "$x_2$"),
) -> Figure:
    """Data, density and samples of a two-dimensional model, side by side on one scale.

    Parameters
    ----------
    density : object or callable
        An unconditional flow, or its logarithmic density as a function of points (n, 2).
    samples : ndarray
        Samples of the model, of shape (m, 2).
    data : ndarray
        Data that it should follow, of shape (n, 2).
    names : sequence of str
        Names of the two variables, with units.

    Raises
    ------
    InputError
        If samples or data have other than two columns or are not finite.
    """
    samples, data = np.asarray(samples), np.asarray(data)
    for name, array in (("samples", samples), ("data", data)):
        if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not np.isfinite(array).all():
            raise InputError(f"{name}: expected finite points (n, 2), given shape {array.shape}")
    low, high = data.min(axis=0), data.max(axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    edges = [np.linspace(low[k], high[k], GRID + 1) for k in (0, 1)]
    centers = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    grid = np.stack(np.meshgrid(*centers, indexing="xy"), axis=-1).reshape(-1, 2).astype(np.float32)
    log_density = np.asarray((density.log_density if isinstance(density, Density) else density)(grid)).reshape(GRID, GRID)
    value = np.exp(log_density)

    figure, axes = panels(1, 3, (12.0, 4.2), sharex=True, sharey=True)
    shown, model, drawn = axes[0]
    for ax, points, color, title in ((shown, data, BLUE, "data"), (drawn, samples, RED, "samples of the model")):
        few = np.random.default_rng(0).permutation(len(points))[:POINTS]
        ax.scatter(*points[few].T, s=3, alpha=0.5, linewidths=0, color=color, rasterized=True)
        ax.set_title(f"{title} ({len(few):,} of {len(points):,})" if len(few) < len(points) else f"{title} ({len(points):,})")
    image = model.pcolormesh(*edges, value, cmap=SEQUENTIAL, vmin=0, vmax=np.quantile(value, 0.9995), rasterized=True)
    inside = value.sum() * np.prod((high - low) / GRID)
    model.set_title(f"density of the model ({inside:.1%} in the frame)")
    model.grid(False)
    figure.colorbar(image, ax=model, label="density", pad=0.01)
    for ax in axes[0]:
        ax.locator_params(nbins=5)
        ax.set(xlabel=names[0], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    shown.set_ylabel(names[1])
    return figure

"""How far a regressor's outputs are from the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.plots.style import BLUE, GREEN, RED, panels, styled
from zoo.interpret.quantile import quantile

QUANTILES = ((0.5, BLUE, "-"), (0.95, GREEN, "--"), (0.99, RED, "-."))


@styled
def error_quantiles(
    error: np.ndarray, parts: Mapping[str, tuple[slice, np.ndarray]], abscissa: str, unit: str, weight: np.ndarray | None = None
) -> Figure:
    """Quantiles over rows of the absolute error of each output.

    Parameters
    ----------
    error : ndarray
        Absolute errors, of shape (n, outputs).
    parts : mapping of str to tuple of slice
        Where its outputs lie and their abscissa by label, one panel each.
    abscissa : str
        What the abscissa is called.
    unit : str
        Unit of the error.
    weight : ndarray, optional
        Event weights, of shape (n,).
    """
    figure, axes = panels(1, len(parts), (1.0 + 3.6 * len(parts), 3.8), sharey=True)
    for ax, (label, (inside, at)) in zip(axes[0], parts.items(), strict=True):
        for level, color, style in QUANTILES:
            curve = [quantile(column, level, weight) for column in error[:, inside].T]
            ax.plot(at, curve, style, color=color, label=f"{level:.0%} of rows")
        ax.set(title=label, xlabel=abscissa, yscale="log")
    axes[0, 0].set_ylabel(f"|error| /\n{unit}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(QUANTILES))
    return figure

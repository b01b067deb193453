"""Figures of densities that displaced particles make."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled


@styled
def beside_simulation(k: np.ndarray, ways: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Power over that of simulations and correlation with them by wavenumber, mean over boxes and their scatter.

    Parameters
    ----------
    k : ndarray of shape (bins,)
        Wavenumbers, h/Mpc.
    ways : mapping of str to mapping of str to ndarray
        ``power`` and ``correlation`` (boxes, bins) by what moved the particles, the model first.
    """
    figure, ((left, right),) = panels(1, 2, (9.6, 3.8))
    styles = [(BLUE, "o-"), (GRAY, "s--"), (RED, "^:"), (RED, "v-."), (GRAY, "D:")]
    for (way, found), (color, line) in zip(ways.items(), styles, strict=False):
        for ax, of in ((left, found["power"]), (right, 1 - found["correlation"])):
            ax.errorbar(k, of.mean(axis=0), of.std(axis=0, ddof=1), fmt=line, color=color, ms=3.5, capsize=2, lw=1, label=way)
    left.axhspan(0.98, 1.02, color=GRAY, alpha=0.2, lw=0)
    left.set(xlabel=r"wavenumber $k$ [$h$/Mpc]", ylabel="power over the simulation's", ylim=(0.3, 1.15))
    right.set(xlabel=r"wavenumber $k$ [$h$/Mpc]", ylabel="1 - correlation with the simulation", yscale="log")
    right.axhline(0.01, color=GRAY, lw=1)
    right.legend(loc="lower right")
    return figure

"""What becomes of an energy along trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.plots.style import COLORS, one_panel, styled


@styled
def energy_errors(times: np.ndarray, errors: Mapping[str, np.ndarray]) -> Figure:
    """Mean error of the energy against time, and the range of the middle 68% of trajectories.

    Parameters
    ----------
    times : ndarray of shape (t,)
        Times, s.
    errors : mapping of str to ndarray
        Errors in units of the largest potential energy, (n, t), by label.

    Returns
    -------
    Figure
        The figure.
    """
    figure, ax = one_panel((6.4, 4.4))
    for (label, error), color in zip(errors.items(), cycle(COLORS), strict=False):
        low, high = np.quantile(error, [0.16, 0.84], axis=0)
        ax.fill_between(times, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(times, error.mean(axis=0), color=color, label=label)
    ax.set(xlabel="time [s]", ylabel="error of the energy / largest potential energy", yscale="log")
    figure.legend(loc="outside lower center", ncols=2)
    return figure

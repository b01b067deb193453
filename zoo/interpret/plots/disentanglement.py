"""What the weight of the prior does to a representation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.interpret.plots.style import COLORS, MARKERS, panels, styled

BESIDE = 0.06
"""Distance between the points of two lines at the same beta, over that between two values of beta."""


@styled
def against_beta(shown: Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]]) -> Figure:
    """Numbers of trained models against beta, one panel a kind: a point for each seed, a line through their means.

    Parameters
    ----------
    shown : mapping of str to mapping of str to mapping of float to sequence of float
        Values over seeds by label of the ordinate, name of the number and beta.

    Raises
    ------
    InputError
        If there is nothing to show, or a value is not finite.
    """
    if not shown or not all(lines and all(all(map(len, line.values())) for line in lines.values()) for lines in shown.values()):
        raise InputError("expected at least one value at each beta of each number")
    betas = sorted({beta for lines in shown.values() for line in lines.values() for beta in line})
    figure, axes = panels(1, len(shown), (0.8 + 4.4 * len(shown), 4.6))
    for ax, (ordinate, lines) in zip(axes[0], shown.items(), strict=True):
        for i, ((name, line), color, marker) in enumerate(zip(lines.items(), cycle(COLORS), cycle(MARKERS), strict=False)):
            at = np.array([betas.index(beta) for beta in line]) + BESIDE * (i - (len(lines) - 1) / 2)
            values = [np.asarray(one, float) for one in line.values()]
            if not all(np.isfinite(one).all() for one in values):
                raise InputError(f"{name}: expected finite values, given NaN or infinity")
            order = np.argsort(at)
            ax.plot(at[order], np.array([one.mean() for one in values])[order], color=color)
            points = np.repeat(at, [len(one) for one in values])
            ax.plot(points, np.concatenate(values), marker, color=color, markersize=4)
            ax.plot([], [], marker=marker, color=color, label=name)
        ax.set_xticks(range(len(betas)), [f"{beta:g}" for beta in betas])
        ax.set(xlabel="beta", ylabel=ordinate, xlim=(-0.5, len(betas) - 0.5), ylim=(0, None))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return figure

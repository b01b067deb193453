"""How well classifiers do at each value of a parameter, and what decorrelation costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from zoo.interpret.plots.style import BLUE, COLORS, GRAY, MARKERS, one_panel, panels, styled


@styled
def auc_against_parameter(
    curves: Mapping[str, Mapping[str, Sequence[float]]], trained: Sequence[float] | np.ndarray, parameter: str
) -> Figure:
    """Area under the ROC curve against a parameter; markers are open at values that were not trained.

    Parameters
    ----------
    curves : mapping of str to mapping of str to sequence of float
        Columns by label: ``at``, ``auc``, and ``low`` and ``high`` of its 95% interval.
    trained : sequence of float
        Values of the parameter that were trained.
    parameter : str
        Name and unit of the parameter.
    """
    figure, ax = one_panel((6.8, 5.2))
    offsets = np.linspace(-1, 1, len(curves)) * 0.004 * np.ptp([x for curve in curves.values() for x in curve["at"]])
    for (label, curve), color, marker, offset in zip(curves.items(), cycle(COLORS), cycle(MARKERS), offsets, strict=False):
        at, middle = np.asarray(curve["at"]), np.asarray(curve["auc"])
        bars = np.abs(np.stack([middle - curve["low"], np.asarray(curve["high"]) - middle]))
        ax.errorbar(at + offset, middle, bars, fmt="-", color=color, linewidth=1.2, capsize=2)
        known = np.isin(at, trained)
        ax.plot((at + offset)[known], middle[known], marker, color=color, label=label)
        ax.plot((at + offset)[~known], middle[~known], marker, color=color, markerfacecolor="white")
    ax.plot([], [], "o", color=GRAY, markerfacecolor="white", label="value that was not trained")
    ax.set(xlabel=parameter, ylabel="area under the ROC curve")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def rejection_against_divergence(
    points: Mapping[str, Mapping[str, Sequence[float]]], curve: Sequence[str], ceiling: Sequence[float], efficiency: float
) -> Figure:
    """Background rejection against one over the divergence of a variable before and after the cut.

    Parameters
    ----------
    points : mapping of str to mapping of str to sequence of float
        By label: ``divergence`` and ``rejection``, each the value and both ends of its 95% interval.
    curve : sequence of str
        Labels that a line joins, in its order.
    ceiling : sequence of float
        What as many rows at random as pass each cut have in its place, in the order of the points.
    efficiency : float
        Share of the signal that the cut keeps.
    """
    figure, ax = one_panel((6.6, 5.0))
    line = np.array([[points[label]["divergence"][0], points[label]["rejection"][0]] for label in curve])
    ax.plot(*line.T, "-", color=BLUE, linewidth=1)
    for (label, point), marker in zip(points.items(), cycle(MARKERS), strict=False):
        (x, x_low, x_high), (y, y_low, y_high) = point["divergence"], point["rejection"]
        color = BLUE if label in curve else COLORS[1 + list(points).index(label) % (len(COLORS) - 1)]
        bars = np.abs([[x - x_low], [x_high - x]]), np.abs([[y - y_low], [y_high - y]])
        ax.errorbar(x, y, bars[1], bars[0], fmt=marker, color=color, capsize=2, label=label)
    heights = [point["rejection"][0] for point in points.values()]
    ax.plot(ceiling, heights, "|", color=GRAY, markersize=12, markeredgewidth=2, label="as many at random")
    ax.set(xlabel="1 / Jensen-Shannon divergence [1/bit]", ylabel=f"1 / share of background kept at {efficiency:.0%}")
    ax.set(xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def sculpted_distributions(
    shown: Mapping[str, Mapping[str, np.ndarray]], edges: np.ndarray, variable: str, efficiency: float
) -> Figure:
    """Distribution of a variable in the background before and after each cut.

    Parameters
    ----------
    shown : mapping of str to mapping of str to ndarray
        By label of the cut: ``before`` and ``after``, densities in the bins.
    edges : ndarray
        Edges of the bins.
    variable : str
        Name and unit of the variable.
    efficiency : float
        Share of the signal that each cut keeps.
    """
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = panels(rows, columns, (3.2 * columns, 2.9 * rows), sharex=True, sharey=True)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    for (label, both), ax in zip(shown.items(), axes.flat, strict=False):
        ax.stairs(both["before"], edges, color=GRAY, fill=True, alpha=0.4, label="all background")
        ax.stairs(both["after"], edges, color=BLUE, label=f"cut at {efficiency:.0%} signal")
        ax.set(xlabel=variable, title=label)
    axes[0, 0].set(ylabel="density")
    axes[0, 0].legend()
    return figure

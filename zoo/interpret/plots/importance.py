"""What a model depends on over many rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.interpret.elements import Positions, positions
from zoo.interpret.plots.style import BLUE, COLORS, GRAY, SKY, one_panel, panels, styled, titled, with_unit

if TYPE_CHECKING:
    from zoo.interpret.attribution.dependence import Dependence
    from zoo.interpret.attribution.importance import Importance

BARS = 30
"""Groups at most that are drawn as bars with their names."""
CURVES = 50
"""Rows at most of a plot of individual expectations."""


@styled
def importance_of_groups(importance: Importance) -> Figure:
    """Mean importance with the range of its repeats.

    Groups that lie along an axis with coordinates are a curve over it, such as shells over distance, in a panel for each named
    group of the axis. Others are bars, the largest on top, or for many a curve over their numbers.

    Parameters
    ----------
    importance : Importance
        The importance of groups of features.

    Returns
    -------
    Figure
        The figure.
    """
    score = "" if importance.score is None else f"; undisturbed mean squared error {-importance.score:.3g}"
    title = importance.model + score
    if importance.axis is not None and importance.axis.coordinates is not None:
        figure = _along_axis(importance, positions(importance.axis, len(importance.values)))
    elif len(importance.values) <= BARS:
        figure = _bars(importance)
    else:
        figure = _numbered(importance)
    titled(figure, title)
    return figure


def _along_axis(importance: Importance, at: Positions) -> Figure:
    count = len(at.groups)
    figure, axes = panels(count, 1, (8.5, 2.4 + 1.4 * count), sharex=True, sharey=True)
    for (group, inside), ax in zip(at.groups.items(), axes[:, 0], strict=True):
        _curve(ax, at.values[inside], importance.values[inside])
        ax.set_title(group, loc="left")
    axes[-1, 0].set_xlabel(at.label)
    axes[count // 2, 0].set_ylabel(importance.label)
    if importance.values.shape[1] > 1:
        axes[0, 0].legend()
    return figure


def _bars(importance: Importance) -> Figure:
    mean = importance.mean
    order = np.argsort(mean)
    low, high = importance.values.min(axis=1), importance.values.max(axis=1)
    figure, ax = one_panel((7.0, 1.5 + 0.26 * len(mean)))
    spread = np.stack([mean - low, high - mean])[:, order] if importance.values.shape[1] > 1 else None
    ax.barh(np.arange(len(mean)), mean[order], xerr=spread, color=BLUE, ecolor=GRAY)
    ax.set_yticks(np.arange(len(mean)), [importance.names[i] for i in order])
    ax.axvline(0, color=GRAY, linewidth=0.8)
    ax.set_xlabel(importance.label)
    return figure


def _numbered(importance: Importance) -> Figure:
    names, mean = importance.names, importance.mean
    figure, ax = one_panel((8.5, 4.2))
    _curve(ax, np.arange(len(mean)), importance.values)
    peak = int(np.argmax(mean))
    ax.annotate(names[peak], (peak, mean[peak]), fontsize=8, ha="center", va="bottom")
    ax.set(xlabel=f"group, from {names[0]} to {names[-1]}", ylabel=importance.label)
    ax.legend()
    return figure


def _curve(ax: Axes, x: np.ndarray, values: np.ndarray) -> None:
    ax.axhline(0, color=GRAY, linewidth=0.8)
    if values.shape[1] > 1:
        low, high = values.min(axis=1), values.max(axis=1)
        ax.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="range of repeats")
    few = "o" if len(x) <= BARS else None
    ax.plot(x, values.mean(axis=1), color=BLUE, label="mean", marker=few, markersize=4)


@styled
def partial_dependence_curves(dependence: Dependence) -> Figure:
    """A panel for each feature: up to 50 rows as thin lines, the mean of all above them."""
    count = len(dependence.names)
    figure, axes = panels(1, count, (1.0 + 3.2 * count, 3.6), sharey=True)
    rows = np.random.default_rng(0).permutation(dependence.individual.shape[1])[:CURVES]
    for k, ax in enumerate(axes[0]):
        ax.plot(dependence.grid[k], dependence.individual[k, rows].T, color=GRAY, alpha=0.3, linewidth=0.6)
        ax.plot(dependence.grid[k], dependence.average[k], color=COLORS[1], linewidth=2.2, label="partial dependence")
        ax.plot([], [], color=GRAY, linewidth=0.8, label=f"{len(rows)} rows")
        ax.set_xlabel(with_unit(dependence.names[k], dependence.units[k]))
    axes[0, 0].set_ylabel(dependence.answer)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    titled(figure, dependence.model)
    return figure

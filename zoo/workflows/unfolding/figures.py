"""Distributions at particle level: simulated, unfolded, and true where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled, with_unit

if TYPE_CHECKING:
    from zoo.workflows.unfolding.unfolded import Histogram

SIMULATED = "simulated, scaled"
"""What is drawn of the simulation: its shape, with as many events as it is compared with."""


@styled
def unfolded_distributions(histograms: Mapping[str, Histogram]) -> Figure:
    """Distributions before and after an unfolding, and below them after over before.

    Parameters
    ----------
    histograms : mapping of str to Histogram
        Distributions by the name of their observable.

    Returns
    -------
    Figure
        Two panels for each observable.
    """
    figure, upper, lower = _columns(len(histograms))
    for place, (name, found) in enumerate(histograms.items()):
        error = None if found.covariance_data is None else found.errors
        others = {SIMULATED: found.prior * (found.values.sum() / found.prior.sum())}
        _draw(upper[place], lower[place], found.edges, others, found.values, error)
        lower[place].set_xlabel(with_unit(name.replace("_", " "), found.unit))
    lower[0].set_ylabel("unfolded\n/ simulated")
    return _finished(figure, upper)


@styled
def closure_distributions(
    edges: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    unfolded: Mapping[str, np.ndarray],
    prior: Mapping[str, np.ndarray],
    covariance: Mapping[str, np.ndarray],
    units: Mapping[str, str],
) -> Figure:
    """Truth, unfolded with errors and prior of each observable, and below them unfolded and prior over truth.

    Parameters
    ----------
    edges, truth, unfolded, prior, covariance : mapping of str to ndarray
        As a closure test has them, by the name of the observable.
    units : mapping of str to str
        Units, "" where none is known.

    Returns
    -------
    Figure
        Two panels for each observable.
    """
    figure, upper, lower = _columns(len(edges))
    for place, name in enumerate(edges):
        others = {"truth": truth[name], SIMULATED: prior[name] * (truth[name].sum() / prior[name].sum())}
        _draw(upper[place], lower[place], edges[name], others, unfolded[name], np.sqrt(np.diag(covariance[name])))
        lower[place].set_xlabel(with_unit(name.replace("_", " "), units[name] or None))
    lower[0].set_ylabel("ratio\nto truth")
    return _finished(figure, upper)


def _columns(count: int) -> tuple[Figure, np.ndarray, np.ndarray]:
    """A figure with two panels one above the other for each of some observables."""
    figure, axes = panels(2, count, (1.2 + 3.4 * count, 4.6), sharex="col", height_ratios=[2.2, 1])
    return figure, axes[0], axes[1]


def _draw(
    upper: Axes, lower: Axes, edges: np.ndarray, others: Mapping[str, np.ndarray], values: np.ndarray, error: np.ndarray | None
) -> None:
    """Steps of other distributions, points of the unfolded one, and below, ratios to the first of the others."""
    width, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    first = next(iter(others.values()))
    filled = first > 0
    base = np.where(filled, first, np.nan)
    for label, other in others.items():
        color = BLUE if label == SIMULATED else GRAY
        upper.stairs(other / width, edges, color=color, label=label, linewidth=1.6)
        lower.stairs(other / base, edges, baseline=None, color=color, linewidth=1.6)
    for axis, scale in ((upper, width), (lower, base)):
        bars = None if error is None else error / scale
        axis.errorbar(middle, values / scale, bars, color=RED, fmt="o", markersize=3.5, capsize=2, label="unfolded")
    upper.set_ylim(bottom=min(0.0, upper.get_ylim()[0]))
    ratios = np.concatenate([(one / base)[filled] for one in (*others.values(), values)])
    reach = max(0.1, 1.3 * float(np.quantile(np.abs(ratios - 1), 0.9, method="higher")))
    lower.set_ylim(max(0.0, 1 - reach), 1 + reach)


def _finished(figure: Figure, upper: np.ndarray) -> Figure:
    upper[0].set_ylabel("events per unit")
    figure.legend(*upper[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure

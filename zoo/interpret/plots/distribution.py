"""How far a regressor of one quantity is off, how sure it is, and what trees beside it go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.kernel_density import smoothed
from zoo.interpret.plots.style import COLORS, GRAY, one_panel, panels, styled, with_unit
from zoo.interpret.quantile import quantile

BINS = 12
"""Number of bins of the truth."""


@styled
def error_against_truth(
    truth: np.ndarray, answers: Mapping[str, np.ndarray], quantity: str, unit: str, weight: np.ndarray | None = None
) -> Figure:
    """Median and central 68% of the error, and its root mean square, in bins of the truth.

    Parameters
    ----------
    truth : ndarray
        True values, of shape (n,).
    answers : mapping of str to ndarray
        Answers by label, of shape (n,).
    quantity, unit : str
        Name and unit of the truth.
    weight : ndarray, optional
        Event weights, of shape (n,). Bins whose sum of weights is not positive are left out.
    """
    edges = np.linspace(truth.min(), truth.max(), BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    which = np.clip(np.digitize(truth, edges) - 1, 0, BINS - 1)
    filled = np.flatnonzero(np.bincount(which, weight, minlength=BINS) > 0)
    figure, axes = panels(2, 1, (5.6, 6.0), sharex=True, height_ratios=[1.6, 1])
    upper, lower = axes[:, 0]
    upper.axhline(0, color=GRAY, linestyle="--", linewidth=1)
    for (label, answer), color in zip(answers.items(), cycle(COLORS), strict=False):
        errors = [((answer - truth)[which == b], None if weight is None else weight[which == b]) for b in filled]
        low, median, high = np.array([[quantile(e, level, w) for level in (0.16, 0.5, 0.84)] for e, w in errors]).T
        upper.fill_between(middle[filled], low, high, color=color, alpha=0.15, linewidth=0)
        upper.plot(middle[filled], median, color=color, label=label)
        lower.plot(middle[filled], [np.sqrt(max(0, np.average(e**2, weights=w))) for e, w in errors], color=color)
    name = quantity.replace("_", " ")
    upper.set(ylabel=f"{name}, answer $-$ truth\n(median, central 68%)")
    lower.set(xlabel=with_unit(f"true {name}", unit), ylabel="root mean square")
    lower.set_ylim(bottom=0)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center")
    return figure


@styled
def distribution_of_answers(
    truth: np.ndarray, answers: Mapping[str, np.ndarray], quantity: str, unit: str, weight: np.ndarray | None = None
) -> Figure:
    """Distributions of the truth and of the answers, smoothed by Gaussian kernels; parameters of `error_against_truth`."""
    margin = np.ptp(truth) / 4
    edges = np.linspace(truth.min() - margin, truth.max() + margin, 501)
    middle = (edges[1:] + edges[:-1]) / 2
    figure, ax = one_panel()
    ax.fill_between(middle, smoothed(truth, edges, weight), color="0.85", linewidth=0, label="truth")
    for (label, answer), color in zip(answers.items(), cycle(COLORS), strict=False):
        ax.plot(middle, smoothed(answer, edges, weight), color=color, label=label)
    ax.set(
        xlabel=with_unit(quantity.replace("_", " "), unit),
        ylabel="density of rows" if weight is None else "density of weighted rows",
    )
    ax.set_ylim(bottom=0)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def coverage_of_intervals(probability: Mapping[str, np.ndarray], weight: np.ndarray | None = None) -> Figure:
    """How often central intervals hold the truth, against how often they say they do.

    Parameters
    ----------
    probability : mapping of str to ndarray
        Probabilities that the answered distribution gives to values below the truth by label, of shape (n,).
    weight : ndarray, optional
        Event weights, of shape (n,).
    """
    level = np.linspace(0, 1, 101)
    figure, axes = panels(2, 1, (5.2, 6.0), sharex=True, height_ratios=[2.4, 1])
    upper, lower = axes[:, 0]
    upper.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1)
    lower.axhline(0, color=GRAY, linestyle="--", linewidth=1)
    for (label, values), color in zip(probability.items(), cycle(COLORS), strict=False):
        needed = np.abs(2 * values - 1)
        held = np.searchsorted(np.sort(needed), level, side="right") / len(values)
        if weight is not None:
            held = (
                np.concatenate([[0], np.cumsum(weight[np.argsort(needed)])])[np.rint(held * len(values)).astype(int)]
                / weight.sum()
            )
        upper.plot(level, held, color=color, label=label)
        lower.plot(level, held - level, color=color)
    upper.set(ylabel="rows whose truth is inside", xlim=(0, 1), ylim=(0, 1))
    lower.set(xlabel="probability of the central interval", ylabel="difference")
    largest = max(0.05, 1.1 * max(abs(edge) for edge in lower.get_ylim()))
    lower.set_ylim(-largest, largest)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center")
    return figure


@styled
def importance_over_scale(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray | None]], scales: np.ndarray, label: str, kinds: Sequence[str]
) -> Figure:
    """Share of each feature in all importance, over the scale that the feature is of.

    Parameters
    ----------
    curves : mapping of str to tuple of ndarray
        Importance of the features, of shape (k * scales,), kinds one after another, and its deviation or None, by label.
    scales : ndarray
        The scales, of shape (scales,).
    label : str
        Label of the scales.
    kinds : sequence of str
        Names of the kinds of feature; of k, the first k.
    """
    k = len(next(iter(curves.values()))[0]) // len(scales)
    figure, axes = panels(1, k, (1.4 + 3.6 * k, 4.2), sharey=True)
    for ax, kind, part in zip(axes[0], kinds, range(k), strict=False):
        inside = slice(part * len(scales), (part + 1) * len(scales))
        for (name, (share, deviation)), color in zip(curves.items(), COLORS, strict=False):
            ax.plot(scales, share[inside], color=color, marker="o", markersize=3, label=name)
            if deviation is not None:
                low, high = share[inside] - deviation[inside], share[inside] + deviation[inside]
                ax.fill_between(scales, low, high, color=color, alpha=0.2, linewidth=0)
        ax.set(title=kind, xlabel=label)
    axes[0, 0].set_ylabel("share of the importance")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=k)
    return figure

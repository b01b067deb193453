"""How well a classifier does, and how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.elements import positions
from zoo.interpret.plots.style import BLUE, COLORS, GRAY, MARKERS, RED, one_panel, panels, styled
from zoo.interpret.uncertainty.calibration import Reliability
from zoo.interpret.uncertainty.efficiency import Efficiency
from zoo.model.axes import Axis

SHOWN = 0.01
"""Least share of the signal at which a rejection is drawn; below it, it is of a handful of rows."""


@styled
def roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """ROC curves.

    Parameters
    ----------
    curves : mapping of str to tuple of ndarray
        False and true positive rates by label.
    """
    figure, ax = one_panel((4.8, 4.8))
    ax.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="chance")
    for (label, (false_positive, true_positive)), color in zip(curves.items(), cycle(COLORS), strict=False):
        ax.plot(false_positive, true_positive, color=color, label=label)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    ax.legend(loc="lower right")
    return figure


@styled
def coefficients_over_axis(values: np.ndarray, axis: Axis) -> Figure:
    """Coefficients of a linear classifier, which are its explanation, over the elements of its input; a panel for each group.

    Parameters
    ----------
    values : ndarray
        What a standard deviation of each element adds to the log odds, (n,).
    axis : Axis
        The axis of the elements.
    """
    at = positions(axis, len(values))
    figure, axes = panels(len(at.groups), 1, (8.5, 0.9 + 1.9 * len(at.groups)), sharex=True, sharey=True)
    for (group, inside), ax in zip(at.groups.items(), axes[:, 0], strict=True):
        ax.axhline(0, color=GRAY, linewidth=0.8)
        ax.bar(at.values[inside], values[inside], at.width, color=np.where(values[inside] > 0, RED, BLUE))
        ax.set_title(group, loc="left")
    axes[len(at.groups) // 2, 0].set_ylabel("log odds per standard deviation")
    axes[-1, 0].set_xlabel(at.label)
    return figure


@styled
def rejection_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], signal: str, background: str) -> Figure:
    """One over the share of the background that is kept, against that of the signal.

    Parameters
    ----------
    curves : mapping of str to tuple of ndarray
        Shares of signal and background that are kept, by label.
    signal, background : str
        What they are called.
    """
    figure, ax = one_panel((6.0, 4.8))
    lines = zip(curves.items(), cycle(COLORS), cycle(("-", "--", "-.", ":")), strict=False)
    for (label, (kept, passed)), color, style in lines:
        shown = (passed > 0) & (kept >= SHOWN)
        ax.plot(kept[shown], 1 / passed[shown], style, color=color, label=label)
    kept = np.linspace(SHOWN, 1, 50)
    ax.plot(kept, 1 / kept, color=GRAY, linestyle=":", linewidth=1, label="chance")
    ax.set(xlabel=f"share of {signal} that is kept", ylabel=f"1 / share of {background} that is kept", yscale="log")
    ax.set(xlim=(0, 1))
    ax.legend(loc="upper right")
    return figure


@styled
def auc_against_rows(
    curve: Mapping[str, Sequence[float]], published: Mapping[str, float] | None = None, published_rows: int | None = None
) -> Figure:
    """Area under the ROC curve as training rows grow more.

    Parameters
    ----------
    curve : mapping of str to sequence of float
        Columns ``rows``, ``auc``, and ``low`` and ``high`` of its 95% interval.
    published : mapping of str to float, optional
        Published areas by their source.
    published_rows : int, optional
        Training rows of those.
    """
    figure, ax = one_panel((6.0, 4.4))
    middle = np.asarray(curve["auc"])
    bars = np.abs(np.stack([middle - curve["low"], np.asarray(curve["high"]) - middle]))
    ax.errorbar(curve["rows"], middle, bars, fmt="o-", color=BLUE, capsize=2, label="here, 95% interval")
    if published_rows:
        for (source, value), color, marker in zip((published or {}).items(), cycle(COLORS[1:]), cycle(MARKERS), strict=False):
            ax.plot(published_rows, value, marker, color=color, markersize=8, label=source)
    ax.set(xlabel="training rows", ylabel="area under the ROC curve", xscale="log")
    shown = sorted({*map(int, curve["rows"]), *([published_rows] if published_rows else [])})
    ax.set_xticks(shown, [f"{n:,}" for n in shown])
    ax.set_xticks([], minor=True)
    ax.legend(loc="lower right")
    return figure


@styled
def auc_against_ebops(curve: Mapping[str, Sequence[float]]) -> Figure:
    """Area under the ROC curve as a network has more bits.

    Parameters
    ----------
    curve : mapping of str to sequence of float
        Columns ``ebops``, ``auc``, and ``low`` and ``high`` of its 95% interval.
    """
    figure, ax = one_panel((6.0, 4.4))
    middle = np.asarray(curve["auc"])
    bars = np.abs(np.stack([middle - curve["low"], np.asarray(curve["high"]) - middle]))
    ax.errorbar(curve["ebops"], middle, bars, fmt="o-", color=BLUE, capsize=2, label="here, 95% interval")
    ax.set(xlabel="effective bit operations", ylabel="area under the ROC curve", xscale="log")
    ax.legend(loc="lower right")
    return figure


@styled
def confusion(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    """Confusion matrix: counts or sums of event weights, and the fraction of each true class.

    Parameters
    ----------
    matrix : ndarray
        Counts or sums, true class down and predicted class across, of shape (k, k).
    labels : sequence of str
        Names of the classes.
    """
    matrix = np.asarray(matrix)
    total = matrix.sum(axis=1, keepdims=True)
    fraction = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
    shown = "{:,}" if np.issubdtype(matrix.dtype, np.integer) else "{:,.4g}"
    figure, ax = one_panel((4.8, 4.2))
    image = ax.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        color = "white" if fraction[i, j] > 0.55 else "black"
        ax.text(j, i, f"{fraction[i, j]:.1%}\n{shown.format(count)}", ha="center", va="center", color=color)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_yticks(range(len(labels)), labels)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(False)
    figure.colorbar(image, label="fraction of the true class", shrink=0.75)
    return figure


@styled
def reliability_diagram(bins: Reliability) -> Figure:
    """Observed against predicted frequency with 95% intervals, and how many rows stand behind each point."""
    figure, axes = panels(2, 1, (5.0, 5.8), sharex=True, height_ratios=[3.2, 1])
    upper, lower = axes[:, 0]
    upper.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="perfect calibration")
    bars = np.abs(np.stack([bins.observed - bins.low, bins.high - bins.observed]))
    upper.errorbar(bins.predicted, bins.observed, bars, fmt="o-", color=BLUE, capsize=2, label="observed, 95% interval")
    upper.set(ylabel="observed fraction", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    upper.legend(loc="upper left")
    lower.bar(bins.predicted, bins.count, width=0.03, color=BLUE)
    rows = "rows" if np.issubdtype(bins.count.dtype, np.integer) else "sum of weights"
    lower.set(xlabel="predicted probability", ylabel=rows, yscale="log")
    return figure


@styled
def learning_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Training and validation value of each metric after each epoch, as in ``History.history`` of Keras."""
    names = [name for name in history if not name.startswith("val_") and name not in ("learning_rate", "lr")]
    figure, axes = panels(1, len(names), (max(5.0, 4.2 * len(names)), 3.8))
    for name, ax in zip(names, axes[0], strict=True):
        for key, label, color, style in ((name, "training", BLUE, "-"), (f"val_{name}", "validation", COLORS[1], "--")):
            if key in history:
                ax.plot(np.arange(1, len(history[key]) + 1), history[key], style, color=color, label=label)
        values = np.concatenate([history[key] for key in (name, f"val_{name}") if key in history])
        if values.min() > 0 and values.max() > 20 * values.min():
            ax.set_yscale("log")
        ax.set(xlabel="epoch", ylabel=name.replace("_", " "))
        ax.legend()
    return figure


@styled
def recall_against_difficulty(
    curves: Mapping[str, Mapping[str, Sequence[float]]], difficulty: str, published: Mapping[str, float] | None = None
) -> Figure:
    """Fraction of positive rows that are found as their detection gets harder.

    Parameters
    ----------
    curves : mapping of str to mapping of str to sequence of float
        Columns by label: ``at`` (difficulty), ``recall``, and ``low`` and ``high`` of its 95% interval.
    difficulty : str
        Name of the abscissa.
    published : mapping of str to float, optional
        Published values by metric, where the metric's name ends in "recall at <difficulty> <number>".
    """
    figure, ax = one_panel((6.4, 4.6))
    for (label, curve), color, marker in zip(curves.items(), cycle(COLORS), cycle(MARKERS), strict=False):
        ax.plot(curve["at"], curve["recall"], marker=marker, markersize=4, color=color, label=label)
        ax.fill_between(curve["at"], curve["low"], curve["high"], color=color, alpha=0.18, linewidth=0)
    found = {
        float(metric.rsplit(" ", 1)[1]): value
        for metric, value in (published or {}).items()
        if f"recall at {difficulty} " in metric
    }
    if found:
        ax.plot(list(found), list(found.values()), "*", color="black", markersize=11, label="published", zorder=5)
    ax.set(xlabel=_abscissa(difficulty), ylabel="fraction of features found", ylim=(-0.03, 1.03))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _abscissa(name: str) -> str:
    """``log10_amplitude`` as mathematics, other names as words."""
    logarithm, _, quantity = name.partition("_")
    return rf"$\log_{{10}}$ {quantity.replace('_', ' ')}" if logarithm == "log10" else name.replace("_", " ")


@styled
def efficiency_curve(curves: Mapping[str, Efficiency], nuisance: str) -> Figure:
    """Efficiency of a cut against a nuisance parameter with 95% intervals; the label says how likely a flat curve is.

    Parameters
    ----------
    curves : mapping of str to Efficiency
        Curves by label, such as the class.
    nuisance : str
        Name and unit of the abscissa.
    """
    figure, ax = one_panel((6.0, 4.4))
    for (label, curve), color, marker in zip(curves.items(), cycle(COLORS), cycle(MARKERS), strict=False):
        bars = np.abs(np.stack([curve.efficiency - curve.low, curve.high - curve.efficiency]))
        widths = np.abs(np.stack([curve.center - curve.edges[:, 0], curve.edges[:, 1] - curve.center]))
        text = f"{label} (flat: p = {curve.p_value:.2g})"
        ax.errorbar(curve.center, curve.efficiency, bars, widths, fmt=marker, markersize=4, color=color, capsize=2, label=text)
    ax.set(xlabel=nuisance, ylabel="efficiency", ylim=(-0.02, 1.02))
    figure.legend(loc="outside lower center", ncols=2)
    return figure

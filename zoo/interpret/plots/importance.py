"""What a model depends on over many rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.data.cmb.binning import CHANNELS, N_JOINT, SLICES, joint_multipoles
from zoo.interpret.plots.style import BLUE, COLOURS, GREY, SKY, UNITS, one_panel, panels, styled

if TYPE_CHECKING:
    from zoo.interpret.attribution.dependence import Dependence
    from zoo.interpret.attribution.importance import Importance

BARS = 30
"""Groups at most that are drawn as bars with their names."""
CURVES = 50
"""Rows at most of a plot of individual expectations."""


@styled
def importance_of_groups(importance: Importance) -> Figure:
    """Mean importance with the range of its repeats: bars, the largest on top, or for many groups a curve.

    Shells of a cube are a curve over distance, the bins of joint spectra one over multipoles.
    """
    names, mean = importance.names, importance.mean
    score = "" if importance.score is None else f"; undisturbed mean squared error {-importance.score:.3g}"
    title = importance.model + score
    if all(re.search(r" shell \d+$", name) for name in names):
        figure, ax = one_panel((6.4, 4.2))
        _curve(ax, np.arange(len(mean)), importance.values)
        ax.set(xlabel="distance from the middle [cells]", ylabel=importance.label)
        ax.set_title(title, fontsize=10)
        ax.legend()
        return figure
    if len(mean) <= BARS:
        order = np.argsort(mean)
        low, high = importance.values.min(axis=1), importance.values.max(axis=1)
        figure, ax = one_panel((7.0, 1.2 + 0.26 * len(mean)))
        spread = np.stack([mean - low, high - mean])[:, order] if importance.values.shape[1] > 1 else None
        ax.barh(np.arange(len(mean)), mean[order], xerr=spread, color=BLUE, ecolor=GREY)
        ax.set_yticks(np.arange(len(mean)), [names[i] for i in order])
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set_xlabel(importance.label)
        ax.set_title(title, fontsize=10)
        return figure
    if len(mean) == N_JOINT and names[0].startswith("TT l = "):
        figure, axes = panels(3, 1, (8.5, 6.6), sharex=True, sharey=True)
        ell = joint_multipoles()
        for channel, ax in zip(CHANNELS, axes[:, 0], strict=True):
            _curve(ax, ell[SLICES[channel]], importance.values[SLICES[channel]])
            ax.set_title(channel, loc="left")
        axes[2, 0].set_xlabel(r"multipole $\ell$")
        axes[1, 0].set_ylabel(importance.label)
        axes[0, 0].legend()
    else:
        figure, ax = one_panel((8.5, 4.2))
        _curve(ax, np.arange(len(mean)), importance.values)
        peak = int(np.argmax(mean))
        ax.annotate(names[peak], (peak, mean[peak]), fontsize=8, ha="center", va="bottom")
        ax.set(xlabel=f"group, from {names[0]} to {names[-1]}", ylabel=importance.label)
        ax.legend()
    figure.suptitle(title, fontsize=11)
    return figure


def _curve(ax: Axes, x: np.ndarray, values: np.ndarray) -> None:
    ax.axhline(0, color=GREY, linewidth=0.8)
    if values.shape[1] > 1:
        low, high = values.min(axis=1), values.max(axis=1)
        ax.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="range of repeats")
    ax.plot(x, values.mean(axis=1), color=BLUE, label="mean")


@styled
def partial_dependence_curves(dependence: Dependence) -> Figure:
    """A panel for each feature: up to 50 rows as thin lines, the mean of all above them."""
    count = len(dependence.names)
    figure, axes = panels(1, count, (1.0 + 3.2 * count, 3.6), sharey=True)
    rows = np.random.default_rng(0).permutation(dependence.individual.shape[1])[:CURVES]
    for k, ax in enumerate(axes[0]):
        ax.plot(dependence.grid[k], dependence.individual[k, rows].T, color=GREY, alpha=0.3, linewidth=0.6)
        ax.plot(dependence.grid[k], dependence.average[k], color=COLOURS[1], linewidth=2.2, label="partial dependence")
        ax.plot([], [], color=GREY, linewidth=0.8, label=f"{len(rows)} rows")
        unit = dependence.units[k]
        ax.set_xlabel(f"{dependence.names[k]} [{UNITS.get(unit, unit)}]" if unit not in ("", "1") else dependence.names[k])
    axes[0, 0].set_ylabel(dependence.answer)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(dependence.model, fontsize=11)
    return figure

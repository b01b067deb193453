"""Whether an explanation can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.interpret.plots.style import BLUE, GRAY, RED, SKY, method_title, one_panel, panels, styled, titled

if TYPE_CHECKING:
    from zoo.interpret.trust.deletion import DeletionInsertion
    from zoo.interpret.trust.randomization import Randomization
    from zoo.interpret.trust.rank_agreement import Agreement, Stability


@styled
def agreement_matrix(agreement: Agreement) -> Figure:
    """Mean rank correlation of each pair of methods, and its scatter over rows."""
    matrix, scatter = agreement.matrix, np.nanstd(agreement.correlation, axis=-1)
    names = [method_title(name) for name in agreement.methods]
    size = 2.4 + 0.75 * len(names)
    figure, ax = one_panel((size + 1.0, size))
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(matrix):
        text = f"{value:.2f}" + (f"\n$\\pm${scatter[i, j]:.2f}" if i != j and agreement.correlation.shape[-1] > 1 else "")
        ax.text(j, i, text, ha="center", va="center", fontsize=7.5, color="white" if abs(value) > 0.6 else "black")
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.grid(False)
    ax.set_title(f"{agreement.model}: {agreement.correlation.shape[-1]} rows")
    figure.colorbar(image, ax=ax, label="rank correlation of magnitudes", shrink=0.7)
    return figure


@styled
def randomization_curve(found: Randomization) -> Figure:
    """Rank correlation with the trained model's explanation as layers become random, from the output on."""
    figure, ax = one_panel((6.4, 4.2))
    samples = np.concatenate([np.ones((1, found.correlation[0].size)), found.correlation.reshape(len(found.layers), -1)])
    _band(ax, np.arange(len(samples)), samples)
    ax.set_xticks(range(len(samples)), ["trained", *found.layers], rotation=30, ha="right")
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set(ylabel="rank correlation with the trained model's", xlabel="random from the output to this layer", ylim=(-0.5, 1.05))
    ax.set_title(f"{found.model}: {method_title(found.method)}")
    ax.legend()
    return figure


@styled
def stability_under_noise(found: Stability) -> Figure:
    """Rank correlation with the explanation of the input, and relative change of the values, against noise."""
    figure, axes = panels(1, 2, (9.0, 3.8))
    for ax, values, label in (
        (axes[0, 0], found.correlation, "rank correlation"),
        (axes[0, 1], found.change, "relative change of the values"),
    ):
        _band(ax, np.array(found.noises), values.reshape(len(found.noises), -1))
        ax.set(xscale="log", xlabel="noise [fraction of the trained range]", ylabel=label)
    axes[0, 0].set_ylim(top=1.02)
    axes[0, 1].set_yscale("log")
    axes[0, 0].legend()
    titled(figure, f"{found.model}: {method_title(found.method)}")
    return figure


@styled
def deletion_insertion_curves(found: DeletionInsertion) -> Figure:
    """Answer as elements are taken away or put back, and the area between the two.

    Of each row the change from the baseline, positive towards the input: rows on either side of the baseline would cancel.
    """
    figure, ax = one_panel((6.4, 4.8))
    for values, color, style, label in (
        (found.insertion, BLUE, "-", "put back, strongest first"),
        (found.deletion, RED, "-", "taken away, strongest first"),
        (found.random, GRAY, "--", "taken away in random order"),
    ):
        towards = found.direction[:, None] * (values - found.deletion[:, -1:])
        ax.plot(found.share, towards.mean(axis=0), style, color=color, label=label)
    area, n = found.area, len(found.area)
    scatter = f" $\\pm$ {area.std():.2g}" if n > 1 else ""
    ax.axhline(0, color=GRAY, linewidth=0.8)
    name = found.answer.replace("_", " ")
    ax.set(xlabel="share of the elements", ylabel=f"{name} minus the baseline's, towards the input's")
    ax.set_title(f"{found.model}: {method_title(found.method)}, area {area.mean():.3g}{scatter}, {n} row{'s' * (n > 1)}")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _band(ax: Axes, x: np.ndarray, samples: np.ndarray) -> None:
    """Mean of (x, samples) and the band that holds 68% of them."""
    low, high = np.nanpercentile(samples, [16, 84], axis=1)
    ax.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="68% of rows and draws")
    ax.plot(x, np.nanmean(samples, axis=1), color=BLUE, marker="o", markersize=4, label="mean")

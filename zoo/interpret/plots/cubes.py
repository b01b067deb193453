"""Explanations of models of a field in three dimensions."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.attribution.patches import shells
from zoo.interpret.plots.spectra import NOT_ADDITIVE, explanation_title, value_label
from zoo.interpret.plots.style import BLUE, GREY, SKY, panels, styled


@styled
def attribution_over_cube(explanation: Explanation) -> Figure:
    """Slices through the middle of the first row and of its attribution, and the attribution of all rows by distance.

    Values are (n, s, s, s); distances, in cells, are from cell s // 2. Contributions are summed over shells of one cell, which
    adds up to the change of the answer; derivatives and Grad-CAM are averaged.
    """
    values = explanation.values
    middle = values.shape[-1] // 2
    figure, axes = panels(1, 3, (13.0, 4.2))
    for ax, field, title in (
        (axes[0, 0], explanation.inputs[0], f"{explanation.tensor} [{explanation.meta.get('unit') or '1'}]"),
        (axes[0, 1], values[0], value_label(explanation)),
    ):
        largest = np.abs(field[middle]).max() or 1.0
        image = ax.imshow(field[middle].T, origin="lower", cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.set(title=title, xlabel="second axis [cells]", ylabel="third axis [cells]")
        ax.grid(False)
        figure.colorbar(image, ax=ax, shrink=0.8)
    distance = shells(values.shape[1:]).ravel()
    additive = explanation.method not in NOT_ADDITIVE
    cells = np.ones(1) if additive else np.maximum(np.bincount(distance), 1)
    profiles = np.stack([np.bincount(distance, row) for row in values.reshape(len(values), -1)]) / cells
    number, ax = np.arange(profiles.shape[1]), axes[0, 2]
    ax.axhline(0, color=GREY, linewidth=0.8)
    if len(profiles) > 1:
        low, high = np.percentile(profiles, [16, 84], axis=0)
        ax.fill_between(number, low, high, color=SKY, alpha=0.4, linewidth=0, label="68% of the rows")
    ax.plot(number, profiles.mean(axis=0), color=BLUE, label="mean" if len(profiles) > 1 else None)
    ax.set(title=f"{'sum over' if additive else 'mean of'} shells", xlabel="distance from the middle [cells]")
    ax.set_ylabel(value_label(explanation))
    if len(profiles) > 1:
        ax.legend()
    figure.suptitle(f"{explanation_title(explanation)}; slices at cell {middle} of the first row", fontsize=11)
    return figure

"""Explanations of models of a field in three dimensions."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.attribution.patches import shells
from zoo.interpret.elements import cell_side, positions
from zoo.interpret.plots.attribution import NOT_ADDITIVE, explanation_title, value_label
from zoo.interpret.plots.style import BLUE, GRAY, SKY, panels, styled, titled, with_unit


@styled
def attribution_over_cube(explanation: Explanation) -> Figure:
    """Slices through the middle of the first row and of its attribution, and the attribution of all rows by distance.

    Distances are from the cell at half of each axis. Contributions are summed over shells of one cell, which adds up to the
    change of the answer; derivatives and Grad-CAM are averaged.

    Parameters
    ----------
    explanation : Explanation
        An explanation of a tensor with three axes.

    Returns
    -------
    Figure
        The figure.
    """
    values = explanation.values
    along = explanation.along
    first, second, third = (positions(axis, size) for axis, size in zip(along, values.shape[1:], strict=True))
    middle = values.shape[1] // 2
    extent = [end for at in (second, third) for end in _edges(at.values)]
    figure, axes = panels(1, 3, (13.0, 4.2))
    for ax, field, title in (
        (axes[0, 0], explanation.inputs[0], with_unit(explanation.tensor, explanation.meta.get("unit"))),
        (axes[0, 1], values[0], value_label(explanation)),
    ):
        largest = np.abs(field[middle]).max() or 1.0
        image = ax.imshow(field[middle].T, origin="lower", cmap="RdBu_r", vmin=-largest, vmax=largest, extent=extent)
        ax.set(title=title, xlabel=_label(second.label), ylabel=_label(third.label))
        ax.grid(False)
        figure.colorbar(image, ax=ax, shrink=0.8)
    side, unit = cell_side(along)
    _profile(axes[0, 2], explanation, side, unit)
    where = f"{first.label.split(' [')[0]} = {first.values[middle]:.3g}" if along[0].coordinates else f"cell {middle}"
    titled(figure, f"{explanation_title(explanation)}; slices at {where} of the first row")
    return figure


def _profile(ax, explanation: Explanation, side: float, unit: str) -> None:
    """Sums or means over shells, of several rows their mean and the band that holds 68% of them."""
    values = explanation.values
    distance = shells(values.shape[1:]).ravel()
    additive = explanation.method not in NOT_ADDITIVE
    cells = np.ones(1) if additive else np.maximum(np.bincount(distance), 1)
    profiles = np.stack([np.bincount(distance, row) for row in values.reshape(len(values), -1)]) / cells
    at = side * np.arange(profiles.shape[1])
    ax.axhline(0, color=GRAY, linewidth=0.8)
    if len(profiles) > 1:
        low, high = np.percentile(profiles, [16, 84], axis=0)
        ax.fill_between(at, low, high, color=SKY, alpha=0.4, linewidth=0, label="68% of the rows")
    ax.plot(at, profiles.mean(axis=0), color=BLUE, label="mean" if len(profiles) > 1 else None)
    ax.set(title=f"{'sum over' if additive else 'mean of'} shells", xlabel=with_unit("distance from the middle", unit))
    ax.set_ylabel(value_label(explanation))
    if len(profiles) > 1:
        ax.legend()


def _edges(centers: np.ndarray) -> tuple[float, float]:
    """The outer edges of the first and the last cell."""
    half = (centers[-1] - centers[0]) / (len(centers) - 1) / 2 if len(centers) > 1 else 0.5
    return float(centers[0] - half), float(centers[-1] + half)


def _label(label: str) -> str:
    return label if "[" in label else f"{label} [cells]"

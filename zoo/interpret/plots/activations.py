"""What layers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.data.cmb.binning import CHANNELS, N_JOINT, SLICES, joint_multipoles
from zoo.interpret.plots.style import BLUE, COLOURS, GREY, SEQUENTIAL, one_panel, panels, styled

if TYPE_CHECKING:
    from zoo.interpret.attribution.activation_maximization import Maximised
    from zoo.interpret.attribution.activations import Embedding, FeatureMaps

MAPS = 16
"""Channels at most of one figure: those that vary most over space."""
ROWS = 64
"""Rows at most of a figure of units."""
ACROSS = 4


@styled
def feature_map_grid(maps: FeatureMaps) -> Figure:
    """Channels of the first row, of three dimensions the middle slice; units against rows where the layer has no space."""
    values = maps.values
    if values.ndim == 2:
        figure, ax = one_panel((8.0, 4.2))
        image = ax.imshow(values[:ROWS], aspect="auto", cmap=SEQUENTIAL, interpolation="nearest")
        ax.set(xlabel="unit", ylabel="row", title=f"{maps.model}: {maps.layer}")
        ax.grid(False)
        figure.colorbar(image, ax=ax, label="activation")
        return figure
    first = values[0] if values.ndim < 5 else values[0, values.shape[1] // 2]
    spread = first.std(axis=tuple(range(first.ndim - 1)))
    shown = np.sort(np.argsort(spread)[::-1][:MAPS])
    figure, axes = _grid(len(shown), 2.0)
    for ax, channel in zip(axes, shown, strict=False):
        field = first[..., channel]
        if field.ndim == 1:
            ax.plot(field, color=BLUE)
        else:
            image = ax.imshow(field.T, origin="lower", cmap=SEQUENTIAL, vmin=first.min(), vmax=first.max())
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        ax.set_title(f"channel {channel}", fontsize=8)
    if first.ndim > 2:
        figure.colorbar(image, ax=list(axes), label="activation", shrink=0.6)
    figure.suptitle(f"{maps.model}: {maps.layer}, first row" + (", middle slice" if values.ndim == 5 else ""), fontsize=11)
    return figure


@styled
def maximised_inputs(found: Maximised) -> Figure:
    """A panel for each unit: the input that excites it minus the one where the climb began; of cubes the middle slice."""
    changes = found.inputs - found.start
    figure, axes = _grid(len(changes), 2.6)
    largest = np.abs(changes).max() or 1.0
    for ax, unit, change, activation in zip(axes, found.units, changes, found.activation, strict=False):
        if change.ndim == 1:
            _curve(ax, change, found.tensor)
        else:
            field = change[len(change) // 2] if change.ndim == 3 and change.shape[-1] > 3 else change
            field = field.mean(axis=-1) if field.ndim == 3 else field
            image = ax.imshow(field.T, origin="lower", cmap="RdBu_r", vmin=-largest, vmax=largest)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        ax.set_title(f"unit {unit}: {activation[0]:.2g} to {activation[-1]:.2g}", fontsize=8)
    if found.start.ndim > 1:
        figure.colorbar(image, ax=list(axes), label=f"change of {found.tensor}", shrink=0.6)
    figure.suptitle(f"{found.model}: what excites {found.layer}, minus where it began ({found.tensor})", fontsize=11)
    return figure


def _curve(ax: Axes, change: np.ndarray, tensor: str) -> None:
    ax.axhline(0, color=GREY, linewidth=0.8)
    if tensor == "spectrum" and len(change) == N_JOINT:
        ell = joint_multipoles()
        for channel, colour in zip(CHANNELS, COLOURS, strict=False):
            ax.plot(ell[SLICES[channel]], change[SLICES[channel]], color=colour, linewidth=1, label=channel)
        ax.legend(fontsize=6)
        ax.set_xlabel(r"multipole $\ell$", fontsize=8)
    else:
        ax.plot(change, color=BLUE)


@styled
def embedding_by_quantity(embedding: Embedding) -> Figure:
    """A panel for each physical quantity, its colour; grey where a row has none."""
    quantities = embedding.truth or {"": np.full(len(embedding.points), np.nan)}
    figure, axes = _grid(len(quantities), 3.2)
    axis = "principal component" if embedding.method == "pca" else "t-SNE"
    for ax, (name, values) in zip(axes, quantities.items(), strict=False):
        known = np.isfinite(values)
        ax.scatter(*embedding.points[~known].T, s=5, color=GREY, linewidths=0, rasterized=True)
        if known.any():
            image = ax.scatter(*embedding.points[known].T, s=5, c=values[known], cmap=SEQUENTIAL, linewidths=0, rasterized=True)
            figure.colorbar(image, ax=ax, shrink=0.8)
        ax.set_title(name.replace("_", " "))
        ax.set(xlabel=f"{axis} 1", ylabel=f"{axis} 2")
    share = f" ({', '.join(f'{one:.0%}' for one in embedding.explained)} of the variance)" if embedding.explained else ""
    figure.suptitle(f"{embedding.model}: {embedding.layer}{share}", fontsize=11)
    return figure


def _grid(count: int, size: float) -> tuple[Figure, np.ndarray]:
    """So many axes, four across, and a figure of panels of ``size`` inches; those too many are blank."""
    across = min(count, ACROSS)
    down = -(-count // across)
    figure, axes = panels(down, across, (1.0 + size * 1.15 * across, 0.8 + size * down))
    for ax in axes.ravel()[count:]:
        ax.set_axis_off()
    return figure, axes.ravel()

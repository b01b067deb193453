"""What layers do."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.interpret.elements import layout, positions
from zoo.interpret.plots.style import BLUE, COLORS, GRAY, SEQUENTIAL, one_panel, panels, styled, titled, with_unit

if TYPE_CHECKING:
    from zoo.interpret.attribution.activation_maximization import Maximized
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
    titled(figure, f"{maps.model}: {maps.layer}, first row" + (", middle slice" if values.ndim == 5 else ""))
    return figure


@styled
def maximized_inputs(found: Maximized) -> Figure:
    """A panel for each unit: the input that excites it minus the one where the climb began; of cubes the middle slice."""
    changes = found.inputs - found.start
    figure, axes = _grid(len(changes), 2.6)
    largest = np.abs(changes).max() or 1.0
    for ax, unit, change, activation in zip(axes, found.units, changes, found.activation, strict=False):
        if change.ndim == 1:
            _curve(ax, change, found)
        else:
            field = change[len(change) // 2] if layout(found.along, change.shape) == "cube" else change
            field = field.mean(axis=-1) if field.ndim == 3 else field
            image = ax.imshow(field.T, origin="lower", cmap="RdBu_r", vmin=-largest, vmax=largest)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        ax.set_title(f"unit {unit}: {activation[0]:.2g} to {activation[-1]:.2g}", fontsize=8)
    label = with_unit(f"change of {found.tensor}", found.unit)
    if found.start.ndim > 1:
        figure.colorbar(image, ax=list(axes), label=label, shrink=0.6)
    else:
        figure.supylabel(label, fontsize=9)
    titled(figure, f"{found.model}: what excites {found.layer}, minus where it began")
    return figure


def _curve(ax: Axes, change: np.ndarray, found: Maximized) -> None:
    """A change along the only axis of a tensor, a curve for each group."""
    at = positions(found.along[0], len(change))
    ax.axhline(0, color=GRAY, linewidth=0.8)
    for (group, inside), color in zip(at.groups.items(), cycle(COLORS), strict=False):
        ax.plot(at.values[inside], change[inside], color=color, linewidth=1 if group else 1.6, label=group)
    if len(at.groups) > 1:
        ax.legend(fontsize=6)
    ax.set_xlabel(at.label, fontsize=8)


@styled
def embedding_by_quantity(embedding: Embedding) -> Figure:
    """A panel for each physical quantity, its color; gray where a row has none."""
    quantities = embedding.truth or {"": np.full(len(embedding.points), np.nan)}
    figure, axes = _grid(len(quantities), 3.2)
    axis = "principal component" if embedding.method == "pca" else "t-SNE"
    for ax, (name, values) in zip(axes, quantities.items(), strict=False):
        known = np.isfinite(values)
        ax.scatter(*embedding.points[~known].T, s=5, color=GRAY, linewidths=0, rasterized=True)
        if known.any():
            image = ax.scatter(*embedding.points[known].T, s=5, c=values[known], cmap=SEQUENTIAL, linewidths=0, rasterized=True)
            figure.colorbar(image, ax=ax, shrink=0.8)
        ax.set_title(name.replace("_", " "))
        ax.set(xlabel=f"{axis} 1", ylabel=f"{axis} 2")
    share = f" ({', '.join(f'{one:.0%}' for one in embedding.explained)} of the variance)" if embedding.explained else ""
    titled(figure, f"{embedding.model}: {embedding.layer}{share}")
    return figure


def _grid(count: int, size: float) -> tuple[Figure, np.ndarray]:
    """So many axes, four across, and a figure of panels of ``size`` inches; those too many are blank."""
    across = min(count, ACROSS)
    down = -(-count // across)
    figure, axes = panels(down, across, (1.0 + size * 1.15 * across, 0.8 + size * down))
    for ax in axes.ravel()[count:]:
        ax.set_axis_off()
    return figure, axes.ravel()

"""Images side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.elements import positions
from zoo.interpret.plots.attribution import LABEL, explanation_title, value_label
from zoo.interpret.plots.style import one_panel, panels, styled, titled, with_unit

GAP = 2
"""White pixels between images."""
SKEWED = 10
"""How many times nine in ten values the largest has to be for colors to be logarithmic."""
SHOWN = 6
"""Images at most beside their attribution."""


@styled
def attribution_over_image(explanation: Explanation) -> Figure:
    """The first images above their attributions, summed over channels.

    Parameters
    ----------
    explanation : Explanation
        An explanation of a tensor of rows and columns, with or without channels.

    Returns
    -------
    Figure
        The figure.
    """
    values = explanation.values[:SHOWN]
    values = values.sum(axis=-1) if values.ndim == 4 else values
    figure, axes = panels(2, len(values), (1.0 + 2.2 * len(values), 4.6))
    largest = np.abs(values).max() or 1.0
    for upper, lower, image, value in zip(*axes, explanation.inputs, values, strict=False):
        upper.imshow(np.clip(image.squeeze(), 0, 1), cmap="gray")
        mapped = lower.imshow(value, cmap="RdBu_r", vmin=-largest, vmax=largest)
        for ax in (upper, lower):
            ax.grid(False)
            ax.set(xticks=[], yticks=[])
    figure.colorbar(mapped, ax=list(axes[1]), label="\n".join(textwrap.wrap(value_label(explanation), LABEL)))
    titled(figure, explanation_title(explanation))
    return figure


@styled
def attribution_over_map(explanation: Explanation) -> Figure:
    """The first row of a tensor with two axes, such as particles and their features, beside its attribution.

    Parameters
    ----------
    explanation : Explanation
        An explanation of a tensor with two axes.

    Returns
    -------
    Figure
        The figure.
    """
    down, across = (positions(axis, n) for axis, n in zip(explanation.along, explanation.inputs.shape[1:], strict=True))
    figure, axes = panels(1, 2, (11.0, 4.8), sharey=True)
    told = with_unit(explanation.tensor, explanation.meta.get("unit"))
    for ax, values, label in zip(
        axes[0], (explanation.inputs[0], explanation.values[0]), (told, value_label(explanation)), strict=True
    ):
        image = ax.imshow(values, cmap="RdBu_r", norm=_both_signs(values), aspect="auto", interpolation="nearest")
        ax.grid(False)
        ax.set(xlabel=_in_cells(across.label))
        if across.ticks is not None:
            ax.set_xticks(range(len(across.ticks)), across.ticks, rotation=40, ha="right")
        figure.colorbar(image, ax=ax, label=label, ticks=_powers(image.norm))
    axes[0, 0].set_ylabel(_in_cells(down.label))
    titled(figure, f"{explanation_title(explanation)}; the first row")
    return figure


def _in_cells(label: str) -> str:
    """The label of an axis, of one in space without coordinates with what it counts."""
    return f"{label} [cells]" if label in ("x", "y", "z") else label


def _both_signs(values: np.ndarray) -> Normalize:
    """Colors from minus to plus the largest value; logarithmic where a few values are far above all others."""
    size = np.abs(values)
    largest, usual = size.max() or 1.0, np.quantile(size, 0.9)
    if usual > 0 and largest > SKEWED * usual:
        return SymLogNorm(usual, vmin=-largest, vmax=largest)
    return Normalize(-largest, largest)


def _powers(norm: Normalize) -> list[float] | None:
    """Powers of ten of both signs, and zero, where colors are logarithmic; None where they are not."""
    if not isinstance(norm, SymLogNorm) or norm.vmax is None:
        return None
    powers = 10.0 ** np.arange(np.ceil(np.log10(norm.linthresh)), np.floor(np.log10(norm.vmax)) + 1)
    return [*-powers[::-1], 0.0, *powers]


@styled
def image_grid(images: np.ndarray, labels: Sequence[str] = (), title: str = "") -> Figure:
    """A row of images for each label, such as what one factor or one latent changes; a pixel of an image is one of the figure.

    Parameters
    ----------
    images : ndarray
        Images in [0, 1], of shape (rows, columns, height, width, 3); those that are NaN throughout are left blank.
    labels : sequence of str
        Labels, one a row, or none.

    Raises
    ------
    InputError
        If the images have another shape or values outside [0, 1], or the labels another number.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 5 or images.shape[-1] != 3 or not images.size:
        raise InputError(f"images: expected shape (rows, columns, height, width, 3), given {images.shape}")
    if labels and len(labels) != len(images):
        raise InputError(f"labels: expected {len(images)}, one a row, given {len(labels)}")
    blank = np.isnan(images).all(axis=(2, 3, 4))
    shown = np.where(blank[:, :, None, None, None], 1, images)
    if not np.all((shown >= 0) & (shown <= 1)):
        raise InputError(f"images: expected values in [0, 1], given {np.min(shown):g} to {np.max(shown):g}")
    rows, columns, height, width, _ = shown.shape
    edged = np.pad(shown, ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=1)
    mosaic = edged.transpose(0, 2, 1, 3, 4).reshape(rows * (height + GAP), columns * (width + GAP), 3)[:-GAP, :-GAP]
    # A margin for the labels, and of the panel just what the pixels need at 100 dots an inch.
    left, top = (0.2 + 0.085 * max(map(len, labels)) if labels else 0.1), 0.35 if title else 0.1
    tall, wide = (side / 100 for side in mosaic.shape[:2])
    size = left + wide + 0.1, top + tall + 0.1
    figure, ax = one_panel(size)
    figure.set_layout_engine("none")
    ax.set_position((left / size[0], 0.1 / size[1], wide / size[0], tall / size[1]))
    ax.imshow(mosaic, interpolation="nearest", aspect="auto")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([(height + GAP) * row + height / 2 for row in range(rows)] if labels else [], labels or None)
    ax.tick_params(length=0)
    ax.set_title(title)
    return figure

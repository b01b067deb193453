"""What latents do, and which physical quantities they carry."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.interpret.latents.traversal import DEAD, Traversal
from zoo.interpret.plots.axes import log_x
from zoo.interpret.plots.images import image_grid
from zoo.interpret.plots.style import SEQUENTIAL, UNITS, panels, styled

IDLE = 0.02
"""A latent that moves the answer by less than this fraction of the most effective one is called dead."""
POINTS = 4000
"""Most points of one scatter plot."""


@styled
def latent_traversal(traversal: Traversal) -> Figure:
    """What the decoder answers as one latent moves; latents without effect are labeled dead.

    Curves have one panel a latent, bands of one deviation around the middle and outer ones where the decoder gives it, and
    queries outside the trained range shaded. Images have one row a latent.

    Raises
    ------
    InputError
        If the answers are neither images nor one number for each one-element query.
    """
    shape, query = traversal.decoded.shape, traversal.query
    if traversal.images:
        return _images(traversal)
    if query is None or query.shape[1] != 1 or np.prod(shape[3:]) != 1:
        raise InputError(f"expected images, or one number for each one-element query to draw curves, given {shape}")
    curves = traversal.decoded.reshape(shape[:3])
    bands = None if traversal.scale is None else traversal.scale.reshape(shape[:3])
    color = mpl.colormaps[SEQUENTIAL]
    levels, label = _levels(traversal)
    scale = Normalize(levels.min(), levels.max())
    figure, axes = panels(1, len(curves), (0.8 + 3.6 * len(curves), 3.6), sharex=True, sharey=True)
    banded = {0, len(levels) // 2, len(levels) - 1}
    for i, (ax, dead) in enumerate(zip(axes[0], _dead(traversal), strict=True)):
        for j, value in enumerate(levels):
            ax.plot(query[:, 0], curves[i, j], color=color(scale(value)), linewidth=1.3)
            if bands is not None and j in banded:
                ax.fill_between(
                    query[:, 0],
                    *(curves[i, j] + sign * bands[i, j] for sign in (-1, 1)),
                    color=color(scale(value)),
                    alpha=0.15,
                    linewidth=0,
                )
        ax.set_title(f"latent {traversal.latents[i]}: " + ("dead" if dead else f"changes of up to {traversal.effect[i]:.2g}"))
        ax.set_xlabel(_typeset(traversal.query_label))
        _shade_untrained(ax, traversal)
    if traversal.logarithmic:
        log_x(axes[0, 0])
    axes[0, 0].set_ylabel(_typeset(traversal.answer_label))
    mapped = mpl.cm.ScalarMappable(norm=scale, cmap=color)
    figure.colorbar(mapped, ax=list(axes[0]), label=label, pad=0.01)
    return figure


def _levels(traversal: Traversal) -> tuple[np.ndarray, str]:
    """What the columns (g,) of the grid are called, the same for all latents."""
    if traversal.quantiles is not None:
        return traversal.quantiles, "quantile of the latent, of encoded rows"
    return np.atleast_2d(traversal.grid)[0], "value of the latent [prior $\\sigma$]"


def _images(traversal: Traversal) -> Figure:
    labels = [f"latent {i}" + (", dead" if dead else "") for i, dead in zip(traversal.latents, _dead(traversal), strict=True)]
    levels, label = _levels(traversal)
    pictures = traversal.decoded if traversal.decoded.ndim == 5 else traversal.decoded[..., None]
    return image_grid(
        np.broadcast_to(pictures, (*pictures.shape[:-1], 3)),
        labels,
        f"one latent at a time, {label}: {levels[0]:.2f} to {levels[-1]:.2f}",
    )


def _dead(traversal: Traversal) -> np.ndarray:
    return traversal.effect < IDLE * traversal.effect.max()


def _shade_untrained(ax: Axes, traversal: Traversal) -> None:
    """Gray over the queries on either side of the trained range."""
    if traversal.query is None or traversal.trained is None:
        return
    (low,), (high,) = traversal.trained
    first, last = traversal.query.min(), traversal.query.max()
    beyond = [(a, b) for a, b in ((first, low), (high, last)) if a < b]
    for a, b in beyond:
        shade = ax.axvspan(a, b, color="0.9", zorder=0)
    if beyond:
        ax.legend([shade], ["extrapolated"])


@styled
def latents_against_parameters(mean: np.ndarray, parameters: Mapping[str, np.ndarray], kl: np.ndarray) -> Figure:
    """Each latent against each physical parameter, colored by the next parameter; dead latents are labeled.

    Parameters
    ----------
    mean : ndarray
        Posterior means, of shape (n, latents).
    parameters : mapping of str to ndarray
        Parameters by name, of shape (n,).
    kl : ndarray
        KL of each latent, nat, of shape (latents,).
    """
    names = list(parameters)
    shown = np.random.default_rng(0).permutation(len(mean))[:POINTS]
    figure, axes = panels(mean.shape[1], len(names), (0.6 + 3.7 * len(names), 0.5 + 2.6 * mean.shape[1]), sharex="col")
    for i, row in enumerate(axes):
        for j, (name, ax) in enumerate(zip(names, row, strict=True)):
            other = names[(j + 1) % len(names)]
            points = ax.scatter(
                parameters[name][shown],
                mean[shown, i],
                c=parameters[other][shown],
                s=3,
                alpha=0.7,
                linewidths=0,
                cmap=SEQUENTIAL,
                rasterized=True,
            )
            if len(names) > 1:
                figure.colorbar(points, ax=ax, label=other, pad=0.01)
            if kl[i] <= DEAD:  # its rounding errors must not fill the panel
                ax.set_ylim(-3, 3)
        row[0].set_ylabel(f"latent {i}\nKL {kl[i]:.2f} nat" + (", dead" if kl[i] <= DEAD else ""))
    for name, ax in zip(names, axes[-1], strict=True):
        ax.set_xlabel(name)
    return figure


def _typeset(label: str) -> str:
    for plain, mathematical in UNITS.items():
        label = label.replace(plain, mathematical)
    return label

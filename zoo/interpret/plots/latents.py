"""What latents do, and which physical quantities they carry."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.interpret.information import MutualInformation
from zoo.interpret.latents import DEAD, Traversal
from zoo.interpret.plots.style import SEQUENTIAL, UNITS, panels, styled

IDLE = 0.02
"""A latent that moves the answer by less than this fraction of the most effective one is called dead."""
POINTS = 4000
"""Most points of one scatter plot."""


@styled
def latent_traversal(traversal: Traversal) -> Figure:
    """The decoded curve as one latent moves, one panel a latent; latents without effect are labelled dead.

    Raises
    ------
    InputError
        If the answers are not curves: one number for each one-element query.
    """
    curves = traversal.decoded.reshape(*traversal.decoded.shape[:3], -1)
    if traversal.query is None or traversal.query.shape[1] != 1 or curves.shape[-1] != 1:
        raise InputError(f"expected one number for each one-element query to draw curves, given {traversal.decoded.shape}")
    colour = mpl.colormaps[SEQUENTIAL]
    scale = Normalize(traversal.grid.min(), traversal.grid.max())
    figure, axes = panels(1, len(traversal.latents), (0.8 + 3.6 * len(traversal.latents), 3.6), sharey=True)
    for i, ax in enumerate(axes[0]):
        for value, curve in zip(traversal.grid, curves[i, :, :, 0], strict=True):
            ax.plot(traversal.query[:, 0], curve, color=colour(scale(value)), linewidth=1.3)
        dead = traversal.effect[i] < IDLE * traversal.effect.max()
        ax.set_title(f"latent {traversal.latents[i]}: " + ("dead" if dead else f"changes of up to {traversal.effect[i]:.2g}"))
        ax.set_xlabel(_typeset(traversal.query_label))
    axes[0, 0].set_ylabel(_typeset(traversal.answer_label))
    mapped = mpl.cm.ScalarMappable(norm=scale, cmap=colour)
    figure.colorbar(mapped, ax=list(axes[0]), label="value of the latent [prior $\\sigma$]", pad=0.01)
    return figure


@styled
def latents_against_parameters(mean: np.ndarray, parameters: Mapping[str, np.ndarray], kl: np.ndarray) -> Figure:
    """Each latent against each physical parameter, coloured by the next parameter; dead latents are labelled.

    Parameters
    ----------
    mean : (n, latents) posterior means
    parameters : name -> (n,)
    kl : (latents,) KL of each latent, nat
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


@styled
def information_heat_map(information: Mapping[tuple[str, str], MutualInformation]) -> Figure:
    """Mutual information of each pair with its standard error, in nat."""
    rows, columns = (list(dict.fromkeys(pair[k] for pair in information)) for k in (0, 1))
    values = np.array([[information[row, column].value for column in columns] for row in rows])
    figure, axes = panels(1, 1, (1.9 + 1.25 * len(columns), 1.3 + 0.75 * len(rows)))
    ax = axes[0, 0]
    top = max(float(values.max()), 0.1)
    image = ax.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=top, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        colour = "black" if value > 0.6 * top else "white"
        found = information[rows[i], columns[j]]
        ax.text(j, i, f"{found.value:.2f}\n$\\pm$ {found.error:.1g}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)
    figure.colorbar(image, label="mutual information [nat]")
    return figure


def _typeset(label: str) -> str:
    for plain, mathematical in UNITS.items():
        label = label.replace(plain, mathematical)
    return label

"""How much latents tell of physical quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.interpret.latents.information import MutualInformation
from zoo.interpret.latents.traversal import spans_decade
from zoo.interpret.plots.axes import log_x
from zoo.interpret.plots.style import COLORS, GRAY, MARKERS, SEQUENTIAL, one_panel, panels, styled

LABEL = 14
"""Letters of a quantity's name on a line, which a column of the map is wide."""


@styled
def information_heat_map(information: Mapping[tuple[str, str], MutualInformation]) -> Figure:
    """Mutual information of each pair with its standard error, rounded up to a hundredth, in nat."""
    rows, columns = (list(dict.fromkeys(pair[k] for pair in information)) for k in (0, 1))
    values = np.array([[information[row, column].value for column in columns] for row in rows])
    figure, axes = panels(1, 1, (1.9 + 1.25 * len(columns), 1.3 + 0.75 * len(rows)))
    ax = axes[0, 0]
    top = max(float(values.max()), 0.1)
    image = ax.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=top, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        color = "black" if value > 0.6 * top else "white"
        found = information[rows[i], columns[j]]
        ax.text(
            j,
            i,
            f"{round(found.value, 2) + 0.0:.2f}\n$\\pm$ {np.ceil(round(100 * found.error, 6)) / 100:.2f}",
            ha="center",
            va="center",
            color=color,
        )
    ax.set_xticks(range(len(columns)), [fill(column, LABEL) for column in columns])
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)
    figure.colorbar(image, label="mutual information [nat]")
    return figure


@styled
def information_along_query(
    query: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    label: str,
    boundary: float | None = None,
    names: Sequence[str] = (),
) -> Figure:
    """Mutual information of each latent with a profile at each query, with its standard error as a band.

    Figure 4 of Lucie-Smith et al. 2022 (arXiv:2203.08827). `zoo.interpret.information_profile` gives values and errors.

    Parameters
    ----------
    query : ndarray
        Queries of shape (q,), on a logarithmic axis if they are above zero over a decade or more.
    values, errors : ndarray
        Information and its error in nat, of shape (latents, q).
    label : str
        Label of the query.
    boundary : float, optional
        Query at which a line is drawn, R200m say.
    names : sequence of str
        Names of the latents, by default "latent 0" and so on.

    Raises
    ------
    InputError
        Shapes that do not fit.
    """
    query, values, errors = (np.asarray(array, dtype=float) for array in (query, values, errors))
    names = names or [f"latent {i}" for i in range(len(values))]
    if query.ndim != 1 or not query.size or values.shape != (len(names), query.size) or errors.shape != values.shape:
        raise InputError(
            "expected queries (q,), and values and errors of shape (latents, q), a name each,"
            f" given {query.shape}, {values.shape}, {errors.shape} and {len(names)} names"
        )
    figure, ax = one_panel()
    for i, name in enumerate(names):
        color = COLORS[i % len(COLORS)]
        ax.plot(query, values[i], color=color, marker=MARKERS[i % len(MARKERS)], markersize=4, label=name)
        ax.fill_between(query, values[i] - errors[i], values[i] + errors[i], color=color, alpha=0.25, linewidth=0)
    if boundary is not None:
        ax.axvline(boundary, color=GRAY, linestyle="--", linewidth=1)
    if spans_decade(float(query.min()), float(query.max())):
        log_x(ax)
    ax.set_ylim(bottom=min(0.0, float((values - errors).min())))
    ax.set_xlabel(label)
    ax.set_ylabel("mutual information with the profile [nat]")
    ax.legend()
    return figure

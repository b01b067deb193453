"""Jets in the plane of rapidity and azimuth about their axis, as their particles contribute, are attended to or filtered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zoo.errors import InputError
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.elements import MOMENTUM
from zoo.interpret.plots.attribution import NOT_ADDITIVE, explanation_title, value_label
from zoo.interpret.plots.style import GRAY, SEQUENTIAL, panels, styled, titled

if TYPE_CHECKING:
    from zoo.interpret.attribution.clouds import Attention, Filters

MOST = 6
"""Jets in one figure."""
AREA = 300.0
"""Area of the marker of a particle with all of the transverse momentum of its jet, in square points."""
LEAST = 6.0
HALF = 0.5
"""Share of its largest value at which a filter is outlined."""
_AXES = ("$y - y_\\mathrm{jet}$", "$\\phi - \\phi_\\mathrm{jet}$ [rad]")


@styled
def attribution_over_cloud(explanation: Explanation) -> Figure:
    """What each particle of a jet contributes, the sum over its components; of a derivative, that by its transverse momentum.

    Parameters
    ----------
    explanation : Explanation
        An explanation of momenta of particles; up to six of its rows are drawn.

    Returns
    -------
    Figure
        A panel for each jet. The area of a marker is the share of the transverse momentum.

    Raises
    ------
    InputError
        No jet has a particle.
    """
    derivative = explanation.method in NOT_ADDITIVE
    values = explanation.values[..., MOMENTUM.index("pt")] if derivative else explanation.values.sum(axis=-1)
    real = np.ones(values.shape, bool) if explanation.real is None else explanation.real
    if not real.any():
        raise InputError("expected a jet with particles to draw, given none")
    most = float(np.abs(values[real]).max()) or 1.0
    count = min(len(values), MOST)
    columns = min(count, 3)
    figure, axes = panels(-(-count // columns), columns, (1.2 + 3.6 * columns, 0.9 + 3.4 * -(-count // columns)))
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    scale = Normalize(-most, most)
    for row, ax in zip(range(count), axes.flat, strict=False):
        _jet(ax, explanation.inputs[row], real[row], values[row], "RdBu_r", scale)
        ax.set_title(f"{explanation.answered} {explanation.answer[row]:.3g}", loc="left")
    label = value_label(explanation) if not derivative else f"gradient of {explanation.answered} by pT [1 / GeV]"
    figure.colorbar(ScalarMappable(scale, "RdBu_r"), ax=axes, label=label)
    titled(figure, explanation_title(explanation))
    return figure


@styled
def attention_of_class_token(attention: Attention) -> Figure:
    """What the class token attends to in the first jet: a row for each block, a column for each head.

    Parameters
    ----------
    attention : Attention
        The weights.

    Returns
    -------
    Figure
        A panel for each block and head, of one color scale.
    """
    _, _, blocks, heads = attention.values.shape
    figure, axes = panels(blocks, heads, (1.2 + 2.4 * heads, 0.9 + 2.4 * blocks), sharex=True, sharey=True)
    real = attention.real[0]
    scale = Normalize(0, float(attention.values[0][real].max(initial=0.0)) or 1.0)
    for (block, head), ax in np.ndenumerate(axes):
        values = attention.values[0, :, block, head]
        _jet(ax, attention.particles[0], real, values, SEQUENTIAL, scale, labels=False)
        ax.set_title(f"block {block}, head {head}: {values.sum():.0%}", loc="left", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel(_AXES[0])
    for ax in axes[:, 0]:
        ax.set_ylabel(_AXES[1])
    figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=axes, label="share of the class token's attention")
    titled(figure, f"{attention.model}: attention of the class token to particles")
    return figure


@styled
def filters_over_plane(filters: Filters) -> Figure:
    """Each filter where it is at least half of its largest value, as in figure 13 of arXiv:1810.05165.

    Parameters
    ----------
    filters : Filters
        Their values on a grid.

    Returns
    -------
    Figure
        One panel. Filters that are nowhere above zero are left out.
    """
    figure, axes = panels(1, 1, (6.4, 5.6))
    ax = axes[0, 0]
    colors = mpl.colormaps[SEQUENTIAL]
    alive = [k for k in range(filters.values.shape[-1]) if filters.values[..., k].max() > 0]
    for number, k in enumerate(alive):
        values = filters.values[..., k]
        color = colors(number / max(len(alive) - 1, 1))
        ax.contour(filters.y, filters.phi, values.T, [HALF * values.max()], colors=[color], linewidths=0.9)
    _label(ax)
    dead = filters.values.shape[-1] - len(alive)
    ax.legend([Line2D([], [], color=GRAY)], ["half of the largest value"], loc="upper right")
    said = f", {dead} of {len(alive) + dead} filters are zero everywhere" if dead else f", {len(alive)} filters"
    titled(figure, f"{filters.model}: what it makes of directions{said}")
    return figure


def _jet(
    ax: Axes, particles: np.ndarray, real: np.ndarray, values: np.ndarray, cmap: str, scale: Normalize, labels: bool = True
) -> None:
    """Particles (particle, 3) about the axis of their jet, the softest below."""
    pt, y, phi = particles[real].astype(np.float64).T
    total = max(float(pt.sum()), 1e-12)
    dy = y - np.sum(pt * y) / total
    dphi = np.angle(np.exp(1j * phi) * np.conj(np.sum(pt * np.exp(1j * phi)))) if len(pt) else phi
    order = np.argsort(pt)
    area = LEAST + AREA * pt[order] / total
    ax.scatter(dy[order], dphi[order], area, values[real][order], cmap=cmap, norm=scale, edgecolors=GRAY, linewidths=0.4)
    if labels:
        _label(ax)


def _label(ax: Axes, names: Sequence[str] = _AXES) -> None:
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])

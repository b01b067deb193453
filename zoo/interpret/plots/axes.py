"""Axes that figures share."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from zoo.interpret.elements import Positions

TICKS = 40
"""Labels at most that are written along an axis."""


def log_x(ax: Axes) -> None:
    """Give a panel a logarithmic axis of a decade or a few, with plain numbers at 1, 2 and 5.

    Parameters
    ----------
    ax : Axes
        The panel.
    """
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def label_elements(ax: Axes, at: Positions) -> None:
    """Name the horizontal axis after that of a tensor, and write the labels of its elements where it has some.

    Parameters
    ----------
    ax : Axes
        The panel.
    at : Positions
        Where the elements are drawn.
    """
    ax.set_xlabel(at.label)
    if at.ticks is not None and len(at.ticks) <= TICKS:
        crowded = sum(max(map(len, tick.split("\n"))) for tick in at.ticks) > 2 * TICKS
        ax.set_xticks(at.values, at.ticks, rotation=40 if crowded else 0, ha="right" if crowded else "center")

"""One look for all figures, legible at 100 dots an inch and without color vision."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.interpret.inline_picture import inline_picture

F = TypeVar("F", bound=Callable[..., Figure])

BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
"""Okabe and Ito's palette, distinct in all common forms of color blindness."""
COLORS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, "0.35")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "d", "<", ">")
GRAY = "0.45"
SEQUENTIAL = "viridis"

UNITS = {"muK^2": r"$\mu\mathrm{K}^2$"}
"""Units of cards that are typeset."""

METHOD_TITLES = {"smoothgrad": "SmoothGrad", "grad_cam": "Grad-CAM", "shap": "SHAP", "lime": "LIME"}

_RC: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
}


def styled(function: F) -> F:
    """Draw a figure in the common style and leave the user's own settings alone."""

    @functools.wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Figure:
        with rc_context(_RC):
            return function(*args, **kwargs)

    return draw  # type: ignore[return-value]


def with_unit(name: str, unit: str | None) -> str:
    """A name with its unit in brackets, typeset where it can be.

    Parameters
    ----------
    name : str
        The name of a quantity.
    unit : str or None
        Its unit; "1" for a dimensionless quantity, which has no brackets.

    Returns
    -------
    str
        The label.
    """
    if not unit or unit == "1":
        return name
    return f"{name} [{UNITS.get(unit, unit)}]"


def method_title(method: str) -> str:
    """A method's name for people."""
    return METHOD_TITLES.get(method, method.replace("_", " "))


class ShownFigure(Figure):
    """A figure that a notebook shows without ``%matplotlib inline``."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png")
        return drawn.getvalue()


class Figures(dict[str, Figure]):
    """Figures by name, which a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        drawn = {name: figure for name, figure in self.items() if isinstance(figure, ShownFigure)}
        return "\n".join(inline_picture(name, figure._repr_png_()) for name, figure in drawn.items())


def panels(rows: int, columns: int, size: tuple[float, float], **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A figure of ``size`` inches and its (rows, columns) axes."""
    figure = ShownFigure(figsize=size, dpi=100, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def one_panel(size: tuple[float, float] = (5.6, 4.4)) -> tuple[Figure, Axes]:
    """A figure with a single panel."""
    figure, axes = panels(1, 1, size)
    return figure, axes[0, 0]


def titled(figure: Figure, title: str) -> None:
    """Write a title over all panels, in as many lines as the figure is narrow.

    Parameters
    ----------
    figure : Figure
        The figure.
    title : str
        The title; its own lines stay apart.
    """
    width = int(12 * figure.get_figwidth())  # letters of this size to an inch, as wide as they are on average
    figure.suptitle("\n".join(textwrap.fill(line, width) for line in title.split("\n")), fontsize=11)

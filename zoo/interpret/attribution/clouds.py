"""What is inside of networks of particle clouds: filters of directions, and the attention of a class token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ExplanationError, InputError
from zoo.interpret.attribution.scalar_output import name_of
from zoo.interpret.methods import Asked, explanation_method
from zoo.interpret.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 101
"""Points of the grid along each side."""


@dataclass(frozen=True, eq=False)
class Filters(Result):
    """What an energy flow network makes of directions from the axis of a jet.

    Attributes
    ----------
    values : ndarray
        Filters on the grid, of shape (y, phi, filters).
    y : ndarray
        Rapidity less that of the axis, of shape (y,).
    phi : ndarray
        Azimuth less that of the axis in rad, of shape (phi,).
    model : str
        Name of the model.
    """

    values: np.ndarray
    y: np.ndarray
    phi: np.ndarray
    model: str

    def plot(self) -> Figure:
        """The outline of each filter."""
        from zoo.interpret import plots

        return plots.filters_over_plane(self)


@dataclass(frozen=True, eq=False)
class Attention(Result):
    """What the class token of a transformer attends to.

    Attributes
    ----------
    values : ndarray
        Share of the attention that each particle has, of shape (n, particle, block, head).
    particles : ndarray
        The momenta: pT in GeV, rapidity, azimuth in rad, of shape (n, particle, 3).
    real : ndarray
        Which elements are particles, of shape (n, particle).
    model : str
        Name of the model.
    """

    values: np.ndarray
    particles: np.ndarray
    real: np.ndarray
    model: str

    def plot(self) -> Figure:
        """The first jet, in a panel for each block and head."""
        from zoo.interpret import plots

        return plots.attention_of_class_token(self)


def _has(endpoint: str) -> Any:
    def requires(model: Any, method: str) -> None:
        if endpoint not in model.endpoints:
            raise ExplanationError(f"method {method!r} needs the endpoint {endpoint}, which {type(model).__name__} has not")

    return requires


@explanation_method(
    "filters", "what an energy flow network makes of directions", kind="global", asks="nothing", requires=_has("filters")
)
def _filters(asked: Asked, *, extent: float = 0.4) -> Filters:
    return filters(asked.model, extent=extent)


def filters(model: Any, *, extent: float = 0.4) -> Filters:
    """What an energy flow network, whose answer depends on sums of these alone, makes of directions.

    Parameters
    ----------
    model : EndpointModel
        A model with an endpoint `filters` of directions (dy, dphi).
    extent : float
        Largest distance from the axis in either direction, such as the radius of the jets.

    Returns
    -------
    Filters
        The filters on a grid.

    Raises
    ------
    InputError
        The extent is not positive.
    ExplanationError
        The model has no filters.
    """
    from zoo.families.batches import in_batches

    _has("filters")(model, "filters")
    if not 0 < extent < np.inf:
        raise InputError(f"extent: expected a positive distance from the axis, given {extent}")
    side = np.linspace(-extent, extent, POINTS, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    found = in_batches(model.filters, grid)
    return Filters(found.reshape(POINTS, POINTS, -1), side, side, name_of(model))


@explanation_method(
    "attention",
    "particles that the class token of a transformer attends to",
    kind="global",
    requires=_has("attention"),
    endpoint="attention",
)
def _attention(asked: Asked) -> Attention:
    from zoo.families.batches import in_batches

    given = dict(asked.inputs)
    found = in_batches(asked.model.attention, *given.values())
    particles, *_, real = given.values()
    return Attention(found, np.asarray(particles), np.asarray(real), name_of(asked.model))

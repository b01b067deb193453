"""Named axes of a tensor: how long they are, and what their elements stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

TensorName = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$", max_length=60)]
Length = Annotated[int, Field(gt=0)]
BATCH = "batch"
"""The first axis of every tensor, which a spec leaves out; no other axis may have this name."""


class Strict(BaseModel):
    """A frozen model that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # a list of models needs few of the schemas


class Coordinates(Strict):
    """Where the elements of an axis lie, such as multipoles, radii or times."""

    values: list[float]
    """One coordinate for each element."""
    unit: str
    """The physical unit of the values, "1" for dimensionless."""


class Axis(Strict):
    """One axis of a tensor.

    An axis has a fixed ``size``, or is free between ``least`` and ``most``. Axes of one name have one length within an
    endpoint, and a free axis gives its name to the dimension in the ONNX graph.
    """

    name: TensorName
    size: Length | None = None
    """Number of elements; None for an axis that is free."""
    least: Length | None = None
    """The fewest elements that a free axis may have."""
    most: Length | None = None
    """The most elements that a free axis may have."""
    labels: list[str] | None = None
    """Names of the elements, such as classes or parameters."""
    units: list[str] | None = None
    """Units of the elements, where they differ."""
    coordinates: Coordinates | None = None
    """Positions of the elements, where they lie along something that is measured."""
    groups: dict[str, tuple[int, int]] | None = None
    """Named ranges of elements: the first, and one past the last."""

    @model_validator(mode="after")
    def _is_fixed_or_free(self) -> Axis:
        if self.name == BATCH:
            raise ValueError(f"an axis may not be called {BATCH!r}, as the first axis of every tensor is")
        if self.size is None:
            if self.least is None or self.most is None or self.least > self.most:
                raise ValueError(f"axis {self.name}: expected a size, or least <= most, given {self.least} and {self.most}")
        elif self.least is not None or self.most is not None:
            raise ValueError(f"axis {self.name}: expected a size or least and most, given both")
        return self

    @model_validator(mode="after")
    def _elements_fit(self) -> Axis:
        coordinates = None if self.coordinates is None else self.coordinates.values
        for what, given in (("labels", self.labels), ("units", self.units), ("coordinates", coordinates)):
            if given is not None and len(given) != self.size:
                raise ValueError(f"axis {self.name}: {len(given)} {what} for {self.length}")
        for group, (start, stop) in (self.groups or {}).items():
            if self.size is None or not 0 <= start < stop <= self.size:
                raise ValueError(f"axis {self.name}: group {group} from {start} to {stop} for {self.length}")
        return self

    @property
    def free(self) -> bool:
        """Whether the axis may have any length between ``least`` and ``most``."""
        return self.size is None

    @property
    def length(self) -> str:
        """The length in words, such as ``215 elements`` or ``1 to 128 elements``."""
        return f"{self.least} to {self.most} elements" if self.size is None else f"{self.size} elements"

    @property
    def extent(self) -> str:
        """The length as it stands in a shape, such as ``215`` or ``particle 1-128``."""
        return f"{self.name} {self.least}-{self.most}" if self.size is None else str(self.size)

    def admits(self, size: int) -> bool:
        """Whether a tensor may have this many elements along the axis."""
        if self.size is not None:
            return size == self.size
        return (self.least or 1) <= size <= (self.most or size)


def cell_axes(size: int, first: float, cell: float, unit: str) -> dict[str, Axis]:
    """The three axes of a cube, with the centers of its cells.

    Parameters
    ----------
    size : int
        Cells along a side.
    first : float
        The center of the first cell.
    cell : float
        The side of a cell.
    unit : str
        The unit of both.

    Returns
    -------
    dict of str to Axis
        The axes x, y and z.
    """
    centers = Coordinates(values=[first + cell * number for number in range(size)], unit=unit)
    return {name: Axis(name=name, size=size, coordinates=centers) for name in "xyz"}


def fixed_axes(tensor: str, shape: Sequence[int], labels: Sequence[str] | None = None) -> list[Axis]:
    """Axes of fixed sizes that nothing more is known of, named after their tensor.

    Parameters
    ----------
    tensor : str
        Name of the tensor, with which the names of the axes begin.
    shape : sequence of int
        Sizes of the axes after the batch.
    labels : sequence of str, optional
        Names of the elements of the last axis.

    Returns
    -------
    list of Axis
        One axis for each size.
    """
    axes = [Axis(name=f"{tensor}_{position}"[-60:], size=size) for position, size in enumerate(shape)]
    if labels is not None:
        axes[-1] = axes[-1].model_copy(update={"labels": list(labels)})
    return axes

"""What the elements of a tensor stand for, as its axes tell: names, positions, groups, an image or a cube.

Figures, features and reports read this and nothing else of a model's domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoo.errors import UnknownNameError
from zoo.model.axes import Axis
from zoo.model.spec import Tensor

IMAGE, COLOR, SPACE = ("row", "column"), "channel", ("x", "y", "z")
"""Names of the axes of an image, of its colors, and of a cube."""
MOMENTUM = ("pt", "y", "phi")
"""Labels of the components of a particle's momentum: transverse, rapidity, azimuth."""
Layout = Literal["curve", "image", "cube", "cloud", "other"]
FILLED = 0.87
"""Width of a bar over the distance to its neighbor."""


@dataclass(frozen=True)
class Positions:
    """Where the elements of one axis are drawn.

    Attributes
    ----------
    values : ndarray
        The coordinate of each element, or its number where the axis has none.
    label : str
        Name of the axis with the unit of the coordinates.
    groups : dict of str to slice
        Named ranges of elements in their order; one without a name where the axis has none.
    ticks : list of str, optional
        Names of the elements, where the axis has labels.
    """

    values: np.ndarray
    label: str
    groups: dict[str, slice]
    ticks: list[str] | None = None

    @property
    def width(self) -> float:
        """Width of a bar at each position, a little less than the smallest distance between two in a group."""
        steps = [np.abs(np.diff(self.values[part])) for part in self.groups.values()]
        between = np.concatenate(steps)
        return FILLED * float(np.median(between)) if between.size and np.median(between) > 0 else FILLED


def axes_of(axes: Sequence[Axis], shape: Sequence[int]) -> list[Axis]:
    """The axes of a tensor, with the sizes that it has.

    Parameters
    ----------
    axes : sequence of Axis
        What is known of its axes after the batch; nothing for a tensor without a spec.
    shape : sequence of int
        Sizes after the batch.

    Returns
    -------
    list of Axis
        An axis of a fixed size for each size.
    """
    if len(axes) != len(shape):
        names = [f"axis_{number + 1}" for number in range(len(shape))] if len(shape) > 1 else ["element"]
        return [Axis(name=name, size=size) for name, size in zip(names, shape, strict=False)]
    sized = {"least": None, "most": None}
    return [
        axis if axis.size == n else axis.model_copy(update={"size": n, **sized}) for axis, n in zip(axes, shape, strict=True)
    ]


def element_names(tensor: str, axes: Sequence[Axis], shape: Sequence[int]) -> list[str]:
    """A name for each element of a tensor, in C order.

    Parameters
    ----------
    tensor : str
        Name of the tensor.
    axes : sequence of Axis
        Its axes after the batch.
    shape : sequence of int
        Sizes after the batch.

    Returns
    -------
    list of str
        Labels of a tensor with one axis, or group, axis and coordinate, such as "TT multipole 1425"; else the tensor's name
        and the position, such as "density[3, 0, 2]". The tensor's name alone where it has one element.
    """
    count = int(np.prod(shape, dtype=int))
    numbered = [tensor] if count == 1 else [f"{tensor}[{', '.join(map(str, at))}]" for at in np.ndindex(*shape)]
    if len(axes) != len(shape) or not axes:
        return numbered
    if len(axes) > 1:
        words = [axis.labels or range(size) for axis, size in zip(axes, shape, strict=True)]
        names = [f"{tensor}[{', '.join(str(word[i]) for word, i in zip(words, at, strict=True))}]" for at in np.ndindex(*shape)]
    elif axes[0].labels is not None:
        names = list(axes[0].labels)
    elif axes[0].coordinates is not None:
        names = [f"{axes[0].name.replace('_', ' ')} {value:.4g}" for value in axes[0].coordinates.values]
        for group, (start, stop) in (axes[0].groups or {}).items():
            names[start:stop] = [f"{group} {name}" for name in names[start:stop]]
    else:
        names = numbered
    return names if len(set(names)) == len(names) == count else numbered


def element_number(tensor: Tensor, element: int | str) -> int:
    """Which element of a tensor is meant, counted in C order.

    Parameters
    ----------
    tensor : Tensor
        The tensor, as a spec has it.
    element : int or str
        Its number, or its name as `element_names` has it; names go with axes of fixed sizes.

    Raises
    ------
    UnknownNameError
        No element has that name.
    """
    if not isinstance(element, str):
        return element
    if element.isdecimal():
        return int(element)
    sizes = [axis.size for axis in tensor.axes if axis.size is not None]
    names = element_names(tensor.name, tensor.axes, sizes) if len(sizes) == len(tensor.axes) else []
    if element not in names:
        raise UnknownNameError(f"element of {tensor.name}", element, names)
    return names.index(element)


def element_name(tensor: Tensor, shape: Sequence[int], target: int) -> str:
    """The name of one element with that of its tensor.

    Parameters
    ----------
    tensor : Tensor
        The tensor, as a spec has it.
    shape : sequence of int
        Sizes after the batch.
    target : int
        Which element, counted in C order.

    Returns
    -------
    str
        The tensor's name where it has one element, such as "log_mass"; else "theta[H0]", "spectrum[TT multipole 1425]" or
        "mean[1]".
    """
    if np.prod(shape, dtype=int) <= 1:
        return tensor.name
    if len(shape) == 1 and (told := element_names(tensor.name, tensor.axes, shape)[target]) != f"{tensor.name}[{target}]":
        return f"{tensor.name}[{told}]"
    at = [int(i) for i in np.unravel_index(target, shape)]
    labels = [axis.labels for axis in tensor.axes] if len(tensor.axes) == len(shape) else [None] * len(shape)
    words = [str(i) if label is None else label[i] for label, i in zip(labels, at, strict=True)]
    return f"{tensor.name}[{', '.join(words)}]"


def element_units(tensor: Tensor, shape: Sequence[int]) -> list[str]:
    """The unit of each element of a tensor, in C order.

    Parameters
    ----------
    tensor : Tensor
        The tensor, as a spec has it.
    shape : sequence of int
        Sizes after the batch.

    Returns
    -------
    list of str
        One unit for each element.
    """
    if len(tensor.axes) != len(shape):
        return [tensor.unit] * int(np.prod(shape, dtype=int))
    return [tensor.unit_of(at) for at in np.ndindex(*shape)]


def feature_names(tensors: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Names of the elements of several tensors side by side.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The tensors in their order.
    shapes : mapping of str to sequence of int
        Sizes of each after the batch.

    Returns
    -------
    list of str
        One name for each element; names that two tensors share have the tensor's in front.
    """
    found = {name: element_names(name, tensor.axes, shapes[name]) for name, tensor in tensors.items()}
    every = [name for names in found.values() for name in names]
    if len(set(every)) == len(every):
        return every
    return [f"{tensor}: {name}" for tensor, names in found.items() for name in names]


def positions(axis: Axis, size: int) -> Positions:
    """Where the elements of an axis are drawn.

    Parameters
    ----------
    axis : Axis
        The axis.
    size : int
        How many elements it has.

    Returns
    -------
    Positions
        Coordinates where the axis has them, else the numbers of the elements.
    """
    groups = {name: slice(*ends) for name, ends in (axis.groups or {"": (0, size)}).items()}
    told = axis.name.replace("_", " ")
    if axis.coordinates is None:
        return Positions(np.arange(size, dtype=float), told, groups, axis.labels)
    unit = axis.coordinates.unit
    return Positions(np.asarray(axis.coordinates.values), told + (f" [{unit}]" if unit not in ("", "1") else ""), groups)


def layout(axes: Sequence[Axis], shape: Sequence[int]) -> Layout:
    """Whether the elements of a tensor make a curve, an image, a cube or a cloud of particles.

    Parameters
    ----------
    axes : sequence of Axis
        The tensor's axes after the batch.
    shape : sequence of int
        Sizes after the batch.

    Returns
    -------
    str
        "curve" for one axis or none, "image" for rows and columns with or without channels, "cube" for x, y and z, "cloud" for
        the momenta of particles, else "other". Of a tensor whose axes are not told, equal sizes make a cube, and one or three
        channels an image.
    """
    if len(shape) <= 1:
        return "curve"
    names = tuple(axis.name for axis in axes)
    if names[:2] == IMAGE and names[2:] in ((), (COLOR,)):
        return "image"
    if names == SPACE:
        return "cube"
    if len(axes) == 2 and tuple(axes[1].labels or ()) == MOMENTUM:
        return "cloud"
    told = any(name in (*IMAGE, COLOR, *SPACE) for name in names) or any(axis.coordinates or axis.labels for axis in axes)
    if told or len(shape) != 3:
        return "other"
    if len(set(shape)) == 1:
        return "cube"
    return "image" if shape[-1] in (1, 3) else "other"


def cell_side(axes: Sequence[Axis]) -> tuple[float, str]:
    """How far apart the cells of a cube are.

    Parameters
    ----------
    axes : sequence of Axis
        The axes of the cube.

    Returns
    -------
    float
        The distance between the centers of two neighbors: 1 where axes have no coordinates, or differ in them.
    str
        Its unit, "cells" in that case.
    """
    sides = set()
    for axis in axes:
        if axis.coordinates is None or len(axis.coordinates.values) < 2:
            return 1.0, "cells"
        steps = np.diff(axis.coordinates.values)
        if not np.allclose(steps, steps[0]):
            return 1.0, "cells"
        sides.add((float(f"{abs(steps[0]):.6g}"), axis.coordinates.unit))
    return sides.pop() if len(sides) == 1 else (1.0, "cells")

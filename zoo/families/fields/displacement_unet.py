"""Where particles go: a U-Net from displacements of linear theory to those of a simulation (He et al. 2019, arXiv:1811.06533).

What moves matter here is how displacements differ from place to place, and not what all of them share: the network sees
differences between neighbors, and answers with what comes on top of linear theory. A box wider than any of the training, whose
particles go farther as a whole, looks the same to it from within.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.families.fields.convolutions import spread
from zoo.families.fields.mesh import cloud_in_cell
from zoo.families.fields.unet import wrapped
from zoo.families.layers import Standardize
from zoo.model.registry import register_family

MEASURED = 32
"""Training boxes at most, on which the scale of differences is measured."""
POTENTIAL, SEAM, TINY = 0.8, 1.5, 1e-12
"""What tells a linear displacement from something else is not more told beyond these, so that boxes of any size pass."""
SMALLEST = 1e-8
"""Squared error that no answer is below: where two runs of the simulator differ by rounding."""


class LocalBlock(keras.layers.Layer):
    """Two convolutions of periodic cubes beside an identity; nothing is normalized by what is elsewhere in the box.

    Parameters
    ----------
    before, units : int
        Channels before and after.
    """

    def __init__(self, before: int, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convolutions = [
            keras.layers.Conv3D(units, 3, kernel_initializer=start, name=f"convolution_{i}")
            for i, start in enumerate(("he_normal", "zeros"))
        ]
        self.past = None
        for convolution, channels in zip(self.convolutions, (before, units), strict=True):
            convolution.build((None, None, None, None, channels))
        if before != units:
            self.past = keras.layers.Conv3D(units, 1, name="past")
            self.past.build((None, None, None, None, before))
        self.built = True

    def call(self, x):
        """Cubes (batch, x, y, z, units) of cubes (batch, x, y, z, before)."""
        seen = x
        for convolution in self.convolutions:
            seen = convolution(wrapped(ops.silu(seen)))
        return seen + (x if self.past is None else self.past(x))


@register_family("displacement-unet")
class DisplacementUNet(ZooModel):
    """Displacements of particles in a periodic box of any size.

    Parameters
    ----------
    cell : float
        Distance of neighbors before they move, Mpc/h.
    channels : list of int
        Channels of each level of the U-Net. The first has a cell for each eight particles; each other has half as many cells
        along a side as the one before.

    Raises
    ------
    ValueError
        There are no levels, or cells of no length.
    """

    endpoints: ClassVar[dict[str, str]] = {"displace": "displace"}
    data_endpoint = "displace"
    objective_name = "logarithm of squared errors of displacement and density"
    repeats_operations = True  # each cell at an edge is taken many times

    def __init__(self, cell: float, channels: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not channels or cell <= 0:
            raise ValueError(f"expected channels of one or more levels and a cell of some length, given {channels}, {cell}")
        self.config = {"cell": cell, "channels": list(channels)}
        self.standardize = Standardize((3, 3), name="standardize")
        conv = keras.layers.Conv3D
        self.enter = conv(channels[0], 2, strides=2, name="enter")
        self.enter.build((None, None, None, None, 9))
        befores = [channels[0], *channels[:-1]]
        self.down = [
            LocalBlock(before, units, name=f"down_{i}") for i, (before, units) in enumerate(zip(befores, channels, strict=True))
        ]
        self.up = [LocalBlock(channels[i + 1] + channels[i], channels[i], name=f"up_{i}") for i in range(len(channels) - 1)]
        self.halve, self.double = keras.layers.AveragePooling3D(2, name="halve"), keras.layers.UpSampling3D(2, name="double")
        self.leave = conv(8 * 3, 3, kernel_initializer="zeros", name="leave")
        self.leave.build((None, None, None, None, channels[0]))
        self.built = True

    def strain(self, linear):
        """Differences (batch, x, y, z, 3, 3) in cells of displacements to those of the next particle along each axis."""
        linear = ops.convert_to_tensor(linear)
        ahead = [ops.roll(linear, -1, axis=axis) - linear for axis in (1, 2, 3)]
        return ops.stack(ahead, axis=-1) / self.config["cell"]

    def displace(self, linear):
        """Displacements (batch, x, y, z, 3) at z = 0 in Mpc/h of those of linear theory there; what tells others from such.

        That is, (batch,) each: the deviation of the linear density; its share of all differences of displacements, at most
        ``POTENTIAL``, which another order or sign of the components lowers; and how much larger steps across the faces of the
        box are than others, at least ``SEAM``, as those of a box are that was cut out of a larger one.
        """
        strain = self.strain(linear)
        contrast = ops.sqrt(_mean(ops.square(strain[..., 0, 0] + strain[..., 1, 1] + strain[..., 2, 2])))
        square = ops.square(strain)
        potential = ops.minimum(contrast / ops.sqrt(9 * _mean(square) + TINY), POTENTIAL)
        seams = [ops.sqrt(_mean(_last(square[..., i], i + 1)) / (_mean(square[..., i]) + TINY)) for i in range(3)]
        return self.moved(linear), contrast, potential, ops.maximum(ops.max(ops.stack(seams, axis=-1), axis=-1), SEAM)

    def moved(self, linear):
        """Displacements (batch, x, y, z, 3) at z = 0 in Mpc/h of those of linear theory there."""
        linear = ops.convert_to_tensor(linear)
        x = self.standardize(self.strain(linear))
        sizes = [tuple(ops.shape(x)[1:4])]
        x = self.enter(_even(ops.reshape(x, (-1, *sizes[0], 9))))
        kept: list[Any] = []
        for block in self.down:
            if kept:
                sizes.append(tuple(ops.shape(x)[1:4]))
                x = self.halve(_even(x))
            x = block(x)
            kept.append(x)
        x = kept.pop()
        for block in reversed(self.up):
            x = block(ops.concatenate([_cut(self.double(x), sizes.pop()), kept.pop()], axis=-1))
        return linear + self.config["cell"] * _cut(_apart(self.leave(wrapped(x))), sizes.pop())

    def call(self, linear):
        return self.moved(linear)

    def objective(self, target, answer):
        """Mean of the logarithms (batch,) of squared errors of the displacement and of the density that it makes.

        The second keeps what is seen of matter, which small errors of many particles smear (Jamieson et al. 2023,
        arXiv:2206.04594, eq. 7); on a mesh of a cell for eight particles it is not that of the densest cells alone. Logarithms
        make boxes of any cosmology count alike.
        """
        cell = self.config["cell"]
        apart = ops.mean(ops.square(answer - target), axis=(1, 2, 3, 4)) / cell**2
        densities = [cloud_in_cell(ops.cast(moved, "float32") / cell, coarser=2) for moved in (answer, target)]
        uneven = ops.mean(ops.square(densities[0] - densities[1]), axis=(1, 2, 3))
        return 0.5 * (ops.log(apart + SMALLEST) + ops.log(uneven + SMALLEST))

    def point(self, answer):
        return answer

    def standardized(self, *inputs) -> tuple:
        return (self.standardize(self.strain(inputs[0])),)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"stem": [self.standardize], "down": [self.enter, *self.down], "up": list(self.up), "head": [self.leave]}

    def adapt(self, inputs, target, weight=None) -> None:
        (linear,) = inputs.values()
        some = spread(len(linear), MEASURED)
        strain = in_batches(self.strain, linear[some])
        rows = strain.reshape(-1, 3, 3)
        self.standardize.adapt(rows, None if weight is None else np.repeat(weight[some], len(rows) // len(strain)))

    def baseline(self, tensor: str) -> np.ndarray | None:
        return np.zeros((), np.float32)  # nothing moves

    def example(self, inputs: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, tuple[np.ndarray, ...]]:
        """Boxes half as wide as those of the data, as periodic as these: of their waves, those that fit twice."""
        (linear,) = inputs.values()
        sizes = [n // 2 for n in linear.shape[1:4]]
        octants = [
            linear[(slice(None), *(slice(i * n, (i + 1) * n) for i, n in zip(corner, sizes, strict=True)))]
            for corner in product((0, 1), repeat=3)
        ]
        half: np.ndarray = np.sum(octants, axis=0) / np.float32(np.sqrt(len(octants)))
        return {"displace": (half,)}


def _mean(x):
    """Mean (batch,) of all that is told of each box."""
    return ops.mean(ops.reshape(x, (ops.shape(x)[0], -1)), axis=1)


def _last(x, axis: int):
    """The last cells along an axis."""
    return x[(slice(None),) * axis + (slice(-1, None),)]


def _even(x):
    """Cubes of an even number of cells along each axis: one more from across the box where it is odd."""
    for axis in (1, 2, 3):
        odd = ops.mod(ops.shape(x)[axis], 2)
        x = ops.concatenate([x, x[(slice(None),) * axis + (slice(0, odd),)]], axis=axis)
    return x


def _cut(x, size: Sequence[Any]):
    """The first cells along each axis."""
    return x[:, : size[0], : size[1], : size[2]]


def _apart(x):
    """Cubes (batch, 2 x, 2 y, 2 z, 3) whose blocks of eight cells are the 24 channels of cubes (batch, x, y, z, 24)."""
    size = tuple(ops.shape(x)[1:4])
    x = ops.transpose(ops.reshape(x, (-1, *size, 2, 2, 2, 3)), (0, 1, 4, 2, 5, 3, 6, 7))
    return ops.reshape(x, (-1, *[2 * n for n in size], 3))

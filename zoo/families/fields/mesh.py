"""Densities of displaced particles, with gradients."""

from __future__ import annotations

from itertools import product

from keras import ops


def cloud_in_cell(moved, coarser: int = 1):
    """Density of a grid of particles after they moved, in units of its mean.

    Parameters
    ----------
    moved : Tensor
        Displacements (batch, x, y, z, 3) in a periodic box, in units of the distance of neighbors on the grid.
    coarser : int
        How many times fewer cells than particles the mesh has along a side.

    Returns
    -------
    Tensor
        Densities (batch, cells, cells, cells).
    """
    shape = ops.shape(moved)
    count, particles = shape[0], tuple(shape[1:4])
    grid = ops.stack(ops.meshgrid(*[ops.arange(n, dtype="float32") for n in particles], indexing="ij"), axis=-1)
    size = tuple(n // coarser for n in particles)
    scale = [ops.cast(cells, "float32") / ops.cast(n, "float32") for cells, n in zip(size, particles, strict=True)]
    at = (grid + moved) * ops.stack(scale)
    first = ops.floor(at)
    ahead = at - first
    first = ops.cast(first, "int32")
    box = ops.reshape(ops.arange(count), (-1, 1, 1, 1))
    places, masses = [], []
    for corner in product((0, 1), repeat=3):
        place, mass = box, scale[0] * scale[1] * scale[2]
        for axis, step in enumerate(corner):
            place = place * size[axis] + ops.mod(first[..., axis] + step, size[axis])
            mass = mass * (ahead[..., axis] if step else 1 - ahead[..., axis])
        places.append(ops.reshape(place, (-1,)))
        masses.append(ops.reshape(mass, (-1,)))
    cells = count * size[0] * size[1] * size[2]
    density = ops.segment_sum(ops.concatenate(masses), ops.concatenate(places), num_segments=cells)
    return ops.reshape(density, (count, *size))

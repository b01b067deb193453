"""Shapes3D as data: images to be reconstructed, with the factors that made them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.shapes3d.factors import FACTORS, GRID, grid_factors
from zoo.data.shapes3d.images import Images
from zoo.errors import InputError
from zoo.model.axes import Axis
from zoo.seeds import generator


@register_dataset("shapes3d")
class Shapes3D:
    """Images of the grid of Shapes3D, each its own target, rendered when they are asked for.

    Grid points of the validation and test splits are drawn once; each epoch of training draws its own from all others.
    ``group`` is the number of the grid point, of which no two rows of an epoch have the same.

    Parameters
    ----------
    train : int
        Number of images of an epoch.
    validation, test : int
        Number of images in each of these splits.
    seed : int
        Seed of all draws.

    Raises
    ------
    InputError
        If a size is negative, or the three together are more than the 480,000 points of the grid.
    """

    description = "images of a room with an object, 64 x 64 in colour, from six factors"
    simulator = "physzoo renderer of the Shapes3D scene"
    units: ClassVar[dict[str, str]] = {factor.name: factor.unit for factor in FACTORS}
    axes: ClassVar[dict[str, Axis]] = {"channel": Axis(name="channel", size=3, labels=["red", "green", "blue"])}

    def __init__(self, train: int = 50_000, validation: int = 5_000, test: int = 20_000, seed: int = 0) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        if min(self.sizes.values()) < 0 or sum(self.sizes.values()) > GRID:
            raise InputError(f"expected sizes of at most {GRID} together, the points of the grid, given {self.sizes}")
        self.seed = seed
        drawn = generator([seed, 0]).permutation(GRID)
        self._validation, self._test, self._others = np.split(drawn, [validation, validation + test])

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        if split == "train":
            index = generator([self.seed, 1, epoch]).choice(self._others, self.sizes["train"], replace=False)
        else:
            index = {"validation": self._validation, "test": self._test}[split]
        factors = grid_factors(index)
        images = Images(factors)
        truth = {factor.name: factors[:, column] for column, factor in enumerate(FACTORS)}
        return Rows(inputs={"image": images}, target=images, group=index, truth=truth)

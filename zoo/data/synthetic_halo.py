"""Haloes of known mass, concentration, truncation radius and shape, as crops of particles: what latents should find."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.data.dataset import Rows, Split, groups
from zoo.data.dk14 import OVERDENSITY, dk14_density
from zoo.data.nbody.cosmology import Cosmology, lagrangian_radius
from zoo.data.triaxial_cells import TriaxialCells, shape_matrices

SIZE, CELL = 24, 0.2
"""Cells along a side of a crop, and comoving Mpc/h along a side of a cell."""
LOWEST, HIGHEST, QUERIES = 0.1, 2.4, 16
"""Comoving Mpc/h between which radii are queried, and how many to a row."""
LOG_MASS, CONCENTRATION, TRUNCATION, AXIS_RATIO, LOG_PARTICLES = (13.5, 14.5), (3.0, 15.0), (0.8, 1.6), (0.5, 1.0), (3.0, 6.0)
"""Ranges of the draws."""
HALO, QUERY, CROP = 1, 2, 3
"""In seeds, what is drawn; not 0, as numpy takes missing numbers of a short seed for zeros."""


class SyntheticHalo:
    """Crops of the density of synthetic haloes and radii, and log10 of the true rho / rho_mean at these radii.

    The spherical average is the profile of Diemer & Kravtsov (2014), the shape that of ``triaxial_cells``. A crop is log10(1 +
    rho / rho_mean) in 24^3 cells of 0.2 Mpc/h around the halo, from a Poisson number of particles in each cell; how many a halo
    has within R200m, on average, is its own. All draws are independent and even: log10 of the mass, of the concentration
    and of the particles, truncation radius over R200m, least over greatest axis, and the axis between these two. Radii are in
    comoving Mpc/h, sixteen to a row. Radii, orientation and particles of training rows are drawn anew each epoch, the radii
    evenly in ln r from ``low`` to ``high``; those of the other splits stay, and have the radii ``radii``. Every row is a halo
    of its own.

    Truths are log_mass, log10 M200m; log_concentration, log10 R200m / r_s; splashback, the truncation radius r_t of the profile
    over R200m; axis_ratio, least over greatest; and log_particles, log10 of the particles within R200m.

    Parameters
    ----------
    train, validation, test : haloes in each split
    seed : of all draws
    noise : whether crops have particles; without, cells have the expected density, the limit of many particles
    """

    description = "crops of the density of synthetic haloes, and the true density at radii of 0.1 to 2.4 Mpc/h"
    simulator = "Poisson draws from triaxial Diemer & Kravtsov (2014) profiles"
    units: ClassVar[dict[str, str]] = {
        "log_mass": "log10(Msun/h)",
        "log_concentration": "1",
        "splashback": "R200m",
        "axis_ratio": "1",
        "log_particles": "1",
    }
    low, high = LOWEST, HIGHEST
    """Between which radii are drawn."""
    radii = np.geomspace(LOWEST, HIGHEST, QUERIES)
    """Of validation and test rows."""

    def __init__(
        self, train: int = 10_000, validation: int = 1_000, test: int = 2_000, seed: int = 0, noise: bool = True
    ) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed, self._noise, self._cosmology = seed, noise, Cosmology()
        self._cells = TriaxialCells(SIZE, CELL)

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        number, n = list(self.sizes).index(split), self.sizes[split]
        epoch = epoch if split == "train" else 0
        radius = np.tile(self.radii, (n, 1))
        if split == "train":
            queries = np.random.default_rng([self.seed, number, QUERY, epoch])
            radius = np.exp(queries.uniform(np.log(self.low), np.log(self.high), radius.shape))
        truth, intermediate = self._drawn(number, n)
        r200m = lagrangian_radius(self._cosmology, 10 ** truth["log_mass"]) / np.cbrt(OVERDENSITY)
        profile = np.stack([r200m, 10 ** truth["log_concentration"], truth["splashback"]])
        axes = np.stack([intermediate, truth["axis_ratio"]])
        particles = 10 ** truth["log_particles"] if self._noise else None
        crops = SyntheticCrops(self._cells, profile, axes, particles, [self.seed, number, CROP, epoch])
        return Rows(
            inputs={"density": crops, "radius": radius.astype(np.float32)},
            target=np.log10(dk14_density(radius, *profile[:, :, None])).astype(np.float32),
            group=groups(self.sizes, split),
            truth=truth,
        )

    def _drawn(self, number: int, n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Truths, and the intermediate over the greatest axis, of the haloes of a split: the first of a longer one the same."""
        even = np.random.default_rng([self.seed, number, HALO]).random((n, len(self.units) + 1)).T
        ranges = np.array([LOG_MASS, np.log10(CONCENTRATION), TRUNCATION, AXIS_RATIO, LOG_PARTICLES])
        truth = {name: low + (high - low) * u for name, u, (low, high) in zip(self.units, even, ranges, strict=False)}
        return truth, truth["axis_ratio"] + (1 - truth["axis_ratio"]) * even[-1]


class SyntheticCrops:
    """log10(1 + rho / rho_mean) of n haloes, (n, 24, 24, 24), made when they are indexed; a row is the same however it is.

    Parameters
    ----------
    profile : (3, n) R200m in comoving Mpc/h, concentration, truncation radius over R200m
    axes : (2, n) the intermediate and the least over the greatest
    particles : (n,) within R200m, on average; None for the expected density
    seed : of orientations and particles, with the number of the row
    """

    def __init__(
        self, cells: TriaxialCells, profile: np.ndarray, axes: np.ndarray, particles: np.ndarray | None, seed: list[int]
    ) -> None:
        self.cells, self.profile, self.axes, self.particles, self.seed = cells, profile, axes, particles, seed

    def __len__(self) -> int:
        return self.profile.shape[1]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """(m, 24, 24, 24) float32."""
        numbers = np.arange(len(self))[rows]
        own = [np.random.default_rng([*self.seed, int(number)]) for number in numbers]
        turned = Rotation.from_quat(np.reshape([rng.normal(size=4) for rng in own], (-1, 4))).as_matrix()
        profile = self.profile[:, numbers, None]
        density = self.cells.means(dk14_density(self.cells.radii, *profile), shape_matrices(turned, *self.axes[:, numbers]))
        if self.particles is not None:
            volume = OVERDENSITY * 4 / 3 * np.pi * profile[0, :, 0] ** 3
            mean = self.particles[numbers] / volume * CELL**3  # in a cell of the mean density
            for row, rng in enumerate(own):
                density[row] = rng.poisson(density[row] * mean[row]) / mean[row]
        return np.log10(1 + density)

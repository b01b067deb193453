"""Halos of known mass, concentration, truncation radius and shape, as crops of particles: what latents should find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.data.halos.dk14 import OVERDENSITY, dk14_density
from zoo.data.halos.formula_fit import FormulaFit
from zoo.data.halos.triaxial_cells import TriaxialCells, shape_matrices
from zoo.data.nbody.cosmology import Cosmology, lagrangian_radius
from zoo.data.nbody.halo_crops import TurnedCrops
from zoo.data.nbody.lagrangian import SYMMETRIES
from zoo.model.axes import Axis, cell_axes
from zoo.progress import track
from zoo.seeds import generator

SIZE, CELL = 24, 0.2
"""Cells along a side of a crop, and comoving Mpc/h along a side of a cell."""
LOWEST, HIGHEST, QUERIES = 0.1, 1.6, 16
"""Limits between which radii are queried, in comoving Mpc/h, and how many are to a row."""
LOG_MASS, CONCENTRATION, TRUNCATION, AXIS_RATIO, LOG_PARTICLES = (14.0, 15.0), (2.0, 20.0), (1.0, 1.4), (0.5, 1.0), (4.0, 6.0)
"""Ranges of the draws: the profile at these radii depends on mass most, on concentration less, on truncation least."""
HALO, QUERY, CROP = 1, 2, 3
"""What is drawn, as seeds name it; not 0, as numpy takes missing numbers of a short seed for zeros."""
NUMBER: dict[Split, int] = {"train": 0, "validation": 1, "test": 3}
"""Each split, as seeds name it; 2 were rows that were looked at while beta and the ranges above were chosen."""

AT_ONCE = 100
"""Halos whose cells are made together."""


@dataclass(frozen=True)
class _Halos:
    """The halos of one split.

    Attributes
    ----------
    crops : ndarray of shape (n, 24, 24, 24)
        Crops of the density, in float16.
    profile : ndarray of shape (3, n)
        R200m in comoving Mpc/h, concentration, truncation radius over R200m.
    truth : dict of str to ndarray
        Physical parameters by name, (n,) each.
    """

    crops: np.ndarray
    profile: np.ndarray
    truth: dict[str, np.ndarray]


@register_dataset("synthetic-halo")
class SyntheticHalo:
    """Crops of the density of synthetic halos and radii, and log10 of the true rho / rho_mean at these radii.

    The spherical average is the profile of Diemer & Kravtsov (2014), the shape that of ``triaxial_cells``. A crop is log10(1 +
    rho / rho_mean) in 24^3 cells of 0.2 Mpc/h around the halo, from a Poisson number of particles in each cell; how many a halo
    has within R200m, on average, is its own. All draws are independent and even: log10 of the mass, of the concentration
    and of the particles, truncation radius over R200m, least over greatest axis, and the axis between these two. Radii are in
    comoving Mpc/h, sixteen to a row. Radii and orientations (48 rotations and reflections) of training rows are drawn anew each
    epoch, the radii evenly in ln r from ``low`` to ``high``; rows of the other splits have the radii ``radii``, and are not
    turned. Every row is a halo of its own.

    Truths are log_mass, log10 M200m; log_concentration, log10 R200m / r_s; splashback, the truncation radius r_t of the profile
    over R200m; axis_ratio, least over greatest; and log_particles, log10 of the particles within R200m.

    Parameters
    ----------
    train, validation, test : int
        Number of halos in each split.
    seed : int
        Seed of all draws.
    noise : bool
        Whether crops have particles; without, cells have the expected density, the limit of many particles.
    """

    description = "crops of the density of synthetic haloes, and the true density at radii of 0.1 to 1.6 Mpc/h"
    simulator = "Poisson draws from triaxial Diemer & Kravtsov (2014) profiles"
    fields = ("cosmology", "large-scale-structure")
    units: ClassVar[dict[str, str]] = {
        "log_mass": "log10(Msun/h)",
        "log_concentration": "1",
        "splashback": "R200m",
        "axis_ratio": "1",
        "log_particles": "1",
    }
    axes: ClassVar[dict[str, Axis]] = cell_axes(SIZE, -CELL * (SIZE - 1) / 2, CELL, "Mpc/h")
    """The axes of a crop, measured from the middle of the halo."""
    low, high = LOWEST, HIGHEST
    """Limits between which radii are drawn."""
    radii = np.geomspace(LOWEST, HIGHEST, QUERIES)
    """Radii of validation and test rows."""

    def __init__(
        self, train: int = 10_000, validation: int = 1_000, test: int = 2_000, seed: int = 0, noise: bool = True
    ) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed, self._noise, self._cosmology = seed, noise, Cosmology()
        self._made: dict[Split, _Halos] = {}
        self._fitted: dict[Split, np.ndarray] = {}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        number, n = NUMBER[split], self.sizes[split]
        if split not in self._made:
            self._made[split] = self._make(number, n)
        halos = self._made[split]
        radius, symmetry = np.tile(self.radii, (n, 1)), np.zeros(n, np.int64)
        if split == "train":
            rng = generator([self.seed, number, QUERY, epoch])
            radius = np.exp(rng.uniform(np.log(self.low), np.log(self.high), radius.shape))
            symmetry = rng.integers(SYMMETRIES, size=n)
        return Rows(
            inputs={"density": TurnedCrops(halos.crops, symmetry), "radius": radius.astype(np.float32)},
            target=np.log10(dk14_density(radius, *halos.profile[:, :, None])).astype(np.float32),
            group=groups(self.sizes, split),
            truth=halos.truth,
        )

    def descriptions(self, split: Split) -> dict[str, np.ndarray]:
        """What the formula answers (n, 16) at ``radii`` once it is fitted to each crop, within the ranges of the draws."""
        if split not in self._fitted:
            crops = self.rows(split).inputs["density"]
            bounds = np.array([np.log10(self._r200m(np.array(LOG_MASS))), np.log10(CONCENTRATION), TRUNCATION])
            formula = FormulaFit(TriaxialCells(SIZE, CELL), CELL, bounds)
            rows = track(range(len(crops)), "fits of the formula")
            fits = [formula.fit(10 ** crops[row : row + 1][0].astype(float) - 1) for row in rows]
            self._fitted[split] = np.log10(dk14_density(self.radii, *np.transpose(fits)[:, :, None]))
        return {"the formula fitted to each halo": self._fitted[split]}

    def _r200m(self, log_mass: np.ndarray) -> np.ndarray:
        """R200m in comoving Mpc/h of log10 of M200m in Msun/h."""
        return lagrangian_radius(self._cosmology, 10**log_mass) / np.cbrt(OVERDENSITY)

    def _make(self, number: int, n: int) -> _Halos:
        """The halos of a split: the first of a longer one are the same."""
        even = generator([self.seed, number, HALO]).random((n, len(self.units) + 1)).T
        ranges = np.array([LOG_MASS, np.log10(CONCENTRATION), TRUNCATION, AXIS_RATIO, LOG_PARTICLES])
        low, high = ranges.T[:, :, None]
        truth = dict(zip(self.units, low + (high - low) * even[:-1], strict=True))
        intermediate = truth["axis_ratio"] + (1 - truth["axis_ratio"]) * even[-1]
        r200m = self._r200m(truth["log_mass"])
        profile = np.stack([r200m, 10 ** truth["log_concentration"], truth["splashback"]])
        in_mean_cell = 10 ** truth["log_particles"] / (OVERDENSITY * 4 / 3 * np.pi * r200m**3) * CELL**3
        cells = TriaxialCells(SIZE, CELL)
        crops = np.empty((n, SIZE, SIZE, SIZE), np.float16)  # half a hundredth of the density
        for start in track(range(0, n, AT_ONCE), "synthetic haloes"):
            some = np.arange(start, min(start + AT_ONCE, n))
            own = [generator([self.seed, number, CROP, int(row)]) for row in some]
            turned = Rotation.from_quat([rng.normal(size=4) for rng in own]).as_matrix()
            shape = shape_matrices(turned, intermediate[some], truth["axis_ratio"][some])
            density = cells.means(dk14_density(cells.radii, *profile[:, some, None]), shape)
            if self._noise:
                for row, rng, mean in zip(density, own, in_mean_cell[some], strict=True):
                    row[:] = rng.poisson(row * mean) / mean
            crops[some] = np.log10(1 + density)
        return _Halos(crops, profile, truth)

"""Linear density around a particle -> mass of the halo it ends in (Lucie-Smith et al. 2020, arXiv:2011.10577)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups
from zoo.data.nbody.cosmology import growth, lagrangian_radius
from zoo.data.nbody.lagrangian import crops, particle_cells, spherical_average, tidal_shear, top_hat_densities
from zoo.data.nbody.simulate import NBodyConfig, Simulation, load_simulation, simulate
from zoo.progress import track
from zoo.store import cache_folder

INITIAL = 0.01
"""Scale factor to which the linear density is scaled: z = 99."""
LOG_MASS = np.linspace(12.3, 14.3, 21)
"""Edges of the mass bins, log10 Msun/h: from 50 particles of the default simulation to where a simulation has few halos."""
FEATURE_MASSES = np.linspace(11.0, 15.0, 25)
"""Mass scales of the engineered features, log10 Msun/h: from less than a cell to beyond the cubes."""
PERMUTATIONS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
SYMMETRIES = 8 * len(PERMUTATIONS)
"""Rotations and reflections of a cube."""


class Cubes:
    """Cubes (n, size, size, size) of periodic fields, cut when they are indexed: only the fields are kept, as memory maps.

    Parameters
    ----------
    fields : (cells, cells, cells) each
    scale : that all values are multiplied by
    field : (n,) which field each cube is of
    centre : (n, 3) cell that is cell size // 2 of the cube
    symmetry : (n,) of 0..47, which of the rotations and reflections about the centre; 0 leaves the cube
    size : cells along a side
    spherical : whether each cell is replaced by the mean of its shell
    """

    def __init__(
        self,
        fields: list[np.ndarray],
        scale: float,
        field: np.ndarray,
        centre: np.ndarray,
        symmetry: np.ndarray,
        size: int,
        spherical: bool = False,
    ) -> None:
        self.fields, self.scale, self.size, self.spherical = fields, scale, size, spherical
        self.field, self.centre, self.symmetry = field, centre, symmetry

    def __len__(self) -> int:
        return len(self.field)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """(m, size, size, size) float32."""
        field, centre, symmetry = self.field[rows], self.centre[rows], self.symmetry[rows]
        cubes = np.empty((len(field), *[self.size] * 3), np.float32)
        for number in np.unique(field):
            chosen = np.flatnonzero(field == number)
            # An odd cube has a middle to turn about.
            for row, cut in zip(chosen, crops(self.fields[number], centre[chosen], self.size | 1), strict=True):
                cubes[row] = turned(cut, symmetry[row])[: self.size, : self.size, : self.size]
        cubes *= np.float32(self.scale)
        return spherical_average(cubes) if self.spherical else cubes


def turned(cube: np.ndarray, symmetry: int) -> np.ndarray:
    """A cube after one of the 48 rotations and reflections: a permutation of the axes, then reversals."""
    permutation, reversals = divmod(int(symmetry), 8)
    reverse = tuple(slice(None, None, -1 if reversals >> axis & 1 else 1) for axis in range(3))
    return cube.transpose(PERMUTATIONS[permutation])[reverse]


class HaloMass:
    """Cubes of the linear density at z = 99 around particles, and log10 of the mass of the halo that each ends in.

    Particles are drawn so that each of 20 bins in log10 M from 12.3 to 14.3 is as likely, and within a bin each particle:
    nature's sample is mostly what the mass function has most of. Training particles, and the orientations of their cubes
    (48 rotations and reflections), are drawn anew each epoch; those of the other splits stay. No two splits share a simulation.

    Parameters
    ----------
    train, validation, test : simulations in each split; their seeds count on from split to split
    first_seed : of the simulations
    particles : drawn from each simulation, on average
    size : cells along a side of a cube
    spherical : whether each cell is replaced by the mean of its shell
    seed : of the draws of particles and orientations
    nbody : what differs from the default `NBodyConfig`
    path : folder of the simulations, missing ones are made there; by default one of the cache, for each config its own
    """

    feature_sets = ("densities", "densities and shear")
    description = "cubes of the linear density at z = 99 around particles, and the mass of the halo in which each ends"
    units: ClassVar[dict[str, str]] = {"log_mass": "log10(Msun/h)"}

    def __init__(
        self,
        train: int = 160,
        validation: int = 20,
        test: int = 20,
        first_seed: int = 0,
        particles: int = 200,
        size: int = 24,
        spherical: bool = False,
        seed: int = 0,
        nbody: dict | None = None,
        path: str | None = None,
    ) -> None:
        self.config = NBodyConfig.model_validate(nbody or {})
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.first_seed, self.particles, self.size, self.spherical, self.seed = first_seed, particles, size, spherical, seed
        self.folder = cached_simulations(self.config) if path is None else Path(path)
        self.simulator = f"physzoo particle mesh, {self.config.particles}^3 particles in ({self.config.box:g} Mpc/h)^3"
        self._loaded: dict[Split, list[Simulation]] = {}

    def simulations(self, split: Split) -> list[Simulation]:
        """Those of a split, particles and cells as memory maps; missing ones are simulated first."""
        if split not in self._loaded:
            seeds = [self.first_seed + int(number) for number in groups(self.sizes, split)]
            self._loaded[split] = [load_simulation(path) for path in simulate(self.folder, self.config, seeds)]
        return self._loaded[split]

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        simulations = self.simulations(split)
        rng = np.random.default_rng([self.seed, list(self.sizes).index(split), epoch if split == "train" else 0])
        number, particle = drawn_particles(simulations, self.particles * len(simulations), rng)
        symmetry = rng.integers(SYMMETRIES, size=len(number)) if split == "train" else np.zeros(len(number), np.int64)
        log_mass = np.empty(len(number))
        for i, simulation in enumerate(simulations):
            mine = number == i
            log_mass[mine] = np.log10(simulation.halos.mass[simulation.halo_of[particle[mine]]])
        cubes = Cubes(
            [simulation.linear for simulation in simulations],
            growth(self.config.cosmology, INITIAL),
            number,
            particle_cells(particle, self.config.particles),
            symmetry,
            self.size,
            self.spherical,
        )
        return Rows(
            inputs={"density": cubes},
            target=log_mass[:, None].astype(np.float32),
            group=np.array([simulation.seed for simulation in simulations])[number],
            truth={"log_mass": log_mass},
        )

    def features(self, rows: Rows, names: str) -> np.ndarray:
        """What trees are given of each row (n, features): top-hat densities at z = 99 in spheres of ``FEATURE_MASSES`` around
        the particle and, with shear, ellipticity and prolateness on the same scales (arXiv:1802.04271).
        """
        cubes = rows.inputs["density"]
        box, radii = self.config.box, lagrangian_radius(self.config.cosmology, 10**FEATURE_MASSES)
        found = np.empty((len(rows), len(radii) * (1 if names == self.feature_sets[0] else 3)), np.float32)
        for number, field in enumerate(track(cubes.fields, f"features: {names}")):
            mine = cubes.field == number
            at = tuple(cubes.centre[mine].T)
            maps = [*top_hat_densities(field, box, radii)]
            if names == self.feature_sets[1]:
                maps += [shape for radius in radii for shape in tidal_shear(field, box, radius)]
            found[mine] = np.stack([values[at] for values in maps], axis=1) * cubes.scale
        return found


def cached_simulations(config: NBodyConfig) -> Path:
    """The cache's folder for simulations of one config."""
    name = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
    return cache_folder() / "simulations" / f"nbody-{name}"


def drawn_particles(simulations: list[Simulation], n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which simulation and which of its particles, (n,) each: as many in each bin of mass, of the bins that are not empty."""
    bins = [_bin_of_particles(simulation) for simulation in simulations]
    counts = np.stack([np.bincount(found[found >= 0], minlength=len(LOG_MASS) - 1) for found in bins])
    filled = np.flatnonzero(counts.sum(axis=0))
    wanted = np.zeros_like(counts)
    for part, b in enumerate(filled):
        quota = (part + 1) * n // len(filled) - part * n // len(filled)
        wanted[:, b] = rng.multinomial(quota, counts[:, b] / counts[:, b].sum())
    number, particle = [], []
    for i, found in enumerate(bins):
        for b in np.flatnonzero(wanted[i]):
            candidates = np.flatnonzero(found == b)
            chosen = rng.choice(candidates, wanted[i, b], replace=wanted[i, b] > len(candidates))
            number.append(np.full(len(chosen), i))
            particle.append(chosen)
    return np.concatenate(number), np.concatenate(particle)


def _bin_of_particles(simulation: Simulation) -> np.ndarray:
    """(N,) the mass bin of each particle's halo, -1 where it is in none of the bins."""
    of_halo = np.digitize(np.log10(simulation.halos.mass), LOG_MASS) - 1
    of_halo[of_halo == len(LOG_MASS) - 1] = -1
    return np.append(of_halo, -1)[simulation.halo_of]

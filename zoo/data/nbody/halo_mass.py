"""Linear density around a particle -> mass of the halo it ends in (Lucie-Smith et al. 2020, arXiv:2011.10577)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.nbody.cosmology import growth
from zoo.data.nbody.cubes import Cubes
from zoo.data.nbody.features import FEATURE_MASSES, FEATURE_SETS, SHEAR, sphere_features
from zoo.data.nbody.lagrangian import SYMMETRIES, particle_cells
from zoo.data.nbody.simulate import OnMissing, Simulation
from zoo.data.nbody.splits import SplitSimulations
from zoo.errors import UnknownNameError
from zoo.model.axes import Axis, Coordinates, cell_axes
from zoo.progress import track
from zoo.seeds import generator

INITIAL = 0.01
"""Scale factor to which the linear density is scaled: z = 99."""
LOG_MASS = np.linspace(12.3, 14.3, 21)
"""Edges of the mass bins, log10 Msun/h: from 50 particles of the default simulation to where a simulation has few halos."""


@register_dataset("halo-mass")
class HaloMass(SplitSimulations):
    """Cubes of the linear density at z = 99 around particles, and log10 of the mass of the halo that each ends in.

    Particles are drawn so that each of 20 bins in log10 M from 12.3 to 14.3 is as likely, and within a bin each particle:
    nature's sample is mostly what the mass function has most of. Training particles, and the orientations of their cubes
    (48 rotations and reflections), are drawn anew each epoch; those of the other splits stay. No two splits share a simulation.

    Parameters
    ----------
    train, validation, test : int
        Number of simulations in each split; their seeds count on from split to split.
    first_seed : int
        Seed of the first simulation.
    particles : int
        Number of particles drawn from each simulation, on average.
    size : int
        Number of cells along a side of a cube.
    spherical : bool
        Whether each cell is replaced by the mean of its shell.
    surroundings : sequence of float
        Mass scales, log10 Msun/h, on which density contrast and tidal shear around a particle are told beside its mass, in the
        truth of validation and test rows.
    seed : int
        Seed of the draws of particles and orientations.
    nbody : dict, optional
        What differs from the default `NBodyConfig`.
    path : str, optional
        Folder of the simulations; by default one of the cache, for each config its own.
    on_missing : OnMissing
        What becomes of simulations that are missing or damaged: "simulate" makes missing ones, "fail" names all of them, "skip"
        leaves them out.
    """

    feature_sets = FEATURE_SETS
    scales, scale_label = FEATURE_MASSES, "mass scale [log10(Msun/h)]"
    kinds_of_feature = ("density", "ellipticity", "prolateness")
    description = "cubes of the linear density at z = 99 around particles, and the mass of the halo in which each ends"
    fields = ("cosmology", "large-scale-structure", "n-body")

    def __init__(
        self,
        train: int = 160,
        validation: int = 20,
        test: int = 20,
        first_seed: int = 0,
        particles: int = 200,
        size: int = 24,
        spherical: bool = False,
        surroundings: Sequence[float] = (),
        seed: int = 0,
        nbody: dict | None = None,
        path: str | None = None,
        on_missing: OnMissing = "simulate",
    ) -> None:
        sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        super().__init__(sizes, first_seed, nbody or {}, path, on_missing)
        self.particles, self.size, self.spherical, self.seed = particles, size, spherical, seed
        self.surroundings = np.asarray(surroundings, float)
        told = [f"{kind} at {scale:g}" for kind in self.kinds_of_feature for scale in self.surroundings]
        self.units = {"log_mass": "log10(Msun/h)", **dict.fromkeys(told, "1")}

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes of a cube, measured from where the particle starts."""
        cell = self.config.box / self.config.particles
        return cell_axes(self.size, -(self.size // 2) * cell, cell, "Mpc/h")

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        simulations = self.simulations(split)
        rng = generator([self.seed, list(self.sizes).index(split), epoch if split == "train" else 0])
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
        rows = Rows(
            inputs={"density": cubes},
            target=log_mass[:, None].astype(np.float32),
            group=np.array([simulation.seed for simulation in simulations])[number],
            truth={"log_mass": log_mass},
        )
        if split == "train" or not len(self.surroundings):
            return rows
        told = self._described(cubes, SHEAR, self.surroundings).T
        return replace(rows, truth=rows.truth | dict(zip(list(self.units)[1:], told, strict=True)))

    def features(self, rows: Rows, names: str) -> np.ndarray:
        """What trees are given of each row, (n, features).

        These are top-hat densities at z = 99 in spheres of ``FEATURE_MASSES`` around the particle and, with shear, ellipticity
        and prolateness on the same scales (arXiv:1802.04271).
        """
        return self._described(rows.inputs["density"], names, FEATURE_MASSES)

    def _described(self, cubes: Cubes, names: str, masses: np.ndarray) -> np.ndarray:
        """Features (n, features) of the particles that cubes are around, on mass scales."""
        found = np.empty((len(cubes), len(masses) * (1 if names == self.feature_sets[0] else 3)), np.float32)
        for number, field in enumerate(track(cubes.fields, f"features: {names}")):
            mine = cubes.field == number
            own = sphere_features(field, self.config.box, cubes.center[mine], names, self.config.cosmology, masses)
            found[mine] = own * cubes.scale
        return found


@register_dataset("halo-mass-features")
class HaloMassFeatures(HaloMass):
    """The rows of `HaloMass` with the features of each particle instead of the cube, and the same training rows each epoch.

    Parameters
    ----------
    features : str
        Name of the set of features: "densities", or "densities and shear".
    pairs : bool
        Whether the log mass is an input too, for a density of it given the features.
    **parameters : object
        Parameters of `HaloMass`.
    """

    def __init__(self, features: str = "densities", pairs: bool = False, **parameters) -> None:
        super().__init__(**parameters)
        if features not in self.feature_sets:
            raise UnknownNameError("features", features, self.feature_sets)
        self.names, self.pairs = features, pairs
        self.description = f"top-hat {features} at z = 99 around particles, and the mass of the halo in which each ends"
        self._made: dict[Split, Rows] = {}

    @property
    def axes(self) -> dict[str, Axis]:
        """The axis of the features: the mass within each sphere, for each kind of feature."""
        kinds = self.kinds_of_feature[: 1 if self.names == self.feature_sets[0] else 3]
        masses = Coordinates(values=FEATURE_MASSES.tolist() * len(kinds), unit="log10(Msun/h)")
        count = len(FEATURE_MASSES)
        groups = {kind: (number * count, (number + 1) * count) for number, kind in enumerate(kinds)} if len(kinds) > 1 else None
        return {"sphere": Axis(name="sphere", size=count * len(kinds), coordinates=masses, groups=groups)}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        if split not in self._made:
            found = super().rows(split)
            inputs = {self.names.split()[0]: self.features(found, self.names)}
            self._made[split] = replace(found, inputs={"log_mass": found.target, **inputs} if self.pairs else inputs)
        return self._made[split]


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
    """The mass bin (N,) of each particle's halo, -1 where it is in none of the bins."""
    of_halo = np.digitize(np.log10(simulation.halos.mass), LOG_MASS) - 1
    of_halo[of_halo == len(LOG_MASS) - 1] = -1
    return np.append(of_halo, -1)[simulation.halo_of]

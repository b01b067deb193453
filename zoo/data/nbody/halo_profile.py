"""Density around a halo and a radius -> density at that radius (Lucie-Smith et al. 2022, arXiv:2203.08827)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.nbody.halo_crops import CELL, SIZE, TurnedCrops, halo_crops
from zoo.data.nbody.halo_quantities import UNITS, halo_quantities
from zoo.data.nbody.halo_shells import EDGES, INNER, OUTER, RADII, SortedRadii, shell_of, volume
from zoo.data.nbody.lagrangian import SYMMETRIES
from zoo.data.nbody.nfw import fit_nfw
from zoo.data.nbody.simulate import OnMissing
from zoo.data.nbody.splits import SplitSimulations
from zoo.errors import InputError
from zoo.model.axes import Axis, cell_axes
from zoo.progress import track
from zoo.seeds import generator

DEFAULTS = {"particles": 64, "box": 25.0, "steps": 200, "softening": 1 / 30}
"""Settings of the simulations: they resolve a fifth of R200m of halos of 100 particles."""
EMPTY = 0.5
"""Particles that a shell without any counts as."""
OVERDENSITY = 200
"""Mean density within R200m, in units of the mean."""
TRAINING, NOISE = 1, 2
"""What is drawn, as seeds name it."""


@dataclass(frozen=True)
class _Halos:
    """The halos of one split, each attribute but the radii (n, ...)."""

    crops: np.ndarray
    seed: np.ndarray
    mean_count: np.ndarray
    """Particles in R200m^3 at the mean density."""
    radii: SortedRadii
    truth: dict[str, np.ndarray]


@register_dataset("halo-profile")
class HaloProfile(SplitSimulations):
    """Crops of the density around halos and radii, and log10 of rho / rho_mean in the shells at these radii.

    Crops are those of ``halo_crops``; radii are in units of R200m, sixteen to a row. The density at r is that of all particles
    in the shell of which r is the geometric middle, a sixteenth of 0.2 to 3 R200m in ln r; a shell without particles counts as
    half of one. Radii and orientations (48 rotations and reflections) of training rows are drawn anew each epoch, the radii
    evenly in ln r from ``low`` to ``high``; rows of the other splits have the radii ``radii``, whose shells touch, and are not
    turned. No two splits share a simulation.

    Parameters
    ----------
    train, validation, test : int
        Number of simulations in each split; their seeds count on from split to split.
    first_seed : int
        Seed of the first simulation.
    smallest : int
        Fewest particles of a halo, both linked by friends of friends and within R200m.
    size : int
        Number of cells of 0.25 R200m along a side of a crop.
    seed : int
        Seed of the draws of radii and orientations.
    nbody : dict, optional
        What differs from `DEFAULTS` and the default `NBodyConfig`.
    path : str, optional
        Folder of the simulations; by default one of the cache, for each config its own.
    on_missing : OnMissing
        What becomes of simulations that are missing or damaged: "simulate" makes missing ones, "fail" names all of them, "skip"
        leaves them out.
    """

    description = "crops of the density around halos, and the density at radii of 0.2 to 3 R200m"
    fields = ("cosmology", "large-scale-structure", "n-body")
    units: ClassVar[dict[str, str]] = UNITS
    radii = RADII
    """The sixteen radii of validation and test rows, in units of R200m."""
    low, high = INNER, OUTER
    """Limits between which radii are drawn."""

    def __init__(
        self,
        train: int = 30,
        validation: int = 4,
        test: int = 6,
        first_seed: int = 3000,
        smallest: int = 100,
        size: int = SIZE,
        seed: int = 0,
        nbody: dict | None = None,
        path: str | None = None,
        on_missing: OnMissing = "simulate",
    ) -> None:
        sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        super().__init__(sizes, first_seed, DEFAULTS | (nbody or {}), path, on_missing)
        self.smallest, self.size, self.seed = smallest, size, seed
        self._measured: dict[Split, _Halos] = {}

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes of a crop, measured from the density peak."""
        return cell_axes(self.size, -CELL * (self.size - 1) / 2, CELL, "R200m")

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        halos = self._halos(split)
        n, rng = len(halos.seed), generator([self.seed, TRAINING, epoch])
        if split == "train":
            radius = np.exp(rng.uniform(np.log(self.low), np.log(self.high), (n, len(RADII))))
            symmetry = rng.integers(SYMMETRIES, size=n)
        else:
            radius, symmetry = np.tile(RADII, (n, 1)), np.zeros(n, np.int64)
        counts = np.maximum(halos.radii.counts(*shell_of(radius)), EMPTY)
        expected = halos.mean_count[:, None] * volume(*shell_of(radius))
        return Rows(
            inputs={"density": TurnedCrops(halos.crops, symmetry), "radius": radius.astype(np.float32)},
            target=np.log10(counts / expected).astype(np.float32),
            group=halos.seed,
            truth=halos.truth,
        )

    def mean_counts(self, split: Split) -> np.ndarray:
        """Particles in each of the shells at ``radii`` if they had the mean density, (n, 16): times rho, those expected."""
        return self._halos(split).mean_count[:, None] * volume(EDGES[:-1], EDGES[1:])

    def nfw(self, split: Split, outer: float = EDGES[-1]) -> np.ndarray:
        """Give log10 of rho / rho_mean at ``radii``, (n, 16), of NFW profiles fitted to each halo's own counts in these shells.

        Parameters
        ----------
        outer : float
            Radius, in units of R200m, within which shells are fitted.
        """
        edges = EDGES[: np.searchsorted(EDGES, outer * (1 + 1e-9))]
        fit = fit_nfw(self._halos(split).radii.counts(edges[:-1], edges[1:]), edges)
        return np.log10(fit.counts(EDGES) / self.mean_counts(split))

    def descriptions(self, split: Split) -> dict[str, np.ndarray]:
        """Simple answers (n, 16) at ``radii`` that see the profile itself: NFW fits of each halo."""
        return {"an NFW fit to each halo": self.nfw(split), "an NFW fit to each halo within R200m": self.nfw(split, 1.0)}

    def noise(self, split: Split) -> np.ndarray:
        """How far targets are from log10 of the expected density, as draws around NFW fits: (n, 16) dex.

        R200m is where so many particles are within that they are 200 times those of the mean density: their number is no draw.
        Inside, the counts of shells are shares of it, multinomial about the fit within R200m; outside they are Poisson about
        the fit to all shells.
        """
        rng = generator([self.seed, NOISE, list(self.sizes).index(split)])
        inside = EDGES[1:] <= 1
        expected = self.mean_counts(split) * 10 ** np.where(inside, self.nfw(split, 1.0), self.nfw(split))
        within = OVERDENSITY * (4 / 3 * np.pi) * self._halos(split).mean_count
        share = expected[:, inside] / np.maximum(within, expected[:, inside].sum(axis=1))[:, None]
        elsewhere = np.maximum(0, 1 - share.sum(axis=1, keepdims=True))
        counts = rng.multinomial(np.rint(within).astype(int), np.concatenate([share, elsewhere], axis=1))[:, :-1]
        drawn = np.concatenate([counts, rng.poisson(expected[:, ~inside])], axis=1)
        return np.log10(np.maximum(drawn, EMPTY) / expected)

    def _halos(self, split: Split) -> _Halos:
        if split not in self._measured:
            self._measured[split] = self._measure(split)
        return self._measured[split]

    def _measure(self, split: Split) -> _Halos:
        crops, seed, r200m, radii, truths = [], [], [], [], []
        for simulation in track(self.simulations(split), f"halos to {split} on"):
            halos = simulation.halos
            # Some of those linked are two halos with a bridge, with few particles within the R200m of either.
            least = (self.smallest - 0.5) * self.config.particle_mass
            chosen = np.flatnonzero((halos.size >= self.smallest) & (halos.m200m >= least))
            r200m.append(halos.r200m[chosen].astype(float))
            cut = halo_crops(simulation.positions, self.config.box, halos.density_peak[chosen], r200m[-1], self.size)
            crops.append(cut.astype(np.float16))  # half a hundredth of the density, far below the shot noise of a cell
            seed.append(np.full(len(chosen), simulation.seed))
            truth, sorted_radii = halo_quantities(simulation, chosen)
            truths.append(truth)
            radii += sorted_radii
        if not sum(map(len, seed)):
            raise InputError(f"{split}: expected halos of at least {self.smallest} particles, given simulations without")
        density = (self.config.particles / self.config.box) ** 3
        return _Halos(
            np.concatenate(crops),
            np.concatenate(seed),
            density * np.concatenate(r200m) ** 3,
            SortedRadii(radii),
            {name: np.concatenate([truth[name] for truth in truths]) for name in UNITS},
        )

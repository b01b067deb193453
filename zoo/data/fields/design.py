"""Which simulations a set of fields is of: a Latin hypercube of cosmologies, and how each is simulated."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from zoo.data.nbody.cosmology import Cosmology
from zoo.data.nbody.simulate import NBodyConfig

RANGES = {
    "omega_m": (0.1, 0.5),
    "sigma8": (0.6, 1.0),
    "h": (0.5, 0.9),
    "n_s": (0.8, 1.2),
    "omega_b": (0.03, 0.07),
}
"""Ranges of the parameters, dimensionless, those of CAMELS (arXiv:2010.00619) and, of the last three, of Quijote's hypercube
(arXiv:1909.05273)."""
VARIED = {"two": ("omega_m", "sigma8"), "five": tuple(RANGES)}
"""Parameters that differ between the simulations of a set; the others are those of `Cosmology`."""
LIMIT = 100_000
"""Most simulations of a set, so that no two sets of other seeds share a field."""


class FieldsConfig(BaseModel):
    """What defines a set of fields; a folder made with one is refused by another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    varied: Literal["two", "five"] = "two"
    """Whether Omega_m and sigma_8 are varied, or h, n_s and Omega_b too."""
    simulations: int = Field(default=2000, ge=2, le=LIMIT)
    """Points of the hypercube."""
    seed: int = Field(default=20211, ge=0, lt=2**32)
    """Seed of the hypercube and of the fields."""
    particles: int = Field(default=64, ge=8, multiple_of=2)
    """Particles along a side."""
    cells: int | None = Field(default=None, ge=8, multiple_of=2)
    """Cells of the density along a side; None is as many as particles."""
    box: float = Field(default=100.0, gt=0)
    """Side of the box in comoving Mpc/h."""
    steps: int = Field(default=30, ge=1)
    """Steps in time; direct forces between near particles take three times as many as the mesh."""
    softening: float | None = Field(default=None, gt=0, le=1)
    """Plummer's softening of direct forces between near particles, in mean separations; None leaves the mesh's alone."""

    @model_serializer(mode="wrap")
    def _no_cells_without_use(self, as_usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``cells`` where it is None: sets that were made before there was one keep their folder."""
        found: dict[str, Any] = as_usual(self)
        if self.cells is None:
            found.pop("cells", None)
        return found

    @property
    def side(self) -> int:
        """Cells of the density along a side."""
        return self.cells or self.particles

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that are varied."""
        return VARIED[self.varied]

    def design(self) -> np.ndarray:
        """Parameters (simulations, D) of all simulations."""
        return _design(self)

    def nbody(self, number: int) -> NBodyConfig:
        """How one of them is simulated."""
        varied = dict(zip(self.parameters, self.design()[number].tolist(), strict=True))
        return NBodyConfig(
            cosmology=Cosmology(**varied),
            particles=self.particles,
            box=self.box,
            steps=self.steps,
            softening=self.softening,
            transfer="eisenstein-hu",
        )

    def field_seed(self, number: int) -> int:
        """Seed of the initial field of one of them."""
        return self.seed * LIMIT + number


@lru_cache(maxsize=8)
def _design(config: FieldsConfig) -> np.ndarray:
    from scipy.stats import qmc

    low, high = zip(*(RANGES[name] for name in config.parameters), strict=True)
    points = qmc.LatinHypercube(len(low), rng=config.seed).random(config.simulations)
    found: np.ndarray = qmc.scale(points, low, high)
    found.setflags(write=False)
    return found

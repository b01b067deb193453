"""Real cubes that ship with physzoo, for a first look and for tests; the recipes simulate their own sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.atomic import whole_file
from zoo.data.dataset import Rows
from zoo.data.shipped_files import shipped_file
from zoo.model.test_tensors import read_npz

if TYPE_CHECKING:
    from zoo.data.nbody.halo_mass import HaloMass

SAMPLE = "halo-mass.npz"
"""Name of the shipped file."""


def load_sample(path: Path | None = None) -> Rows:
    """64 particles of the simulations on which no model was trained, evenly over mass.

    Inputs are ``density`` (64, 24, 24, 24) and the top-hat ``densities`` (64, 25) at z = 99, target and truth log10 of the mass
    in Msun/h, group the seed of the simulation.
    """
    stored = read_npz(shipped_file(SAMPLE) if path is None else path)
    log_mass = stored["log_mass"]
    return Rows(
        inputs={name: stored[name].astype(np.float32) for name in ("density", "densities")},
        target=log_mass[:, None],
        group=stored["seed"],
        truth={"log_mass": log_mass.astype(np.float64), "particle": stored["particle"]},
    )


def write_sample(path: Path, dataset: HaloMass, n: int = 64) -> None:
    """Write n test rows; cubes in half precision, a thousandth of their deviation."""
    rows = dataset.rows("test")
    chosen = np.argsort(rows.target[:, 0], kind="stable")[np.linspace(0, len(rows) - 1, n).round().astype(int)]
    cubes, side = rows.inputs["density"], dataset.config.particles
    with whole_file(path) as file:
        np.savez_compressed(
            file,
            density=cubes[chosen].astype(np.float16),
            densities=dataset.features(rows, "densities")[chosen],
            log_mass=rows.target[chosen, 0],
            seed=rows.group[chosen].astype(np.int32),
            particle=np.ravel_multi_index(tuple(cubes.center[chosen].T), (side,) * 3).astype(np.int32),
        )

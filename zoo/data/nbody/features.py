"""What the halo mass models take of particles, from a linear density field: one's own, or a simulation's."""

from __future__ import annotations

import numpy as np

from zoo.data.nbody.cosmology import Cosmology, lagrangian_radius
from zoo.data.nbody.cubes import density_cubes
from zoo.data.nbody.lagrangian import spherical_average, tidal_shear, top_hat_densities

FEATURE_MASSES = np.linspace(11.0, 15.0, 25)
"""Mass scales of the engineered features, log10 Msun/h: from less than a cell to beyond the cubes."""
DENSITIES, SHEAR = FEATURE_SETS = ("densities", "densities and shear")
"""Names of the sets of engineered features."""


def sphere_features(
    field: np.ndarray, box: float, cells: np.ndarray, names: str, cosmology: Cosmology, masses: np.ndarray = FEATURE_MASSES
) -> np.ndarray:
    """Engineered features around cells, in spheres that hold given masses at the mean density.

    Parameters
    ----------
    field : ndarray of shape (n, n, n)
        Linear density contrast in a periodic box.
    box : float
        Side of the box in comoving Mpc/h.
    cells : ndarray of shape (m, 3)
        Cells that the spheres are around.
    names : str
        The set, one of ``FEATURE_SETS``.
    cosmology : Cosmology
        Whose mean density turns masses into radii.
    masses : ndarray
        Masses of the spheres, log10 Msun/h, (k,); by default ``FEATURE_MASSES``, 25 of them.

    Returns
    -------
    ndarray
        Mean density contrast in each sphere, (m, k); with shear, then ellipticity and prolateness on the same scales, (m, 3 k).
    """
    radii = lagrangian_radius(cosmology, 10**masses)
    maps = [top_hat_densities(field, box, radii, cells)]
    if names == SHEAR:
        maps += tidal_shear(field, box, radii, cells)
    return np.concatenate(maps).T


def halo_mass_inputs(
    field: np.ndarray, box: float, cells: np.ndarray, cosmology: Cosmology | None = None
) -> dict[str, np.ndarray]:
    """All that the released halo mass models take, from a field of one's own.

    Parameters
    ----------
    field : ndarray of shape (n, n, n)
        Linear density contrast at z = 99 in a periodic box, whose cells are 0.781 Mpc/h wide.
    box : float
        Side of the box in comoving Mpc/h.
    cells : ndarray of shape (m, 3)
        Where the particles start that are asked about: three whole numbers for each, the cell of the field along its three
        axes, counted from 0. For particles that are numbered in C order, ``zoo.data.nbody.lagrangian.particle_cells``.
    cosmology : Cosmology, optional
        Whose mean density turns masses of spheres into radii; by default that of the training.

    Returns
    -------
    dict of str to ndarray
        ``density`` (m, 24, 24, 24) for ``cnn3d-halo-mass``, ``spherical density`` of the same shape for
        ``cnn3d-halo-mass-spherical``, ``densities`` (m, 25) for ``gbt-halo-mass`` and ``nsf-halo-mass``, and ``densities and
        shear`` (m, 75), on which trees of one's own may be fitted.

    Raises
    ------
    InputError
        The field is not what the models were trained on, as ``density_cubes`` says.
    """
    given = Cosmology() if cosmology is None else cosmology
    cubes, cells = density_cubes(field, box, cells), np.asarray(cells)
    features = {names: sphere_features(field, box, cells, names, given) for names in FEATURE_SETS}
    return {"density": cubes, "spherical density": spherical_average(cubes), **features}

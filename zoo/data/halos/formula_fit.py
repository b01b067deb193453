"""The known formula of synthetic halos fitted to their crops: what a latent is to find, found without training."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from zoo.data.halos.dk14 import dk14_density
from zoo.data.halos.triaxial_cells import TriaxialCells

SHELLS = 24
"""Shells that the cells of a crop are averaged in, evenly in ln r from its middle to its faces."""
STARTS = (0.25, 0.75)
"""Shares of each parameter's range at which fits start, together."""


class FormulaFit:
    """Fits of ``dk14_density`` to the mean density in shells of a crop, by least squares with the weights of Poisson noise.

    A mean over whole shells does not know the axes of a halo, whose spherical average is the formula whatever they are. The
    mean of the formula over the cells of a shell is linear in its profile, so that it is taken once and for all.

    Parameters
    ----------
    cells : TriaxialCells
        The cells of a crop.
    cell : float
        Side of a cell, in the unit of the profile's radii.
    bounds : ndarray of shape (3, 2)
        Lowest and highest log10 of R200m, log10 of the concentration, and truncation radius over R200m.
    """

    def __init__(self, cells: TriaxialCells, cell: float, bounds: np.ndarray) -> None:
        self._radii, self._bounds = cells.radii, bounds
        middle = (np.indices((cells.size,) * 3) + 0.5 - cells.size / 2) * cell
        distance = np.sqrt((middle**2).sum(axis=0)).ravel()
        edges = np.geomspace(distance.min() * 0.999, cells.size / 2 * cell, SHELLS + 1)
        shell = np.searchsorted(edges, distance) - 1
        number = np.bincount(shell, minlength=SHELLS + 1)[:SHELLS]
        used = np.flatnonzero(number)
        self._count = number[used]
        self._average = (shell[None, :] == used[:, None]) / self._count[:, None]
        sphere = np.tile(np.eye(3), (len(self._radii), 1, 1))
        linear = cells.means(1 + np.eye(len(self._radii)), sphere).reshape(len(self._radii), -1) - 1
        self._of_profile = self._average @ linear.T

    def fit(self, density: np.ndarray) -> np.ndarray:
        """Fit one halo.

        Parameters
        ----------
        density : ndarray of shape (size, size, size)
            Density rho / rho_mean in the cells.

        Returns
        -------
        ndarray of shape (3,)
            R200m, concentration, and truncation radius over R200m.
        """
        seen = self._average @ density.ravel()

        def residual(parameters: np.ndarray) -> np.ndarray:
            expected = 1 + self._of_profile @ (self._density(self._radii, parameters) - 1)
            return (seen - expected) * np.sqrt(self._count / expected)

        low, high = self._bounds.T
        fits = [least_squares(residual, low + share * (high - low), bounds=(low, high), x_scale=high - low) for share in STARTS]
        log_r200m, log_concentration, truncation = min(fits, key=lambda fit: fit.cost).x
        return np.array([10**log_r200m, 10**log_concentration, truncation])

    @staticmethod
    def _density(radius: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        log_r200m, log_concentration, truncation = parameters
        return dk14_density(radius, 10**log_r200m, 10**log_concentration, truncation)

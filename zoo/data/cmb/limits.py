"""How well a sky with something else than LambdaCDM can be told from one without, by the likelihoods themselves.

Around any cosmology the parameters of LambdaCDM move the spectra along few directions, much farther than noise does. Integrated
over the cosmologies of the training rows, taken as Gaussian, the likelihood of LambdaCDM has the covariance of the noise and
theirs; in coordinates in which that is the unit matrix, what the parameters do is no longer seen. Nothing here is trained.
"""

from __future__ import annotations

import numpy as np

LEAST_AMPLITUDE = 10**-2.5
"""Below, a feature of the simulated set is too near to the rounding of its file to be a template."""
AMPLITUDES = np.logspace(-4, -1, 61)
"""The amplitudes that a likelihood ratio is averaged over, even in the logarithm as the prior is."""
ROWS = 512
"""Spectra that are compared with all templates at once."""


class Marginal:
    """The Gaussian likelihood of LambdaCDM, integrated over its parameters.

    Parameters
    ----------
    spectra : ndarray
        Spectra of LambdaCDM without noise, (n, 215) in muK^2, on cosmologies that follow the prior.
    noise : ndarray
        Covariance of the noise, (215, 215) in muK^4.
    """

    def __init__(self, spectra: np.ndarray, noise: np.ndarray) -> None:
        self.mean = spectra.mean(axis=0)
        self._cholesky = np.linalg.cholesky(noise + np.cov(spectra, rowvar=False))

    def whitened(self, differences: np.ndarray) -> np.ndarray:
        """Differences of spectra, (n, 215) in muK^2, in units in which LambdaCDM scatters by 1 in every direction."""
        return np.linalg.solve(self._cholesky, differences.T).T

    def chi_squared(self, spectra: np.ndarray) -> np.ndarray:
        """Chi-squared of the fit of LambdaCDM, its parameters within their prior: (n,)."""
        return np.square(self.whitened(spectra - self.mean)).sum(axis=1)

    def along(self, spectra: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Logarithm of the likelihood ratio (n,) of a known shift (215,) of the spectra, which is linear in them."""
        direction = self.whitened(shift[None])[0]
        return self.whitened(spectra - self.mean) @ direction - np.square(direction).sum() / 2

    def of_features(self, spectra: np.ndarray, templates: np.ndarray) -> np.ndarray:
        """Logarithm of the likelihood ratio of a feature, averaged over frequency, phase and amplitude: (n,).

        Parameters
        ----------
        spectra : ndarray
            Observed spectra, (n, 215) in muK^2.
        templates : ndarray
            What features of amplitude 1 add, (m, 215) in muK^2, their frequencies and phases drawn from the prior. Each counts
            with the opposite sign too, which is the phase half a turn on.
        """
        unit = self.whitened(templates)
        squares = np.square(unit).sum(axis=1)
        found = [self._averaged(rows, unit, squares) for rows in np.array_split(spectra, -(-len(spectra) // ROWS))]
        return np.concatenate(found)

    def _averaged(self, spectra: np.ndarray, unit: np.ndarray, squares: np.ndarray) -> np.ndarray:
        product = np.abs(self.whitened(spectra - self.mean) @ unit.T)
        total = np.full(len(spectra), -np.inf)
        for amplitude in AMPLITUDES:
            # log cosh of the product: the mean over both signs
            both = amplitude * product + np.log1p(np.exp(-2 * amplitude * product)) - np.log(2)
            total = np.logaddexp(total, np.logaddexp.reduce(both - amplitude**2 / 2 * squares, axis=1))
        return total - np.log(len(AMPLITUDES) * len(unit))

"""Lognormal maps, whose power and mean follow the parameters: what a generator of maps has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

FLOOR = 0.05
"""Added to densities in units of their mean before the logarithm."""


@dataclass(frozen=True)
class LognormalMaps:
    """Gaussian maps of the logarithm of the density, of the power that simulated maps have at the same parameters.

    Attributes
    ----------
    center, width : ndarray of shape (D,)
        Mean and deviation of the parameters, by which they are scaled.
    mean : ndarray
        Coefficients of the mean of the logarithm, a polynomial of second order in the scaled parameters.
    spread : float
        Deviation of a map's mean from it.
    power : ndarray of shape (s, s // 2 + 1, coefficients)
        Coefficients of the logarithm of the power of each mode.
    """

    center: np.ndarray
    width: np.ndarray
    mean: np.ndarray
    spread: float
    power: np.ndarray

    @classmethod
    def fitted(cls, theta: np.ndarray, overdensity: np.ndarray) -> LognormalMaps:
        """Fit means and powers of periodic maps (n, s, s) at parameters (n, D)."""
        center, width = theta.mean(axis=0), theta.std(axis=0)
        terms = _terms((theta - center) / width)
        logarithm = np.log(1 + overdensity + FLOOR).astype(np.float64)
        means = logarithm.mean(axis=(1, 2))
        mean, *_ = np.linalg.lstsq(terms, means, rcond=None)
        s = overdensity.shape[1]
        length = np.hypot(np.fft.fftfreq(s, 1 / s)[:, None], np.arange(s // 2 + 1))
        _, shell = np.unique(np.round(length, 6), return_inverse=True)
        shell = shell.reshape(length.shape)
        square = np.abs(scipy.fft.rfft2(logarithm, norm="ortho")) ** 2
        count = np.bincount(shell.ravel())
        of_shells = np.stack([np.bincount(shell.ravel(), one.ravel()) for one in square]) / count
        of_shells[:, 0] = 1  # the mean of a map is its own
        coefficients, *_ = np.linalg.lstsq(terms, np.log(of_shells), rcond=None)
        # The mean of a logarithm is below the logarithm of the mean, by what the scatter about the fit says.
        level = np.log(np.mean(of_shells / np.exp(terms @ coefficients), axis=0))
        coefficients[0] += level
        return cls(center, width, mean, float(np.std(means - terms @ mean)), coefficients.T[shell])

    def draw(self, theta: np.ndarray, seed: int = 0) -> np.ndarray:
        """Maps (n, s, s) of parameters (n, D)."""
        rng = np.random.default_rng(seed)
        terms, s = _terms((theta - self.center) / self.width), len(self.power)
        found = np.empty((len(theta), s, s), np.float32)
        for i, term in enumerate(terms):
            amplitude = np.exp(0.5 * self.power @ term)
            amplitude[0, 0] = 0
            field = scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal((s, s)), norm="ortho") * amplitude, norm="ortho")
            field += term @ self.mean + self.spread * rng.standard_normal()
            found[i] = np.maximum(np.exp(field) - FLOOR, 0) - 1
        return found


def _terms(x: np.ndarray) -> np.ndarray:
    """One, the numbers (n, D), and their products."""
    pairs = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i + 1)]
    return np.column_stack([np.ones(len(x)), x, *pairs])

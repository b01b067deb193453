"""Lognormal maps, whose power follows the parameters: what a generator of maps has to beat.

Coles & Jones 1991, MNRAS 248, 1: the logarithm of the density is Gaussian, with the correlations that give the density those
of the simulated maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from zoo.seeds import generator


@dataclass(frozen=True)
class LognormalMaps:
    """Lognormal densities of the power that simulated maps have at the same parameters.

    Attributes
    ----------
    center, width : ndarray of shape (D,)
        Mean and deviation of the parameters, by which they are scaled.
    power : ndarray of shape (s, s // 2 + 1, coefficients)
        Coefficients of the logarithm of the overdensity's power in each mode, a polynomial of second order in the scaled
        parameters; of the mean of a map too.
    """

    center: np.ndarray
    width: np.ndarray
    power: np.ndarray

    @classmethod
    def fitted(cls, theta: np.ndarray, overdensity: np.ndarray) -> LognormalMaps:
        """Fit the powers of periodic maps (n, s, s) at parameters (n, D)."""
        center, width = theta.mean(axis=0), theta.std(axis=0)
        terms = _terms((theta - center) / width)
        s = overdensity.shape[1]
        length = np.hypot(np.fft.fftfreq(s, 1 / s)[:, None], np.arange(s // 2 + 1))
        _, shell = np.unique(np.round(length, 6), return_inverse=True)
        shell = shell.reshape(length.shape)
        square = np.abs(scipy.fft.rfft2(overdensity.astype(np.float64), norm="ortho")) ** 2
        of_shells = np.stack([np.bincount(shell.ravel(), one.ravel()) for one in square]) / np.bincount(shell.ravel())
        coefficients, *_ = np.linalg.lstsq(terms, np.log(of_shells), rcond=None)
        # The mean of a logarithm is below the logarithm of the mean, by what the scatter about the fit says.
        level = np.log(np.mean(of_shells / np.exp(terms @ coefficients), axis=0))
        coefficients[0] += level
        return cls(center, width, coefficients.T[shell])

    def draw(self, theta: np.ndarray, seed: int = 0) -> np.ndarray:
        """Maps (n, s, s) of parameters (n, D)."""
        rng = generator(seed)
        terms, s = _terms((theta - self.center) / self.width), len(self.power)
        found = np.empty((len(theta), s, s), np.float32)
        for i, term in enumerate(terms):
            correlation = scipy.fft.irfft2(np.exp(self.power @ term))
            gaussian = np.maximum(scipy.fft.rfft2(np.log1p(np.maximum(correlation, -0.9))).real, 0)
            field = scipy.fft.irfft2(
                scipy.fft.rfft2(rng.standard_normal((s, s)), norm="ortho") * np.sqrt(gaussian), norm="ortho"
            )
            found[i] = np.exp(field - scipy.fft.irfft2(gaussian)[0, 0] / 2) - 1
        return found


def _terms(x: np.ndarray) -> np.ndarray:
    """One, the numbers (n, D), and their products."""
    pairs = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i + 1)]
    return np.column_stack([np.ones(len(x)), x, *pairs])

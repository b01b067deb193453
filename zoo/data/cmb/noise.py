"""Covariance of binned spectra: cosmic variance, beam and noise of a Planck-like survey (Knox 1995).

The seven survey numbers below were fitted to the error bars of Planck's public binned spectra, which they
reproduce within 4% (TT), 10% (TE) and 16% (EE) in every bin. Temperature and polarization have effective sky
fractions of their own because Planck combines several frequencies and masks; the polarization noise rises below
l = 63, where Planck's own is dominated by residual systematics.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from zoo.data.cmb.binning import CHANNELS, L_MAX, N_JOINT, SLICES, weights

SKY_FRACTION = {"TT": 0.611, "TE": 0.806, "EE": 0.858}
WHITE_NOISE = {"T": 50.4, "E": 75.0}
"""White noise in muK arcmin."""
BEAM_FWHM = {"T": 5.42, "E": 6.70}
"""Full width of the beam at half its maximum, in arcmin."""
POLARIZATION_KNEE = 62.7
"""Multipole below which the polarization noise rises as 1/l^2."""

ARCMIN = np.pi / 180 / 60


def noise_spectrum(field: str, ell: np.ndarray) -> np.ndarray:
    """Beam-deconvolved noise C_l in muK^2 of field "T" or "E" at multipoles ``ell``."""
    beam = np.exp(ell * (ell + 1) * (BEAM_FWHM[field] * ARCMIN) ** 2 / (8 * np.log(2)))
    rise = 1 + (POLARIZATION_KNEE / np.maximum(ell, 2)) ** 2 if field == "E" else 1.0
    return (WHITE_NOISE[field] * ARCMIN) ** 2 * beam * rise


def knox_covariance(d_ell: dict[str, np.ndarray]) -> np.ndarray:
    """Gaussian covariance of the 215 joint bins, muK^4; shape (215, 215).

    cov(C_l^{XY}, C_l^{ZW}) = [C^{XZ} C^{YW} + C^{XW} C^{YZ}] / ((2l+1) f_sky), noise included in the
    auto-spectra, no correlation between multipoles (Knox 1995, astro-ph/9504054; Kamionkowski et al. 1997).

    Parameters
    ----------
    d_ell : dict of str to ndarray
        Unbinned D_l in muK^2 from l = 0, keys "TT", "TE", "EE".
    """
    ell = np.arange(L_MAX["TT"] + 1, dtype=float)
    to_c_ell = np.divide(2 * np.pi, ell * (ell + 1), out=np.zeros_like(ell), where=ell > 0)
    total = {ch: d_ell[ch] * to_c_ell for ch in CHANNELS}
    total["TT"] = total["TT"] + noise_spectrum("T", ell)
    total["EE"] = total["EE"] + noise_spectrum("E", ell)
    total["ET"] = total["TE"]

    covariance = np.zeros((N_JOINT, N_JOINT))
    for first, second in product(CHANNELS, CHANNELS):
        x, y, z, w = first[0], first[1], second[0], second[1]
        sky = np.sqrt(SKY_FRACTION[first] * SKY_FRACTION[second])
        per_multipole = (total[x + z] * total[y + w] + total[x + w] * total[y + z]) / ((2 * ell + 1) * sky)
        (w_first, l_first), (w_second, l_second) = weights(first), weights(second)
        to_d = np.outer(l_first * (l_first + 1), l_second * (l_second + 1)) / (2 * np.pi) ** 2
        covariance[SLICES[first], SLICES[second]] = to_d * ((w_first * per_multipole) @ w_second.T)
    return covariance

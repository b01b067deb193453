"""The particles that jets are made of, by their PDG codes."""

from __future__ import annotations

import numpy as np

CODES = np.array([0, 22, 211, -211, 321, -321, 130, 2112, -2112, 2212, -2212, 11, -11, 13, -13], np.int32)
"""PDG code of each number in a file: 0 for padding, then all visible particles that reach a detector."""

_PION, _KAON, _NEUTRON, _PROTON, _ELECTRON, _MUON = 0.13957, 0.49368, 0.93957, 0.93827, 0.00051, 0.10566
MASSES = np.array([0, 0, *[_PION] * 2, *[_KAON] * 2, 0.49761, *[_NEUTRON] * 2, *[_PROTON] * 2, *[_ELECTRON] * 2, *[_MUON] * 2])
"""Mass of each in GeV, Pythia's."""

_ORDER = np.argsort(CODES)


def numbers_of(codes: np.ndarray) -> np.ndarray:
    """Where each PDG code stands in ``CODES``.

    Parameters
    ----------
    codes : ndarray
        PDG codes.

    Returns
    -------
    ndarray
        Numbers of the same shape, int64; -1 for a code that is not there.
    """
    place = np.searchsorted(CODES, codes, sorter=_ORDER).clip(max=len(CODES) - 1)
    found = _ORDER[place]
    return np.where(CODES[found] == codes, found, -1)


def masses_of(codes: np.ndarray) -> np.ndarray:
    """Mass of each particle in GeV, 0 for codes that are not in ``CODES``."""
    number = numbers_of(codes)
    return np.where(number < 0, 0.0, MASSES[number])

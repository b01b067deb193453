"""Planck's public binning of CMB spectra: 83 TT, 66 TE and 66 EE bins of 30 multipoles from l = 30.

Bin weights are proportional to l(l+1) on C_l, and a bin stands at its weighted mean multipole
(Planck 2018 V, arXiv:1907.12875, section 3.3; the l column of the public files agrees to 1e-5).
"""

from __future__ import annotations

import numpy as np

from zoo.model.axes import Axis, Coordinates

CHANNELS = ("TT", "TE", "EE")
L_MIN, BIN_WIDTH = 30, 30
L_MAX = {"TT": 2508, "TE": 1996, "EE": 1996}
"""Last multipole of each channel; the last TE and EE bins are cut short there."""

EDGES = {ch: [(lo, min(lo + BIN_WIDTH, L_MAX[ch] + 1)) for lo in range(L_MIN, L_MAX[ch] + 1, BIN_WIDTH)] for ch in CHANNELS}
N_BINS = {ch: len(EDGES[ch]) for ch in CHANNELS}
N_JOINT = sum(N_BINS.values())


def _channel_slices() -> dict[str, slice]:
    stops = np.cumsum([N_BINS[ch] for ch in CHANNELS])
    return {ch: slice(int(stop) - N_BINS[ch], int(stop)) for ch, stop in zip(CHANNELS, stops, strict=True)}


SLICES = _channel_slices()
"""Where each channel lies in the joint vector of 215 bins."""


def weights(channel: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights w and bin multipoles l_b of one channel, so that C_b = w @ C_l.

    Returns
    -------
    w : ndarray of shape (bins, L_MAX["TT"] + 1)
        The weights, whose rows sum to one.
    l_b : ndarray of shape (bins,)
        The weighted mean multipole of each bin.
    """
    ell = np.arange(L_MAX["TT"] + 1, dtype=float)
    w = np.zeros((N_BINS[channel], ell.size))
    for row, (lo, hi) in zip(w, EDGES[channel], strict=True):
        row[lo:hi] = ell[lo:hi] * (ell[lo:hi] + 1)
        row /= row.sum()
    return w, w @ ell


def binning_matrix(channel: str) -> np.ndarray:
    """Matrix B with D_b = B @ D_l, where D_b = l_b (l_b + 1) C_b / 2 pi; shape (bins, L_MAX["TT"] + 1)."""
    w, l_b = weights(channel)
    ell = np.arange(w.shape[1], dtype=float)
    per_multipole = np.divide(1.0, ell * (ell + 1), out=np.zeros_like(ell), where=ell > 0)
    return (l_b * (l_b + 1))[:, None] * w * per_multipole


def joint_multipoles() -> np.ndarray:
    """Multipole of each of the 215 joint bins (TT, then TE, then EE)."""
    return np.concatenate([weights(ch)[1] for ch in CHANNELS])


def bin_spectra(d_ell: dict[str, np.ndarray]) -> np.ndarray:
    """Bin unbinned spectra into the joint vector.

    Parameters
    ----------
    d_ell : dict of str to ndarray
        D_l in muK^2, starting at l = 0: for "TT", "TE" and "EE" an array (..., L_MAX["TT"] + 1).

    Returns
    -------
    ndarray of shape (..., 215)
        D_b in muK^2.
    """
    return np.concatenate([d_ell[ch] @ binning_matrix(ch).T for ch in CHANNELS], axis=-1)


def multipole_axis() -> Axis:
    """The axis of the 215 joint bins, with their multipoles and the channels as groups."""
    return Axis(
        name="multipole",
        size=N_JOINT,
        coordinates=Coordinates(values=joint_multipoles().tolist(), unit="1"),
        groups={channel: (part.start, part.stop) for channel, part in SLICES.items()},
    )

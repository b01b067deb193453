"""Transforms of periodic cubes; they run on as many threads as numba does."""

from __future__ import annotations

import numba
import numpy as np
import scipy.fft


def forward(field: np.ndarray) -> np.ndarray:
    """Transform a real field (n, n, n) to its unnormalized Fourier coefficients (n, n, n // 2 + 1), in the same precision."""
    return scipy.fft.rfftn(field, workers=numba.get_num_threads())


def backward(modes: np.ndarray) -> np.ndarray:
    """Transform Fourier coefficients (n, n, n // 2 + 1) of an even n to the real field; they are overwritten."""
    return scipy.fft.irfftn(modes, s=(len(modes),) * 3, workers=numba.get_num_threads(), overwrite_x=True)


def mode_weights(n: int) -> np.ndarray:
    """Share (1, 1, n // 2 + 1) of an independent mode in each coefficient: planes along z hold both of each conjugate pair."""
    z = np.arange(n // 2 + 1)
    return np.where((z == 0) | (z == n // 2), 0.5, 1.0)[None, None, :]


def wave_numbers(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integer wave vectors (x, y, z) of the coefficients, float32, shaped to broadcast; n / 2 is positive along z only."""
    full = np.fft.fftfreq(n, 1 / n).astype(np.float32)
    return full[:, None, None], full[None, :, None], np.arange(n // 2 + 1, dtype=np.float32)[None, None, :]

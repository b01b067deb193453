"""What may stand in the holes of a field, given the rest of it and what a denoiser knows of such fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

MOST, LEAST, STEPS = 60.0, 0.025, 60
"""Deviations of the noise, for fields of a deviation near one, and on how many levels between them, even in the logarithm: from
one that hides all of a field to one below the scatter of its cells."""
CORRECTED = (0.03, 2.5)
"""Between these levels, where a hole takes the form that its surroundings allow, each level is corrected."""
CORRECTIONS, PART = 3, 0.3
"""Corrections of a level, and the part of the noise that each makes anew. On Gaussian fields, whose fills are known, three of
three tenths bring deviations within a tenth, and steps across the edge of a hole within a twentieth; without, it is a fifth."""

_LEVELS = np.geomspace(MOST, LEAST, STEPS)


def passes() -> int:
    """How many times a denoiser is asked for a fill."""
    return STEPS + CORRECTIONS * sum(map(_is_corrected, _LEVELS))


def filled(
    denoise: Callable[[np.ndarray, float], np.ndarray],
    field: np.ndarray,
    hole: np.ndarray,
    rngs: Sequence[np.random.Generator],
) -> np.ndarray:
    """Draws of a field given what is seen of it.

    What is seen is put into every level of noise on the way from noise to a field (Lugmayr et al. 2022, arXiv:2201.09865), by
    steps of second order (Lu et al. 2022, arXiv:2211.01095). Corrections by Langevin dynamics at each level (Song et al. 2021,
    arXiv:2011.13456), with new noise on what is seen, let a hole and its surroundings agree.

    Parameters
    ----------
    denoise : callable
        Takes fields (draws, ...) with noise and the deviation of that, and gives the means of the fields behind them.
    field : ndarray
        The field, of a deviation near one; what its holes hold does not count.
    hole : ndarray of bool
        Which of it is missing, of the shape of the field.
    rngs : sequence of Generator
        The source of the noise of each draw.

    Returns
    -------
    ndarray
        The draws (draws, ...), where there is no hole the field itself.
    """
    seen = np.where(hole, 0, field).astype(np.float32)

    def noise(level: float) -> np.ndarray:
        return np.float32(level) * np.stack([rng.standard_normal(seen.shape, np.float32) for rng in rngs])

    def clean(x: np.ndarray, level: float) -> np.ndarray:
        return np.where(hole, denoise(x, level), seen)

    x, before = seen + noise(MOST), None
    for level, after in pairwise(_LEVELS):
        for _ in range(CORRECTIONS if _is_corrected(level) else 0):
            x = x + np.float32(PART) * (denoise(x, level) - x) + noise(np.sqrt(2 * PART - PART**2) * level)
            x = np.where(hole, x, seen + noise(level))
        mean = clean(x, level)
        ahead = mean if before is None else mean + (mean - before) / 2
        left = np.float32((after / level) ** 2)
        x, before = left * x + (1 - left) * ahead + noise(after * np.sqrt(1 - left)), mean
    return clean(x, LEAST)


def _is_corrected(level: float) -> bool:
    low, high = CORRECTED
    return low < level < high

"""Jets in memory: flat arrays of particles, packed in seven bytes each, beside what is known of each jet.

A particle is its transverse momentum relative to the jet's and its offsets from the jet's axis in half precision, and the
number of its PDG code. Half precision is off by at most 0.05% of the transverse momentum and 0.0003 of an offset up to 1, where
detectors have per cents and 0.005. Jets have their own momenta in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EVENTS = 10**7
"""One past the most events of a class in a file; numbers of events of the next class begin there."""
SOFTEST = 2.0**-25
"""Largest transverse momentum, relative to the jet's, that half precision rounds to 0; particles have at least this."""
MOST_EVENTS = 10 * EVENTS
"""One past the largest number of an event in a file."""
ARRAYS = {
    "momentum": np.float32,
    "label": np.uint8,
    "weight": np.float64,
    "event": np.int64,
    "parton_pt": np.float32,
    "offsets": np.int64,
    "particles": np.float16,
    "identity": np.uint8,
}
"""Every array of a file, with its dtype."""


@dataclass(frozen=True)
class Jets:
    """Jets with particles one after another.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes.
    momentum : ndarray of shape (n, 4)
        Transverse momentum [GeV], rapidity, azimuth [rad] and mass [GeV] of each jet, float32.
    label : ndarray of shape (n,)
        Number of the class of each jet.
    weight : ndarray of shape (n,)
        Weight of the event of each jet.
    event : ndarray of shape (n,)
        Number of the event of each jet, of which no two of a file have the same; jets of one event follow each other, the
        hardest first.
    parton_pt : ndarray of shape (n,)
        Transverse momentum [GeV] of the outgoing particle of the hard process that is nearest to the jet.
    offsets : ndarray of shape (n + 1,)
        Where the particles of each jet begin, and their total number.
    particles : ndarray of shape (particles, 3)
        Transverse momentum relative to the jet's, and offsets in rapidity and azimuth from its axis, float16; of each jet the
        hardest particle first.
    identity : ndarray of shape (particles,)
        Number of each particle's PDG code in ``CODES``.
    """

    classes: tuple[str, ...]
    momentum: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    event: np.ndarray
    parton_pt: np.ndarray
    offsets: np.ndarray
    particles: np.ndarray
    identity: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def counts(self) -> np.ndarray:
        """Number of particles of each jet, (n,)."""
        return np.diff(self.offsets)

    def unpacked(self, jets: np.ndarray, particles: np.ndarray) -> np.ndarray:
        """Transverse momentum [GeV], rapidity and azimuth [rad] of particles, (m, 3) float32.

        Parameters
        ----------
        jets : ndarray of shape (m,)
            The jet of each particle.
        particles : ndarray of shape (m,)
            Which particles.
        """
        packed, axes = self.particles[particles].astype(np.float64), self.momentum[jets].astype(np.float64)
        pt, y, phi = (
            np.maximum(packed[:, 0], SOFTEST) * axes[:, 0],
            packed[:, 1] + axes[:, 1],
            wrapped(packed[:, 2] + axes[:, 2]),
        )
        return np.stack([pt, y, phi], axis=1).astype(np.float32)


def wrapped(angle: Any) -> Any:
    """An angle in radians in [-pi, pi), of numbers or arrays."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def joined(parts: Sequence[Jets]) -> Jets:
    """Jets of several files as one.

    Parameters
    ----------
    parts : sequence of Jets
        Jets of the same classes. Their events keep the numbers that they have in their file.

    Returns
    -------
    Jets
        All of them, in their order.
    """
    starts = np.cumsum([0, *(len(part.particles) for part in parts)])
    offsets = np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(parts, starts[:-1], strict=True))])
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS if name != "offsets"}
    return Jets(classes=parts[0].classes, offsets=offsets, **arrays)

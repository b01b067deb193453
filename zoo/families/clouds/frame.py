"""Coordinates of a jet's particles about its axis, which no rotation about the beam and no boost along it changes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

TINY = 1e-12
"""What keeps a division by the momentum of a jet without particles a number."""
SOFTEST = 1e-3
"""Transverse momentum in GeV, far below what detectors see, below which logarithms do not fall any further."""
NARROWEST = 1e-3
"""Distance in (y, phi), below the cells of any calorimeter, that is added in squares to those whose logarithm is taken: without
it the rounding of two angles in float32 would be seen."""
KINEMATICS = 5
"""Number of what :func:`kinematics` tells of each particle."""


class Frame(NamedTuple):
    """Particles of jets about the axis of each, (batch, particle) each; padding has no momentum.

    Attributes
    ----------
    pt : Tensor
        Transverse momentum in GeV.
    share : Tensor
        Share of the jet's scalar sum of transverse momenta.
    dy : Tensor
        Rapidity less that of the axis.
    dphi : Tensor
        Azimuth less that of the axis, rad, from -pi to pi.
    """

    pt: Any
    share: Any
    dy: Any
    dphi: Any


def about_axis(particles, real) -> Frame:
    """Particles about the axis of their jet: the mean of rapidity and of direction in azimuth, by transverse momentum.

    A particle that is split into two in its own direction, or one without momentum, leaves such an axis where it is. Azimuths
    are compared by their sine and cosine, so that it does not matter where they are counted from or whether to 2 pi.

    Parameters
    ----------
    particles : Tensor
        Transverse momentum in GeV, rapidity and azimuth in rad, (batch, particle, 3).
    real : Tensor
        Which elements are particles, (batch, particle), bool.

    Returns
    -------
    Frame
        Finite for jets without particles too.
    """
    here = ops.where(real[..., None], particles, ops.zeros_like(particles))
    pt, y, phi = here[..., 0], here[..., 1], here[..., 2]
    share = pt / ops.maximum(ops.sum(pt, axis=1, keepdims=True), TINY)
    dy = y - ops.sum(share * y, axis=1, keepdims=True)
    sine, cosine = ops.sin(phi), ops.cos(phi)
    axis = [ops.sum(share * one, axis=1, keepdims=True) for one in (cosine, sine)]
    length = ops.sqrt(ops.maximum(ops.square(axis[0]) + ops.square(axis[1]), TINY))
    along = cosine * axis[0] + sine * axis[1]
    across = sine * axis[0] - cosine * axis[1]
    dphi = 2.0 * ops.arctan(across / ops.maximum(length + along, TINY))  # the tangent of half the angle
    return Frame(pt, share, dy, dphi)


def kinematics(frame: Frame):
    """What networks see of the momentum of each particle, (batch, particle, 5).

    These are dy, dphi, ln pT, ln of the share of pT, and the distance from the axis. The energy of a particle, taken where the
    jet is at rest along the beam, is pT cosh dy, and so nothing that is not there already.
    """
    log_pt = ops.log(ops.maximum(frame.pt, SOFTEST))
    jet = ops.log(ops.maximum(ops.sum(frame.pt, axis=1, keepdims=True), SOFTEST))
    distance = ops.sqrt(ops.square(frame.dy) + ops.square(frame.dphi) + TINY)
    return ops.stack([frame.dy, frame.dphi, log_pt, log_pt - jet, distance], axis=-1)


def squared_distance(frame: Frame):
    """Squared distances in (y, phi) of the particles of each jet from each other, (batch, particle, particle)."""
    dy = frame.dy[:, :, None] - frame.dy[:, None]
    dphi = frame.dphi[:, :, None] - frame.dphi[:, None]
    dphi = dphi - 2.0 * math.pi * ops.round(dphi / (2.0 * math.pi))
    return ops.square(dy) + ops.square(dphi)


def pair_kinematics(frame: Frame):
    """Logarithms of what two particles are to each other (Qu et al. 2022, arXiv:2202.03772, eq. 3), (batch, p, p, 4).

    For particles a and b without mass at a distance Delta these are ln Delta, ln kT, with kT = min(pT_a, pT_b) Delta, ln z,
    with z = min(pT_a, pT_b) / (pT_a + pT_b), and ln m^2, with m^2 = 2 pT_a pT_b (cosh dy - cos dphi).
    """
    log_pt = ops.log(ops.maximum(frame.pt, SOFTEST))
    dy, dphi = (0.5 * (one[:, :, None] - one[:, None]) for one in (frame.dy, frame.dphi))
    opening = 4.0 * (ops.square(ops.sinh(dy)) + ops.square(ops.sin(dphi)))  # 2 (cosh dy - cos dphi), without cancellation
    log_distance = 0.5 * ops.log(squared_distance(frame) + NARROWEST**2)
    both = log_pt[:, :, None] + log_pt[:, None]
    softer = ops.minimum(log_pt[:, :, None], log_pt[:, None])
    z = softer - ops.log(ops.maximum(frame.pt[:, :, None] + frame.pt[:, None], 2 * SOFTEST))
    mass = both + ops.log(opening + NARROWEST**2)
    return ops.stack([log_distance, softer + log_distance, z, mass], axis=-1)

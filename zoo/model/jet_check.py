"""Whether jets are such as a model was trained on: real particles, their momentum together, and how far they reach.

A network answers for any particles, and for jets of another radius or momentum it answers wrongly. Particles tell of both: the
momentum of a jet is that of their sum, and they lie within its radius of its axis, but for soft ones.
"""

from __future__ import annotations

import numpy as np

from zoo.errors import InputError, option
from zoo.model.jet import Jet
from zoo.model.spec import Tensor

REACH = 1.6
"""No particle of an anti-kt jet lies farther from its axis, in units of the radius. Of 150,000 simulated jets of radius 0.4 to
1.0, half have one beyond 0.96, one in a thousand beyond 1.3, and the widest 1.51: what is gathered last moves the axis away."""
NARROW, MANY = 0.75, 30
"""So many jets of which none reaches so far, in units of the radius, are of a smaller one: half the radius ends at 0.7. Of the
simulated jets 0.1% to 16% end there, by what they come from; of those with fewest particles, without soft ones, up to 86%."""
TYPICAL = 0.96
"""How far half of the jets reach, in units of the radius."""


def refuse_jets(tensor: Tensor, particles: np.ndarray, real: np.ndarray, allow_out_of_range: bool) -> None:
    """Refuse jets that a model was not trained on, and padding that is said to be real.

    Parameters
    ----------
    tensor : Tensor
        The input, of which ``jet`` is known.
    particles : ndarray of shape (n, particle, numbers)
        Transverse momentum [GeV], rapidity and azimuth [rad] of each particle, and whatever else there is of it.
    real : ndarray of shape (n, particle)
        Which elements are particles. Jets without any are let through.
    allow_out_of_range : bool
        Let jets of another momentum or radius through. Padding that is real is never what it is taken for.

    Raises
    ------
    InputError
        Naming rows and elements, what was expected and given.
    """
    where, jet = f"input {tensor.name!r}", tensor.jet
    assert jet is not None
    nothing = real_padding(particles, real)
    if len(nothing):
        at = tuple(map(int, nothing[0]))
        raise InputError(
            f"{where}: {len(nothing)} elements are real and have no transverse momentum, the first at {at}:"
            f" expected above 0 GeV where {tensor.mask!r} is true, given {particles[at][0]:.6g}; padding is not real"
        )
    if allow_out_of_range or not real.any():
        return
    pt, farthest = seen(particles, real)
    there = real.any(axis=1) & np.isfinite(pt) & np.isfinite(farthest)
    outside, far = there & other_momentum(jet, pt), there & (farthest > REACH * jet.radius)
    lets = f"extrapolate with {option('allow_out_of_range')}"
    if outside.any():
        row = int(outside.argmax())
        raise InputError(
            f"{where}: {np.count_nonzero(outside)} jets lie outside the trained range, the first in row {row}: expected"
            f" {jet.pt[0]:.6g} to {jet.pt[1]:.6g} GeV of transverse momentum, that of the sum of the particles, given"
            f" {pt[row]:.6g}{_as_if(jet, float(pt[row]))}; check the units, or {lets}"
        )
    reason = f"as of anti-kt jets of radius {jet.radius:.6g}"
    if far.any():
        row = int(far.argmax())
        raise InputError(
            f"{where}: {np.count_nonzero(far)} jets reach farther than those of the training, the first in row {row}: expected"
            f" particles within {REACH * jet.radius:.6g} of the axis, {reason}, given one at {farthest[row]:.6g};"
            f" cluster with that radius, or {lets}"
        )
    if too_narrow(jet, farthest[there]):
        count = np.count_nonzero(there)
        raise InputError(
            f"{where}: none of {count} jets reaches as far as those of the training: expected particles beyond"
            f" {NARROW * jet.radius:.6g} from the axis, {reason}, given at most {farthest[there].max():.6g};"
            f" cluster with that radius, or {lets}"
        )


def real_padding(particles: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Row and place (k, 2) of elements that are said to be real and have no transverse momentum."""
    pt = particles[..., 0]
    return np.argwhere(real & np.isfinite(pt) & (pt <= 0))


def seen(particles: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Momentum of jets, and how far they reach.

    Parameters
    ----------
    particles : ndarray of shape (n, particle, numbers)
        Transverse momentum [GeV], rapidity and azimuth [rad] of each particle.
    real : ndarray of shape (n, particle)
        Which elements are particles.

    Returns
    -------
    pt : ndarray of shape (n,)
        Transverse momentum of the sum of the particles in GeV.
    farthest : ndarray of shape (n,)
        Distance of the farthest particle from the axis in rapidity and azimuth, 0 of a jet without any. The axis is that of the
        sum of four-momenta, of particles without mass, which moves it by less than 0.002 radii.
    """
    row, momenta = np.nonzero(real)[0], particles[real][:, :3]
    pt, y, phi = momenta.T.astype(np.float64)
    jets, farthest = len(real), np.zeros(len(real))
    with np.errstate(all="ignore"):  # what is not finite is let through where the caller lets it
        forward = pt * np.exp(y)
        px, py, e_plus_pz, e_minus_pz = (
            np.bincount(row, each, jets) for each in (pt * np.cos(phi), pt * np.sin(phi), forward, pt * pt / forward)
        )
        turned = (phi - np.arctan2(py, px)[row] + np.pi) % (2 * np.pi) - np.pi
        np.maximum.at(farthest, row, np.hypot(y - np.log(e_plus_pz / e_minus_pz)[row] / 2, turned))
    return np.hypot(px, py), farthest


def other_momentum(jet: Jet, pt: np.ndarray) -> np.ndarray:
    """Which transverse momenta (n,) in GeV are outside the trained ones."""
    return (pt < jet.pt[0]) | (pt > jet.pt[1])


def too_narrow(jet: Jet, farthest: np.ndarray) -> bool:
    """Whether many jets, of which the farthest particles are so far (n,) from the axes, are all of a smaller radius."""
    return len(farthest) >= MANY and bool(farthest.max() < NARROW * jet.radius)


def measured(jet: Jet, pt: np.ndarray, farthest: np.ndarray) -> Jet:
    """The jets that were given, of the same radius unless they reach farther or all less far.

    Parameters
    ----------
    jet : Jet
        What they might be.
    pt, farthest : ndarray of shape (n,)
        Of each jet with particles, as `seen` gives them; at least one.

    Returns
    -------
    Jet
        Their radius, and their least and largest transverse momentum.
    """
    radius = jet.radius
    if too_narrow(jet, farthest) or farthest.max() > REACH * radius:
        radius = float(np.ceil(100 * max(np.median(farthest) / TYPICAL, farthest.max() / REACH, 0.01)) / 100)
    return Jet.model_construct(radius=radius, pt=(float(pt.min()), float(pt.max())))


def _as_if(jet: Jet, pt: float) -> str:
    """What a transverse momentum looks like, where it is a thousand times the trained ones or a thousandth."""
    looks = {1000.0: ", as if in TeV or relative to the jet", 0.001: ", as if in MeV"}
    return next((words for factor, words in looks.items() if not other_momentum(jet, np.array(pt * factor))), "")

"""Particles that a user hands in, checked and put in the order and shape that networks take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data.jets.identities import CODES, numbers_of
from zoo.data.jets.packed import wrapped
from zoo.errors import InputError, option
from zoo.model.pdg_codes import expect_both_signs, signs

Cloud = dict[str, np.ndarray]
"""``particles`` (n, particle, 3), ``identity`` (n, particle) where it is known, and ``real`` (n, particle)."""

LEAST, MOST = 3.0, 7000.0
"""Scalar sums of transverse momenta in GeV between which the jets of the LHC are: the upper is half of what its beams have."""
FARTHEST = 20.0
"""Absolute rapidity above which there is no particle at any collider."""
HEAVIEST = 10.0
"""Mass in GeV above which there is no particle in a jet."""


@dataclass(frozen=True)
class Particles:
    """Particles of jets, one after another.

    Attributes
    ----------
    jets : int
        Number of jets.
    jet : ndarray of shape (m,)
        The jet of each particle, in rising order.
    place : ndarray of shape (m,)
        Where each particle stands among those that were handed in for its jet.
    numbers : dict of str to ndarray
        What is known of the particles, (m,) each in float64.
    """

    jets: int
    jet: np.ndarray
    place: np.ndarray
    numbers: dict[str, np.ndarray]

    def kept(self, chosen: np.ndarray) -> Particles:
        """The particles for which ``chosen`` (m,) is true."""
        numbers = {name: values[chosen] for name, values in self.numbers.items()}
        return Particles(self.jets, self.jet[chosen], self.place[chosen], numbers)

    def refuse(self, wrong: np.ndarray, reason: str) -> None:
        """Raise InputError that names the first particle for which ``wrong`` (m,) is true."""
        if not wrong.any():
            return
        at, others = int(wrong.argmax()), np.count_nonzero(wrong) - 1
        given = ", ".join(f"{name} {values[at]:.6g}" for name, values in self.numbers.items())
        more = f" and {others} more" if others else ""
        raise InputError(f"jet {self.jet[at]}, particle {self.place[at]}{more}: {reason}; given {given}")


def particles_of(counts: np.ndarray, numbers: dict[str, np.ndarray]) -> Particles:
    """Particles of jets that have so many, (n,)."""
    jet = np.repeat(np.arange(len(counts)), counts)
    return Particles(len(counts), jet, np.arange(len(jet)) - np.repeat(np.cumsum(counts) - counts, counts), numbers)


def as_cloud(particles: Particles, *, unit_known: bool, duplicates: bool) -> Cloud:
    """Tensors of particles with ``pt`` [GeV], ``y``, ``phi`` [rad] and, where they have it, ``identity``.

    Parameters
    ----------
    particles : Particles
        The particles; those without transverse momentum are padding and left out.
    unit_known : bool
        Whether the momenta are known to be in GeV.
    duplicates : bool
        Whether a jet may hold the same particle twice.

    Returns
    -------
    dict of str to ndarray
        ``particles`` (n, particle, 3) float32, each jet's hardest particle first; ``identity`` (n, particle) int32, where it is
        known; ``real`` (n, particle). There is at least one place, so that jets without particles are rows of padding.

    Raises
    ------
    InputError
        Naming jet and particle: what is not finite, impossible or implausible, identities that are unknown, the same particle
        twice. Identities without their sign.
    """
    particles = particles.kept(particles.numbers["pt"].astype(np.float32) != 0)
    _expect_possible(particles)
    if not unit_known:
        total = np.bincount(particles.jet, weights=particles.numbers["pt"], minlength=particles.jets)
        to_do = f"say which unit they are in, such as {option('unit', repr('MeV'), 'MeV')}"
        expect_gev(total, "jet", np.arange(particles.jets), to_do)
    columns = [particles.numbers["pt"], particles.numbers["y"], wrapped(particles.numbers["phi"])]
    if (identity := particles.numbers.get("identity")) is not None:
        known = ", ".join(map(str, CODES[1:]))
        particles.refuse(numbers_of(identity) < 1, f"expected as identity a PDG code among {known}")
        expect_both_signs("identity", signs(identity), ", or leave identity out")
        columns.append(identity)
    order = np.lexsort((columns[2], columns[1], -columns[0], particles.jet))
    rows = np.stack(columns, axis=1)[order]
    if not duplicates:
        twice = np.zeros(len(rows), bool)
        twice[order[1:]] = (rows[1:] == rows[:-1]).all(axis=1) & (np.diff(particles.jet) == 0)
        particles.refuse(twice, f"the jet holds it twice: leave one out, or keep both with {option('duplicates')}")
    counts = np.bincount(particles.jet, minlength=particles.jets)
    real = np.arange(max(1, int(counts.max(initial=0)))) < counts[:, None]
    cloud = {"particles": np.zeros((*real.shape, 3), np.float32)}
    cloud["particles"][real] = rows[:, :3]
    if identity is not None:
        cloud["identity"] = np.zeros(real.shape, np.int32)
        cloud["identity"][real] = rows[:, 3]
    return cloud | {"real": real}


def _expect_possible(particles: Particles) -> None:
    """InputError for numbers that no particle of a collider has."""
    for name, values in particles.numbers.items():
        particles.refuse(~np.isfinite(values), f"{name} is not finite: leave the particle out")
    pt, y, phi = (particles.numbers[name] for name in ("pt", "y", "phi"))
    particles.refuse(pt < 0, "expected a transverse momentum above 0")
    particles.refuse(np.abs(y) > FARTHEST, f"expected a rapidity between -{FARTHEST:g} and {FARTHEST:g}")
    particles.refuse(np.abs(phi) > 2 * np.pi + 1e-5, "expected an azimuth in radians, within one turn")


def expect_gev(total: np.ndarray, what: str, numbers: np.ndarray, to_do: str) -> None:
    """InputError for sums that no jet of the LHC has: momenta are in another unit than GeV, or relative to the jet's.

    Parameters
    ----------
    total : ndarray of shape (n,)
        Scalar sum of the transverse momenta of each jet's particles; 0 of a jet without any, which is let through.
    what : str
        What a jet is called in the message, such as "row".
    numbers : ndarray of shape (n,)
        The number of each.
    to_do : str
        What the message says is to be done.

    Raises
    ------
    InputError
        Naming the first of them and its sum.
    """
    wrong = (total > MOST) | ((total < LEAST) & (total > 0))
    if wrong.any():
        first = int(wrong.argmax())
        raise InputError(
            f"{what} {numbers[first]}: expected transverse momenta in GeV, given a sum of {total[first]:.6g}, "
            + ("beyond any jet of the LHC" if total[first] > MOST else "below any jet, or relative to the jet's")
            + f": {to_do}"
        )

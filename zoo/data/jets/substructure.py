"""What FastJet finds inside jets: groomed jets and subjets. A jet's particles are clustered anew by Cambridge/Aachen."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from zoo.data.jets.banners import silent
from zoo.data.jets.observables import four_momenta
from zoo.errors import ZooError

try:
    import awkward
    import fastjet
except ImportError as error:
    raise ZooError("subjets are found by FastJet, which is not installed: pip install 'physzoo[jets]'") from error


def soft_drop(
    particles: np.ndarray,
    real: np.ndarray,
    identity: np.ndarray | None = None,
    *,
    cut: float = 0.1,
    beta: float = 0.0,
    radius: float = 0.8,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jets groomed by soft drop (arXiv:1402.2657), or by the modified mass drop (arXiv:1307.0007) at ``beta`` 0.

    Parameters
    ----------
    particles : ndarray of shape (n, particle, 3)
        Transverse momentum [GeV], rapidity and azimuth [rad].
    real : ndarray of shape (n, particle)
        Which elements are particles.
    identity : ndarray of shape (n, particle), optional
        PDG codes, which give their masses; massless without them.
    cut : float
        Least share of the transverse momentum that the softer of two subjets has.
    beta : float
        Power of their distance by which the cut falls.
    radius : float
        Radius of the jets, which their distance is relative to.

    Returns
    -------
    particles : ndarray of shape (n, particle, 3)
        The particles that are left.
    real : ndarray of shape (n, particle)
        Which elements they are.
    mass : ndarray of shape (n,)
        Mass of the groomed jets in GeV, 0 of jets without particles.
    """
    filled = real.any(axis=1)
    counts, momenta = np.zeros(len(real), int), np.zeros((0, 4))
    if filled.any():
        found = _tree(particles, real, identity).exclusive_jets_softdrop_grooming(
            njets=1, beta=beta, symmetry_cut=cut, symmetry_measure="scalar_z", R0=radius
        )
        counts[filled] = awkward.to_numpy(awkward.num(found.constituents.px))
        momenta = np.stack([awkward.to_numpy(awkward.flatten(found.constituents[name])) for name in _NAMES], axis=1)
    px, py, pz, energy = momenta.T
    kept = np.arange(max(1, int(counts.max(initial=0)))) < counts[:, None]
    groomed = np.zeros((*kept.shape, 3))
    transverse_mass = np.sqrt(np.maximum(energy**2 - pz**2, px**2 + py**2))
    groomed[kept] = np.stack([np.hypot(px, py), np.arcsinh(pz / transverse_mass), np.arctan2(py, px)], axis=1)
    jet = np.repeat(np.arange(len(real)), counts)
    total = np.stack([np.bincount(jet, weights=component, minlength=len(real)) for component in momenta.T])
    return groomed, kept, np.sqrt(np.maximum(total[3] ** 2 - (total[:3] ** 2).sum(axis=0), 0))


def n_subjettiness(
    particles: np.ndarray,
    real: np.ndarray,
    identity: np.ndarray | None = None,
    *,
    most: int = 3,
    beta: float = 1.0,
    radius: float = 0.8,
) -> np.ndarray:
    """How far particles are from the nearest of 1, 2, ... axes (arXiv:1011.2268), those of exclusive kt jets and one step on.

    Parameters
    ----------
    particles, real, identity : ndarray
        As of `soft_drop`.
    most : int
        The most axes.
    beta : float
        Power of the distances.
    radius : float
        Radius of the jets, which distances are relative to.

    Returns
    -------
    ndarray of shape (n, most)
        The tau of each number of axes, 0 where a jet has no more particles than axes.
    """
    tau = np.zeros((len(real), most))
    filled = real.any(axis=1)
    if filled.any():
        found = _tree(particles, real, identity).njettiness(njets=list(range(1, most + 1)), beta=beta, R0=radius)
        tau[filled] = awkward.to_numpy(found)
    return tau


_NAMES = ("px", "py", "pz", "E")


def _tree(particles: np.ndarray, real: np.ndarray, identity: np.ndarray | None) -> Any:
    """The particles of each jet that has some, in one tree."""
    momenta = four_momenta(particles, real, identity)[real]
    flat = awkward.zip({name: momenta[:, place] for place, name in enumerate(_NAMES)})
    counts = real.sum(axis=1)
    return fastjet.ClusterSequence(awkward.unflatten(flat, counts[counts > 0]), _definition())


@cache
def _definition() -> Any:
    """Cambridge/Aachen of all particles into one jet; FastJet has printed its banner."""
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, fastjet.JetDefinition.max_allowable_R)
    with silent():
        fastjet.ClusterSequence([fastjet.PseudoJet(1.0, 0.0, 0.0, 1.0)], definition)
    return definition

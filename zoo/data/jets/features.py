"""High-level features of jets in place of their particles, as rows for networks and trees that take numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.data.jets.correlations import energy_correlations, ratio
from zoo.data.jets.observables import fragmentation, jet_momenta, multiplicity, pt_dispersion, width


def trigger_features(
    particles: np.ndarray, real: np.ndarray, identity: np.ndarray | None, radius: float
) -> dict[str, np.ndarray]:
    """The 16 features of the hls4ml jet set (arXiv:1709.08705, 1804.06913), by its names.

    Those with ``mmdt`` are of the jet that the modified mass drop with a cut of 0.1 leaves, correlations with a power ``b`` of
    the distances. ``d2_a1`` has the power 1 in its correlation of three particles, so that with ``b1`` it is ``d2_b1`` again.

    Parameters
    ----------
    particles : ndarray of shape (n, particle, 3)
        Transverse momentum [GeV], rapidity and azimuth [rad].
    real : ndarray of shape (n, particle)
        Which elements are particles.
    identity : ndarray of shape (n, particle), optional
        PDG codes, which give their masses; massless without them.
    radius : float
        Radius of the jets.

    Returns
    -------
    dict of str to ndarray
        Each feature, (n,).
    """
    from zoo.data.jets.substructure import soft_drop

    groomed, left, mass = soft_drop(particles, real, identity, radius=radius)
    by_power = {beta: energy_correlations(groomed, left, beta) for beta in (0, 1, 2)}
    one, two = by_power[1], by_power[2]
    found = {"zlogz": fragmentation(particles, real)}
    found |= {f"c1_b{beta}_mmdt": values["c1"] for beta, values in by_power.items()}
    found |= {"c2_b1_mmdt": one["c2"], "c2_b2_mmdt": two["c2"], "d2_b1_mmdt": one["d2"], "d2_b2_mmdt": two["d2"]}
    found |= {"d2_a1_b1_mmdt": one["d2"], "d2_a1_b2_mmdt": ratio(one["e3"], two["e2"] ** 1.5)}
    found |= {"m2_b1_mmdt": one["m2"], "m2_b2_mmdt": two["m2"], "n2_b1_mmdt": one["n2"], "n2_b2_mmdt": two["n2"]}
    return found | {"mass_mmdt": mass, "multiplicity": multiplicity(real)}


def shape_features(
    particles: np.ndarray, real: np.ndarray, identity: np.ndarray | None, radius: float
) -> dict[str, np.ndarray]:
    """Mass, groomed mass, multiplicity and shapes of jets: what is compared with networks on their particles.

    Parameters
    ----------
    particles, real, identity, radius : object
        As of `trigger_features`.

    Returns
    -------
    dict of str to ndarray
        Each feature, (n,).
    """
    from zoo.data.jets.substructure import n_subjettiness, soft_drop

    tau = n_subjettiness(particles, real, identity, radius=radius).T
    correlations = energy_correlations(particles, real, 0.5)
    return {
        "mass": jet_momenta(particles, real, identity)[:, 3],
        "mass_mmdt": soft_drop(particles, real, identity, radius=radius)[2],
        "multiplicity": multiplicity(real),
        "width": width(particles, real),
        "ptd": pt_dispersion(particles, real),
        "zlogz": fragmentation(particles, real),
        "c1_b05": correlations["c1"],
        "c2_b05": correlations["c2"],
        "tau1": tau[0],
        "tau21": ratio(tau[1], tau[0]),
        "tau32": ratio(tau[2], tau[1]),
    }


def subjet_features(
    particles: np.ndarray, real: np.ndarray, identity: np.ndarray | None, radius: float
) -> dict[str, np.ndarray]:
    """Groomed mass and ratios of N-subjettiness: what is known of a jet's prongs, at a part of the cost of all shapes.

    Parameters
    ----------
    particles, real, identity, radius : object
        As of `trigger_features`.

    Returns
    -------
    dict of str to ndarray
        Each feature, (n,).
    """
    from zoo.data.jets.substructure import n_subjettiness, soft_drop

    tau = n_subjettiness(particles, real, identity, radius=radius).T
    mass = soft_drop(particles, real, identity, radius=radius)[2]
    return {"mass_mmdt": mass, "tau21": ratio(tau[1], tau[0]), "tau32": ratio(tau[2], tau[1])}


Features = Callable[[np.ndarray, np.ndarray, np.ndarray | None, float], dict[str, np.ndarray]]
FEATURES: dict[str, Features] = {"trigger": trigger_features, "shape": shape_features, "subjets": subjet_features}
"""Sets of features by name."""

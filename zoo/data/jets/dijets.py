"""Observables of events of two jets: of both together, and of the harder and the softer one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.data.jets.feature_files import features_of
from zoo.data.jets.packed import Jets
from zoo.errors import InputError

OF_EVENTS = {"m_jj": "GeV", "delta_eta": "1"}
"""Observables of both jets together, and their units."""
OF_JETS = {"pt": "GeV", "mass": "GeV", "mass_mmdt": "GeV", "tau21": "1", "tau32": "1"}
"""Observables of each jet, whose names end in the jet's number."""
UNITS = OF_EVENTS | {f"{name}_{number}": unit for number in (1, 2) for name, unit in OF_JETS.items()}
"""Every observable of an event, and its unit."""


def dijets(jets: Jets, subjets: np.ndarray) -> dict[str, np.ndarray]:
    """Observables of events, of jets that follow each other in pairs.

    Parameters
    ----------
    jets : Jets
        The two hardest jets of each event, the harder first, as files of whole events hold them.
    subjets : ndarray of shape (n, 3)
        Features of each jet called "subjets" in ``zoo.data.jets.features``: groomed mass [GeV], tau21 and tau32.

    Returns
    -------
    dict of str to ndarray
        The observables named in `UNITS`, (events,) each in float64: mass of both jets together [GeV], absolute difference of
        their pseudorapidities, and transverse momentum [GeV], mass [GeV], groomed mass [GeV], tau21 and tau32 of the harder
        jet (1) and the softer one (2).

    Raises
    ------
    InputError
        Jets are not in pairs of one event.
    """
    first, second = jets.event[0::2], jets.event[1::2]
    paired = len(jets) % 2 == 0 and (first == second).all() and len(np.unique(first)) == len(first)
    if not paired or len(subjets) != len(jets):
        raise InputError(
            f"expected two jets of each event one after the other, with a row of subjets each, given {len(jets)} jets of"
            f" {len(np.unique(jets.event))} events and {len(subjets)} rows"
        )
    pt, y, phi, mass = jets.momentum.astype(np.float64).T
    transverse_mass = np.hypot(pt, mass)
    px, py, pz, energy = pt * np.cos(phi), pt * np.sin(phi), transverse_mass * np.sinh(y), transverse_mass * np.cosh(y)
    together = [component[0::2] + component[1::2] for component in (px, py, pz, energy)]
    squared = together[3] ** 2 - together[0] ** 2 - together[1] ** 2 - together[2] ** 2
    eta = np.arcsinh(pz / pt)
    of_jets = dict(zip(OF_JETS, (pt, mass, *subjets.astype(np.float64).T), strict=True))
    found = {"m_jj": np.sqrt(np.maximum(squared, 0)), "delta_eta": np.abs(eta[0::2] - eta[1::2])}
    return found | {f"{name}_{number}": values[number - 1 :: 2] for number in (1, 2) for name, values in of_jets.items()}


def of_files(parts: Sequence[Jets], radius: float) -> dict[str, np.ndarray]:
    """What `dijets` gives of the events of files one after another.

    Parameters
    ----------
    parts : sequence of Jets
        The jets of each file.
    radius : float
        Their radius.

    Returns
    -------
    dict of str to ndarray
        The observables named in `UNITS`, (events,) each.
    """
    subjets = features_of(parts, "subjets", radius, True)
    found = [dijets(jets, features) for jets, features in zip(parts, subjets, strict=True)]
    return {name: np.concatenate([one[name] for one in found]) for name in UNITS}

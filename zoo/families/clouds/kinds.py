"""The kinds of particle that networks tell apart, by their PDG codes: a table, which needs no Keras."""

from __future__ import annotations

import numpy as np

KINDS = (
    {22: 0},
    {11: -1},
    {13: -1},
    {211: 1},
    {321: 1},
    {130: 0, 310: 0, 311: 0},
    {2212: 1},
    {2112: 0},
    {3122: 0, 3222: 1, 3112: -1, 3212: 0, 3312: -1, 3322: 0, 3334: -1},
)
"""Kinds of particle that live long enough to reach a detector, each as PDG codes with the charge of a particle of that code:
photon, electron, muon, charged pion, charged kaon, neutral kaon, proton, neutron, hyperon. Antiparticles have the negative."""
_ITS_OWN_ANTIPARTICLE = (22, 130, 310)


def _table() -> dict[int, list[float]]:
    """Charge and one-hot kind of each code."""
    found = {}
    for number, kind in enumerate(KINDS):
        one_hot = [float(number == other) for other in range(len(KINDS))]
        for code, charge in kind.items():
            found[code] = [float(charge), *one_hot]
            if code not in _ITS_OWN_ANTIPARTICLE:
                found[-code] = [float(-charge), *one_hot]
    return dict(sorted(found.items()))


OF_CODE = _table()
"""Charge and one-hot kind of each code."""
CODES = tuple(OF_CODE)
"""PDG codes that networks know, in order: what a spec lists as the ``values`` of a tensor of codes."""
IDENTITIES = 1 + len(KINDS)
"""Number of what ``identities`` tells of each particle."""


def charges(codes: np.ndarray) -> np.ndarray:
    """Charge of each particle by its PDG code, 0 of a code that networks do not know."""
    place = np.searchsorted(CODES, codes).clip(max=len(CODES) - 1)
    return np.where(np.array(CODES)[place] == codes, np.array([told[0] for told in OF_CODE.values()])[place], 0.0)

"""Identities of particles by the codes of the Particle Data Group, of which a particle and its antiparticle differ in sign."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zoo.errors import InputError

SIGNED = np.array([211, 321, 2112, 2212], np.int32)
"""PDG codes of hadrons that reach a detector and have an antiparticle, whose code is the negative."""
MANY = 40
"""So many of them are never all of one sign, of which the probability is 2 to the power of minus 39: jets have about as many of
either."""
_PION = int(SIGNED[0])


def are_pdg_codes(values: Iterable[int] | None) -> bool:
    """Whether the values that a tensor may have are PDG codes, antiparticles among them."""
    return values is not None and {*SIGNED.tolist(), *(-SIGNED).tolist()} <= set(values)


def signs(identity: np.ndarray) -> np.ndarray:
    """How many PDG codes are those of hadrons that have an antiparticle, and how many those of such antiparticles, (2,)."""
    return np.array([np.count_nonzero(np.isin(identity, codes)) for codes in (SIGNED, -SIGNED)])


def have_both_pions(identity: np.ndarray) -> bool:
    """Whether pions of either charge are among PDG codes, which is sooner seen than how many there are of each sign."""
    return bool((identity == _PION).any() and (identity == -_PION).any())


def expect_both_signs(name: str, counts: np.ndarray, or_else: str = "") -> None:
    """InputError for PDG codes of many hadrons that have all one sign, such as absolute ones.

    Parameters
    ----------
    name : str
        What the codes are called.
    counts : ndarray of shape (2,)
        How many particles and antiparticles there are, as `signs` counts them.
    or_else : str
        What else may be done than to give the sign, for the message.

    Raises
    ------
    InputError
        Saying which codes were expected.
    """
    if counts.max() >= MANY and counts.min() == 0:
        raise InputError(
            f"{name}: expected signed PDG codes, such as 211 for a pi+ and -211 for a pi-, given {counts.max()} of charged"
            f" hadrons and neutrons, of which none is {'positive' if counts[1] else 'negative'}: give each its sign{or_else}"
        )

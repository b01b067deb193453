"""Observables of events of two jets, beside the package vector."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.jets.dijets import UNITS, dijets
from zoo.data.jets.packed import Jets
from zoo.errors import InputError

EVENTS = 40


def events(seed: int = 0) -> Jets:
    """Jets of events without particles, which observables of both jets do not look at."""
    rng = np.random.default_rng(seed)
    n = 2 * EVENTS
    momentum = np.stack(
        [rng.uniform(1200, 2000, n), rng.uniform(-2, 2, n), rng.uniform(-np.pi, np.pi, n), rng.uniform(5, 600, n)], axis=1
    )
    return Jets(
        classes=("qcd", "resonance"),
        momentum=momentum.astype(np.float32),
        label=np.repeat(np.uint8([0, 1]), EVENTS),
        weight=np.ones(n),
        event=np.repeat(np.arange(EVENTS), 2),
        parton_pt=np.zeros(n, np.float32),
        offsets=np.zeros(n + 1, int),
        particles=np.zeros((0, 3), np.float16),
        identity=np.zeros(0, np.uint8),
    )


def test_observables_are_those_of_the_vectors():
    vector = pytest.importorskip("vector")
    jets = events()
    subjets = np.random.default_rng(1).uniform(size=(2 * EVENTS, 3)).astype(np.float32)
    found = dijets(jets, subjets)
    pt, y, phi, mass = jets.momentum.astype(np.float64).T
    transverse = np.hypot(pt, mass)
    all_jets = vector.array({"pt": pt, "phi": phi, "pz": transverse * np.sinh(y), "m": mass})
    first, second = all_jets[0::2], all_jets[1::2]
    np.testing.assert_allclose(found["m_jj"], (first + second).mass, rtol=1e-9)
    np.testing.assert_allclose(found["delta_eta"], np.abs(first.eta - second.eta), rtol=1e-9, atol=1e-9)
    assert list(found) == list(UNITS)
    for number, jet in ((1, first), (2, second)):
        np.testing.assert_allclose(found[f"pt_{number}"], jet.pt)
        np.testing.assert_allclose(found[f"mass_{number}"], jet.mass, rtol=1e-5)
        for place, name in enumerate(("mass_mmdt", "tau21", "tau32")):
            np.testing.assert_array_equal(found[f"{name}_{number}"], subjets[number - 1 :: 2, place])


def test_jets_that_are_no_pairs_are_refused():
    jets, subjets = events(), np.zeros((2 * EVENTS, 3))
    jets.event[:] = np.roll(jets.event, 1)
    with pytest.raises(InputError, match="two jets of each event one after the other"):
        dijets(jets, subjets)
    with pytest.raises(InputError, match=f"given {2 * EVENTS} jets of {EVENTS} events and 1 rows"):
        dijets(events(), subjets[:1])

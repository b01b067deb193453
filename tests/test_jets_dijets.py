"""Observables of events of two jets, beside the package vector, and a signal that is hidden among them."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.dataset import Resonant, get_dataset
from zoo.data.jets.dijet_anomaly import search_observables
from zoo.data.jets.dijets import UNITS, dijets
from zoo.data.jets.packed import Jets
from zoo.data.jets.samples import jet_config
from zoo.data.jets.storage import jets_path, write_jets
from zoo.errors import InputError
from zoo.testing import check_dataset

EVENTS = 40


def events(seed: int = 0, particles: int = 0) -> Jets:
    """Jets of events, of a few particles each, which observables of both jets do not look at."""
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
        offsets=np.arange(n + 1) * particles,
        particles=rng.uniform(0.1, 0.4, (n * particles, 3)).astype(np.float16),
        identity=np.ones(n * particles, np.uint8),
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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six files of jets, the features of which are kept beside them."""
    pytest.importorskip("fastjet")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    config = jet_config("resonance")
    for seed in range(6):
        write_jets(jets_path(tmp_path, seed), events(seed, 4), config, seed)
    return tmp_path


def hidden(folder, **changes):
    parameters = {"train": 3, "validation": 1, "test": 2, "path": str(folder), "on_missing": "fail"}
    return get_dataset("dijet-anomaly", **{"sidebands": (1500, 20000), "signal_region": (2500, 6000), **parameters, **changes})


def test_the_lighter_jet_is_first():
    event = {name: np.zeros(2) for name in UNITS} | {
        "mass_1": np.array([100.0, 50.0]),
        "mass_2": np.array([80.0, 90.0]),
        "tau21_1": np.array([0.1, 0.2]),
        "tau21_2": np.array([0.3, 0.4]),
    }
    np.testing.assert_allclose(search_observables(event), [[80, 20, 0.3, 0.1], [50, 40, 0.2, 0.4]], rtol=1e-6)


def test_rows_lie_where_they_are_said_to(folder):
    dataset = hidden(folder)
    check_dataset(dataset, again=lambda: hidden(folder))
    assert isinstance(dataset, Resonant)
    inside = {
        (region, split): (abs(hidden(folder, region=region).rows(split).inputs["m_jj"] - 4250) <= 1750)
        for region in ("sidebands", "signal")
        for split in ("train", "test")
    }
    assert not inside["sidebands", "train"].any()
    assert all(inside[key].all() for key in inside if key != ("sidebands", "train"))
    rows, events = dataset.rows("test"), dataset.events("test").within(dataset.region)
    np.testing.assert_array_equal(rows.inputs["x"], events[~events.signal].x)
    np.testing.assert_allclose(rows.truth["delta_m"], rows.inputs["x"][:, 1])


def test_a_signal_is_hidden_in_the_fraction_asked_for(folder):
    dataset = hidden(folder)
    everything = dataset.events("train")
    background = np.count_nonzero(~everything.within(dataset.region).signal)
    for fraction, seed in ((0.0, 0), (0.2, 0), (0.2, 1), (0.5, 0)):
        found = dataset.observed("train", fraction, seed)
        assert np.count_nonzero(~found.signal) == np.count_nonzero(~everything.signal)
        assert np.count_nonzero(found.within(dataset.region).signal) == round(fraction * background)
    small, large, other = (dataset.observed("train", *how).mass for how in ((0.2, 0), (0.5, 0), (0.2, 1)))
    assert np.isin(small, large).all(), "more signal is the same and more"
    assert not np.isin(small, other).all()
    with pytest.raises(InputError, match="at most"):
        dataset.observed("train", 50.0, 0)
    for changes, said in (
        ({"region": "side"}, "sidebands, signal"),
        ({"signal_region": (2500, 2400)}, "within the sidebands"),
    ):
        with pytest.raises(InputError, match=said):
            hidden(folder, **changes)

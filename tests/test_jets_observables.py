"""Observables of jets beside FastJet and beside sums over all particles, on the jets that ship."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from zoo.data.dataset import get_dataset
from zoo.data.jets import feature_files
from zoo.data.jets.clouds import clouds
from zoo.data.jets.observables import (
    four_momenta,
    fractions,
    fragmentation,
    jet_momenta,
    multiplicity,
    pt_dispersion,
    width,
)
from zoo.data.jets.packed import ARRAYS, Jets, wrapped
from zoo.data.jets.sample import SHIPPED_SEED, load_sample
from zoo.data.jets.samples import jet_config
from zoo.data.jets.storage import jets_path, write_jets
from zoo.errors import UnknownNameError
from zoo.testing import check_dataset

fastjet = pytest.importorskip("fastjet")
pytest.importorskip("numba")
CAMBRIDGE = (fastjet.cambridge_algorithm, fastjet.JetDefinition.max_allowable_R)


@pytest.fixture(scope="module")
def shipped() -> Jets:
    return load_sample("multi")[0]


@pytest.fixture(scope="module")
def cloud(shipped):
    """50 jets, ten of each class, then a jet of one particle and one of none."""
    found = {name: np.asarray(array[:]) for name, array in clouds(shipped, np.arange(0, 2000, 40)).items()}
    ends = {name: np.zeros((2, *array.shape[1:]), array.dtype) for name, array in found.items()}
    ends["particles"][0, 0], ends["identity"][0, 0], ends["real"][0, 0] = (100.0, 0.3, 3.1), 211, True
    return {name: np.concatenate([array, ends[name]]) for name, array in found.items()}


def pseudo_jets(cloud, jet):
    momenta = four_momenta(cloud["particles"], cloud["real"], cloud["identity"])
    return [fastjet.PseudoJet(*row) for row in momenta[jet][cloud["real"][jet]]]


def test_momenta_are_those_of_fastjet_and_of_the_file(cloud, shipped):
    found = jet_momenta(cloud["particles"], cloud["real"], cloud["identity"])
    together = [fastjet.join(pseudo_jets(cloud, jet)) for jet in range(51)]
    expected = np.array([[jet.pt(), jet.rap(), jet.phi_std(), jet.m()] for jet in together])
    np.testing.assert_allclose(found[:51], expected, rtol=1e-9, atol=1e-5)
    np.testing.assert_allclose(found[:50, 3], shipped.momentum[::40, 3], rtol=2e-3)
    assert (found[51] == 0).all()


def test_shapes_are_sums_over_particles(cloud):
    particles, real = cloud["particles"].astype(float), cloud["real"]
    axes = jet_momenta(particles, real)[:, 1:3]
    expected = []
    for jet in range(52):
        rows = particles[jet][real[jet]]
        z = rows[:, 0] / rows[:, 0].sum() if len(rows) else np.zeros(0)
        far = [np.hypot(y - axes[jet, 0], wrapped(phi - axes[jet, 1])) for _, y, phi in rows]
        expected.append([len(rows), sum(z * far), np.sqrt(sum(z**2)), sum(z * np.log(z))])
    shapes = [multiplicity(real), *(shape(particles, real) for shape in (width, pt_dispersion, fragmentation))]
    found = np.stack(shapes, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fractions(particles, real).sum(axis=1), [1] * 51 + [0])


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_correlations_are_those_of_fastjet(cloud, beta):
    import awkward

    from zoo.data.jets.correlations import energy_correlations

    momenta = four_momenta(cloud["particles"], cloud["real"])[:6]
    real = cloud["real"][:6]
    array = awkward.zip({name: momenta[real][:, place] for place, name in enumerate(("px", "py", "pz", "E"))})
    tree = fastjet.ClusterSequence(awkward.unflatten(array, real.sum(axis=1)), fastjet.JetDefinition(*CAMBRIDGE))
    found = energy_correlations(cloud["particles"], cloud["real"], beta)
    for name in ("c1", "c2", "d2", "m2", "n2"):
        expected = tree.exclusive_jets_energy_correlator(njets=1, beta=beta, npoint=2, func=name)
        np.testing.assert_allclose(found[name][:6], awkward.to_numpy(expected), rtol=1e-6, err_msg=name)
    assert all((values[50:] == 0).all() for values in found.values()), "one particle, and none"


def test_correlations_are_sums_over_pairs_and_triples(cloud):
    from zoo.data.jets.correlations import energy_correlations

    random = np.random.default_rng(2)
    particles = np.stack([random.uniform(1, 9, (3, 8)), random.normal(size=(3, 8)), random.uniform(-4, 4, (3, 8))], axis=-1)
    real = random.uniform(size=(3, 8)) < 0.8
    for beta in (0.0, 1.5):
        found = energy_correlations(particles, real, beta)
        for jet in range(3):
            rows = particles[jet][real[jet]]
            z = rows[:, 0] / rows[:, 0].sum()

            def far(i, j, rows=rows, beta=beta):
                return np.hypot(rows[i, 1] - rows[j, 1], wrapped(rows[i, 2] - rows[j, 2])) ** beta

            e2 = sum(z[i] * z[j] * far(i, j) for i, j in combinations(range(len(rows)), 2))
            triples = [
                (z[i] * z[j] * z[k], sorted([far(i, j), far(i, k), far(j, k)])) for i, j, k in combinations(range(len(rows)), 3)
            ]
            e3 = sum(weight * np.prod(sides) for weight, sides in triples)
            two = sum(weight * sides[0] * sides[1] for weight, sides in triples)
            expected = {"e2": e2, "e3": e3, "m2": sum(w * sides[0] for w, sides in triples) / e2, "n2": two / e2**2}
            for name, value in expected.items():
                assert found[name][jet] == pytest.approx(value, rel=1e-9), name


def groomed(jet, cut):
    """Down the harder branches of a tree until the softer has a share above the cut."""
    while True:
        first, second = fastjet.PseudoJet(), fastjet.PseudoJet()
        if not jet.has_parents(first, second):
            return jet
        first, second = sorted([first, second], key=lambda branch: -branch.pt())
        if second.pt() > cut * (first.pt() + second.pt()):
            return jet
        jet = first


def test_groomed_jets_are_those_of_a_walk_down_the_tree(cloud):
    from zoo.data.jets.substructure import soft_drop

    particles, real, mass = soft_drop(cloud["particles"], cloud["real"], cloud["identity"], cut=0.1)
    momentum = four_momenta(particles, real).sum(axis=1)
    for jet in range(51):
        sequence = fastjet.ClusterSequence(pseudo_jets(cloud, jet), fastjet.JetDefinition(*CAMBRIDGE))
        expected = groomed(sequence.exclusive_jets(1)[0], 0.1)
        assert mass[jet] == pytest.approx(expected.m(), rel=1e-6, abs=1e-4)
        assert real[jet].sum() == len(expected.constituents())
        np.testing.assert_allclose(momentum[jet, :2], [expected.px(), expected.py()], rtol=1e-9)
    assert not real[51].any()
    assert mass[51] == 0


def test_subjettiness_is_at_most_that_of_kt_axes(cloud):
    from zoo.data.jets.substructure import n_subjettiness

    tau = n_subjettiness(cloud["particles"], cloud["real"], radius=0.8)
    assert (tau[50:] == 0).all()
    assert (np.diff(tau) <= 1e-9).all()
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, fastjet.JetDefinition.max_allowable_R)
    for jet in range(0, 50, 5):
        sequence = fastjet.ClusterSequence(pseudo_jets(cloud, jet), definition)
        rows = cloud["particles"][jet][cloud["real"][jet]].astype(float)
        for n in (1, 2, 3):
            axes = sequence.exclusive_jets(n)
            far = [np.hypot(rows[:, 1] - axis.rap(), wrapped(rows[:, 2] - axis.phi_std())) for axis in axes]
            bound = np.average(np.min(far, axis=0), weights=rows[:, 0]) / 0.8
            assert 0.3 * bound < tau[jet, n - 1] < 1.05 * bound


def part(jets: Jets, chosen: np.ndarray) -> Jets:
    """Some of the jets."""
    particles = np.concatenate([np.arange(jets.offsets[jet], jets.offsets[jet + 1]) for jet in chosen])
    rows = {"offsets": np.cumsum([0, *jets.counts[chosen]]), "particles": jets.particles[particles]}
    rows["identity"] = jets.identity[particles]
    return Jets(
        jets.classes, **{name: rows.get(name, getattr(jets, name)[chosen]) for name in ARRAYS if name not in rows}, **rows
    )


@pytest.fixture(scope="module")
def folder(shipped, tmp_path_factory):
    """Three files of 30 of the shipped jets."""
    path, config = tmp_path_factory.mktemp("jets"), jet_config("multi", jets=6)
    (path / "config.json").write_text("{}")
    for seed in range(3):
        write_jets(jets_path(path, seed), part(shipped, np.arange(seed, 1980 + seed, 66)), config, seed)
    return path


def features(folder, name, **changes):
    options = {"train": 1, "validation": 1, "test": 1, "path": str(folder), "on_missing": "fail", **changes}
    return get_dataset("jet-features", features=name, sample="multi", jets=6, **options)


@pytest.mark.parametrize(("name", "count"), [("trigger", 16), ("shape", 11)])
def test_features_are_rows_with_names_and_units(folder, name, count):
    dataset = features(folder, name)
    check_dataset(dataset, again=lambda: features(folder, name))
    rows, axis = dataset.rows("train"), dataset.axes["feature"]
    table = dict(zip(axis.labels, rows.inputs["features"].T, strict=True))
    assert (len(axis.labels), axis.size, list(rows.inputs)) == (count, count, ["features"])
    np.testing.assert_array_equal(table["multiplicity"], rows.truth["multiplicity"])
    assert [label for label, unit in zip(axis.labels, axis.units, strict=True) if unit == "GeV"] == [
        label for label in axis.labels if label.startswith("mass")
    ]
    assert np.isfinite(rows.inputs["features"]).all()
    if name == "shape":
        np.testing.assert_allclose(table["mass"], rows.truth["mass"], rtol=2e-3)
        assert (table["mass_mmdt"] <= table["mass"] * 1.001).all()
    else:
        np.testing.assert_allclose(table["d2_a1_b1_mmdt"], table["d2_b1_mmdt"])
        np.testing.assert_allclose(table["c2_b1_mmdt"], table["d2_b1_mmdt"] * table["c1_b1_mmdt"], rtol=1e-5)
    assert (features(folder, name, identity=False).rows("test").inputs["features"] >= -20).all()


def test_features_are_computed_once(folder, monkeypatch):
    first = features(folder, "shape").rows("test").inputs["features"]
    monkeypatch.setattr(feature_files, "computed", lambda *_: pytest.fail("features that were kept are computed again"))
    np.testing.assert_array_equal(features(folder, "shape").rows("test").inputs["features"], first)


def test_features_of_other_jets_are_computed_anew(shipped):
    jets = part(shipped, np.arange(20))
    softer = replace(jets, momentum=jets.momentum * np.float32([0.5, 1, 1, 0.5]))
    found, other = (feature_files.features_of([some], "shape", 0.8, False)[0] for some in (jets, softer))
    np.testing.assert_allclose(other[:, 0], found[:, 0] / 2, rtol=1e-3)


def test_fastjet_prints_no_banner(capfd):
    code = (
        "import numpy as np; from zoo.data.jets.substructure import n_subjettiness as tau;"
        "print(tau(np.ones((1, 1, 3)), np.ones((1, 1), bool)).tolist())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert capfd.readouterr().out == "[[0.0, 0.0, 0.0]]\n"


def test_unknown_features_are_named(folder):
    with pytest.raises(UnknownNameError, match="did you mean trigger"):
        features(folder, "triger")


def test_shipped_seed_is_none_of_a_recipe():
    assert jet_config("multi").lines(0, SHIPPED_SEED) != jet_config("multi").lines(0, 0)

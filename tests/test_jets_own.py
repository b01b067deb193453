"""Jets of one's own: the same particles from whatever holds them, and words for what is none."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units

import zoo.data.jets as own
from zoo.data.jets.identities import CODES, masses_of
from zoo.data.jets.storage import load_jets, write_jets
from zoo.data.shipped_files import shipped_file
from zoo.errors import InputError
from zoo.model.handed_in.files import read_columns
from zoo.model.pdg_codes import SIGNED

awkward = pytest.importorskip("awkward")
COUNTS = [3, 0, 1, 400]


@pytest.fixture(scope="module")
def flat() -> dict[str, np.ndarray]:
    """Particles of four jets: of three particles, of none, of one, of 400; the hardest are not first."""
    random = np.random.default_rng(1)
    m = sum(COUNTS)
    identity = random.choice(CODES[1:], m)
    pt, y, phi = random.uniform(1, 10, m), random.normal(0.5, 0.1, m), random.uniform(2.9, 3.3, m)
    mass = masses_of(identity)
    transverse = np.hypot(pt, mass)
    pz, energy = transverse * np.sinh(y), transverse * np.cosh(y)
    cartesian = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pz, "E": energy}
    return {"pt": pt, "y": y, "phi": phi, "eta": np.arcsinh(pz / pt), "mass": mass, "pdgId": identity, **cartesian}


@pytest.fixture(scope="module")
def expected(flat):
    """Tensors made one jet after another."""
    particles, identity = np.zeros((4, 400, 3)), np.zeros((4, 400), int)
    for jet, (end, n) in enumerate(zip(np.cumsum(COUNTS), COUNTS, strict=True)):
        rows = np.column_stack([flat[name][end - n : end] for name in ("pt", "y", "phi", "pdgId")])
        rows = rows[np.argsort(-rows[:, 0])]
        particles[jet, :n], identity[jet, :n] = rows[:, :3], rows[:, 3]
    particles[..., 2] -= 2 * np.pi * (particles[..., 2] > np.pi)
    return {"particles": particles, "identity": identity, "real": np.arange(400) < np.array(COUNTS)[:, None]}


def jagged(flat, *names):
    return awkward.unflatten(awkward.zip({name: flat[name] for name in names}), COUNTS)


def padded(flat, name):
    """Rows of one length, zero where nothing is."""
    rows = np.zeros((4, 400))
    rows[np.arange(400) < np.array(COUNTS)[:, None]] = flat[name]
    return rows


def same(cloud, expected):
    assert {name: array.dtype for name, array in cloud.items()} == {
        name: {"particles": np.float32, "identity": np.int32, "real": bool}[name] for name in cloud
    }
    for name, array in cloud.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "names",
    [
        ("pt", "y", "phi", "pdgId"),
        ("pt", "eta", "phi", "mass"),
        ("pt", "eta", "phi", "pdgId"),
        ("pt", "eta", "phi", "E"),
        ("px", "py", "pz", "E", "pdgId"),
        ("px", "py", "pz", "mass"),
    ],
)
def test_awkward_arrays_of_any_coordinates(flat, expected, names):
    cloud = own.from_awkward(jagged(flat, *names))
    assert ("identity" in cloud) == ("pdgId" in names)
    same(cloud, expected)


@pytest.mark.parametrize("names", [("pt", "eta", "phi", "mass"), ("px", "py", "pz", "E")])
def test_vectors(flat, expected, names):
    vector = pytest.importorskip("vector")
    vectors = vector.zip({name: jagged(flat, *names)[name] for name in names})
    assert "x" in vectors.fields or "rho" in vectors.fields, "they forget what they were made with"
    same(own.from_awkward(vectors), expected)


def test_root_files(flat, expected, tmp_path):
    uproot = pytest.importorskip("uproot")
    array = jagged(flat, "pt", "eta", "phi", "mass", "pdgId")
    with uproot.recreate(tmp_path / "one.root") as file:
        file["jets"] = {f"part_{field}": array[field] for field in array.fields}
    names = {name: f"part_{field}" for name, field in zip(["pt", "eta", "phi", "mass", "identity"], array.fields, strict=True)}
    same(own.from_root(tmp_path / "one.root", names=names), expected)
    with pytest.raises(InputError, match=r"part_pt: say which are which with names=\{'pt': 'their_pt'\}"):
        own.from_root(tmp_path / "one.root")
    with uproot.recreate(tmp_path / "two.root") as file:
        file["signal"] = {field: array[field] for field in array.fields}
        file["background"] = {field: array[field][:1] for field in array.fields}
    same(own.from_root(tmp_path / "two.root", "signal"), expected)
    assert len(own.from_root(tmp_path / "two.root", "background")["real"]) == 1
    for tree in (None, "none"):
        with pytest.raises(InputError, match="expected one of its trees, background, signal"):
            own.from_root(tmp_path / "two.root", tree)
    with pytest.raises(InputError, match="expected one of its trees, jets, given tree='other'"):
        own.from_root(tmp_path / "one.root", "other", names=names)
    with pytest.raises(InputError, match="is not a readable ROOT file"):
        own.from_root(tmp_path / "none.root")


def test_fastjet(flat, expected):
    fastjet = pytest.importorskip("fastjet")
    particles = [fastjet.PseudoJet(*row) for row in np.column_stack([flat[name] for name in ("px", "py", "pz", "E")])]
    for number, particle in enumerate(particles):
        particle.set_user_index(number)
    lists = [particles[end - n : end] for end, n in zip(np.cumsum(COUNTS), COUNTS, strict=True)]
    same(own.from_fastjet(lists, lambda particle: flat["pdgId"][particle.user_index()]), expected)
    assert list(own.from_fastjet(lists)) == ["particles", "real"]
    sequence = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.antikt_algorithm, 0.8))
    jets = fastjet.sorted_by_pt(sequence.inclusive_jets())
    cloud = own.from_fastjet(jets[:1])
    pt, y, phi = cloud["particles"][cloud["real"]].astype(float).T
    assert len(pt) == len(jets[0].constituents())
    momentum = np.array([(pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum()])
    np.testing.assert_allclose(momentum, [jets[0].px(), jets[0].py()], rtol=1e-5)
    np.testing.assert_allclose(np.average(y, weights=pt), jets[0].rap(), atol=0.01)
    with pytest.raises(InputError, match="jet 1: it does not know its constituents"):
        own.from_fastjet([jets[0], fastjet.PseudoJet(1, 0, 0, 1)])


def test_energyflow(flat, expected, tmp_path):
    array = np.stack([padded(flat, name) for name in ("pt", "y", "phi", "pdgId")], axis=-1)
    same(own.from_energyflow(array), expected)
    assert list(own.from_energyflow(array[..., :3])) == ["particles", "real"]
    np.savez(tmp_path / "jets.npz", X=array, y=np.zeros(4))
    same(own.from_energyflow(tmp_path / "jets.npz"), expected)
    np.savez(tmp_path / "none.npz", Y=array)
    with pytest.raises(InputError, match="expected the jets as X, given Y"):
        own.from_energyflow(tmp_path / "none.npz")
    masked = np.ma.array(np.where(array[..., :1] > 0, array, 7.0), mask=np.broadcast_to(array[..., :1] == 0, array.shape))
    same(own.from_energyflow(masked), expected)
    with pytest.raises(InputError, match="expected numbers without a unit, given MeV"):
        own.from_energyflow(array * units.MeV)
    with pytest.raises(InputError, match=r"expected an array \(n, particle, 4\).*given \(4, 400, 2\)"):
        own.from_energyflow(array[..., :2])


def test_padding_of_all_kinds_is_left_out(flat, expected):
    columns = {name: padded(flat, name) for name in ("pt", "y", "phi", "pdgId")}
    same(own.from_columns(columns), expected)
    real = columns["pt"] > 0
    lost = {name: np.where(real, array, np.nan) for name, array in columns.items()}
    same(own.from_columns({**lost, "real": real}), expected)
    same(own.from_columns({name: np.ma.array(array, mask=~real) for name, array in lost.items()}), expected)
    with pytest.raises(InputError, match="jet 0, particle 3 and 1195 more: pt is not finite"):
        own.from_columns(lost)
    missing = np.ma.array(columns["pdgId"], mask=False)
    missing[0, 1] = np.ma.masked
    with pytest.raises(InputError, match="jet 0, particle 1: identity is not finite"):
        own.from_columns({**columns, "pdgId": missing})


def test_units_are_converted_or_refused(flat, expected):
    columns = {name: padded(flat, name) for name in ("pt", "eta", "phi", "mass", "pdgId")}
    mega = {**columns, "pt": 1000 * columns["pt"], "mass": 1000 * columns["mass"]}
    same(own.from_columns(mega, unit="MeV"), expected)
    same(own.from_columns({**mega, "pt": mega["pt"] * units.MeV, "mass": mega["mass"] * units.MeV}), expected)
    same(own.from_columns({**columns, "phi": np.degrees(columns["phi"]) * units.deg}), expected)
    pint = pytest.importorskip("pint").UnitRegistry()
    same(own.from_columns({**mega, "pt": mega["pt"] * pint.MeV, "mass": mega["mass"] * pint.MeV}), expected)
    with pytest.raises(InputError, match=r"pt: its unit is MeV, but unit='GeV' says another"):
        own.from_columns({**columns, "pt": columns["pt"] * units.MeV}, unit="GeV")
    with pytest.raises(InputError, match=r"jet 0: .*in GeV, given a sum of \d+.*, beyond any jet .*unit='MeV'"):
        own.from_columns({name: mega[name] for name in ("pt", "eta", "phi", "pdgId")})
    with pytest.raises(InputError, match="mass: expected its unit, as pt has one"):
        own.from_columns({**columns, "pt": mega["pt"] * units.MeV})
    with pytest.raises(InputError, match=r"jet 0: .*given a sum of 1, below any jet, or relative to the jet's"):
        own.from_columns({**columns, "pt": columns["pt"] / columns["pt"].sum(axis=1, keepdims=True).clip(1)})
    with pytest.raises(InputError, match=r"expected a mass in GeV, below 10; given pt.*mass 139.57"):
        own.from_columns({"pt": [[100.0]], "eta": [[0.0]], "phi": [[0.0]], "mass": [[139.57]]})
    with pytest.raises(InputError, match="azimuth in radians"):
        own.from_columns({**columns, "phi": np.degrees(columns["phi"])})
    assert own.from_columns({"pt": [[9e3]], "y": [[0.0]], "phi": [[0.0]]}, unit="GeV")["particles"][0, 0, 0] == 9e3


def test_columns_without_names_are_refused():
    with pytest.raises(InputError, match="expected columns by name, such as pt, y and phi, given list"):
        own.from_columns([[40.0, 60.0]])
    awkward = pytest.importorskip("awkward")
    events = awkward.Array({"pt": [[40.0, 60.0]], "n": [2]})
    with pytest.raises(InputError, match=r"given 1 axes.*awkward\.zip\(\{'pt': events\.pt, \.\.\.\}\) makes particles"):
        own.from_awkward(events)


GOOD = {"pt": [[40.0, 60.0]], "y": [[0.0, 0.1]], "phi": [[0.0, 0.1]], "identity": [[22, 211]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pt": [[40.0, np.nan]]}, "jet 0, particle 1: pt is not finite"),
        ({"y": [[np.inf, 0.0]]}, "jet 0, particle 0: y is not finite"),
        ({"pt": [[40.0, -60.0]]}, "jet 0, particle 1: expected a transverse momentum above 0; given pt -60, y 0.1"),
        ({"y": [[0.0, 25.0]]}, "expected a rapidity between -20 and 20"),
        ({"identity": [[22, 111]]}, "jet 0, particle 1: expected as identity a PDG code among 22, 211.*identity 111"),
        ({"identity": [[0.1, 22]]}, "jet 0, particle 0: expected as identity"),
        ({"pt": [[40.0, 40.0]], "y": [[0, 0]], "phi": [[0, 0]], "identity": [[22, 22]]}, "particle 1: the jet holds it twice"),
        ({"pt": [[40.0]]}, "y: expected 1 particles in jet 0 as pt has, given 2"),
        ({"pt": [[40.0, 60.0]] * 2}, "y: expected 2 jets as pt has, given 1"),
        ({"pt": [40.0, 60.0]}, "pt: expected a row of particles for each jet"),
        ({"pt": 40.0, "y": 0.0, "phi": 0.0}, "pt: expected a row of particles for each jet"),
        ({"pT": [[40.0, 60.0]]}, "pt and pT may both be the pt: say which with names="),
        ({"pt": [["40", "60"]]}, "pt: expected numbers"),
        ({"phi": None}, "expected pt and phi, or px and py, among pt, y, identity"),
        ({"y": None}, "expected y, eta or pz among"),
        ({"y": None, "identity": None, "eta": [[0, 0.1]]}, "rapidity is not pseudorapidity.*massless=True"),
    ],
)
def test_what_is_no_jet_is_refused(change, words):
    columns = {name: values for name, values in {**GOOD, **change}.items() if values is not None}
    with pytest.raises(InputError, match=words):
        own.from_columns(columns)


def test_identities_that_lost_their_sign_are_refused(flat, tmp_path):
    uproot, fastjet = pytest.importorskip("uproot"), pytest.importorskip("fastjet")
    unsigned = {**flat, "pdgId": np.abs(flat["pdgId"])}
    charged = np.isin(unsigned["pdgId"], SIGNED).sum()
    words = rf"identity: expected signed PDG codes, .*-211 for a pi-, given {charged} .*none is negative: .*leave identity out"
    names = ("pt", "y", "phi", "pdgId")
    particles = [fastjet.PseudoJet(*row) for row in np.column_stack([flat[name] for name in ("px", "py", "pz", "E")])]
    for number, particle in enumerate(particles):
        particle.set_user_index(number)
    with uproot.recreate(tmp_path / "jets.root") as file:
        file["jets"] = {name: jagged(unsigned, *names)[name] for name in names}
    for read in (
        lambda: own.from_columns({name: padded(unsigned, name) for name in names}),
        lambda: own.from_columns({name: padded(unsigned, name) for name in ("pt", "eta", "phi", "pdgId")}),
        lambda: own.from_awkward(jagged(unsigned, *names)),
        lambda: own.from_root(tmp_path / "jets.root"),
        lambda: own.from_fastjet([particles], lambda particle: unsigned["pdgId"][particle.user_index()]),
        lambda: own.from_energyflow(np.stack([padded(unsigned, name) for name in names], axis=-1)),
    ):
        with pytest.raises(InputError, match=words):
            read()
    negative = {**flat, "pdgId": np.where(np.isin(unsigned["pdgId"], SIGNED), -unsigned["pdgId"], unsigned["pdgId"])}
    with pytest.raises(InputError, match="of which none is positive"):
        own.from_columns({name: padded(negative, name) for name in names})


@pytest.mark.parametrize(
    ("identity", "refused"),
    [
        ([211] * 40, True),
        ([211] * 39 + [13] * 9, False),
        ([211] * 39 + [-321], False),
        ([22, 130] * 200, False),
        ([-2112] * 40, True),
    ],
)
def test_small_sets_and_neutral_ones_may_have_one_sign(identity, refused):
    n = len(identity)
    columns = {"pt": [[1.0] * n], "y": [np.linspace(0, 0.1, n)], "phi": [[0.0] * n], "identity": [identity]}
    if refused:
        with pytest.raises(InputError, match="expected signed PDG codes"):
            own.from_columns(columns)
    else:
        assert own.from_columns(columns)["real"].sum() == n


def test_all_antiparticles_of_simulated_jets_are_known():
    assert {*SIGNED, 11, 13} == set(CODES[(CODES > 0) & np.isin(-CODES, CODES)])


def test_what_a_user_may_say_of_them():
    twice = {"pt": [[40.0, 40.0]], "eta": [[0.2, 0.2]], "phi": [[0.0, 0.0]]}
    cloud = own.from_columns(twice, massless=True, duplicates=True)
    np.testing.assert_allclose(cloud["particles"][0], [[40, 0.2, 0]] * 2, rtol=1e-6)
    same_place = own.from_columns({**GOOD, "pt": [[40.0, 40.0]], "y": [[0, 0]], "phi": [[0, 0]]})
    assert same_place["real"].sum() == 2, "an identity more is another particle"
    with pytest.raises(InputError, match=r"names: expected some of pt, y, eta.*given momentum"):
        own.from_columns(GOOD, names={"momentum": "pt"})
    with pytest.raises(InputError, match="names: there is no column 'p'; there are pt, y, phi, identity"):
        own.from_columns(GOOD, names={"pt": "p"})


def test_simulated_jets(tmp_path):
    file = shipped_file("jets-quark-gluon.h5")
    packed, config, _ = load_jets(file)
    cloud = own.from_simulation(file)
    assert {name: (array.dtype, array.shape) for name, array in cloud.items()} == {
        "particles": (np.float32, (3000, packed.counts.max(), 3)),
        "identity": (np.int32, (3000, packed.counts.max())),
        "real": (bool, (3000, packed.counts.max())),
    }
    np.testing.assert_array_equal(cloud["real"].sum(axis=1), packed.counts)
    pt, _, phi = np.moveaxis(cloud["particles"].astype(float), -1, 0)
    np.testing.assert_allclose(np.abs((pt * np.exp(1j * phi)).sum(axis=1)), packed.momentum[:, 0], rtol=1e-3)
    columns = {name: cloud["particles"][..., place] for place, name in enumerate(("pt", "y", "phi"))}
    again = own.from_columns({**columns, "identity": cloud["identity"]}, duplicates=True)
    np.testing.assert_array_equal(again["particles"][..., 0], cloud["particles"][..., 0], "the hardest first")
    write_jets(tmp_path / "jets-00001.h5", packed, config, 1)
    with pytest.raises(InputError, match=r"zoo simulate jets.*from_simulation"):
        read_columns(tmp_path / "jets-00001.h5")
    write_jets(tmp_path / "jets-00000.h5", packed, config, 0)
    both = own.from_simulation(str(tmp_path))
    for given in (both, own.from_simulation([file, tmp_path / "jets-00001.h5"])):
        for name, array in given.items():
            np.testing.assert_array_equal(array, np.concatenate([cloud[name]] * 2))


def test_what_is_no_file_of_simulated_jets_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected files jets-.*given a folder without any"):
        own.from_simulation(tmp_path)
    with pytest.raises(InputError, match="expected a file or folder of 'zoo simulate jets', given none"):
        own.from_simulation([])
    with pytest.raises(InputError, match=r"none\.h5: no such file; 'zoo simulate jets' makes it"):
        own.from_simulation(tmp_path / "none.h5")
    files = [shipped_file(f"jets-{sample}.h5") for sample in ("quark-gluon", "multi")]
    with pytest.raises(InputError, match=r"jets-multi\.h5: expected jets made with the settings of .*jets-quark-gluon\.h5"):
        own.from_simulation(files)


def test_no_jets_and_jets_of_events():
    none = awkward.Array([{"pt": 1.0, "y": 0.0, "phi": 0.0}])
    assert own.from_awkward(awkward.unflatten(none[:0], np.zeros(0, int)))["particles"].shape == (0, 1, 3)
    cloud = own.from_awkward(awkward.unflatten(none[:0], [0, 0]))
    assert cloud["particles"].shape == (2, 1, 3)
    assert not cloud["real"].any()
    with pytest.raises(InputError, match=r"expected an array \(jet, particle\), given 1 axes"):
        own.from_awkward(none)
    with pytest.raises(InputError, match=r"given 3 axes.*awkward.flatten\(jets, axis=1\)"):
        own.from_awkward(awkward.Array([[[{"pt": 1.0}]]]))
    with pytest.raises(InputError, match="expected an awkward array of particles with fields"):
        own.from_awkward(awkward.Array([[1.0]]))

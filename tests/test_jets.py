"""Jets from Pythia: the same for the same seed, whole or not at all, of the cuts of their sample, and rows for networks."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from zoo.cli import app
from zoo.data.dataset import get_dataset
from zoo.data.jets.banners import silent
from zoo.data.jets.identities import CODES, MASSES, masses_of, numbers_of
from zoo.data.jets.packed import Jets, wrapped
from zoo.data.jets.samples import SHOWERS, jet_config
from zoo.data.jets.storage import jets_path, load_jets, simulate, write_jets
from zoo.errors import FolderError, InputError, UnknownNameError
from zoo.testing import check_dataset

pythia8mc = pytest.importorskip("pythia8mc")
SMALL = jet_config("top", jets=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three files of 20 QCD jets and 20 tops, made in this process, which compiles nothing."""
    path = tmp_path_factory.mktemp("jets")
    simulate(path, SMALL, range(3), jobs=1)
    return path


@pytest.fixture(scope="module")
def jets(folder) -> Jets:
    return load_jets(jets_path(folder, 0))[0]


def test_a_seed_gives_the_same_bytes_in_any_process(folder, tmp_path):
    options = ["--sample", "top", "--jets", "20", "--seeds", "1:2", "--out", str(tmp_path), "--jobs", "1"]
    code = f"import sys; from zoo.cli import main; sys.argv = ['zoo', 'simulate', 'jets', *{options}]; main()"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == f"1 files of jets in {tmp_path}\n", "banners of Pythia and FastJet stay away"
    assert jets_path(tmp_path, 1).read_bytes() == jets_path(folder, 1).read_bytes()
    assert jets_path(folder, 0).read_bytes() != jets_path(folder, 1).read_bytes()


def test_jets_are_of_their_sample(jets):
    assert jets.classes == ("qcd", "top")
    np.testing.assert_array_equal(jets.label, np.repeat([0, 1], 20))
    pt, y, phi, mass = jets.momentum.T
    assert 550 < pt.min() < pt.max() < 650
    assert np.abs(y).max() < 2
    assert np.abs(phi).max() <= np.pi
    assert 150 < np.median(mass[jets.label == 1]) < 190
    assert np.median(mass[jets.label == 0]) < 120
    assert (jets.weight == 1).all()
    assert np.array_equal(jets.offsets, np.cumsum([0, *jets.counts]))
    assert jets.counts.min() > 5
    for jet in range(len(jets)):
        part = jets.particles[jets.offsets[jet] : jets.offsets[jet + 1], 0]
        assert (np.diff(part.astype(float)) <= 0).all(), "the hardest first"


def test_particles_add_up_to_their_jet(jets):
    """Packed in half precision, with the masses of their identities."""
    jet = np.repeat(np.arange(len(jets)), jets.counts)
    pt, y, phi = jets.unpacked(jet, np.arange(len(jet))).astype(np.float64).T
    transverse_mass = np.hypot(pt, MASSES[jets.identity])
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), transverse_mass * np.sinh(y), transverse_mass * np.cosh(y)])
    px, py, pz, energy = (np.bincount(jet, weights=component) for component in momenta)
    expected_pt, expected_y, expected_phi, expected_mass = jets.momentum.T
    np.testing.assert_allclose(np.hypot(px, py), expected_pt, rtol=2e-4)
    np.testing.assert_allclose(np.arctanh(pz / energy), expected_y, atol=1e-4)
    np.testing.assert_allclose(wrapped(np.arctan2(py, px) - expected_phi), 0, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(energy**2 - px**2 - py**2 - pz**2), expected_mass, rtol=1e-3)


def test_packing_is_as_exact_as_said():
    """Half precision of transverse momenta down to 1e-4 of the jet's, and of offsets up to a radius of 1."""
    ratio = np.geomspace(1e-4, 1, 10_000)
    assert np.abs(ratio.astype(np.float16) / ratio - 1).max() < 5e-4
    offset = np.linspace(-1, 1, 10_001)
    assert np.abs(offset.astype(np.float16) - offset).max() < 3e-4


def test_identities_are_those_of_pythia():
    data = pythia8mc.Pythia("", False).particleData
    np.testing.assert_allclose(MASSES[1:], [data.m0(int(code)) for code in CODES[1:]], atol=1e-5)
    np.testing.assert_array_equal(CODES[numbers_of(CODES)], CODES)
    assert (numbers_of(np.array([111, 310, -22, 10**9])) == -1).all()
    assert masses_of(np.array([[211, 111]])).tolist() == [[0.13957, 0.0]]


@pytest.mark.parametrize("sample", ["quark-gluon", "top", "multi", "resonance"])
@pytest.mark.parametrize("shower", list(SHOWERS))
def test_pythia_knows_all_settings(sample, shower):
    config = jet_config(sample, shower, bias=4)
    with silent():
        pythia = pythia8mc.Pythia("", False)
        for number in range(len(config.processes)):
            for line in config.lines(number, 3):
                assert pythia.readString(line), line


def test_no_two_classes_or_files_have_the_same_seed():
    config = jet_config("multi")
    seeds = [line for seed in range(3) for number in range(5) for line in config.lines(number, seed) if "seed" in line]
    assert len(set(seeds)) == 15


def test_killed_run_goes_on(folder, tmp_path, monkeypatch):
    whole = jets_path(folder, 0).read_bytes()
    simulate(tmp_path, SMALL, range(1), jobs=1)
    made = []
    monkeypatch.setattr("zoo.data.jets.storage._simulate_to", lambda path, config, seed: made.append(seed))
    paths = simulate(tmp_path, SMALL, range(3), jobs=1)
    assert made == [1, 2], "what is there is not made again"
    assert paths[0].read_bytes() == whole
    with pytest.raises(FolderError, match="holds jets made with"):
        simulate(tmp_path, jet_config("multi"), range(1))
    with pytest.raises(InputError, match="seeds: expected 0 to"):
        simulate(tmp_path, SMALL, range(-1, 2))


def test_damaged_files_are_refused(folder, jets, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_jets(tmp_path / "none.h5")
    path = tmp_path / "cut.h5"
    path.write_bytes(jets_path(folder, 0).read_bytes()[:2000])
    with pytest.raises(InputError, match="truncated or damaged"):
        load_jets(path)
    for name, value in {"label": 2, "identity": 200, "offsets": -1}.items():
        broken = getattr(jets, name).copy()
        broken[-1] = value
        write_jets(path, Jets(**{**vars(jets), name: broken}), SMALL, 0)
        with pytest.raises(InputError, match="damaged"):
            load_jets(path)
    with h5py.File(path, "w") as content:
        content["x"] = [1]
    with pytest.raises(InputError, match="another HDF5 file"):
        load_jets(path)


def small_dataset(folder, **changes):
    return get_dataset("jets", sample="top", jets=20, train=1, validation=1, test=1, path=str(folder), **changes)


def test_dataset_passes_its_kit(folder):
    check_dataset(small_dataset(folder), again=lambda: small_dataset(folder))


def test_rows_are_the_jets_of_the_files(folder, jets):
    rows = small_dataset(folder).rows("train")
    assert list(rows.inputs) == ["particles", "identity", "real"]
    particles, identity, real = (np.asarray(array) for array in rows.inputs.values())
    assert (particles.dtype, identity.dtype, real.dtype) == (np.float32, np.int32, bool)
    assert particles.shape == (*real.shape, 3) == rows.inputs["particles"].shape
    np.testing.assert_array_equal(real.sum(axis=1), jets.counts)
    np.testing.assert_array_equal(rows.truth["multiplicity"], jets.counts)
    np.testing.assert_array_equal(rows.target[:, 0], jets.label)
    np.testing.assert_array_equal(identity[real], CODES[jets.identity])
    assert (particles[~real] == 0).all()
    assert (identity[~real] == 0).all()
    assert (particles[..., 0].sum(axis=1) > 0.999 * jets.momentum[:, 0]).all()
    assert (np.diff(particles[..., 0]) <= 0).all()


def test_batches_are_as_wide_as_their_jets(folder, jets):
    inputs = small_dataset(folder).rows("train").inputs
    for chosen in (np.array([5, 2, 30]), slice(3, 5), np.array([], int)):
        widths = {array[chosen].shape[1] for array in inputs.values()}
        assert widths == {max(1, jets.counts[chosen].max(initial=0))}
    np.testing.assert_array_equal(inputs["particles"][np.array([7])][0], np.asarray(inputs["particles"])[7, : jets.counts[7]])


def test_fewer_training_jets_are_among_more(folder):
    few, more = (small_dataset(folder, training_jets=n).rows("train") for n in (10, 25))
    assert (len(few), len(more)) == (10, 25)
    assert set(few.truth["mass"]) < set(more.truth["mass"])
    assert len(np.unique(more.target)) == 2
    with pytest.raises(InputError, match="expected 1 to 40"):
        small_dataset(folder, training_jets=41).rows("train")
    assert len(small_dataset(folder, training_jets=10).rows("test")) == 40


def test_options_of_the_dataset(folder, tmp_path):
    assert list(small_dataset(folder, identity=False).rows("test").inputs) == ["particles", "real"]
    with pytest.raises(InputError, match="files of jets are missing, of seeds 0"):
        small_dataset(tmp_path, on_missing="fail").rows("train")
    with pytest.raises(InputError, match="on_missing: expected simulate, fail"):
        small_dataset(folder, on_missing="skip")
    with pytest.raises(UnknownNameError, match="did you mean top"):
        get_dataset("jets", sample="tops")
    with pytest.raises(UnknownNameError, match="alphaS-up"):
        get_dataset("jets", shower="alphas-up")
    groups = [small_dataset(folder).rows(split).group for split in ("train", "test")]
    assert not np.intersect1d(*groups).size


def test_whole_events_keep_their_pairs(tmp_path):
    config = jet_config("resonance", jets=8)
    (path,) = simulate(tmp_path, config, [4], jobs=1)
    jets, found, seed = load_jets(path)
    assert (found, seed, len(jets)) == (config, 4, 32)
    np.testing.assert_array_equal(jets.event[::2], jets.event[1::2])
    assert len(np.unique(jets.event)) == 16
    pt, y, phi, mass = jets.momentum.T
    assert (pt[::2] >= pt[1::2]).all()
    assert pt[::2].min() > 1200
    px, py = pt * np.cos(phi), pt * np.sin(phi)
    transverse = np.hypot(pt, mass)
    pz, energy = transverse * np.sinh(y), transverse * np.cosh(y)
    pair = np.array([component.reshape(-1, 2).sum(axis=1) for component in (px, py, pz, energy)])
    invariant = np.sqrt(pair[3] ** 2 - (pair[:3] ** 2).sum(axis=0))
    assert np.median(invariant[8:]) == pytest.approx(3500, rel=0.1)
    heavy, light = np.sort(mass[16:].reshape(-1, 2), axis=1).T[::-1]
    assert np.median(heavy) == pytest.approx(500, rel=0.1)
    assert np.median(light) == pytest.approx(110, rel=0.2)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("sample", ["quark-gluon", "top", "multi", "resonance"])
def test_ending_events_early_changes_no_jets(sample, monkeypatch):
    """Means of transverse momentum, mass, rapidity and multiplicity with and without the cuts agree within their errors."""
    from zoo.data.jets import generate

    config = jet_config(sample, jets=100)
    fast = generate.generate(config, 1)
    monkeypatch.setattr(generate, "SLACK", 3.0)
    for name in ("doVetoPT", "doVetoPartonLevel"):
        monkeypatch.setattr(generate.Cuts, name, lambda *_: False)
    whole = generate.generate(config, 2)
    seen = [np.column_stack([jets.momentum[:, [0, 3]], np.abs(jets.momentum[:, 1]), jets.counts]) for jets in (fast, whole)]
    for number in range(len(config.processes)):
        for column in range(4):
            a, b = (values[jets.label == number, column] for values, jets in zip(seen, (fast, whole), strict=True))
            error = np.hypot(a.std() / np.sqrt(len(a)), b.std() / np.sqrt(len(b)))
            assert abs(a.mean() - b.mean()) < 4 * error


def test_command_line_says_what_is_wrong(tmp_path):
    runner = CliRunner()
    answer = runner.invoke(app, ["simulate", "jets", "--seeds", "3:3", "--out", str(tmp_path)])
    assert answer.exit_code == 1
    assert "--seeds: expected FIRST:END" in str(answer.exception)

"""Simulated jets beside physics: multiplicities, masses, peaks of W, Z and top, color charges, weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zoo.cli import app
from zoo.data.dataset import get_dataset
from zoo.data.jets.checks import CASIMIR_RATIO, falling_spectrum, multiplicity_ratio, quarks_and_gluons, spectrum
from zoo.data.jets.clouds import clouds
from zoo.data.jets.packed import Jets
from zoo.data.jets.sample import load_sample
from zoo.data.jets.samples import jet_config
from zoo.data.jets.storage import cached_jets, load_jets
from zoo.data.shipped_files import FOLDER
from zoo.errors import InputError, UnknownNameError

EXAMPLE = Path(__file__).parents[1] / "examples" / "jets_checks.py"


@pytest.fixture(scope="module", params=["quark-gluon", "multi"])
def shipped(request) -> Jets:
    return load_sample(request.param)[0]


def of_class(jets: Jets, values: np.ndarray, name: str) -> np.ndarray:
    return values[jets.label == jets.classes.index(name)]


def test_shipped_samples_are_small():
    with pytest.raises(UnknownNameError, match="shipped sample of jets"):
        load_sample("top")
    assert sum(path.stat().st_size for path in FOLDER.glob("jets-*.h5")) < 2e6


def test_gluons_have_more_particles_and_mass(shipped):
    """Means of 33 and 53 particles beside a Z; masses by the color charge, less what is common to both."""
    ratio, error = multiplicity_ratio(shipped)
    assert 1.3 + 4 * error < ratio < CASIMIR_RATIO - 4 * error
    quark, gluon = (np.median(of_class(shipped, shipped.momentum[:, 3], name)) for name in ("quark", "gluon"))
    assert 1.3 < gluon / quark < CASIMIR_RATIO
    if shipped.classes == ("gluon", "quark"):
        assert of_class(shipped, shipped.counts, "quark").mean() == pytest.approx(33, abs=2)
        assert of_class(shipped, shipped.counts, "gluon").mean() == pytest.approx(53, abs=2)


def test_particles_of_shipped_jets_have_momentum(shipped):
    """Softer ones than half precision knows too, as networks take the logarithm."""
    cloud = {name: array[:] for name, array in clouds(shipped, np.arange(len(shipped))).items()}
    assert (cloud["particles"][..., 0][cloud["real"]] > 0).all()


def test_groomed_masses_peak_at_those_of_w_z_and_top():
    pytest.importorskip("fastjet")
    from zoo.data.jets.substructure import soft_drop

    jets, _ = load_sample("multi")
    for name, expected, within in (("W", 78, 3), ("Z", 88, 3), ("top", 168, 6)):
        chosen = np.flatnonzero(jets.label == jets.classes.index(name))
        cloud = {key: array[:] for key, array in clouds(jets, chosen).items()}
        mass = soft_drop(cloud["particles"], cloud["real"], cloud["identity"])[2]
        assert np.median(mass) == pytest.approx(expected, abs=within), name
        near = {"W": 80.4, "Z": 91.2, "top": 172.5}[name]
        assert np.mean(np.abs(mass / near - 1) < 0.15) > 0.5, "a peak"


@pytest.mark.parametrize("jets", [60, pytest.param(1500, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_weights_reproduce_the_spectrum_without_them(jets):
    pytest.importorskip("pythia8mc")
    from zoo.data.jets.generate import generate

    plain, biased = (generate(falling_spectrum(jets, bias), 3) for bias in (0, 4))
    edges = np.array([500, 550, 620, 750, 14000])
    (share, error), (weighted, its_error) = spectrum(plain, edges), spectrum(biased, edges)
    assert (np.abs(share - weighted) < 4 * np.hypot(error, its_error) + 1e-12).all()
    assert np.mean(biased.momentum[:, 0] > 750) > 3 * share[3], "what weights are for"
    assert len(np.unique(biased.weight)) == jets


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ratio_of_multiplicities_rises_towards_that_of_color_charges():
    pytest.importorskip("pythia8mc")
    from zoo.data.jets.generate import generate

    ratios, errors = np.transpose([multiplicity_ratio(generate(quarks_and_gluons(pt, 400), 0)) for pt in (80, 400, 2000)])
    assert (np.diff(ratios) > 0).all()
    assert ratios[2] - ratios[0] > 4 * np.hypot(errors[0], errors[2])
    assert ratios[2] < CASIMIR_RATIO


def test_resonances_of_a_mass(tmp_path):
    """X and Y are narrow in their jets at the lightest mass too, and weights are those of QCD alone."""
    pytest.importorskip("pythia8mc")
    options = "--sample resonance --mass 1000 --bias 4 --jets 12 --seeds 0:1 --jobs 1"
    answer = CliRunner().invoke(app, ["simulate", "jets", *options.split(), "--out", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    jets, config, _ = load_jets(tmp_path / "jets-00000.h5")
    assert config == jet_config("resonance", mass=1000, bias=4, jets=12)
    assert config.mass == 1000
    mass = np.sort(of_class(jets, jets.momentum[:, 3], "resonance").reshape(-1, 2), axis=1)
    np.testing.assert_allclose(np.median(mass, axis=0), [1000 / 35, 1000 / 7], rtol=0.25)
    assert (of_class(jets, jets.weight, "resonance") == 1).all()
    assert len(np.unique(of_class(jets, jets.weight, "qcd"))) == 12
    options = {"train": 1, "validation": 0, "test": 0, "path": str(tmp_path), "on_missing": "fail"}
    rows = get_dataset("jets", sample="resonance", mass=1000, bias=4, jets=12, **options).rows("train")
    for label in (0, 1):
        assert rows.weight[rows.target[:, 0] == label].mean() == pytest.approx(1), "as many jets, as much weight"
    np.testing.assert_allclose(rows.weight[:24] / jets.weight[:24], rows.weight[0] / jets.weight[0])


def test_masses_change_no_other_config():
    """The folders of the samples stay those that runs before this one have filled."""
    names = {sample: cached_jets(jet_config(sample)).name[-12:] for sample in ("quark-gluon", "top", "multi", "resonance")}
    assert names == {
        "quark-gluon": "0eaac46b166f",
        "top": "e2a2a026efcd",
        "multi": "b43c46924fd9",
        "resonance": "e023a411882d",
    }
    assert (jet_config("resonance").mass, jet_config("top").mass) == (3500, None)
    assert jet_config("resonance", mass=1000).processes[0] == jet_config("resonance", mass=4000).processes[0], "one background"
    with pytest.raises(InputError, match="mass: expected 1000 to 4000 GeV, given 2"):
        jet_config("resonance", mass=2)
    with pytest.raises(InputError, match="mass: only the sample resonance has one, given top"):
        jet_config("top", mass=2000)


@pytest.mark.slow
@pytest.mark.pages
def test_example_draws_four_figures(tmp_path):
    pytest.importorskip("pythia8mc")
    spec = importlib.util.spec_from_file_location("jets_checks", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path, jets=20)
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names == ["color_charges.png", "groomed_mass.png", "quark_gluon.png", "weights.png"]

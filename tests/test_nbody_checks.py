"""What the simulator is checked against, and the example that draws it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import joblib
import numpy as np
import pytest

from zoo.data.nbody.checks import (
    expected_halos,
    growth_of_modes,
    halofit_power,
    momentum_by_step,
    paired_fields,
    sigma_of_box,
)
from zoo.data.nbody.cosmology import Cosmology, growth, linear_power, sigma_top_hat
from zoo.data.nbody.lagrangian import top_hat_densities
from zoo.data.nbody.power import expected_power, field_power
from zoo.data.nbody.simulate import NBodyConfig
from zoo.errors import InputError

EXAMPLE = Path(__file__).parents[1] / "examples" / "nbody_checks.py"
PLANCK = Cosmology()
SMALL = NBodyConfig(particles=16, box=20.0, steps=5, transfer="eisenstein-hu")


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("nbody_checks", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.pages
@pytest.mark.parametrize("colossus", [True, False])
def test_example_draws_four_figures(example, colossus, monkeypatch, tmp_path):
    """Small ones, also where colossus is not installed."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    if colossus:
        pytest.importorskip("colossus")
    else:
        monkeypatch.setattr(example, "find_spec", lambda name: None)
    with joblib.parallel_config("sequential"):  # each process would compile the simulator anew
        example.main(tmp_path / "figures", particles=16, seeds=2)
    names = [path.name for path in sorted((tmp_path / "figures").iterdir())]
    assert names == ["growth.png", "mass_function.png", "momentum.png", "power.png"]


def test_modes_grow_by_linear_theory():
    """The longest waves grow so at each time; cosmic variance cancels."""
    wide = NBodyConfig(particles=32, box=500.0, steps=10, transfer="eisenstein-hu")
    a = np.array([0.2, 0.5, 0.7, 1.0])
    np.testing.assert_allclose(growth_of_modes(wide, 1, a, 0.03), growth(PLANCK, a), rtol=0.01)
    with pytest.raises(InputError, match=r"first, 0\.01\d+ h/Mpc, given 0\.001"):
        growth_of_modes(wide, 1, a, 0.001)


def test_momentum_stays_at_rest():
    a, mean = momentum_by_step(SMALL, 3)
    assert a[[0, -1]] == pytest.approx([0.1, 1])
    assert mean.shape == (6, 3)
    assert np.abs(mean).max() < 1e-6


def test_pairs_have_the_linear_power():
    """Exactly, up to the modes that the generator leaves out: a field and its negative, each mode of the expected amplitude."""
    up, down = paired_fields(SMALL, 4)
    np.testing.assert_array_equal(up, -down)
    _, power, _ = field_power(up, SMALL.box)
    expected = expected_power(lambda k: linear_power(PLANCK, k, transfer=SMALL.transfer), SMALL.particles, SMALL.box)
    np.testing.assert_allclose(power, expected, rtol=1e-3)


def test_expected_power_is_the_mean_over_modes():
    """The mean of k^2 in the first bin is that of six modes of square 1 and twelve of square 2, in units of (2 pi / box)^2."""
    power = expected_power(lambda k: k**2, 8, 10.0)
    assert power[0] == pytest.approx((2 * np.pi / 10) ** 2 * (6 + 12 * 2) / 18)


def test_halofit_is_linear_on_large_scales_and_above_on_small_ones():
    ratio = halofit_power(PLANCK, np.array([0.01, 1.0])) / linear_power(PLANCK, np.array([0.01, 1.0]))
    assert ratio[0] == pytest.approx(1, abs=0.01)
    assert 4 < ratio[1] < 8


def test_fluctuations_of_the_box_are_those_of_its_fields():
    """Smoothed in spheres; the amplitudes of the field are exactly the expected ones. A larger and finer box has all."""
    radius = np.array([3.0, 6.0])
    field, _ = paired_fields(SMALL, 2)
    expected = top_hat_densities(field, SMALL.box, radius).std(axis=(1, 2, 3))
    np.testing.assert_allclose(sigma_of_box(SMALL, radius), expected, rtol=1e-3)
    large = NBodyConfig(particles=64, box=1000.0, transfer="eisenstein-hu")
    radius = np.array([50.0, 80.0])
    np.testing.assert_allclose(sigma_of_box(large, radius), sigma_top_hat(PLANCK, radius, "eisenstein-hu"), rtol=0.02)


def test_expected_halos_are_those_of_colossus():
    """With all modes, and colossus' own fluctuations, which it integrates from the same transfer function."""
    mass_function = pytest.importorskip("colossus.lss.mass_function")
    sizes = np.array([100.0, 101.0])
    (found,) = expected_halos(SMALL, sizes, "watson13", finite=False)
    mass = 100.5 * SMALL.particle_mass
    density = mass_function.massFunction(mass, 0.0, mdef="fof", model="watson13", q_out="dndlnM")
    assert found == pytest.approx(density * SMALL.box**3 * np.log(1.01), rel=0.01)

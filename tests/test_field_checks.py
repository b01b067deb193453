"""Simulated fields beside linear theory, HMcode and lognormal densities, and the example that draws them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import joblib
import numpy as np
import pytest

from zoo.data.fields.checks import binned_ratio, cost_of_the_mesh, lognormal_fractions, nearest, nonlinear_power
from zoo.data.fields.design import RANGES, FieldsConfig
from zoo.data.fields.simulate import density_of
from zoo.data.fields.summaries import one_point
from zoo.data.nbody.cosmology import Cosmology, linear_power
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.particle_mesh import evolve
from zoo.data.nbody.power import density_power, expected_power
from zoo.data.nbody.simulate import NBodyConfig

EXAMPLE = Path(__file__).parents[1] / "examples" / "fields_checks.py"
BOX, N = 1000.0, 32


def power_of(omega_m: float, sigma8: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the density on as many cells as particles, which are near their grid and have no shot noise."""
    cosmology = Cosmology(omega_m=omega_m, sigma8=sigma8)
    nbody = NBodyConfig(cosmology=cosmology, particles=N, box=BOX, steps=10, transfer="eisenstein-hu")
    (final,) = evolve(nbody, linear_density(nbody, seed))
    return density_power(density_of(final.positions, BOX, N), BOX, N**3, shot_noise=False)


@pytest.mark.parametrize("omega_m", [*RANGES["omega_m"], 0.3])
def test_large_scales_have_the_power_of_linear_theory_at_any_cosmology(omega_m):
    """Within the scatter of the modes of four boxes, bin by bin and together.

    Beyond, at Omega_m = 0.1, is the first trough of the baryons' oscillations, which nonlinear growth fills.
    """
    found = [power_of(omega_m, 0.6, seed) for seed in range(4)]
    k, _, modes = found[0]
    expected = expected_power(
        lambda k: linear_power(Cosmology(omega_m=omega_m, sigma8=0.6), k, transfer="eisenstein-hu"), N, BOX
    )
    low = k < 0.03
    ratio = (np.mean([power for _, power, _ in found], axis=0) / expected)[low]
    assert np.abs((ratio - 1) * np.sqrt(4 * modes[low])).max() < 3.5
    assert np.average(ratio, weights=modes[low]) == pytest.approx(1, abs=3 / np.sqrt(4 * modes[low].sum()))


def test_power_grows_with_the_square_of_sigma_8():
    """On large scales, where the scatter of the modes cancels in the ratio of two simulations that began alike."""
    k, low, modes = power_of(0.3, 0.6, 1)
    _, high, _ = power_of(0.3, 0.9, 1)
    large = k < 0.03
    assert np.average((high / low)[large], weights=modes[large]) == pytest.approx((0.9 / 0.6) ** 2, rel=0.02)


def test_the_nearest_simulations_are_found():
    config = FieldsConfig(varied="five", simulations=30)
    points = config.design()
    found = nearest(config, 0.1, 1.0, 3)
    distance = [((a - 0.1) / 0.4) ** 2 + ((b - 1.0) / 0.4) ** 2 for a, b in points[:, :2]]
    assert found.tolist() == sorted(range(30), key=distance.__getitem__)[:3]


def test_nonlinear_power_is_linear_on_large_scales_and_that_of_hmcode_for_cambs_transfer():
    k = np.array([0.005, 1.0])
    ratio = nonlinear_power(Cosmology(), k) / linear_power(Cosmology(), k, transfer="eisenstein-hu")
    assert ratio[0] == pytest.approx(1, abs=0.02)
    assert 4 < ratio[1] < 8


def test_bins_count_each_mode_alike():
    k, modes = np.array([0.1, 0.2, 0.3]), np.array([3.0, 9.0, 5.0])
    found = binned_ratio((k, np.array([2.0, 6.0, 7.0]), modes), np.array([2.0, 2.0, 7.0]), np.array([0.05, 0.25, 0.27, 0.4]))
    np.testing.assert_allclose(found, [(3 * 1 + 9 * 3) / 12, np.nan, 1])


def test_fractions_of_a_lognormal_density_are_those_of_draws():
    """Of ten million cells, with the variance that is asked for, and empty bins below the offset."""
    variance = 0.8
    edges = np.array([-6.0, -5.0, *np.linspace(-2, 2, 9)])
    width = np.sqrt(np.log(1 + variance))
    drawn = np.exp(np.random.default_rng(0).normal(-(width**2) / 2, width, (10, 100, 100, 100))) - 1
    assert drawn.var() == pytest.approx(variance, rel=0.01)
    expected = one_point(drawn, edges, offset=0.01).mean(axis=0)
    found = lognormal_fractions(variance, edges, offset=0.01)
    assert found[0] == 0
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(expected.max() / 1e7))


def test_direct_forces_have_more_power_where_the_mesh_resolves_none():
    """In cells of the default set's size: the same on the largest scales, and more from 1 h/Mpc on."""
    mesh = FieldsConfig(simulations=4, particles=32, box=50.0)
    number = int(mesh.design()[:, 1].argmax())
    ratio = cost_of_the_mesh(mesh, 0.1, number, np.array([0.1, 0.3, 1.0, 2.0]))
    assert ratio[0] == pytest.approx(1, abs=0.02)
    assert ratio[2] < min(ratio[1], 0.98)


@pytest.mark.pages
def test_example_draws_its_figure(monkeypatch, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("fields_checks", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    with joblib.parallel_config("sequential"):  # each process would compile the simulator anew
        example.main(tmp_path / "figures", FieldsConfig(simulations=2, particles=16, box=25.0, steps=3), each=2)
    assert (tmp_path / "figures" / "fields.png").exists()
    assert len(capsys.readouterr().out.splitlines()) >= 5

"""The cubes that ship: real, of the simulations they name, and of rows that no model saw."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

from zoo.data.nbody.cosmology import growth, lagrangian_radius
from zoo.data.nbody.cubes import RMS, density_cubes
from zoo.data.nbody.features import FEATURE_MASSES
from zoo.data.nbody.halo_mass import INITIAL, LOG_MASS, HaloMass
from zoo.data.nbody.lagrangian import particle_cells, top_hat_densities
from zoo.data.nbody.sample import SAMPLE, load_sample, write_sample
from zoo.data.nbody.simulate import NBodyConfig, run
from zoo.data.shipped_files import shipped_file


@pytest.fixture(scope="module")
def sample():
    return load_sample()


def test_sample_is_small_and_of_the_test_split(sample):
    assert shipped_file(SAMPLE).stat().st_size < 2e6
    assert sample.inputs["density"].shape == (64, 24, 24, 24)
    assert sample.inputs["densities"].shape == (64, len(FEATURE_MASSES))
    assert set(sample.group) <= set(range(180, 200))
    assert np.all(np.diff(sample.target[:, 0]) >= 0)
    assert sample.target.min() >= LOG_MASS[0]
    assert sample.target.max() <= LOG_MASS[-1]
    assert sample.inputs["density"].std() == pytest.approx(RMS, rel=0.1)


def test_denser_surroundings_make_heavier_halos(sample):
    largest = sample.inputs["densities"][:, np.searchsorted(FEATURE_MASSES, 13.5)]
    assert np.corrcoef(largest, sample.target[:, 0])[0, 1] > 0.4


def test_written_sample_is_that_of_the_rows(tmp_path):
    small = {"particles": 32, "box": 25.0, "steps": 6, "transfer": "eisenstein-hu"}
    dataset = HaloMass(train=1, validation=1, test=2, particles=50, size=8, nbody=small, path=str(tmp_path / "nbody"))
    with joblib.parallel_config("sequential"):  # each process would compile the simulator anew
        write_sample(tmp_path / "sample.npz", dataset, n=10)
    found, rows = load_sample(tmp_path / "sample.npz"), dataset.rows("test")
    wanted = np.argsort(rows.target[:, 0], kind="stable")[[0, -1]]
    np.testing.assert_array_equal(found.target[[0, -1]], rows.target[wanted])
    np.testing.assert_allclose(found.inputs["density"][[0, -1]], rows.inputs["density"][wanted], rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(found.inputs["densities"][[0, -1]], dataset.features(rows, "densities")[wanted])


@pytest.mark.slow
def test_a_seed_gives_its_cubes_and_masses_again(sample):
    """As the recipe makes them, the whole simulation."""
    config, seed = NBodyConfig(), int(sample.group[0])
    simulation, mine = run(config, seed), sample.group == seed
    field = simulation.linear * growth(config.cosmology, INITIAL)
    particle = sample.truth["particle"][mine]
    cells = particle_cells(particle, config.particles)
    np.testing.assert_allclose(density_cubes(field, config.box, cells), sample.inputs["density"][mine], atol=2e-4)
    radii = lagrangian_radius(config.cosmology, 10**FEATURE_MASSES)
    densities = top_hat_densities(field, config.box, radii, cells).T
    np.testing.assert_allclose(densities, sample.inputs["densities"][mine], atol=1e-5)
    mass = simulation.halos.mass[simulation.halo_of[particle]]
    np.testing.assert_allclose(np.log10(mass), sample.target[mine, 0], atol=1e-5)

"""The halo-mass data: cubes about particles, their orientations, the flat sample of masses, splits."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from zoo.data.dataset import get_dataset
from zoo.data.nbody.cosmology import growth, lagrangian_radius
from zoo.data.nbody.halo_mass import FEATURE_MASSES, LOG_MASS, SYMMETRIES, Cubes, drawn_particles, turned
from zoo.data.nbody.lagrangian import spherical_average

SMALL = {"particles": 32, "box": 25.0, "steps": 6, "transfer": "eisenstein-hu"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("nbody"))
    return get_dataset("halo-mass", train=3, validation=1, test=1, particles=100, size=8, nbody=SMALL, path=path)


def field(n: int = 9) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, n, n)).astype(np.float32)


def cubes(values: np.ndarray, size: int, symmetry: np.ndarray, **options) -> Cubes:
    centre = np.tile([1, 8, 4], (len(symmetry), 1))
    return Cubes([values], 2.0, np.zeros(len(symmetry), int), centre, symmetry, size, **options)


def test_the_symmetries_are_those_of_a_cube():
    cube = np.arange(27).reshape(3, 3, 3)
    found = {turned(cube, symmetry).tobytes() for symmetry in range(SYMMETRIES)}
    assert len(found) == 48
    assert all(turned(cube, symmetry)[1, 1, 1] == cube[1, 1, 1] for symmetry in range(SYMMETRIES))
    again = {turned(turned(cube, a), b).tobytes() for a in range(SYMMETRIES) for b in range(SYMMETRIES)}
    assert again == found  # a group
    np.testing.assert_array_equal(turned(cube, 0), cube)


@pytest.mark.parametrize("size", [4, 5])
def test_the_particle_stays_in_its_cell_however_the_cube_is_turned(size):
    values = field()
    found, middle = cubes(values, size, np.arange(SYMMETRIES))[:], size // 2
    np.testing.assert_array_equal(found[:, middle, middle, middle], 2 * values[1, 8, 4])
    neighbours = {2 * values[i] for i in [(0, 8, 4), (2, 8, 4), (1, 7, 4), (1, 0, 4), (1, 8, 3), (1, 8, 5)]}
    assert set(found[:, middle + 1, middle, middle]) == neighbours
    np.testing.assert_array_equal(
        found[0], 2 * np.roll(values, (middle - 1, middle - 8, middle - 4), (0, 1, 2))[:size, :size, :size]
    )


def test_indices_choose_as_of_an_array():
    whole = cubes(field(), 4, np.arange(10) % SYMMETRIES)
    every = whole[:]
    np.testing.assert_array_equal(whole[3:7], every[3:7])
    np.testing.assert_array_equal(whole[np.array([5, 5, 0])], every[[5, 5, 0]])


def test_spherical_cubes_are_the_means_of_their_shells():
    plain, spherical = (cubes(field(), 6, np.zeros(1, int), spherical=flag)[:] for flag in (False, True))
    np.testing.assert_allclose(spherical, spherical_average(plain), rtol=1e-6)


def test_rows_are_cubes_of_the_initial_field_and_masses_of_final_halos(dataset):
    rows = dataset.rows("test")
    (simulation,) = dataset.simulations("test")
    number, particle = drawn_particles([simulation], 100, np.random.default_rng([0, 2, 0]))
    cells = np.stack(np.unravel_index(particle, [32] * 3), axis=1)
    initial = simulation.linear[tuple(cells.T)] * growth(dataset.config.cosmology, 0.01)
    np.testing.assert_allclose(rows.inputs["density"][:][:, 4, 4, 4], initial, rtol=1e-5)
    mass = simulation.halos.mass[simulation.halo_of[particle]]
    np.testing.assert_allclose(rows.target[:, 0], np.log10(mass), rtol=1e-6)
    assert (number == 0).all()


def test_features_are_densities_around_the_particle(dataset):
    rows = dataset.rows("test")
    densities, with_shear = (dataset.features(rows, names) for names in dataset.feature_sets)
    assert with_shear.shape == (len(rows), 3 * densities.shape[1])
    np.testing.assert_array_equal(with_shear[:, : densities.shape[1]], densities)
    cubes = rows.inputs["density"][:]
    distance = 25 / 32 * np.sqrt(np.sum((np.indices([8, 8, 8]) - 4) ** 2, axis=0))
    radii = lagrangian_radius(dataset.config.cosmology, 10**FEATURE_MASSES)
    scale = np.searchsorted(radii, 2.5)
    sphere = cubes[:, distance <= radii[scale]].mean(axis=1)
    assert np.corrcoef(densities[:, scale], sphere)[0, 1] > 0.98
    assert np.mean(np.abs(densities[:, scale] - sphere)) < 0.15 * sphere.std()
    assert np.all(np.diff(densities.std(axis=0)) < 0)


def test_every_mass_is_as_likely(dataset):
    rows = dataset.rows("train")
    counts = np.histogram(rows.truth["log_mass"], LOG_MASS)[0]
    assert len(rows) == 300
    assert np.ptp(counts[counts > 0]) <= 1
    assert (counts > 0).sum() > 8


def test_no_two_splits_share_a_simulation_and_only_training_changes(dataset):
    groups = [set(dataset.rows(split).group) for split in ("train", "validation", "test")]
    assert groups == [{0, 1, 2}, {3}, {4}]
    for split in ("train", "test"):
        first, second = (dataset.rows(split, epoch) for epoch in (0, 1))
        assert np.array_equal(first.inputs["density"][:], second.inputs["density"][:]) == (split == "test")


def test_fields_are_mapped_not_read(dataset):
    assert all(isinstance(values, np.memmap) for values in dataset.rows("train").inputs["density"].fields)


def test_another_simulation_needs_another_folder(dataset):
    other = get_dataset("halo-mass", train=1, validation=1, test=1, nbody=SMALL | {"steps": 7}, path=str(dataset.folder))
    with pytest.raises(ValueError, match="use another folder"):
        other.rows("train")
    with pytest.raises(ValidationError, match="boxsize"):
        get_dataset("halo-mass", nbody={"boxsize": 50})

"""Cubes cut from mapped fields as they are asked for, and from a user's own field."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.nbody.cosmology import growth, linear_power
from zoo.data.nbody.cubes import CELL, RMS, Cubes, density_cubes
from zoo.data.nbody.fourier import wave_numbers
from zoo.data.nbody.lagrangian import SYMMETRIES, spherical_average
from zoo.data.nbody.simulate import NBodyConfig
from zoo.errors import InputError


def field(n: int = 9) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, n, n)).astype(np.float32)


@pytest.fixture
def own():
    noise = field(16).astype(np.float64)
    return RMS * (noise - noise.mean())


CELLS = np.array([[0, 3, 15], [8, 8, 8]])


def cubes(values: np.ndarray, size: int, symmetry: np.ndarray, **options) -> Cubes:
    center = np.tile([1, 8, 4], (len(symmetry), 1))
    return Cubes([values], 2.0, np.zeros(len(symmetry), int), center, symmetry, size, **options)


@pytest.mark.parametrize("size", [4, 5])
def test_the_particle_stays_in_its_cell_however_the_cube_is_turned(size):
    values = field()
    found, middle = cubes(values, size, np.arange(SYMMETRIES))[:], size // 2
    np.testing.assert_array_equal(found[:, middle, middle, middle], 2 * values[1, 8, 4])
    neighbors = {2 * values[i] for i in [(0, 8, 4), (2, 8, 4), (1, 7, 4), (1, 0, 4), (1, 8, 3), (1, 8, 5)]}
    assert set(found[:, middle + 1, middle, middle]) == neighbors
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


def test_the_deviation_is_that_of_theory():
    """Theory is asked about the modes on the grid of the default simulation."""
    config = NBodyConfig(transfer="eisenstein-hu")
    waves = wave_numbers(config.particles)
    length = np.sqrt(sum(k**2 for k in waves)).ravel()
    twice = np.where((waves[2] == 0) | (waves[2] == config.particles // 2), 1, 2)
    twice = np.broadcast_to(twice, (config.particles, config.particles, config.particles // 2 + 1)).ravel()
    k, which = np.unique(length[1:], return_inverse=True)
    power = linear_power(config.cosmology, 2 * np.pi / config.box * k, transfer=config.transfer)[which]
    deviation = growth(config.cosmology, 0.01) * np.sqrt((power * twice[1:]).sum() / config.box**3)
    assert deviation == pytest.approx(RMS, rel=0.01)
    assert config.box / config.particles == CELL


def test_cubes_of_ones_own_field(own):
    found = density_cubes(own, 16 * CELL, CELLS, size=8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 4, 4, 4], own[tuple(CELLS.T)], rtol=1e-6)
    spherical = density_cubes(own, 16 * CELL, CELLS, size=8, spherical=True)
    np.testing.assert_allclose(spherical, spherical_average(found), rtol=1e-6)


@pytest.mark.parametrize(
    ("factor", "shift", "box", "message"),
    [
        (1, 0, 25.0, r"expected cells of 0.7812 Mpc/h, given 1.562 \(25 / 16\)"),
        (78.9, 0, 12.5, "at z = 99, of standard deviation 0.045, given 3."),
        (0, 0, 12.5, "given 0"),
        (1, 1, 12.5, "of mean 0, given mean 1"),
        (np.nan, 0, 12.5, "given mean nan"),
    ],
)
def test_another_field_is_refused(own, factor, shift, box, message):
    with pytest.raises(InputError, match=message):
        density_cubes(factor * own + shift, box, CELLS)

"""The short-range force beside the mesh: against Ewald sums, orbits and linear theory."""

from __future__ import annotations

import itertools
import json

import numba
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import erfc

from zoo.data.nbody import particle_mesh, short_range
from zoo.data.nbody.checks import expected_halos
from zoo.data.nbody.cosmology import Cosmology, growth
from zoo.data.nbody.halo_profile import HaloProfile
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.power import field_power, particle_power
from zoo.data.nbody.simulate import NBodyConfig, cached_simulations, load_simulations

PLANCK = Cosmology()
SMALL = NBodyConfig(particles=16, box=20.0, steps=5, transfer="eisenstein-hu", softening=1 / 30)


def ewald_force(separation: np.ndarray, length: float) -> np.ndarray:
    """Force of a unit mass and all its images on a position (3,) away from it, times 4 pi, in a box of mean density zero."""
    d = np.asarray(separation, dtype=float)
    alpha, images = 2 / length, np.array(list(itertools.product(range(-4, 5), repeat=3)))
    away = d + length * images
    r = np.linalg.norm(away, axis=1)
    near = erfc(alpha * r) / r**3 + 2 * alpha / np.sqrt(np.pi) * np.exp(-((alpha * r) ** 2)) / r**2
    k = 2 * np.pi / length * images[np.any(images, axis=1)]
    square = (k**2).sum(axis=1)
    far = 4 * np.pi / length**3 * np.exp(-square / (4 * alpha**2)) / square * np.sin(k @ d)
    return -(away * near[:, None]).sum(axis=0) - k.T @ far


def pair_forces(first: np.ndarray, second: np.ndarray, mesh: int, softening: float) -> np.ndarray:
    """On each of two particles, (2, 3), times 4 pi over the mass of one."""
    positions = np.float32([first, second])
    particle_mesh.wrap(positions, mesh)
    potential = particle_mesh.mesh_potential(positions, mesh, short_range.SPLIT)
    forces = short_range.short_range_force(positions, mesh, softening)
    forces -= [particle_mesh.gradient(potential, *position) for position in positions]
    return forces * (4 * np.pi * 2 / mesh**3)


def random_pairs(separations: np.ndarray, mesh: int):
    """Pairs of positions (2, 3) in cells, anywhere on the mesh and in any direction."""
    rng = np.random.default_rng(0)
    for r in separations:
        direction = rng.normal(size=3)
        first = rng.uniform(0, mesh, 3)
        yield np.float32(first), np.float32(first + r * direction / np.linalg.norm(direction))


def test_pair_force_is_the_newtonian_of_a_periodic_box():
    """From a tenth of a cell to half the box, anywhere on the mesh: within 1% rms, 3.5% at worst."""
    mesh = 32
    separations = np.geomspace(0.1, mesh / 2, 120)
    errors = []
    for r, (first, second) in zip(separations, random_pairs(separations, mesh), strict=True):
        on_first, on_second = pair_forces(first, second, mesh, 1e-4)
        expected = ewald_force(second.astype(float) - first, mesh)
        errors.append([np.linalg.norm(on_second - expected) * r**2, np.linalg.norm(on_first + expected) * r**2])
    print("errors in units of 1/r^2: rms", np.sqrt(np.mean(np.square(errors))), "largest", np.max(errors))
    assert np.max(errors) < 0.035
    assert np.sqrt(np.mean(np.square(errors))) < 0.01


def test_pair_force_does_not_depend_on_the_place_on_the_mesh():
    """Nor do two particles push themselves: action is reaction to single precision, within two cells and beyond the cutoff."""
    mesh, rng = 32, np.random.default_rng(1)
    for r, tolerance in ((0.3, 2e-3), (1.5, 0.01), (3.0, 0.02), (7.0, 0.02)):
        forces = []
        for first in rng.uniform(0, mesh, (30, 3)):
            on_first, on_second = pair_forces(first, first + r * np.array([0, 0.6, 0.8]), mesh, 1e-4)
            assert np.abs(on_first + on_second).max() < 1e-4 / r**2
            forces.append(on_second * r**2)
        assert np.ptp(forces, axis=0).max() < 2 * tolerance


def test_softened_force_is_plummer_s():
    softening = 0.5
    for r in (0.1, 0.5, 1.0):
        _, force = pair_forces(np.full(3, 5.0), [5.0, 5.0, 5.0 + r], 32, softening)
        assert force[2] == pytest.approx(-r / (r**2 + softening**2) ** 1.5, abs=0.01 / r**2)


def test_sum_over_pairs_is_that_of_all_pairs():
    """Against a plain double loop of numpy, with a dense clump, empty cells and particles at the box's edge."""
    mesh, rng = 16, np.random.default_rng(2)
    positions = np.float32(np.concatenate([rng.uniform(0, mesh, (200, 3)), rng.normal(0, 0.7, (600, 3)), np.zeros((1, 3))]))
    particle_mesh.wrap(positions, mesh)
    away = positions[None].astype(float) - positions[:, None]
    away -= mesh * np.round(away / mesh)
    r = np.sqrt((away**2).sum(axis=-1))
    x = np.maximum(r, 1e-3) / short_range.SPLIT
    smooth = (1 - erfc(x / 2) - x / np.sqrt(np.pi) * np.exp(-(x**2) / 4)) / np.maximum(r, 1e-3) ** 3
    of_pairs = np.where(r < short_range.SPLIT * short_range.CUTOFF, (r**2 + 0.01) ** -1.5 - smooth, 0)
    expected = (of_pairs[..., None] * away).sum(axis=1) * mesh**3 / len(positions) / (4 * np.pi)
    forces = short_range.short_range_force(positions, mesh, 0.1)
    np.testing.assert_allclose(forces, expected, atol=1e-5 * np.abs(expected).max())
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(short_range.short_range_force(positions, mesh, 0.1), forces)
    finally:
        numba.set_num_threads(threads)


def test_two_particles_orbit_each_other():
    """A circular orbit of half a cell closes after its period, and keeps its energy over two."""
    mesh, r, softening = 32, 0.5, 0.05
    strength = mesh**3 / 2 / (4 * np.pi)
    speed = np.sqrt(strength / (r**2 + softening**2) ** 1.5 * r * r / 2)  # of each, around the middle
    period, steps = np.pi * r / speed, 200
    center = np.array([10.3, 20.7, 31.9])
    positions = np.float32([center, center + np.array([r, 0, 0])])
    particle_mesh.wrap(positions, mesh)
    start, momenta = positions.copy(), np.float32([[0, -speed, 0], [0, speed, 0]])
    separations = []
    for step in range(2 * steps + 1):
        potential = particle_mesh.mesh_potential(positions, mesh, short_range.SPLIT)
        pull = short_range.short_range_force(positions, mesh, softening)
        length = period / steps
        kick, drift = (length, length) if 0 < step < 2 * steps else (length / 2, length if step == 0 else 0.0)
        particle_mesh.kick_drift(positions, momenta, potential, kick, drift, pull)
        separations.append(np.linalg.norm((positions[1] - positions[0] + mesh / 2) % mesh - mesh / 2))
    np.testing.assert_allclose(separations, r, rtol=0.02)
    assert np.abs((positions - start + mesh / 2) % mesh - mesh / 2).max() < 0.15 * r
    assert np.linalg.norm(momenta[1] - momenta[0]) == pytest.approx(2 * speed, rel=0.02)


def test_momentum_is_conserved():
    (final,) = particle_mesh.evolve(SMALL.model_copy(update={"steps": 30}), linear_density(SMALL, 5))
    assert np.abs(final.momenta.mean(axis=0, dtype=float)).max() < 1e-5 * final.momenta.std()


def test_plane_wave_follows_zeldovich():
    """As with the mesh alone, up to an amplitude of 0.6: no force but the wave's, at any phase of the particles' grid."""
    n, d = 32, 0.6
    config = NBodyConfig(particles=n, box=float(n), steps=20, transfer="eisenstein-hu", softening=1 / 30)
    x = 2 * np.pi * np.arange(n) / n
    delta = np.broadcast_to((d * np.cos(x))[:, None, None], (n, n, n)).astype(np.float32)
    (final,) = particle_mesh.evolve(config, delta)
    moved = (final.positions.reshape(n, n, n, 3) - np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1) + n / 2) % n
    moved -= n / 2
    psi = -d * np.sin(x) * n / (2 * np.pi)
    assert np.abs(moved[..., 0] - psi[:, None, None]).max() < 0.02 * np.abs(psi).max()
    assert np.abs(moved[..., 1:]).max() < 0.01


def test_force_on_a_displaced_grid_is_the_ewald_sum():
    """They agree within 3%. For this wave it is 13% below the continuum's: so is any exact sum over a cubic grid."""
    n, mesh = 16, 32
    grid = np.stack(np.meshgrid(*[2.0 * np.arange(n) + 0.5] * 3, indexing="ij"), -1).reshape(-1, 3)
    wave = 2 * np.pi / mesh * np.array([3, 3, 0])
    along = wave / np.linalg.norm(wave)
    positions = np.float32(grid + 0.1 * np.cos(grid @ wave)[:, None] * along)
    particle_mesh.wrap(positions, mesh)
    potential = particle_mesh.mesh_potential(positions, mesh, short_range.SPLIT)
    found = short_range.short_range_force(positions, mesh, 1e-3)[0] - particle_mesh.gradient(potential, *positions[0])
    separations = positions[0].astype(float) - positions[1:]
    expected = sum(ewald_force(away, mesh) for away in separations) * mesh**3 / n**3 / (4 * np.pi)
    continuum = 0.1 * np.cos(grid[0] @ wave)
    assert expected @ along == pytest.approx(0.87 * continuum, rel=0.01)
    assert np.abs(found - expected).max() < 0.03 * continuum


@pytest.mark.slow
def test_large_scales_grow_linearly():
    """Less what a cubic grid of particles takes away however exact the force, which rises with k (Marcos et al. 2006)."""
    config = NBodyConfig(particles=64, box=1000.0, steps=10, transfer="eisenstein-hu", softening=1 / 30)
    delta = linear_density(config, 1)
    (late,) = particle_mesh.evolve(config, delta)
    k, linear, _ = field_power(delta, config.box)
    low = k < 0.035
    _, power, _ = particle_power(late.positions, config.box, 128, shot_noise=False)
    grown = power[: len(k)][low] / linear[low] / growth(PLANCK, 1.0) ** 2
    assert grown[0] == pytest.approx(1, abs=0.005)
    np.testing.assert_allclose(grown, 1, atol=0.04)


def test_simulations_of_the_mesh_alone_keep_their_folder():
    """The name is a hash of the config's JSON: what is on disk already is found again, and loads."""
    plain = NBodyConfig()
    assert "softening" not in json.loads(plain.model_dump_json())
    assert cached_simulations(plain).name == "nbody-e29100d7ab5c"
    soft = NBodyConfig(softening=0.03)
    assert cached_simulations(soft) != cached_simulations(plain)
    for config in (plain, soft):
        assert NBodyConfig.model_validate_json(config.model_dump_json()) == config


def test_wrong_configs():
    with pytest.raises(ValidationError, match="at least 14 cells a side, given 8"):
        NBodyConfig(particles=4, softening=0.03)
    with pytest.raises(ValidationError, match="greater than 0"):
        NBodyConfig(softening=0.0)


@pytest.fixture(scope="module")
def resolved():
    """Four boxes of the simulations that halo profiles are taken from, from the cache where they are there."""
    data = HaloProfile(train=0, validation=0, test=4, first_seed=3000)
    return data, load_simulations(data.folder, data.config, range(3000, 3004))


@pytest.mark.slow
def test_halos_are_as_many_as_fits_say(resolved):
    """Halos from 94 to 2,000 particles are within 5% of Angulo et al. (2012), but for the Poisson scatter of four boxes."""
    data, simulations = resolved
    sizes = np.array([93.5, 200.5, 431.5, 928.5, 2000.5])
    found = sum(np.histogram(simulation.halos.size, sizes)[0] for simulation in simulations)
    expected = expected_halos(data.config, sizes, "angulo12") * len(simulations)
    print("over Angulo et al. (2012):", found / expected, "halos:", found)
    assert (np.abs(found / expected - 1) < 0.05 + 2 / np.sqrt(expected)).all()


@pytest.mark.slow
@pytest.mark.usefixtures("resolved")
def test_profiles_are_nfw_within_the_virial_radius():
    """The mean density of halos of at least 300 particles at 0.2 to 1 R200m, over their NFW fits: no core, no bump of 10%."""
    many = HaloProfile(train=0, validation=0, test=4, first_seed=3000, smallest=300)
    inside = many.radii < 1
    measured, fitted = (10.0 ** log.astype(float)[:, inside] for log in (many.rows("test").target, many.nfw("test", 1.0)))
    ratio = measured.mean(axis=0) / fitted.mean(axis=0)
    print(
        "density over that of NFW fits:", dict(zip(many.radii[inside].round(2).tolist(), ratio.round(3).tolist(), strict=True))
    )
    np.testing.assert_allclose(ratio, 1, atol=0.1)

"""Halo crops and profiles against NFW halos of known mass, shape and motion in an even box, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.dataset import get_dataset
from zoo.data.nbody.cosmology import mean_matter_density
from zoo.data.nbody.halo_crops import TurnedCrops, check_crop_cells, halo_crops
from zoo.data.nbody.halo_quantities import halo_quantities
from zoo.data.nbody.halo_shells import EDGES, WIDTH
from zoo.data.nbody.halos import Halos, catalog, friends_of_friends
from zoo.data.nbody.lagrangian import SYMMETRIES
from zoo.data.nbody.nfw import nfw_enclosed
from zoo.data.nbody.simulate import NBodyConfig, Simulation, write_simulation
from zoo.errors import InputError

CONFIG = NBodyConfig(particles=32, box=25.0, steps=200, softening=1 / 30)
BOX, DENSITY = CONFIG.box, 32**3 / CONFIG.box**3
SIZES, CONCENTRATION = (3000, 1000, 60), 6.0
CENTERS = np.array([[24.9, 0.2, 12.0], [8.0, 9.0, 7.0], [16.0, 17.0, 18.0]])
R200 = np.cbrt(np.array(SIZES) / (200 * DENSITY * 4 / 3 * np.pi))
OUTSKIRTS = 2.0
"""The halos end there, in units of R200m."""
INFLOW = -0.3
"""Radial velocity of every particle of the first halo beyond R200m, in V200m, Hubble flow included."""


def in_halo(size: int, rng: np.random.Generator, squash: float = 1.0) -> np.ndarray:
    """Positions (m, 3) in R200m of an NFW halo, its distances evenly spaced in enclosed mass."""
    radius = np.linspace(1e-4, OUTSKIRTS, 4001)
    mass = nfw_enclosed(radius, CONCENTRATION)
    distances = np.interp((np.arange(round(size * mass[-1])) + 0.5) / size, mass, radius)
    directions = rng.normal(size=(len(distances), 3)) * [1, 1, squash]
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * distances[:, None]


def simulation(seed: int) -> Simulation:
    """Three halos in an even background; the second is flattened, the third too small to be chosen."""
    rng = np.random.default_rng(seed)
    halos = [in_halo(size, rng, squash) for size, squash in zip(SIZES, (1, 0.4, 1), strict=True)]
    place = np.concatenate([center + r * halo for center, r, halo in zip(CENTERS, R200, halos, strict=True)])
    background = rng.uniform(0, BOX, (32**3 - len(place), 3))
    positions = (np.concatenate([place, background]) % BOX).astype(np.float32)
    offset = offsets(positions, CENTERS[0])
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    speed = np.where(distance > R200[0], INFLOW * R200[0] * np.sqrt(100 * CONFIG.cosmology.omega_m) - distance, 0)
    momenta = (speed * offset / distance + [100.0, -200.0, 300.0]).astype(np.float32)
    halo_of = friends_of_friends(positions, BOX)
    found = catalog(positions, halo_of, BOX, CONFIG.particle_mass, mean_matter_density(CONFIG.cosmology))
    return Simulation(CONFIG, seed, np.zeros([32] * 3, np.float32), positions, momenta, halo_of, found)


@pytest.fixture(scope="module")
def halo_box() -> Simulation:
    return simulation(7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("nbody")
    for seed in range(3000, 3004):
        write_simulation(path / f"simulation-{seed:05d}.h5", simulation(seed))
    return path


@pytest.fixture(scope="module")
def dataset(folder):
    return made(folder)


def made(folder, **changed):
    options = {"train": 2, "validation": 1, "test": 1, "nbody": {"particles": 32}, "on_missing": "fail"}
    return get_dataset("halo-profile", path=str(folder), **options | changed)


def offsets(positions: np.ndarray, center: np.ndarray) -> np.ndarray:
    found = positions - np.asarray(center, float)
    return found - BOX * np.round(found / BOX)


def test_one_particle_is_shared_among_eight_cells():
    """A quarter of a cell from the middle of one along x, in the middle along y and z, in units of the cell."""
    center, cell = np.array([0.1, 5.0, 9.9]), 0.25
    place = center + cell * np.array([[-0.25, 1.5, -2.5]])
    crop = halo_crops(place % 10, 10.0, center[None], np.ones(1), size=8)[0]
    density = (10.0 ** crop.astype(float) - 1) * cell**3 / 10**3  # particles in a cell, as there is one in the box
    expected = np.zeros([8] * 3)
    expected[3, 5, 1], expected[4, 5, 1] = 0.75, 0.25
    np.testing.assert_allclose(density, expected, atol=1e-5)


def test_mass_of_a_crop_is_the_enclosed_mass(halo_box):
    """The cells within half of the crop have the mass of the particles there, but for those shared across its faces."""
    radius = halo_box.halos.r200m[:2]
    crops = halo_crops(halo_box.positions, BOX, halo_box.halos.density_peak[:2], radius)
    for crop, center, r in zip(crops, halo_box.halos.density_peak, radius, strict=False):
        counts = (10.0 ** crop.astype(float) - 1) * DENSITY * (0.25 * r) ** 3
        far = np.abs(offsets(halo_box.positions, center)).max(axis=1) / r
        assert (far <= 2.875).sum() < counts.sum() < (far <= 3.125).sum()
        inner = counts[6:18, 6:18, 6:18].sum()
        assert (far <= 1.375).sum() < inner < (far <= 1.625).sum()
        assert inner == pytest.approx((far <= 1.5).sum(), rel=0.02)


def test_crops_wrap_around(halo_box):
    centers, radius = halo_box.halos.density_peak[:2], halo_box.halos.r200m[:2]
    shift = np.array([3.7, 11.0, 20.3])
    moved = halo_crops((halo_box.positions + shift) % BOX, BOX, (centers + shift) % BOX, radius)
    np.testing.assert_allclose(moved, halo_crops(halo_box.positions, BOX, centers, radius), atol=2e-3)


def test_turns_leave_the_distances_of_cells():
    crop = np.random.default_rng(0).normal(size=(1, 6, 6, 6)).astype(np.float32)
    turned = TurnedCrops(np.repeat(crop, SYMMETRIES, axis=0), np.arange(SYMMETRIES))[:]
    np.testing.assert_array_equal(turned[0], crop[0])
    assert len(np.unique(turned.reshape(SYMMETRIES, -1), axis=0)) == SYMMETRIES
    distance = ((np.indices([6] * 3) - 2.5) ** 2).sum(axis=0)
    for square in np.unique(distance):
        shell = np.sort(turned[:, distance == square], axis=1)
        np.testing.assert_array_equal(shell, np.tile(shell[0], (SYMMETRIES, 1)))


def test_turned_crops_are_indexed_as_an_array():
    crops = TurnedCrops(np.random.default_rng(1).random((5, 4, 4, 4)).astype(np.float16), np.arange(5) * 9)
    every = crops[:]
    assert every.dtype == np.float32
    np.testing.assert_array_equal(crops[np.array([4, 4, 1])], every[[4, 4, 1]])
    np.testing.assert_array_equal(crops[1:3], every[1:3])


@pytest.mark.parametrize("split", ["train", "test"])
def test_targets_are_the_particles_counted_in_shells(dataset, split):
    rows, width = dataset.rows(split, 3), np.sqrt(WIDTH)
    for seed in np.unique(rows.group):
        box = simulation(seed)
        for row, halo in zip(np.flatnonzero(rows.group == seed), range(2), strict=True):
            distance = np.linalg.norm(offsets(box.positions, box.halos.density_peak[halo]), axis=1) / box.halos.r200m[halo]
            radius = rows.inputs["radius"][row].astype(float)
            inside = (distance >= radius[:, None] / width) & (distance < radius[:, None] * width)
            volume = 4 / 3 * np.pi * (width**3 - width**-3) * (radius * box.halos.r200m[halo]) ** 3
            density = np.maximum(inside.sum(axis=1), 0.5) / volume / DENSITY
            close = np.abs(rows.target[row] - np.log10(density)) < 1e-4
            assert close.mean() > 0.9  # a particle at a limit may be in or out, for the rounding of the radius
            np.testing.assert_allclose(rows.target[row], np.log10(density), atol=0.05)
    assert EDGES[0] == pytest.approx(0.2)
    assert EDGES[-1] == pytest.approx(3)


def test_what_is_known_of_the_halos_is_found(dataset):
    rows = dataset.rows("test")
    assert set(rows.truth) == set(dataset.units)
    assert all(np.isfinite(values).all() and values.shape == (2,) for values in rows.truth.values())
    np.testing.assert_allclose(rows.truth["log_mass"], np.log10(CONFIG.particle_mass * np.array(SIZES[:2])), atol=0.02)
    np.testing.assert_allclose(rows.truth["log_concentration"], np.log10(CONCENTRATION), atol=0.08)
    predicted, inside = dataset.nfw("test", outer=1.0), dataset.radii < 0.9
    expected = np.diff(nfw_enclosed(EDGES, CONCENTRATION)) * 200 / np.diff(EDGES**3)
    np.testing.assert_allclose(predicted[:, inside], np.tile(np.log10(expected)[inside], (2, 1)), atol=0.04)
    assert np.abs(dataset.nfw("test") - rows.target).mean() < 0.25
    np.testing.assert_allclose(rows.truth["mass_ratio"], np.log10(nfw_enclosed(2, CONCENTRATION) + 7 / 200), atol=0.015)


def test_a_target_is_a_count_over_the_mean_count(dataset):
    counts = dataset.mean_counts("test") * 10 ** dataset.rows("test").target.astype(float)
    np.testing.assert_allclose(counts, np.maximum(counts.round(), 0.5), rtol=1e-4)


def test_noise_and_descriptions_are_of_the_targets(dataset):
    """Noise in units of Poisson's, for many particles, has a deviation of one."""
    noise = dataset.noise("train")
    fit = np.where(EDGES[1:] <= 1, dataset.nfw("train", 1.0), dataset.nfw("train"))
    np.testing.assert_array_equal(noise, dataset.noise("train"))
    z = noise * np.log(10) * np.sqrt(dataset.mean_counts("train") * 10**fit)
    assert noise.shape == (4, 16)
    assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.25)
    described = dataset.descriptions("test")
    assert [answer.shape for answer in described.values()] == [(2, 16), (2, 16)]
    assert all(np.abs(answer - dataset.rows("test").target)[:, :9].mean() < 0.2 for answer in described.values())


def test_motion_shape_and_surroundings(halo_box):
    truth, _ = halo_quantities(halo_box, np.array([0, 1]))
    assert truth["infall"][0] == pytest.approx(INFLOW, abs=0.02)
    assert truth["axis_ratio"][0] > 0.93
    assert 0.4 < truth["axis_ratio"][1] < 0.75
    center, r = halo_box.halos.density_peak[1], halo_box.halos.r200m[1]
    distance = np.linalg.norm(offsets(halo_box.positions, center), axis=1) / r
    around = ((distance > 5) & (distance <= 10)).sum() / (4 / 3 * np.pi * 875 * r**3) / DENSITY
    assert truth["environment"][1] == pytest.approx(np.log10(around), abs=1e-3)
    assert truth["offset"][0] < 0.05


def lone_halo(distances: np.ndarray) -> Simulation:
    """A halo of all particles of the box, at these distances in R200m, which is an eighth of the box."""
    directions = np.random.default_rng(1).normal(size=(32**3, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions = (BOX / 2 + BOX / 8 * distances[:, None] * directions).astype(np.float32)
    center = np.full((1, 3), BOX / 2)
    halos = Halos(np.array([32**3]), np.ones(1), center, center, np.array([BOX / 8]), 32**3 * np.array([CONFIG.particle_mass]))
    return Simulation(CONFIG, 0, np.zeros([32] * 3, np.float32), positions, positions, np.zeros(32**3, np.int32), halos)


def test_outer_slope_of_a_power_law():
    """A halo that falls as r^-2.5 out to 3 R200m, in an empty box."""
    distances = 3.0 * np.random.default_rng(0).random(32**3) ** 2  # enclosed mass goes as r^(1/2)
    truth, radii = halo_quantities(lone_halo(distances), np.array([0]))
    assert truth["outer_slope"][0] == pytest.approx(-2.5, abs=0.05)
    np.testing.assert_allclose(radii[0], np.sort(distances), atol=1e-4)


def test_an_empty_shell_counts_as_half_a_particle(tmp_path):
    """A halo that ends at half of R200m: nothing is infinite or not a number."""
    write_simulation(tmp_path / "simulation-00000.h5", lone_halo(0.5 * np.random.default_rng(0).random(32**3)))
    dataset = made(tmp_path, train=0, validation=0, test=1, first_seed=0)
    rows = dataset.rows("test")
    empty = dataset.radii > 0.6
    np.testing.assert_allclose(dataset.mean_counts("test")[:, empty] * 10 ** rows.target[:, empty], 0.5, rtol=1e-5)
    assert all(np.isfinite(values).all() for values in (rows.target, dataset.nfw("test"), *rows.truth.values()))


def test_no_two_splits_share_a_simulation_and_only_training_changes(dataset):
    assert [set(dataset.rows(split).group) for split in dataset.sizes] == [{3000, 3001}, {3002}, {3003}]
    for split in ("train", "validation"):
        first, second = (dataset.rows(split, epoch) for epoch in (0, 1))
        same = split == "validation"
        assert np.array_equal(first.inputs["density"][:], second.inputs["density"][:]) == same
        assert np.array_equal(first.inputs["radius"], second.inputs["radius"]) == same
        assert np.array_equal(first.target, second.target) == same
        for name in dataset.units:
            np.testing.assert_array_equal(first.truth[name], second.truth[name])
    radius = dataset.rows("train").inputs["radius"]
    assert radius.dtype == dataset.rows("train").target.dtype == np.float32
    assert radius.min() >= np.float32(dataset.low)
    assert radius.max() <= np.float32(dataset.high)
    np.testing.assert_allclose(dataset.rows("test").inputs["radius"], np.tile(dataset.radii, (2, 1)), rtol=1e-6)


def test_crops_are_those_of_the_particles(dataset):
    box, crops = simulation(3003), dataset.rows("test").inputs["density"]
    expected = halo_crops(box.positions, BOX, box.halos.density_peak[:2], box.halos.r200m[:2])
    np.testing.assert_allclose(crops[:], expected, rtol=1e-3, atol=1e-3)
    assert crops[:].shape == (2, 24, 24, 24)


def test_halos_are_left_out_below_the_smallest(folder):
    assert len(made(folder, smallest=2000).rows("test")) == 1
    with pytest.raises(InputError, match="test: expected halos of at least 9000 particles"):
        made(folder, smallest=9000).rows("test")


def test_missing_simulations(folder):
    with pytest.raises(InputError, match=r"1 of 2 simulations cannot be used: .*simulation-03004.h5"):
        made(folder, test=2).rows("test")
    with pytest.raises(InputError, match="was made with"):
        made(folder, nbody={"particles": 32, "steps": 7}).rows("test")
    with pytest.raises(InputError, match="expected simulate, fail, skip, given drop"):
        made(folder, on_missing="drop")


POSITIONS = np.random.default_rng(0).uniform(0, 10, (100, 3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: halo_crops(p + 5, 10.0, p[:1], np.ones(1)), "positions: expected from 0 to the box's 10"),
        (lambda p: halo_crops(p.T, 10.0, p[:1], np.ones(1)), r"positions: expected shape \(N, 3\)"),
        (lambda p: halo_crops(p, 10.0, p[:1] - 10, np.ones(1)), "centers: expected from 0"),
        (lambda p: halo_crops(p, 10.0, p[0], np.ones(1)), r"centers: expected shape \(H, 3\)"),
        (lambda p: halo_crops(p, 10.0, p[:2], np.array([1, np.nan])), "r200m: .*leave out NaN"),
        (lambda p: halo_crops(p, 10.0, p[:2], np.ones(1)), "for each of 2 centers"),
        (lambda p: halo_crops(p, 10.0, p[:1], np.array([1.7])), "expected at most 1.6 Mpc/h.*given 1.7"),
        (lambda p: halo_crops(p, 10.0, p[:1], np.ones(1), size=23), "even number of cells.*given 23"),
        (lambda p: check_crop_cells(np.array([0.25, 0.2]), np.ones(2)), "expected cells of 0.25 R200m, given 0.2 R200m"),
        (lambda p: check_crop_cells(0.1, np.nan), "given nan R200m"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call(POSITIONS)


def test_cells_of_the_right_size_are_taken():
    check_crop_cells(0.25 * np.array([0.5, 1.5]) * 1.005, np.array([0.5, 1.5]))

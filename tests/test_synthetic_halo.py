"""Synthetic haloes: their profile against colossus, their cells against drawn particles, and noise of the right size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.transform import Rotation
from scipy.stats import poisson

from zoo.data.dataset import get_dataset
from zoo.data.halos.dk14 import ALPHA, BETA, GAMMA, OUTER, OUTER_SLOPE, PIVOT, dk14_density
from zoo.data.halos.synthetic_halo import CELL, CONCENTRATION, HIGHEST, LOG_MASS, LOG_PARTICLES, LOWEST, TRUNCATION
from zoo.data.halos.triaxial_cells import TriaxialCells, shape_matrices
from zoo.data.nbody.checks import in_colossus
from zoo.data.nbody.cosmology import Cosmology, mean_matter_density
from zoo.errors import InputError

HALOES = [(1.2, 4.0, 0.7), (2.0, 11.0, 1.5), (1.5, 6.0, 1.0)]
"""R200m in Mpc/h, concentration, truncation radius over R200m."""


@pytest.fixture(scope="module")
def dataset():
    return get_dataset("synthetic-halo", train=300, validation=20, test=200)


@pytest.fixture(scope="module")
def without_noise():
    return get_dataset("synthetic-halo", train=300, validation=20, test=200, noise=False)


@pytest.mark.parametrize("halo", HALOES)
def test_profile_is_that_of_colossus(halo):
    """With the central density that gives theirs the mass of ours: the shape, and the mass within R200m."""
    profile_dk14 = pytest.importorskip("colossus.halo.profile_dk14")
    from colossus.halo import profile_outer

    cosmology = Cosmology(h=0.7)
    in_colossus(cosmology)
    r200m, concentration, truncation = halo
    mean, kpc = mean_matter_density(cosmology) / 1e9, 1e3 * r200m  # Msun h^2 / kpc^3, kpc / h
    outer = [
        profile_outer.OuterTermMeanDensity(z=0.0),
        profile_outer.OuterTermPowerLaw(
            norm=OUTER, slope=OUTER_SLOPE, pivot="fixed", pivot_factor=PIVOT * kpc, max_rho=1e9, z=0.0
        ),
    ]

    def theirs(rhos):
        shape = {"rs": kpc / concentration, "rt": truncation * kpc, "alpha": ALPHA, "beta": BETA, "gamma": GAMMA}
        return profile_dk14.DK14Profile(rhos=rhos, **shape, outer_terms=outer, z=0.0)

    target = mean * 200 * 4 / 3 * np.pi * kpc**3
    below = theirs(1e-30).enclosedMass(kpc)
    rhos = (target - below) / (theirs(1.0).enclosedMass(kpc) - below)
    radius = np.geomspace(0.01, 7, 60)
    np.testing.assert_allclose(dk14_density(radius, *halo), theirs(rhos).density(1e3 * radius) / mean, rtol=2e-3)


@pytest.mark.parametrize("halo", HALOES)
def test_mean_density_within_r200m_is_200(halo):
    r200m = halo[0]
    within = quad(lambda r: 4 * np.pi * r**2 * dk14_density(r, *halo), 0, r200m, epsrel=1e-8)[0]
    assert within / (4 / 3 * np.pi * r200m**3) == pytest.approx(200, rel=1e-5)


def test_profiles_of_many_haloes_at_once():
    parameters = np.array(HALOES).T
    every = dk14_density(np.array([0.5, 2.0]), *parameters[:, :, None])
    np.testing.assert_allclose(every, [[dk14_density(r, *halo) for r in (0.5, 2.0)] for halo in HALOES], rtol=1e-12)


@pytest.mark.parametrize("axes", [(1.0, 1.0), (0.7, 0.5)])
def test_cells_are_those_of_drawn_particles(axes):
    """Distances by the enclosed mass, directions by stretching isotropic ones; counts within Poisson of what is expected."""
    halo, n, rng = (1.2, 8.0, 0.8), 2_000_000, np.random.default_rng(5)
    cells = TriaxialCells(8, 0.4)
    turn = Rotation.random(random_state=3).as_matrix()
    found = cells.means(dk14_density(cells.radii, *halo)[None], shape_matrices(turn[None], *np.array(axes)[:, None]))[0]
    radius = np.geomspace(1e-4, 3.2, 6000)
    excess = 4 * np.pi * radius**3 * (dk14_density(radius, *halo) - 1)
    mass = np.concatenate([[0], np.cumsum((excess[1:] + excess[:-1]) / 2 * np.diff(np.log(radius)))])
    distance = np.interp(rng.random(n) * mass[-1], mass, radius)
    directions = rng.normal(size=(n, 3)) * [1, *axes] @ turn.T
    place = distance[:, None] * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    counts = np.histogramdd(place, bins=[np.linspace(-1.6, 1.6, 9)] * 3)[0]
    expected = (found - 1).astype(float) * 0.4**3 * n / mass[-1]
    assert expected.min() > 10
    scatter = (counts - expected) / np.sqrt(expected)
    assert abs(scatter.mean()) < 4 / np.sqrt(scatter.size)
    assert scatter.std() == pytest.approx(1, abs=0.12)
    assert np.abs(scatter).max() < 5
    assert counts.sum() == pytest.approx(expected.sum(), rel=3e-3)


def test_the_profile_of_a_crop_is_the_target(without_noise):
    """Mean over cells at three radii, of haloes of any shape and orientation, without noise."""
    rows = without_noise.rows("test")
    density = 10.0 ** rows.inputs["density"][:60].astype(float) - 1
    distance = CELL * np.sqrt(((np.indices([24] * 3) - 11.5) ** 2).sum(axis=0))
    for radius in (1.3, 1.45, 1.59):
        shell = np.abs(distance - radius) < CELL / 2
        truth = [np.interp(np.log(radius), np.log(without_noise.radii), target) for target in rows.target[:60]]
        error = np.log10(density[:, shell].mean(axis=1)) - truth
        assert abs(np.median(error)) < 0.02
        assert np.abs(error).max() < 0.08


def test_noise_is_poisson(dataset, without_noise):
    """The counts that crops hold are integers, with the mean and the scatter of the expected density."""
    rows = dataset.rows("test")
    volume = 10 ** rows.truth["log_mass"] / 200 / mean_matter_density(Cosmology())
    mean = 10 ** rows.truth["log_particles"] / (200 * volume) * CELL**3
    expected = (10.0 ** without_noise.rows("test").inputs["density"][:].astype(float) - 1) * mean[:, None, None, None]
    counts = (10.0 ** rows.inputs["density"][:].astype(float) - 1) * mean[:, None, None, None]
    small = counts < 20  # of more, half precision is off by a part of a particle
    np.testing.assert_allclose(counts[small], counts[small].round(), atol=0.1)
    many = expected > 20
    scatter = (counts - expected)[many] / np.sqrt(expected[many])
    assert abs(scatter.mean()) < 0.01
    assert scatter.std() == pytest.approx(1, abs=0.01)
    few = expected < 2
    assert (counts[few] < 0.5).mean() == pytest.approx(poisson.pmf(0, expected[few]).mean(), abs=2e-3)
    inside = (
        CELL * np.sqrt(((np.indices([24] * 3) - 11.5) ** 2).sum(axis=0)) < np.cbrt(volume * 3 / 4 / np.pi)[:, None, None, None]
    )
    particles = np.where(inside, counts, 0).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(np.log10(particles), rows.truth["log_particles"], atol=0.1)


def test_orientation_does_not_change_the_target(dataset):
    first, second = (dataset.rows("train", epoch) for epoch in (0, 1))
    np.testing.assert_array_equal(dataset.rows("train", 1).target, second.target)
    r200m = np.cbrt(3 * 10 ** first.truth["log_mass"] / (800 * np.pi * mean_matter_density(Cosmology())))
    for rows in (first, second):
        halo = r200m, 10 ** rows.truth["log_concentration"], rows.truth["splashback"]
        expected = np.log10(dk14_density(rows.inputs["radius"].astype(float), *(values[:, None] for values in halo)))
        np.testing.assert_allclose(rows.target, expected, atol=1e-5)


def test_a_row_is_the_same_however_it_is_indexed(dataset):
    crops = dataset.rows("test").inputs["density"]
    some = crops[np.array([7, 3, 7])]
    np.testing.assert_array_equal(some, crops[0:8][[7, 3, 7]])
    np.testing.assert_array_equal(
        some, get_dataset("synthetic-halo", train=5, test=9).rows("test").inputs["density"][[7, 3, 7]]
    )
    assert some.dtype == np.float32
    assert len(crops) == 200


def test_only_training_rows_change_and_no_halo_is_in_two_splits(dataset):
    groups = [set(dataset.rows(split).group) for split in dataset.sizes]
    assert [len(own) for own in groups] == [300, 20, 200]
    assert len(set.union(*groups)) == 520
    for split in ("train", "test"):
        first, second = (dataset.rows(split, epoch) for epoch in (0, 1))
        same = split == "test"
        assert np.array_equal(first.inputs["density"][:2], second.inputs["density"][:2]) == same
        assert np.array_equal(first.inputs["radius"], second.inputs["radius"]) == same
        for name in dataset.units:
            np.testing.assert_array_equal(first.truth[name], second.truth[name])
    masses = [set(dataset.rows(split).truth["log_mass"]) for split in dataset.sizes]
    assert len(set.union(*masses)) == 520


def test_draws_fill_their_ranges_independently(dataset):
    rows = dataset.rows("train")
    ranges = {
        "log_mass": LOG_MASS, "log_concentration": np.log10(CONCENTRATION), "splashback": TRUNCATION, "axis_ratio": (0.5, 1),
        "log_particles": LOG_PARTICLES,
    }  # fmt: skip
    assert set(rows.truth) == set(ranges) == set(dataset.units)
    for name, (low, high) in ranges.items():
        place = (rows.truth[name] - low) / (high - low)
        assert 0 <= place.min() < 0.05
        assert 0.95 < place.max() <= 1
    correlation = np.corrcoef([rows.truth[name] for name in ranges])
    assert np.abs(correlation - np.eye(5)).max() < 0.2
    radius = rows.inputs["radius"]
    assert radius.shape == rows.target.shape == (300, 16)
    assert radius.dtype == rows.target.dtype == np.float32
    assert radius.min() >= np.float32(LOWEST)
    assert radius.max() <= np.float32(HIGHEST)
    np.testing.assert_allclose(dataset.rows("test").inputs["radius"][0], dataset.radii, rtol=1e-6)


def test_an_odd_cube_is_refused():
    with pytest.raises(InputError, match=r"even number of cells.*given 7"):
        TriaxialCells(7, 0.3)


@pytest.mark.parametrize(("noise", "most"), [(False, 0.003), (True, 0.02)])
def test_the_formula_fitted_to_a_crop_is_the_target(noise, most):
    """Whatever the shape and the orientation of a halo; with particles its errors are those of their noise."""
    halos = get_dataset("synthetic-halo", train=1, validation=1, test=12, noise=noise)
    ((name, answer),) = halos.descriptions("test").items()
    assert name == "the formula fitted to each halo"
    assert np.abs(answer - halos.rows("test").target).max() < most
    assert halos.descriptions("test")[name] is answer

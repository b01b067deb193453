"""NFW profiles against colossus, their fits against Poisson draws of known halos and a general optimizer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from zoo.data.nbody.checks import in_colossus
from zoo.data.nbody.cosmology import Cosmology
from zoo.data.nbody.nfw import NFWFit, fit_nfw, most_likely, nfw_density, nfw_enclosed
from zoo.errors import InputError

EDGES = np.geomspace(0.1, 1.0, 17)


def drawn(particles: float, concentration: float, n: int, seed: int = 0) -> np.ndarray:
    """Poisson counts of n such halos."""
    one = NFWFit(np.full(n, float(particles)), np.full(n, float(concentration)))
    return np.random.default_rng(seed).poisson(one.counts(EDGES))


def test_profiles_are_those_of_colossus():
    profile_nfw = pytest.importorskip("colossus.halo.profile_nfw")
    in_colossus(Cosmology())
    theirs = profile_nfw.NFWProfile(M=3e13, c=6.0, z=0.0, mdef="200m")
    scale, radius = theirs.RDelta(0.0, "200m"), np.geomspace(0.01, 3, 30)
    np.testing.assert_allclose(nfw_density(radius, 6.0), theirs.density(radius * scale) * scale**3 / 3e13, rtol=1e-4)
    np.testing.assert_allclose(nfw_enclosed(radius, 6.0), theirs.enclosedMass(radius * scale) / 3e13, rtol=1e-4)


@pytest.mark.parametrize("concentration", [2.0, 6.0, 20.0])
def test_fits_find_what_was_drawn(concentration):
    """Fits have no bias, and as much scatter as the information in the counts allows (Cramer & Rao)."""
    found = fit_nfw(drawn(3000, concentration, 2000), EDGES)
    step = 1e-4
    counts = [NFWFit(np.array([3000.0]), np.array([c])).counts(EDGES)[0] for c in concentration * np.exp([0, step])]
    share = [one / one.sum() for one in counts]
    information = counts[0].sum() * (((share[1] - share[0]) / step) ** 2 / share[0]).sum()
    error = np.log(found.concentration / concentration)
    assert abs(error.mean()) < 4 * (information * 2000) ** -0.5 + 1 / information
    assert error.std() == pytest.approx(information**-0.5, rel=0.1)
    assert found.particles.mean() == pytest.approx(3000, rel=0.01)


def test_fits_are_those_of_a_general_optimizer():
    counts = drawn(300, 8.0, 5, seed=1)
    found = fit_nfw(counts, EDGES)

    def minus_likelihood(parameters, row):
        expected = np.exp(parameters[0]) * np.diff(nfw_enclosed(EDGES, np.exp(parameters[1])))
        return expected.sum() - row @ np.log(expected)

    for row, particles, concentration in zip(counts, found.particles, found.concentration, strict=True):
        best = minimize(minus_likelihood, [5.0, 2.0], args=(row,), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
        np.testing.assert_allclose([np.log(particles), np.log(concentration)], best.x, atol=2e-3)


def test_a_fit_has_as_many_particles_as_were_counted():
    counts = drawn(500, 5.0, 20)
    np.testing.assert_allclose(fit_nfw(counts, EDGES).counts(EDGES).sum(axis=1), counts.sum(axis=1))


def test_concentrations_stay_within_bounds():
    """All particles in the last shell, and all in the first."""
    counts = np.zeros((2, 16), int)
    counts[0, -1] = counts[1, 0] = 50
    np.testing.assert_allclose(fit_nfw(counts, EDGES).concentration, [1, 40])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.ones((2, 15)), r"expected \(n, 16\), one for each shell, given shape \(2, 15\)"),
        (np.ones(16), r"given shape \(16,\)"),
        (np.zeros((1, 16)), "a particle in each row"),
        (np.full((1, 16), -1), "expected >= 0"),
        (np.full((1, 16), np.nan), "expected >= 0"),
    ],
)
def test_what_is_refused(counts, said):
    with pytest.raises(InputError, match=said):
        fit_nfw(counts, EDGES)


def test_most_likely_power_law():
    """The slope of largest likelihood of exact counts is their own, also between the slopes that are tried."""
    edges, grid = np.geomspace(1, 3, 9), np.linspace(-5, 0, 50)
    shells = [np.diff(edges ** (slope + 3)) / (slope + 3) for slope in (-2.417, *grid)]
    assert most_likely(shells[0][None] * 1e4, np.stack(shells[1:]), grid)[0] == pytest.approx(-2.417, abs=2e-3)

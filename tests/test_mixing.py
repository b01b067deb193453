"""R-hat of many short chains: quiet where chains have mixed, however short they are, and loud where they are stuck."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.interpret.posteriors.mixing import nested_limit, nested_r_hat

CHAINS, DRAWS, WARM_UP = 200, 10, 40


def autoregressive(rho: float, start: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Chains (draws, chains, D) of the standard normal law, after a warm-up, which remember rho of each step."""
    state, found = start, []
    for step in range(WARM_UP + draws):
        state = rho * state + np.sqrt(1 - rho**2) * rng.normal(size=state.shape)
        found += [state] if step >= WARM_UP else []
    return np.array(found)


def split_r_hat(samples: np.ndarray) -> np.ndarray:
    """That of few long chains (Gelman et al. 2013, eq. 11.4)."""
    halves = np.concatenate(np.split(samples, 2), axis=1)
    n, within = len(halves), halves.var(axis=0, ddof=1).mean(axis=0)
    return np.sqrt((n - 1) / n + halves.mean(axis=0).var(axis=0, ddof=1) / within)


def test_it_is_the_scatter_of_superchains_beside_that_within_one():
    rng = np.random.default_rng(0)
    place = np.repeat(rng.normal(0, 3, 32), 32)  # 32 superchains that never leave where they are
    samples = place[:, None] + 2 * rng.normal(size=(300, 1024, 1))
    start = (place + 1e-3 * rng.normal(size=1024))[:, None]
    expected = np.sqrt(1 + place[::32].var(ddof=1) / 4)
    assert nested_r_hat(samples, start)[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_chains_that_have_mixed_are_not_accused_for_being_short(rho):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(20):
        start = rng.normal(size=(CHAINS, 2))
        samples = autoregressive(rho, start, rng)
        found.append(nested_r_hat(samples, start))
        if rho:
            assert (split_r_hat(samples) > 1.1).all()  # which is what accused them
    assert np.max(found) < nested_limit(CHAINS)


@pytest.mark.parametrize(("share", "distance"), [(0.5, 4), (0.1, 4), (0.02, 8)])
def test_modes_between_which_no_chain_crosses(share, distance):
    """Their weights are those of the start, right or wrong, whatever each chain does within its mode; in any variable alone."""
    rng = np.random.default_rng(2)
    place = np.zeros((CHAINS, 3))
    place[rng.permutation(CHAINS)[: round(share * CHAINS)], 2] = distance
    start = rng.normal(size=place.shape)
    samples = autoregressive(0.3, start, rng) + place
    found = nested_r_hat(samples, start + place)
    assert found[2] > nested_limit(CHAINS)
    assert (found[:2] < nested_limit(CHAINS)).all()


def test_chains_that_are_stuck_or_slow():
    rng = np.random.default_rng(3)
    start = rng.normal(size=(CHAINS, 1))
    frozen = start + 1e-6 * rng.normal(size=(DRAWS, CHAINS, 1))
    assert nested_r_hat(frozen, start)[0] > 3
    assert nested_r_hat(autoregressive(0.99, start, rng), start)[0] > 1.1
    assert nested_r_hat(autoregressive(0.99, start, rng, draws=5000), start)[0] < nested_limit(CHAINS)

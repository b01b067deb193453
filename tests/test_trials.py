"""Sets of trials of a simulator of one trial."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from zoo.data.sbi.simulating.trials import Trials, trial_bounds
from zoo.errors import InputError

THETA = np.array([2.0, 0.5])


def with_rng(theta, rng):
    return rng.normal(theta[0], theta[1], 3)


def with_seed(theta, seed):
    return np.random.default_rng(seed).normal(theta[0], theta[1], 3)


def of_global_state(theta):
    return np.random.normal(theta[0], theta[1], 3)  # noqa: NPY002 - many simulators draw so


def vectorized(theta, rng):
    return rng.normal(theta[:, :1], theta[:, 1:], (len(theta), 3))


def called(trials: Trials, seed: int) -> np.ndarray:
    """A set as ``simulate`` asks for it: with what the simulator's signature names, global states seeded otherwise."""
    takes = inspect.signature(trials).parameters
    given = {"rng": np.random.default_rng(seed)} if "rng" in takes else {}
    if "seed" in takes:
        given["seed"] = seed
    if "rng" not in given:
        np.random.seed(seed)  # noqa: NPY002
    return trials(THETA, **given).array


@pytest.mark.parametrize("simulator", [with_rng, with_seed, of_global_state, vectorized])
def test_trials_of_a_set_are_independent_and_follow_from_the_row(simulator):
    trials = Trials(simulator, (4, 400), vectorized=simulator is vectorized)
    sets = [called(trials, seed) for seed in range(60)]
    for seed, found in enumerate(sets[:3]):
        np.testing.assert_array_equal(called(trials, seed), found)
    assert all(found.shape[1:] == (3,) and 4 <= len(found) <= 400 for found in sets)
    values = np.concatenate(sets).ravel()
    assert len(np.unique(values)) == values.size  # each has noise of its own
    assert abs(values.mean() - 2.0) < 5 * 0.5 / np.sqrt(values.size)
    assert abs(values.std() / 0.5 - 1) < 0.05


def test_numbers_of_trials_are_even_in_their_logarithm():
    counts = [len(called(Trials(with_rng, (1, 100)), seed)) for seed in range(1000)]
    for low, high in ((1, 3), (10, 31), (50, 100)):
        expected = np.log((high + 1) / low) / np.log(101)
        found = np.mean([low <= count <= high for count in counts])
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / 1000)
    assert {len(called(Trials(with_rng, 5), seed)) for seed in range(50)} == {5}


def test_a_simulator_of_one_number_makes_sets_of_one_column():
    assert called(Trials(lambda theta, rng: rng.normal(theta[0]), (2, 9)), 0).shape[1:] == (1,)
    assert called(Trials(lambda theta, rng: rng.normal(theta[:, 0]), (2, 9), vectorized=True), 0).shape[1:] == (1,)


def test_trials_that_are_refused():
    for given in ((0, 3), (5, 3), (1, 2, 3), 0, (1.5, 3), "ab", None):
        with pytest.raises(InputError, match="the fewest and the most"):
            trial_bounds(given)
    for answer, vector in (((2, 2), False), ((7, 3), True)):
        with pytest.raises(ValueError, match="expected"):
            called(Trials(lambda theta, rng, answer=answer: np.zeros(answer), (2, 6), vectorized=vector), 0)
    with pytest.raises(TypeError, match="answers nothing"):
        called(Trials(lambda theta, rng: None, (2, 6)), 0)

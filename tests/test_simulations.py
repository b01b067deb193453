"""Simulators as people write them: how they are called, what they answer, and where their random numbers come from."""

from __future__ import annotations

import functools
import random
import sys
import types

import numpy as np
import pytest

from zoo.data.sbi import Prior, simulate
from zoo.data.sbi.simulating.answers import Calls
from zoo.data.sbi.simulating.simulations import SimulationError, check_simulations, read_simulations
from zoo.errors import InputError

PRIOR = Prior({name: {"distribution": "uniform", "low": 0, "high": 1} for name in "ab"})
run = functools.partial(simulate, prior=PRIOR, jobs=1)


# How it is called


def seeded(theta, seed=0):
    return theta + np.random.default_rng(seed).normal(size=2)


def seed_mass(theta, seed=1e5):
    return theta * seed


def with_options(theta, **options):
    assert not options
    return theta


class Telescope:
    def __init__(self, noise):
        self.noise = noise

    def __call__(self, theta, *, rng):
        return theta + rng.normal(0, self.noise, 2)

    def observe(self, theta, rng=None):
        return self(theta, rng=rng)


@pytest.mark.parametrize(
    ("simulator", "takes"),
    [
        (seeded, ("seed",)),
        (seed_mass, ()),
        (with_options, ()),
        (Telescope(1), ("rng",)),
        (Telescope(1).observe, ("rng",)),
        (functools.partial(Telescope.observe, Telescope(1)), ("rng",)),
        (np.square, ()),
        (np.vectorize(lambda a: a**2), ()),
        (np.sin, ()),
        (max, ()),
    ],
)
def test_what_a_simulator_takes_besides_theta(simulator, takes):
    assert Calls.of(simulator, [0], vectorized=False).takes == takes
    assert np.isfinite(run(simulator, n=20).x).all()


def test_each_row_has_a_seed_of_its_own():
    found = run(seeded, n=200)
    noise = found.x - found.theta
    assert len(np.unique(noise)) == 400
    assert abs(noise.mean()) < 4 / np.sqrt(400)
    np.testing.assert_array_equal(run(seeded, n=200).x, found.x)


def test_simulators_that_draw_from_pythons_global_state():
    random.seed(3)
    before = random.getstate()
    first, again = (run(lambda theta: theta + random.gauss(), n=50) for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    assert len(np.unique(first.x - first.theta)) >= 50
    assert random.getstate() == before


def test_torch_draws_other_noise_in_every_process(monkeypatch):
    """Its default seed is a constant, which every process would start with."""
    state = [1234]
    torch = types.SimpleNamespace(Generator=int, get_rng_state=state.copy, set_rng_state=state.__init__)
    torch.manual_seed = lambda seed: state.__init__([seed])
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = run(lambda theta, rng: theta + np.random.default_rng(state[0]).normal(size=2), n=100)
    assert len(np.unique(found.x - found.theta)) == 200
    assert state == [1234]


OWN = np.random.default_rng(0)


def draws_from_its_own(theta):
    return theta + OWN.normal(size=2)


def test_generators_that_all_processes_would_copy_are_refused():
    drawn = OWN.normal  # a method of one is one too
    for simulator, name in [(draws_from_its_own, "OWN"), (lambda theta: theta + drawn(size=2), "drawn")]:
        with pytest.raises(InputError, match=f"generator of its own, {name}.*theta, rng.*jobs=1"):
            simulate(simulator, PRIOR, 20, jobs=2)
        assert len(run(simulator, n=20)) == 20


# What it answers


def test_a_simulator_that_writes_into_its_parameters_or_its_last_answer():
    buffer = np.empty(2)

    def simulator(theta):
        theta[0] = np.log(theta[0])
        buffer[:] = theta
        return buffer

    found = run(simulator, n=50)
    np.testing.assert_array_equal(found.theta, PRIOR.sample(50, np.random.default_rng([0])))
    np.testing.assert_array_equal(found.x, np.stack([np.log(found.theta[:, 0]), found.theta[:, 1]], axis=1))


def test_masked_numbers_are_missing_ones():
    with pytest.warns(UserWarning, match="with NaN or infinity"):
        found = run(lambda theta: np.ma.masked_greater(theta, 0.9), n=100)
    assert found.x.max() <= 0.9
    assert found.dropped == 100 - len(found) > 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (1j, "complex128 to numbers"),
        (np.datetime64("2024-01-01"), "datetime64.* to numbers"),
        (["1.0", "2.0"], "<U3 to numbers"),
        ([], "no numbers"),
        ([[1.0], [1.0, 2.0]], "inhomogeneous"),
    ],
)
def test_answers_that_are_no_numbers(answer, message):
    with pytest.raises(SimulationError, match=message):
        run(lambda theta: answer, n=20)


@pytest.mark.parametrize("jobs", [1, 2])
def test_fewer_numbers_now_and_then_are_an_error_that_names_both(jobs):
    with pytest.raises(SimulationError, match=r"shape \([23],\) at theta = \[.*answered \([23],\) at theta = \["):
        run(lambda theta: np.zeros(2 if theta[0] < 0.9 else 3), n=100, jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_images_keep_their_shape(jobs, tmp_path):
    def image(theta, rng):
        return rng.poisson(10 * theta[0], (4, 3))

    found = run(image, n=40, jobs=jobs, path=tmp_path / "images.npz")
    assert found.x.shape == (40, 4, 3)
    assert found.mask is None
    assert np.corrcoef(found.x.mean(axis=(1, 2)), found.theta[:, 0])[0, 1] > 0.9
    np.testing.assert_array_equal(read_simulations(tmp_path / "images.npz").x, found.x)
    check_simulations(found.theta, np.where(np.arange(3) == 0, 0, found.x), ["a", "b"])
    with pytest.raises(InputError, match="the same value"):
        check_simulations(found.theta, np.zeros_like(found.x), ["a", "b"])


def events(theta, rng):
    return rng.normal(theta[0], 1, (rng.poisson(4 * theta[1]), 2))


@pytest.mark.parametrize("jobs", [1, 2])
def test_sets_of_any_length_if_asked_for(jobs, tmp_path):
    path = tmp_path / "events.npz"
    found = run(events, n=60, jobs=jobs, free=True, path=path)
    lengths = [len(events(theta, np.random.default_rng([0, row, 1]))) for row, theta in enumerate(found.theta)]
    np.testing.assert_array_equal(found.mask.sum(axis=1), lengths)
    assert found.mask.shape == found.x.shape[:2] == (60, max(lengths))
    assert min(lengths) == 0
    assert (found.x[~found.mask] == 0).all()
    np.testing.assert_array_equal(found.x[3][found.mask[3]], events(found.theta[3], np.random.default_rng([0, 3, 1])))
    again = read_simulations(path)
    np.testing.assert_array_equal(again.x, found.x)
    np.testing.assert_array_equal(again.mask, found.mask)
    np.testing.assert_array_equal(run(events, n=60, jobs=1, free=True, path=path).x, found.x)  # compared and read
    check_simulations(found.theta, found.x, ["a", "b"], found.mask)
    with pytest.raises(InputError, match="no element in any of 60"):
        check_simulations(found.theta, found.x, ["a", "b"], np.zeros_like(found.mask))
    part = found[:10]
    assert part.mask.shape[0] == len(part) == 10


def test_lengths_are_never_guessed():
    with pytest.raises(SimulationError, match="free=True takes answers whose first axis has any length"):
        run(events, n=60)
    with pytest.raises(SimulationError, match=r"expected \(L, F\).*given shape \(2,\)"):
        run(lambda theta: theta, n=60, free=True)
    with pytest.raises(SimulationError, match=r"shape \(4, [12]\) at"):
        run(lambda theta: np.zeros((4, 1 if theta[0] < 0.5 else 2)), n=60, free=True)
    with pytest.raises(InputError, match="free or vectorized"):
        run(events, n=60, free=True, vectorized=True)


def test_vectorized_answers_may_have_any_shape():
    found = run(lambda theta: theta[:, None, :] * np.ones((1, 3, 1)), n=30, vectorized=True)
    assert found.x.shape == (30, 3, 2)

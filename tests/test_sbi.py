"""Priors, simulators, tasks and their data sets: against closed forms, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from zoo.data.dataset import get_dataset
from zoo.data.moons import TwoMoons as Moons
from zoo.data.sbi import LogUniform, Normal, Prior, Uniform, simulate
from zoo.data.sbi.simulating.simulations import SimulationError, check_simulations, read_simulations
from zoo.data.sbi.tasks import TASKS, get_task
from zoo.data.sbi.tasks.gaussian_linear import GaussianLinear
from zoo.data.sbi.tasks.positive_odes import integrate as integrate_positive
from zoo.data.sbi.tasks.slcp import SLCP
from zoo.data.sbi.tasks.slcp_posterior import log_evidence
from zoo.data.sbi.tasks.two_moons import TwoMoons
from zoo.errors import InputError, UnknownNameError

PRIOR = Prior(
    {
        "amplitude": LogUniform(low=1, high=100, unit="mV"),
        "lifetime": Uniform(low=0.5, high=5, unit="us"),
        "offset": Normal(mean=1, sd=2, low=0, high=4),
        "slope": Normal(mean=-3, sd=0.1),
    }
)


# Priors


def test_prior_is_plain_data():
    again = Prior(PRIOR.plain())
    assert (again.names, again.units, again.support) == (PRIOR.names, PRIOR.units, PRIOR.support)
    assert PRIOR.support == [[1, 100], [0.5, 5], [0, 4], None]
    assert PRIOR.units["lifetime"] == "us"


def test_density_of_the_prior_integrates_to_one_and_is_that_of_its_samples():
    for law, (low, high) in zip(PRIOR.laws.values(), [(1, 100), (0.5, 5), (0, 4), (-4, -2)], strict=True):
        one = Prior({"a": law})
        grid = np.linspace(low, high, 20_001)
        cumulative = integrate.cumulative_simpson(np.exp(one.log_density(grid[:, None])), x=grid, initial=0)
        assert cumulative[-1] == pytest.approx(1, abs=1e-6)
        drawn = one.sample(4000, np.random.default_rng(0))[:, 0]
        assert stats.kstest(drawn, lambda a, grid=grid, total=cumulative: np.interp(a, grid, total)).pvalue > 1e-3
        assert drawn.min() >= low
        assert drawn.max() <= high
        assert one.standard_deviation()[0] == pytest.approx(drawn.std(), rel=0.05)


def test_density_outside_the_support_is_zero():
    theta = PRIOR.sample(4, np.random.default_rng(0))
    theta[0, 0], theta[1, 1], theta[2, 2] = 0.5, 6.0, -0.1
    assert np.array_equal(np.isfinite(PRIOR.log_density(theta)), [False, False, False, True])


def test_first_draws_do_not_depend_on_how_many():
    few, many = (PRIOR.sample(n, np.random.default_rng(3)) for n in (5, 50))
    np.testing.assert_array_equal(few, many[:5])


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"distribution": "uniform", "low": 1, "high": 1}, "low < high"),
        ({"distribution": "uniform", "low": 0, "high": float("inf")}, "finite"),
        ({"distribution": "loguniform", "low": 0, "high": 1}, "greater than 0"),
        ({"distribution": "normal", "mean": 0, "sd": 0}, "greater than 0"),
        ({"distribution": "normal", "mean": 0, "sd": 1, "low": 1, "high": 0}, "low < high"),
        ({"distribution": "cauchy", "mean": 0}, "uniform"),
        ({"distribution": "uniform", "low": "os.system('true')", "high": 1}, "number"),
    ],
)
def test_prior_that_is_refused(law, message):
    with pytest.raises(InputError, match=message):
        Prior({"a": law})
    with pytest.raises(InputError, match="at least one"):
        Prior({})


# Simulations


def _line():
    """A simulator that is handed on by value: no process needs to import this module."""

    def line(theta, rng):
        return theta[0] + theta[1] * np.arange(3) + rng.normal(0, 0.1, 3)

    return line


line = _line()

LINE = Prior({"a": Uniform(low=0, high=1), "b": Uniform(low=0, high=1)})


@pytest.mark.parametrize("vectorized", [False, True])
def test_simulations_do_not_depend_on_the_number_of_processes(vectorized):
    def lines(theta, rng):
        return theta[:, :1] + theta[:, 1:] * np.arange(3) + rng.normal(0, 0.1, (len(theta), 3))

    simulator, n = (lines, 2500) if vectorized else (line, 250)
    alone, shared = (simulate(simulator, LINE, n, seed=5, vectorized=vectorized, jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(alone.x, shared.x)
    np.testing.assert_array_equal(alone.theta, shared.theta)
    residual = alone.x - alone.theta[:, :1] - alone.theta[:, 1:] * np.arange(3)
    assert stats.kstest(residual.ravel() / 0.1, "norm").pvalue > 1e-3
    assert len(np.unique(residual)) == residual.size
    assert not np.array_equal(simulate(simulator, LINE, n, seed=6, vectorized=vectorized, jobs=1).x, alone.x)


def test_simulator_that_draws_from_numpys_global_state():
    def simulator(theta):
        return theta + np.random.normal(size=2)  # noqa: NPY002

    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (simulate(simulator, LINE, 50, jobs=1) for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    assert len(np.unique(first.x)) == 100
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_joblib_configuration_decides(monkeypatch):
    import joblib

    seen = []
    original = joblib.Parallel
    monkeypatch.setattr(joblib, "Parallel", lambda *args, **kwargs: seen.append(kwargs["n_jobs"]) or original(*args, **kwargs))
    with joblib.parallel_config(backend="threading", n_jobs=2):
        simulate(line, LINE, 20)
    simulate(line, LINE, 20, jobs=1)
    assert seen == [None]


def test_number_as_an_answer():
    assert simulate(lambda theta, rng: theta.sum() + rng.normal(), LINE, 20, jobs=1).x.shape == (20, 1)


def fails_above(threshold, value):
    return lambda theta: theta * (value if theta[0] > threshold else 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_simulations_that_are_not_finite_are_counted(value):
    with pytest.warns(UserWarning, match=r"left out \d+ of 400 simulations"):
        found = simulate(fails_above(0.9, value), LINE, 400, jobs=1)
    assert found.dropped == 400 - len(found)
    assert 15 < found.dropped < 70
    assert np.isfinite(found.x).all()
    assert found.theta[:, 0].max() <= 0.9
    with pytest.raises(SimulationError, match=f"{found.dropped} of 400"):
        simulate(fails_above(0.9, value), LINE, 400, jobs=1, on_nonfinite="fail")
    with pytest.raises(SimulationError, match="400 of 400"):
        simulate(fails_above(-1, value), LINE, 400, jobs=1)


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        (lambda theta: 1 / 0, r"at theta = \[.*ZeroDivisionError"),
        (lambda theta: "broken", "could not convert"),
        (lambda theta, rng: None, "answers nothing"),
    ],
)
def test_simulators_that_are_refused(simulator, message):
    with pytest.raises(SimulationError, match=message):
        simulate(simulator, LINE, 300, jobs=1)


def test_error_in_another_process_names_the_parameters():
    with pytest.raises(SimulationError, match=r"theta = \[.*ZeroDivisionError"):
        simulate(lambda theta: 1 / 0, LINE, 300, jobs=2)


def test_vectorized_simulator_of_a_wrong_shape():
    with pytest.raises(SimulationError, match=r"expected \(300, C\)"):
        simulate(lambda theta: theta[:, 0], LINE, 300, vectorized=True, jobs=1)


def test_columns_that_never_change_are_named():
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(50, 2)), rng.normal(size=(50, 4))
    check_simulations(theta, x, ["a", "b"])
    flat = x.copy()
    flat[:, [1, 3]] = 7.0
    with pytest.raises(InputError, match=r"columns 1, 3 of x"):
        check_simulations(theta, flat, ["a", "b"])
    flat = x.copy()
    flat[:, 2] = 1e9 + 1e-3 * x[:, 2]
    check_simulations(theta, flat, ["a", "b"])
    with pytest.raises(InputError, match=r"column 2 of x"):
        check_simulations(theta, flat.astype(np.float32), ["a", "b"])
    with pytest.raises(InputError, match=r"parameter b"):
        check_simulations(theta * [1, 0], x, ["a", "b"])
    with pytest.raises(InputError, match=r"expected 3 parameters"):
        check_simulations(theta, x, ["a", "b", "c"])
    flat[7] = np.nan
    with pytest.raises(InputError, match=r"1 of 50"):
        check_simulations(theta, flat, ["a", "b"])


# Tasks


def test_moments_of_the_two_moons():
    """The moments of the crescent are E[r cos a] = 2 E[r] / pi, E[r sin a] = 0, E[r^2] = 0.1^2 + 0.01^2."""
    theta = np.tile([0.3, -0.7], (200_000, 1))
    u, v = TwoMoons().simulate(theta, np.random.default_rng(0)).T
    u, v = u + 0.4 / np.sqrt(2) - 0.25, v + 1.0 / np.sqrt(2)
    assert u.mean() == pytest.approx(0.2 / np.pi, abs=3e-4)
    assert v.mean() == pytest.approx(0, abs=6e-4)
    assert np.mean(u**2 + v**2) == pytest.approx(0.0101, abs=3e-5)
    assert u.min() > 0


def test_moments_of_slcp():
    theta = np.tile([1.0, -2.0, 1.5, -0.8, 0.6], (100_000, 1))
    points = SLCP().simulate(theta, np.random.default_rng(0)).reshape(-1, 2)
    np.testing.assert_allclose(points.mean(axis=0), [1, -2], atol=0.02)
    cross = np.tanh(0.6) * 1.5**2 * 0.8**2
    np.testing.assert_allclose(np.cov(points.T), [[1.5**4, cross], [cross, 0.8**4]], atol=0.03)


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_likelihood_of_slcp_is_scipys(theta, seed):
    theta = np.array(theta)
    s1, s2, cross = theta[2] ** 2, theta[3] ** 2, np.tanh(theta[4]) * theta[2] ** 2 * theta[3] ** 2
    covariance = np.array([[s1**2 + 1e-6, cross], [cross, s2**2 + 1e-6]])
    x = SLCP().simulate(theta[None], np.random.default_rng(seed))
    expected = stats.multivariate_normal(theta[:2], covariance).logpdf(x.reshape(4, 2)).sum()
    assert SLCP().log_likelihood(theta[None], x)[0] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 2])
def test_normalization_of_slcp_is_the_mean_likelihood_over_the_prior(seed):
    """Of observations that many parameters could have made, so that draws of the prior find them."""
    theta = SLCP.prior.sample(40, np.random.default_rng(0))
    x = SLCP().simulate(theta, np.random.default_rng(1))
    (wide,) = x[np.argsort(log_evidence(x))[[seed]]]
    likelihood = np.exp(SLCP().log_likelihood(SLCP.prior.sample(1_000_000, np.random.default_rng(seed + 3)), wide))
    error = likelihood.std() / likelihood.mean() / 1000
    assert error < 0.05
    assert log_evidence(wide[None])[0] == pytest.approx(np.log(likelihood.mean()), abs=4 * error + 0.01)


def test_posterior_of_slcp_means_what_it_says():
    """Ranks of the true parameters among exact draws are uniform, and so are those of their densities."""
    rng = np.random.default_rng(5)
    theta = SLCP.prior.sample(100, rng)
    x = SLCP().simulate(theta, rng)
    drawn = np.stack([SLCP().reference(row, 49, rng) for row in x])
    task = SLCP()
    densities = np.stack(
        [task.log_likelihood(np.vstack([true, some]), row) for true, some, row in zip(theta, drawn, x, strict=True)]
    )
    above = [(drawn < theta[:, None]).sum(axis=1), (densities[:, 1:] < densities[:, :1]).sum(axis=1, keepdims=True)]
    for column in np.concatenate(above, axis=1).T:
        assert stats.kstest((column + rng.random(100)) / 50, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("task", [TwoMoons(), GaussianLinear()])
def test_likelihood_is_the_density_of_the_simulator(task):
    """The mean of p(x | theta) / q(x) over draws from q, a wider normal, is 1; and draws from p give -entropy of p."""
    theta = task.prior.sample(1, np.random.default_rng(1))
    x = task.simulate(np.repeat(theta, 20_000, axis=0), np.random.default_rng(2))
    wider = stats.multivariate_normal(x.mean(axis=0), 1.5 * np.cov(x.T))
    drawn = wider.rvs(400_000, random_state=3)
    weight = np.exp(task.log_likelihood(theta, drawn) - wider.logpdf(drawn))
    assert weight.mean() == pytest.approx(1, abs=0.03)
    # The same second moments by weighting as by simulating: the densities agree, not only their integrals.
    np.testing.assert_allclose(weight @ drawn**2 / len(drawn), np.mean(x**2, axis=0), rtol=0.06)


@pytest.mark.parametrize("name", ["two-moons", "gaussian-linear"])
def test_reference_posterior_has_the_density_of_bayes(name):
    """Simulation-based calibration of the reference itself: ranks of the truth are uniform, and no draw is impossible."""
    task = get_task(name)
    rng = np.random.default_rng(0)
    theta = task.prior.sample(400, rng)
    x = task.simulate(theta, rng)
    drawn = np.stack([task.reference(row, 99, rng) for row in x])
    assert np.isfinite(task.prior.log_density(drawn.reshape(-1, theta.shape[1]))).all()
    assert np.isfinite(task.log_likelihood(drawn[0], x[0])).all()
    ranks = (drawn < theta[:, None]).sum(axis=1) + rng.random(theta.shape)
    for column in ranks.T[:3]:
        assert stats.kstest(column / 100, "uniform").pvalue > 1e-3


def test_reference_of_the_two_moons_covers_both_crescents():
    """Against importance sampling of the prior by the likelihood."""
    task, rng = TwoMoons(), np.random.default_rng(0)
    x = np.array([-0.25, 0.1])
    prior = task.prior.sample(400_000, rng)
    weight = np.exp(task.log_likelihood(prior, x))
    drawn = task.reference(x, 20_000, rng)
    np.testing.assert_allclose(drawn.mean(axis=0), weight @ prior / weight.sum(), atol=0.02)
    np.testing.assert_allclose(np.mean(drawn**2, axis=0), weight @ prior**2 / weight.sum(), atol=0.01)
    assert np.mean(drawn.sum(axis=1) > 0) == pytest.approx(0.5, abs=0.02)


def test_impossible_observation_is_an_error():
    with pytest.raises(InputError, match="two moons"):
        TwoMoons().reference(np.array([5.0, 0.0]), 10, np.random.default_rng(0))


# Data sets


@pytest.mark.parametrize("name", TASKS)
def test_rows_of_a_task(name):
    data = get_dataset("sbi", task=name, simulations=1000, test=300)
    rows = {split: data.rows(split) for split in ("train", "validation", "test")}
    assert {split: len(part) for split, part in rows.items()} == {"train": 900, "validation": 100, "test": 300}
    groups = np.concatenate([part.group for part in rows.values()])
    assert len(np.unique(groups)) == 1300
    theta = np.concatenate([part.inputs["theta"] for part in rows.values()])
    assert len(np.unique(theta, axis=0)) == 1300
    assert list(rows["train"].truth) == data.prior.names == list(data.units)
    larger = get_dataset("sbi", task=name, simulations=2000, test=300)
    np.testing.assert_array_equal(larger.rows("test").inputs["x"], rows["test"].inputs["x"])
    other = get_dataset("sbi", task=name, simulations=1000, test=300, seed=2)  # one with infected people on the first day
    assert not np.array_equal(other.rows("test").inputs["x"], rows["test"].inputs["x"])


def test_unknown_task():
    with pytest.raises(UnknownNameError, match="two-moons"):
        get_dataset("sbi", task="two-moon")


PLAIN = {"a": {"distribution": "uniform", "low": 0, "high": 1}, "b": {"distribution": "uniform", "low": 0, "high": 1}}


def test_simulations_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    theta, x = rng.random((200, 2)), rng.normal(size=(200, 3))
    x[5] = np.nan
    np.savez(tmp_path / "mine.npz", theta=theta, x=x)
    with pytest.warns(UserWarning, match="left out 1 of 200"):
        data = get_dataset("simulations", file="mine.npz", prior=PLAIN, test=50, folder=tmp_path)
    assert [len(data.rows(split)) for split in ("train", "validation", "test")] == [134, 15, 50]
    np.testing.assert_allclose(data.rows("test").inputs["theta"], theta[150:], rtol=1e-6)
    with pytest.raises(SimulationError, match="1 of 200"):
        get_dataset("simulations", file="mine.npz", prior=PLAIN, test=50, folder=tmp_path, on_nonfinite="fail")
    np.savez(tmp_path / "outside.npz", theta=theta + 0.5, x=rng.normal(size=(200, 3)))
    with pytest.raises(InputError, match=r"a outside the prior's \[0, 1\]"):
        get_dataset("simulations", file="outside.npz", prior=PLAIN, folder=tmp_path, test=50)
    np.savez(tmp_path / "other.npz", theta=theta)
    with pytest.raises(InputError, match="no x"):
        get_dataset("simulations", file="other.npz", prior=PLAIN, folder=tmp_path)
    with pytest.raises(InputError, match="leaves the folder"):
        get_dataset("simulations", file="../mine.npz", prior=PLAIN, folder=tmp_path)


SIMULATOR = """
from __future__ import annotations
from dataclasses import dataclass
import helper

@dataclass
class Settings:
    noise: float = 0.1

def simulate(theta, rng):
    return helper.model(theta) + rng.normal(0, Settings().noise, 2)
"""


@pytest.fixture
def beside(tmp_path):
    (tmp_path / "my_sim.py").write_text(SIMULATOR)
    (tmp_path / "helper.py").write_text("def model(theta):\n    return theta * 2\n")
    return tmp_path


def test_simulator_in_a_file(beside):
    asked = {"prior": PLAIN, "simulations": 300, "test": 50, "folder": beside}
    data = get_dataset("simulator", simulator="my_sim.py:simulate", file="kept.npz", **asked)
    assert [len(data.rows(split)) for split in ("train", "validation", "test")] == [270, 30, 50]
    rows = data.rows("train")
    assert np.std(rows.inputs["x"] - 2 * rows.inputs["theta"]) == pytest.approx(0.1, rel=0.1)
    assert len(read_simulations(beside / "kept.npz")) == 350
    (beside / "my_sim.py").write_text(SIMULATOR.replace("0.1", "0.2"))
    with pytest.raises(InputError, match="holds simulations of another simulator"):
        get_dataset("simulator", simulator="my_sim.py:simulate", file="kept.npz", timeout=60.0, **asked)


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        ("my_sim.py", "file.py:function"),
        ("os:system", "file.py:function"),
        ("../my_sim.py:simulate", "leaves the folder"),
        ("/etc/my_sim.py:simulate", "leaves the folder"),
        ("outside.py:simulate", "leaves the folder"),
        ("absent.py:simulate", "no file"),
        ("my_sim.py:simulat", "did you mean simulate"),
        ("broken.py:simulate", "ZeroDivisionError"),
    ],
)
def test_simulators_that_are_not_beside_the_recipe(beside, tmp_path_factory, simulator, message):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "sim.py"
    elsewhere.write_text(SIMULATOR)
    (beside / "outside.py").symlink_to(elsewhere)
    (beside / "broken.py").write_text("1 / 0")
    with pytest.raises((InputError, UnknownNameError), match=message):
        get_dataset("simulator", simulator=simulator, prior=PLAIN, folder=beside)


def test_simulator_without_a_recipes_folder_is_refused():
    with pytest.raises(InputError, match="only a recipe given as a file"):
        get_dataset("simulator", simulator="my_sim.py:simulate", prior=PLAIN)


# The density of the crescents


def test_density_of_the_crescents_integrates_to_one_and_is_that_of_its_points():
    data = Moons(train=2000, validation=100, test=2000)
    axes = np.linspace(-1.8, 2.8, 116), np.linspace(-1.3, 1.8, 79)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = np.exp(data.log_density(grid.reshape(-1, 2))).reshape(grid.shape[:-1])
    cell_width = axes[0][1] - axes[0][0]
    cell = cell_width * (axes[1][1] - axes[1][0])
    assert density.sum() * cell == pytest.approx(1, abs=1e-6)
    points = data.rows("train").inputs["x"]
    # Mean log density: over the grid, minus the entropy; over points, the same within their error.
    entropy = -np.sum(density * np.log(density)) * cell
    logs = data.log_density(points)
    assert -logs.mean() == pytest.approx(entropy, abs=4 * logs.std() / np.sqrt(len(logs)))
    marginal = np.cumsum(density.sum(axis=1)) * cell
    assert stats.kstest(points[:, 0], lambda a: np.interp(a, axes[0] + cell_width / 2, marginal)).pvalue > 1e-3
    assert np.isfinite(data.log_density(np.array([[100.0, -100.0]]))).all()


def test_crescents_are_scikit_learns():
    from sklearn.datasets import make_moons

    points, _ = make_moons(4000, noise=0.1, random_state=0)
    data = Moons(train=4000)
    ours, theirs = data.log_density(data.rows("train").inputs["x"]), data.log_density(points)
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


# Differential equations


LOTKA_VOLTERRA = """
31.783262 1.1971166 0.29703617 0.71145046 2.9415865 11.482614 36.09036 0.46229604 0.38081983 0.9173736
0.8910395 27.039942 4.356176 0.78444487 0.17100818 0.1325878 8.727008 16.97251 2.7902339 0.47567415
"""
PUBLISHED = {
    "sir": (
        [0.0, 1.0, 352.0, 40.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-0.4582, -1.7777],
        [0.0199, 0.0735],
    ),
    "lotka-volterra": (
        [float(number) for number in LOTKA_VOLTERRA.split()],
        [-0.3806, -2.2588, -0.1094, -2.1387],
        [0.0128, 0.0589, 0.0184, 0.0177],
    ),
}
"""The first observation of sbibm 1.1.0, and mean and standard deviation of ln theta in its reference draws."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_posterior_of_the_published_observation_is_that_of_the_published_draws(name):
    """By importance sampling in two rounds; a wrong time, order, prior or noise moves the posterior by many of its widths."""
    task, (x, mean, deviation) = get_task(name), PUBLISHED[name]
    center, covariance = np.array(mean), np.diag(np.square(deviation))
    for seed in range(2):
        proposal = stats.multivariate_t(center, 1.5 * covariance, df=5)
        log_theta = proposal.rvs(3000, random_state=seed)
        theta = np.exp(log_theta)
        log_weight = task.log_likelihood(theta, np.array(x)) + task.prior.log_density(theta) + log_theta.sum(axis=1)
        weight = np.exp(log_weight - proposal.logpdf(log_theta) - np.max(log_weight - proposal.logpdf(log_theta)))
        weight /= weight.sum()
        center = weight @ log_theta
        covariance = (log_theta - center).T @ (weight[:, None] * (log_theta - center))
    assert 1 / (weight @ weight) > 1000
    np.testing.assert_allclose(center, mean, atol=0.1 * np.min(deviation))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), deviation, rtol=0.07)


@pytest.mark.parametrize("name", PUBLISHED)
def test_equations_are_solved_as_scipy_solves_them_however_extreme_the_rates(name):
    task = get_task(name)
    module = sys.modules[type(task).__module__]
    mean, deviation = ([getattr(law, key) for law in task.prior.laws.values()] for key in ("median", "sigma"))
    rng = np.random.default_rng(0)
    corners = rng.choice([-4.0, 4.0], (4, len(mean)))  # standard deviations
    theta = np.concatenate([np.array(mean) * np.exp(corners * deviation), task.prior.sample(2, rng)])
    start, times = (module.START, module.TIMES) if name == "lotka-volterra" else (np.log([1 - 1e-6, 1e-6]), module.DAYS)
    found = integrate_positive(module._growth, start, theta, times)
    for row, mine in zip(theta, found, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):  # in steps that it takes back
            exact = integrate.solve_ivp(
                lambda _, u, row=row: module._growth(u[None], row[None])[0][0],
                (0, times[-1]), start, t_eval=times, rtol=1e-9, atol=1e-10, method="DOP853",
            )  # fmt: skip
        np.testing.assert_allclose(mine, exact.y, atol=2e-4)
    assert np.isfinite(task.simulate(theta, rng)).all()


def test_likelihood_of_tasks_is_that_of_their_simulations():
    """The mean score E[d log p / d theta] vanishes at the truth, and only there."""
    for name in PUBLISHED:
        task = get_task(name)
        theta = np.exp(PUBLISHED[name][1])
        x = task.simulate(np.tile(theta, (4000, 1)), np.random.default_rng(1))
        for i in range(len(theta)):
            aside = np.exp(1e-3 * np.eye(len(theta))[i])
            score = (task.log_likelihood(theta * aside, x) - task.log_likelihood(theta / aside, x)) / 2e-3
            assert abs(score.mean()) < 4 * score.std() / np.sqrt(len(x)), (name, i)

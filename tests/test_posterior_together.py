"""Several observations of the same parameters, against posteriors that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import ok, refused
from scipy import stats

import zoo
from zoo.data.sbi.priors.prior import Prior
from zoo.errors import InputError, MisspecificationWarning
from zoo.interpret.posteriors.infer import _warn_of_narrowing
from zoo.interpret.posteriors.observed import expect_different
from zoo.interpret.posteriors.posterior_report import PosteriorReport
from zoo.interpret.posteriors.prior_ends import at_ends
from zoo.interpret.posteriors.together import Together, posterior_together
from zoo.model.axes import Axis
from zoo.model.spec import Tensor

NOISE = np.array([[0.3, 0.1], [0.1, 0.2]])
PRIOR = Prior(
    {"a": {"distribution": "normal", "mean": 0.5, "sd": 2.0}, "b": {"distribution": "normal", "mean": 0.0, "sd": 1.0}}
)
MEAN, COVARIANCE = np.array([0.5, 0.0]), np.diag([4.0, 1.0])


class Gaussian:
    """The posterior of theta given theta and noise, with the prior above."""

    def of(self, c):
        covariance = np.linalg.inv(np.linalg.inv(COVARIANCE) + np.linalg.inv(NOISE))
        return covariance @ (np.linalg.solve(COVARIANCE, MEAN) + np.linalg.solve(NOISE, c)), covariance

    def draw(self, n, c, seed=0, *, allow_out_of_range=False):
        rng = np.random.default_rng(seed)
        return np.stack([rng.multivariate_normal(*self.of(one), n) for one in c])

    def log_density(self, x, c, *, allow_out_of_range=False):
        return stats.multivariate_normal(*self.of(c)).logpdf(x)


class Truncated:
    """The posterior of the center of a normal of deviation 0.2, uniform in [0, 1] before."""

    def law(self, c):
        return stats.truncnorm((0 - c[0]) / 0.2, (1 - c[0]) / 0.2, c[0], 0.2)

    def draw(self, n, c, seed=0, *, allow_out_of_range=False):
        return np.stack([self.law(one).rvs((n, 1), random_state=seed + i) for i, one in enumerate(c)])

    def log_density(self, x, c, *, allow_out_of_range=False):
        return self.law(c).logpdf(x[:, 0])


@pytest.mark.parametrize("m", [2, 20, 300])
def test_gaussians_together_are_the_gaussian_of_all(m):
    x = np.random.default_rng(1).multivariate_normal([1.0, -0.5], NOISE, m)
    found = posterior_together(Gaussian(), PRIOR, x, draws=20_000)
    covariance = np.linalg.inv(np.linalg.inv(COVARIANCE) + m * np.linalg.inv(NOISE))
    mean = covariance @ (np.linalg.solve(COVARIANCE, MEAN) + np.linalg.solve(NOISE, x.sum(axis=0)))
    error = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((found.theta.mean(axis=0) - mean) / error, 0, atol=0.05)
    np.testing.assert_allclose(np.cov(found.theta.T) / np.outer(error, error), covariance / np.outer(error, error), atol=0.05)
    assert found.effective > 5000
    expected = np.sqrt(np.diag(Gaussian().of(x[0])[1]) / m) / error  # the prior counts once, not m times
    np.testing.assert_allclose(found.narrowing, expected, rtol=0.05)
    alone = stats.multivariate_normal(MEAN, COVARIANCE + NOISE).logpdf(x).sum()
    everything = np.kron(np.ones((m, m)), COVARIANCE) + np.kron(np.eye(m), NOISE)
    assert found.log_ratio == pytest.approx(
        stats.multivariate_normal(np.tile(MEAN, m), everything).logpdf(x.ravel()) - alone, abs=0.05
    )


def test_a_posterior_at_the_edge_of_the_prior_stays_within_it():
    x = np.array([[-0.1], [0.05], [0.0], [-0.15]])
    prior = Prior({"a": {"distribution": "uniform", "low": 0.0, "high": 1.0}})
    found = posterior_together(Truncated(), prior, x, draws=20_000)
    exact = stats.truncnorm((0 + 0.05) / 0.1, (1 + 0.05) / 0.1, -0.05, 0.1)
    assert found.theta.min() >= 0
    np.testing.assert_allclose(found.theta.mean(), exact.mean(), rtol=0.03)
    np.testing.assert_allclose(np.quantile(found.theta, [0.16, 0.5, 0.84]), exact.ppf([0.16, 0.5, 0.84]), atol=0.003)


def test_what_a_flow_is_off_by_at_an_end_is_told_by_how_narrow_all_are_together():
    class Spiked(Truncated):
        def log_density(self, x, c, *, allow_out_of_range=False):
            return super().log_density(x, c) + 2 * np.exp(-(((x[:, 0] - 0.97) / 0.02) ** 2))

    class WrongWhereNothingIs(Truncated):
        def log_density(self, x, c, *, allow_out_of_range=False):
            return super().log_density(x, c) + 50 * (x[:, 0] > 0.9999)

    x = np.random.default_rng(0).normal(0.8, 0.2, (40, 1))
    prior = Prior({"a": {"distribution": "uniform", "low": 0.0, "high": 1.0}})
    right, wrong, still = (posterior_together(flow, prior, x) for flow in (Truncated(), Spiked(), WrongWhereNothingIs()))
    assert still.theta.mean() == pytest.approx(right.theta.mean(), abs=0.002)
    assert 0.5 < right.narrowing[0] < 1.5
    assert wrong.theta.mean() > 0.95
    assert wrong.narrowing[0] > 4


def test_a_posterior_that_is_too_narrow_is_told_by_name():
    rng = np.random.default_rng(0)
    theta = rng.normal(0, 1 / np.sqrt(20), (2000, 10))
    theta[:, 3] /= 9
    found = Together(theta, 2000.0, rng.normal(0, 1, (20, 500, 10)), 1.0)
    spec = zoo.get_spec("nsf-sbi-gaussian-linear")
    with pytest.warns(MisspecificationWarning, match=r"of all 20 observations is narrower .*: theta\S* 9 times\."):
        _warn_of_narrowing(spec, found)


def test_observations_of_other_parameters_contradict_each_other():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.multivariate_normal([2.0, -0.5], NOISE, 5), rng.multivariate_normal([-2.0, -0.5], NOISE, 5)])
    assert posterior_together(Gaussian(), PRIOR, x).log_ratio < -3


def test_one_observation_and_those_that_nothing_allows_are_refused():
    with pytest.raises(InputError, match="expected several observations"):
        posterior_together(Gaussian(), PRIOR, np.zeros((1, 2)))
    far = np.array([[-30.0], [30.0]])
    with pytest.raises(InputError, match=r"at once|count, expected"):
        posterior_together(Truncated(), Prior({"a": {"distribution": "uniform", "low": 0.0, "high": 1.0}}), far, draws=900)


def test_too_few_draws_are_refused_in_the_same_words_of_one_observation_and_of_several(tmp_path):
    np.save(path := tmp_path / "two.npy", np.zeros((2, 10), np.float32))
    np.save(single := tmp_path / "one.npy", np.zeros((1, 10), np.float32))
    for draws in ("0", "-1", "10"):
        expected = f"draws: expected more than 10, the number of parameters, given {draws}"
        for given in (["--observation", str(path), "--together"], ["--observation", str(single)]):
            words = refused("infer", "nsf-sbi-gaussian-linear", *given, "--draws", draws, "--out", str(tmp_path / "out"))
            assert expected in words
    with pytest.raises(InputError, match=r"^draws: expected a whole number of at least 1, given 0$"):
        posterior_together(Gaussian(), PRIOR, np.zeros((2, 2)), draws=0)


def test_several_rows_from_the_command_line_give_the_exact_posterior_of_all(tmp_path):
    """Of the benchmark's Gaussian with the mean theta, prior and noise of variance 0.1."""
    rng = np.random.default_rng(0)
    x = (rng.normal(0, np.sqrt(0.1), 10) + rng.normal(0, np.sqrt(0.1), (5, 10))).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    asked = ["infer", "nsf-sbi-gaussian-linear", "--observation", tmp_path / "x.npy", "--out", tmp_path / "out"]
    assert "infer takes several with --together" in refused(*asked)
    found = json.loads(ok(*asked, "--together", "--json"))
    assert found["observations"] == 5
    assert found["log_ratio"] > 0
    error = np.sqrt(0.1 / 6)
    means, deviations = (np.array([parameter[part] for parameter in found["parameters"]]) for part in ("mean", "std"))
    np.testing.assert_allclose((means - x.sum(axis=0) / 6) / error, 0, atol=0.3)
    np.testing.assert_allclose(deviations, error, rtol=0.15)
    assert (tmp_path / "out" / "nsf-sbi-gaussian-linear-x.png").is_file()
    told = PosteriorReport.model_validate(found).text()
    assert "the 5 observations agree" in told
    assert "taken as independent" in told
    of_all = found["effective"]
    narrower = json.loads(ok(*asked, "--together", "--json", "--prior", "theta_1={distribution: normal, mean: 0, sd: 0.2}"))
    assert 0.5 * of_all < narrower["effective"] < of_all
    x[0, :3] += 1.5
    np.save(tmp_path / "x.npy", x)
    assert "CONTRADICT EACH OTHER" in ok(*asked, "--together", "--allow-out-of-range")
    x[3, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    assert "given 1 that are NaN or infinite, the first in row 3 at [1]" in refused(*asked, "--together")


def test_draws_that_crowd_at_an_end_of_the_prior_are_told():
    """A universe beyond the prior is answered by the nearest one within it, as sure as any."""
    axes = [Axis(name="parameter", size=3, labels=["a", "b", "c"])]
    theta = Tensor(name="theta", axes=axes, unit="1", description="t", low=[0.6, 0.0, 1e-8], high=[1.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    crowded = 0.6 + rng.exponential(0.004, 10_000)
    anywhere, within = rng.uniform(0, 1, 10_000), 10 ** rng.normal(-7, 0.1, 10_000)  # a narrow place of eight decades
    (told,) = at_ends(np.stack([crowded, anywhere, within], axis=1), theta, ["a", "b", "c"])
    share = np.mean(crowded < 0.608)
    assert told.startswith(f"{share:.0%} of the draws of a lie at the end 0.6 of its prior, beyond which nothing was simulated")
    (upper,) = at_ends(np.stack([crowded + 0.2, 1 - rng.exponential(0.01, 10_000), within], axis=1), theta, ["a", "b", "c"])
    assert "draws of b lie at the end 1 of its prior" in upper
    assert not at_ends(np.stack([crowded] * 3, axis=1), theta.model_copy(update={"low": None}), ["a", "b", "c"])


def test_an_observation_of_many_numbers_does_not_count_twice():
    maps = np.random.default_rng(0).normal(size=(4, 12, 12)).astype(np.float32)
    expect_different("map", maps, "maps.npy")
    maps[3] = maps[1]
    with pytest.raises(InputError, match=r"maps.npy: .* given map of rows 1 and 3 that are the same: leave one out"):
        expect_different("map", maps, "maps.npy")
    expect_different("counts", np.zeros((4, 5)), "counts.npy")  # which chance makes the same

"""Likelihoods learned from simulations, and posteriors that NUTS draws from a likelihood."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml
from scipy import stats
from tiny_flows import build, without_xla

from zoo.data.dataset import get_dataset
from zoo.data.sbi.datum import Datum
from zoo.data.sbi.likelihood_rows import counts_of, spread
from zoo.data.sbi.priors.as_prior import as_prior
from zoo.data.sbi.priors.laws import LogNormal, Normal, Uniform
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.tasks import get_task
from zoo.errors import InputError
from zoo.families.flows.scales import Maps
from zoo.interpret.posteriors.c2st import c2st
from zoo.interpret.posteriors.likelihood import LikelihoodPosterior, sample_posterior
from zoo.interpret.posteriors.log_prior import log_prior_on_scales
from zoo.model.axes import Axis
from zoo.model.spec import Tensor
from zoo.training.evaluate import Run, evaluate
from zoo.training.fit import fit
from zoo.training.nle_recipe import nle_recipe
from zoo.training.recipe import load_recipe
from zoo.workflows.nle import train_nle


class Exact:
    """A likelihood that is known, in place of a flow."""

    def __init__(self, log_prob) -> None:
        self.log_prob = log_prob

    def observations(self, x):
        return np.atleast_2d(np.asarray(x, np.float64))


# The prior on its scales


def test_prior_on_its_scales_has_the_density_and_the_slope_of_its_laws():
    prior = Prior(
        {
            "a": Uniform(low=-3, high=5),
            "b": LogNormal(median=2.0, sigma=0.7),
            "c": Normal(mean=1e6, sd=0.1),
            "d": Normal(mean=0, sd=1, low=-0.5, high=3),
            "e": {"distribution": "loguniform", "low": 1e-18, "high": 1e-8},
        }
    )
    maps = Maps(prior.scales)
    log_prior, compiles = log_prior_on_scales(prior, maps)
    assert compiles
    u = np.random.default_rng(0).normal(0, 2, (50, 5))

    def exact(u):
        theta = np.asarray(maps.from_base(u))
        return prior.log_density(theta) - np.asarray(maps.to_base(theta)[1]).sum(axis=1)

    tensor = tf.constant(u, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        found = log_prior(tensor)
    slope = tape.gradient(found, tensor).numpy()
    np.testing.assert_allclose(found, exact(u), atol=2e-4)
    step = 1e-4 * np.eye(5)
    for column in (0, 4):
        differences = (exact(u + step[column]) - exact(u - step[column])) / 2e-4
        np.testing.assert_allclose(slope[:, column], differences, atol=1e-3)
    np.testing.assert_allclose(slope[:, 1], -u[:, 1] / 0.7**2, atol=1e-3)
    np.testing.assert_allclose(slope[:, 2], -u[:, 2], atol=1e-3)
    assert np.isfinite(log_prior(tf.constant([[40.0] * 5, [-40.0] * 5]))).all()  # no wall, however far


# The sampler


class Correlated:
    """A normal prior whose parameters depend on each other, of which only draws and a NumPy density are known."""

    names = ["a", "b"]
    mean = np.array([2.0, -1.0])
    covariance = np.array([[1.0, 0.7], [0.7, 1.0]])
    scales = [{"map": "linear", "origin": 2.0, "width": 1.0}, {"map": "linear", "origin": 0.0, "width": 3.0}]

    def sample(self, n, rng):
        return rng.multivariate_normal(self.mean, self.covariance, n)

    def log_density(self, theta):
        return stats.multivariate_normal(self.mean, self.covariance).logpdf(theta)


def test_conjugate_posterior_of_several_trials_under_a_correlated_prior():
    prior, noise = Correlated(), 1.5
    trials = np.array([[1.0, 2.0], [0.5, 1.0], [3.0, 0.0]])
    likelihood = Exact(lambda x, theta: tf.reduce_sum(-0.5 * tf.square((x - theta) / noise), axis=-1))
    posterior = LikelihoodPosterior(likelihood, prior, chains=100)
    chains = posterior.sample(trials, draws=40, seed=3)
    precision = np.linalg.inv(prior.covariance) + len(trials) * np.eye(2) / noise**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ (np.linalg.solve(prior.covariance, prior.mean) + trials.sum(axis=0) / noise**2)
    error = np.sqrt(np.diag(covariance) / chains.ess)
    assert chains.samples.shape == (40, 100, 2)
    assert (chains.ess > 1000).all()
    assert (chains.r_hat < 1.05).all()
    assert chains.divergent == 0
    np.testing.assert_array_less(np.abs(chains.flat.mean(axis=0) - mean), 4 * error)
    np.testing.assert_allclose(np.cov(chains.flat.T), covariance, atol=0.05)
    np.testing.assert_array_equal(posterior.sample(trials, draws=40, seed=3).samples, chains.samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # chains of ten draws have a split R-hat of 1.1 and more
        assert (posterior.sample(trials, draws=10, seed=4).r_hat < 1.05).all()


def test_steps_are_compiled_once_for_a_likelihood_and_a_prior():
    """Whoever asks: a new posterior of the same flow took as long as the first."""
    likelihood = Exact(lambda x, theta: tf.reduce_sum(x - theta, axis=-1))
    laws = {"a": {"distribution": "lognormal", "median": 2.0, "sigma": 0.5}, "b": stats.norm(0, 1)}
    first = LikelihoodPosterior(likelihood, laws)._moves
    assert LikelihoodPosterior(likelihood, dict(laws), chains=50)._moves is first
    assert LikelihoodPosterior(likelihood, laws | {"b": stats.norm(0, 1.001)})._moves is not first
    assert LikelihoodPosterior(Exact(likelihood.log_prob), laws)._moves is not first
    joint = Correlated()
    other = LikelihoodPosterior(likelihood, joint)._moves
    assert LikelihoodPosterior(likelihood, joint)._moves is other
    assert LikelihoodPosterior(likelihood, Correlated())._moves is not other  # of what a law is made is not known
    assert LikelihoodPosterior(likelihood, Correlated())._moves.prior is not joint
    assert LikelihoodPosterior(likelihood, laws)._moves is not first  # the oldest has gone


def test_several_observations_of_a_table_are_several(monkeypatch):
    table = pytest.importorskip("astropy.table")
    posterior = LikelihoodPosterior(Exact(None), {"a": stats.norm(0, 1), "b": stats.norm(0, 1)})
    monkeypatch.setattr(posterior, "sample", lambda row, **how: SimpleNamespace(flat=np.tile(row, (2000, 1))))
    monkeypatch.setattr(posterior.flow, "observations", lambda x: np.array([list(row) for row in x]), raising=False)
    given = table.Table([[1.0, 3.0], [2.0, 4.0]], names=["a", "b"])
    np.testing.assert_array_equal(posterior.draw(3, given), np.repeat([[[1.0, 2.0]], [[3.0, 4.0]]], 3, axis=1))


def two_moons(x, theta):
    """The exact likelihood of the task, up to a constant."""
    total, difference = theta[:, 0] + theta[:, 1], theta[:, 1] - theta[:, 0]
    u, v = x[:, 0] - 0.25 + tf.abs(total) / 2**0.5, x[:, 1] - difference / 2**0.5
    radius = tf.sqrt(u**2 + v**2 + 1e-12)
    return tf.where(u < 0, tf.constant(-np.inf, tf.float64), -0.5 * ((radius - 0.1) / 0.01) ** 2 - tf.math.log(radius))


@pytest.mark.slow
def test_both_crescents_are_found_with_their_weights_inside_the_prior():
    task = get_task("two-moons")
    posterior = LikelihoodPosterior(Exact(two_moons), task.prior, chains=150)
    several = np.array([[0.0, 0.0], [-0.6, 0.4]])
    with pytest.warns(UserWarning, match=r"separate modes|diverged") as said:
        drawn = posterior.draw(1500, several, seed=1)
    assert drawn.shape == (2, 1500, 2)
    assert any("separate modes" in str(one.message) and one.filename == __file__ for one in said)
    for x, samples in zip(several, drawn, strict=True):
        exact = task.reference(x, 1500, np.random.default_rng(0))
        assert (samples.sum(axis=1) > 0).mean() == pytest.approx((exact.sum(axis=1) > 0).mean(), abs=0.12)
        assert np.abs(samples).max() <= 1
        assert c2st(exact, samples) < 0.58


def test_what_the_sampler_refuses():
    prior = Prior({"a": Normal(mean=0, sd=1)})
    impossible = Exact(lambda x, theta: tf.fill([tf.shape(theta)[0]], tf.constant(-np.inf, tf.float64)))
    with pytest.raises(InputError, match="likelihood is zero at every one"):
        LikelihoodPosterior(impossible, prior, chains=20).sample([1.0])
    with pytest.raises(InputError, match="at least 20 chains"):
        LikelihoodPosterior(impossible, prior, chains=4)
    with pytest.raises(InputError, match="4 draws"):
        LikelihoodPosterior(impossible, prior, chains=20).sample([1.0], draws=1)


# Data


def test_counts_are_spread_anew_each_epoch_and_nothing_else_is():
    pairs = {"source": "sbi", "parameters": {"task": "sir", "simulations": 300, "test": 50}}
    plain, rows = get_dataset(**pairs["parameters"], source="sbi"), get_dataset("likelihood", pairs=pairs, counts=[2, 3])
    for split in ("train", "test"):
        swapped, given = rows.rows(split), plain.rows(split)
        assert list(swapped.inputs) == ["x", "theta"]
        np.testing.assert_allclose(swapped.inputs["theta"], given.inputs["theta"])
        away = swapped.inputs["x"] - given.inputs["x"]
        assert (np.ptp(away, axis=0) > 0.5).tolist() == [i in (2, 3) for i in range(10)]
        assert np.abs(away).max() <= 0.5
    assert (rows.rows("train", 1).inputs["x"] != rows.rows("train", 2).inputs["x"]).any()
    np.testing.assert_array_equal(rows.rows("test", 1).inputs["x"], rows.rows("test", 2).inputs["x"])


def test_data_without_a_density_are_refused():
    rng = np.random.default_rng(0)
    x = np.stack([rng.poisson(3.0, 500), rng.normal(size=500)], axis=1)
    assert counts_of(x) == [0]
    assert stats.kstest(spread(x, [0], rng)[:, 0] - x[:, 0], stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    x[:100, 1] = 0.25  # below a threshold
    with pytest.raises(InputError, match=r"column 1 of x is 0\.25 in 100 of 500 simulations"):
        counts_of(x)


# From a simulator to a posterior

PRIOR = Prior({"line": LogNormal(median=30.0, sigma=0.5, unit="1/s"), "noise": Uniform(low=1, high=3, unit="K")})
TINY = {
    "config.transforms": 2,
    "config.hidden": [24],
    "epochs": 15,
    "optimizer.learning_rate": 5e-3,
    "optimizer.weight_decay": 0.1,
    "batch_size": 64,
    "test_rows": 4,
}


def counts_and_noise(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts of the line, and one measured number far from zero, whose scatter is the noise."""
    return np.stack([rng.poisson(theta[:, 0]), 1e9 + rng.normal(0, theta[:, 1])], axis=1)


def simulations(n: int) -> dict[str, np.ndarray]:
    theta = PRIOR.sample(n, np.random.default_rng(0))
    return {"theta": theta, "x": counts_and_noise(theta, np.random.default_rng(1))}


def test_prior_of_other_parameters_or_in_another_order():
    """By place, the law of one parameter would be that of another, and nothing would say so."""
    axis = Axis(name="parameter", size=2, labels=["rate", "noise"])
    tensors = [Tensor(name=name, axes=axes, unit="1", description="") for name, axes in (("x", []), ("theta", [axis]))]
    likelihood = SimpleNamespace(
        context=2, spec=SimpleNamespace(endpoints=["log_prob"], endpoint=lambda name: SimpleNamespace(inputs=tensors))
    )
    laws = {"rate": stats.norm(0, 1), "noise": stats.norm(5, 1)}
    LikelihoodPosterior(likelihood, laws)
    for wrong in ({"noise": laws["noise"], "rate": laws["rate"]}, {"rate": laws["rate"], "sigma": laws["noise"]}):
        with pytest.raises(InputError, match=r"expected a prior of rate, noise, in the order"):
            LikelihoodPosterior(likelihood, as_prior(wrong))


def described_likelihood(whole: list[int] | None, low: list[float] | None = None, high: list[float] | None = None) -> Exact:
    """A normal around the parameters, with what a spec says of one that was learned."""
    likelihood: Any = Exact(lambda x, theta: -0.5 * tf.reduce_sum((x - theta) ** 2, axis=1))
    theta = Axis(name="parameter", size=2, labels=["rate", "noise"])
    x = Axis(name="datum", size=2, labels=["hits", "time"])
    tensors = [Tensor(name="x", axes=[x], unit="1", description="", whole=whole)]
    tensors.append(Tensor(name="theta", axes=[theta], unit="1", description="", low=low, high=high))
    endpoint = SimpleNamespace(inputs=tensors)
    data = SimpleNamespace(rows={"train": 1000})
    likelihood.spec = SimpleNamespace(endpoints=["log_prob"], endpoint=lambda name: endpoint, data=data)
    return likelihood


def test_observed_counts_are_whole_numbers():
    flow, _, _ = build("maf", "conditional", dimensions=2)
    flow.spec = described_likelihood([0]).spec
    prior = as_prior({name: stats.norm(0, 1) for name in ("rate", "noise", "third")[: flow.context]})
    posterior = LikelihoodPosterior(flow, prior, chains=20)
    for wrong in ([3.5, 0.2], [[3.0, 0.2], [3.5, 0.2]]):
        with pytest.raises(InputError, match=r"expected whole numbers.* of hits, given 3\.5"):
            posterior.sample(wrong)
        with pytest.raises(InputError, match="expected whole numbers"):
            posterior.draw(5, wrong)
    with pytest.raises(InputError, match="x: 1 values are NaN or infinite"):
        posterior.sample([np.nan, 0.2])


def test_the_density_of_counts_is_asked_for_at_whole_numbers():
    flow, x, c = build("maf", "conditional", dimensions=2)
    told = flow.log_density(x, c)
    flow.spec = described_likelihood([0]).spec
    x = np.column_stack([np.round(10 * x[:, 0]), x[:, 1]])
    assert np.isfinite(flow.log_density(x, c)).all()
    x[3, 0] = 2.5
    with pytest.raises(InputError, match=r"'x': expected whole numbers.* of hits, given 2\.5 at \(3, 0\).*allow_out_of_range"):
        flow.log_density(x, c)
    with pytest.raises(InputError, match="1 values are NaN"):
        flow.log_density(np.array([[np.nan, 0.0]]), c[0])
    assert np.isnan(flow.log_density(np.array([[np.nan, 0.0]]), c[0], allow_nonfinite=True)).all()
    assert np.isfinite(flow.log_density(x, c, allow_out_of_range=True)).all()
    flow.spec = described_likelihood(None).spec
    x = flow.draw(64, c[0])
    assert np.isfinite(flow.log_density(x, c)).all()
    assert told.shape == (64,)


def test_a_prior_wider_than_what_was_simulated_gets_a_warning():
    likelihood = described_likelihood(None, [0.0, -4.0], [10.0, 4.0])
    laws = {"rate": stats.uniform(0, 10), "noise": stats.norm(0, 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LikelihoodPosterior(likelihood, laws)
    with pytest.warns(
        UserWarning, match=r"beyond the trained range: rate from 0\.\d+ to 49\..* outside of 0 to 10; .* extrap"
    ) as caught:
        LikelihoodPosterior(likelihood, laws | {"rate": stats.uniform(0, 50)})
    assert caught[0].filename == __file__


def test_a_recipe_says_which_columns_are_counts():
    x = counts_and_noise(PRIOR.sample(200, np.random.default_rng(0)), np.random.default_rng(1))
    data = {"source": "simulations", "parameters": {"file": "simulations.npz", "prior": PRIOR.plain(), "test": 20}}
    recipe = nle_recipe("line", PRIOR, data, x, Datum((2,), ["hits", "level"], ["1", "K"]))
    assert recipe.data.parameters["counts"] == [0]
    x_in, _ = recipe.endpoints["log_prob"].inputs
    assert x_in.whole == [0]
    bounded = nle_recipe("box", as_prior({"rate": stats.uniform(1, 29)}), data, x, Datum((2,))).endpoints["sample"].inputs[1]
    assert (bounded.low, bounded.high) == ([1.0], [30.0])  # no rate below what was simulated is let through
    drawn = recipe.endpoints["sample"].outputs[0]
    assert "counts hits are spread over an interval of 1 around each: round them" in drawn.description
    assert (drawn.axes[0].units, drawn.unit, drawn.dtype) == (["1", "K"], "1, K", "float64")


@pytest.mark.slow  # the page of simulators trains one
def test_recipe_trains_on_the_simulations_of_a_posterior(tmp_path):
    """In double precision, counts spread, on scales that resolve a width of 2 at 1e9; judged beside a linear model."""
    arrays = simulations(700)
    np.savez(tmp_path / "simulations.npz", **arrays)
    data = {"source": "simulations", "parameters": {"file": "simulations.npz", "prior": PRIOR.plain(), "test": 100}}
    recipe = nle_recipe("line", PRIOR, data, arrays["x"][:600], Datum((2,)), changes={**TINY, "epochs": 6})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True)))
    recipe = load_recipe(tmp_path / "recipe.yaml")
    with without_xla():
        flow, history = fit(recipe, tmp_path / "run")
    assert min(history["val_loss"]) < history["val_loss"][0] - 0.1
    drawn = flow.draw(500, [30.0, 2.0])
    assert drawn.dtype == np.float64
    assert 1 < (drawn[:, 1] - 1e9).std() < 4  # steps of single precision are 64
    assert "counts 0 are spread" in recipe.endpoints["sample"].outputs[0].description
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.training.evaluations.posterior.DRAWS", 19)
        found = evaluate({"": [Run(recipe, 0, lambda: flow, history)]})
    metrics = {metric.name: metric for metric in found.metrics}
    assert metrics["log_prob"].value == pytest.approx(-min(history["val_loss"]), abs=0.4)
    x, theta = recipe.data.dataset().rows("test").inputs.values()
    exact = np.mean(stats.poisson(theta[:, 0]).logpmf(np.round(x[:, 0])) + stats.norm(1e9, theta[:, 1]).logpdf(x[:, 1]))
    assert metrics["log_prob"].baseline == pytest.approx(exact, abs=0.6)  # nearly right: a normal is near a Poisson law
    assert metrics["log_prob"].value < exact + 0.2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nle") / "line"
    rows = simulations(2200)
    return folder, train_nle(**rows, prior=PRIOR, folder=folder, test=200, changes=TINY)


@pytest.mark.slow
def test_likelihood_of_counts_is_a_probability_and_that_of_a_number_a_density(trained):
    flow = trained[1]
    counts, theta = np.arange(70), np.array([30.0, 2.0])
    log_density = flow.log_density(np.stack([counts, np.full(70, 1e9)], axis=1), theta)
    exact = stats.poisson(30).pmf(counts) * stats.norm(0, 2).pdf(0)
    assert np.abs(np.exp(log_density) - exact).sum() < 0.2 * exact.sum()
    metrics = {metric.name: metric for metric in flow.spec.metrics}
    assert metrics["log_prob"].value > metrics["log_prob"].baseline
    coverage = metrics["coverage distance, predicted references"]
    assert coverage.value < 2 * coverage.baseline


def moments(grid: np.ndarray, log_density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation under a density on evenly spaced points."""
    weight = np.exp(log_density - log_density.max())
    mean = weight @ grid / weight.sum()
    return mean, np.sqrt(weight @ (grid - mean) ** 2 / weight.sum())


@pytest.mark.slow
def test_posterior_from_a_learned_likelihood_is_that_on_a_grid_and_near_the_exact_one(trained):
    flow, x = trained[1], np.array([[31.0, 1e9 + 1.0], [24.0, 1e9 - 2.5]])
    chains = sample_posterior(flow, PRIOR, x, draws=20, chains=100)
    line, noise = np.meshgrid(np.linspace(12, 50, 120), np.linspace(1.005, 2.995, 60), indexing="ij")
    grid = np.stack([line.ravel(), noise.ravel()], axis=1)
    learned = exact = PRIOR.log_density(grid)
    for row in x:
        learned = learned + flow.log_density(np.tile(row, (len(grid), 1)), grid)
        exact = exact + stats.poisson(grid[:, 0]).logpmf(row[0]) + stats.norm(1e9, grid[:, 1]).logpdf(row[1])
    (mean, deviation), (true_mean, true_deviation) = (moments(grid, log_p) for log_p in (learned, exact))
    np.testing.assert_array_less(
        np.abs(chains.flat.mean(axis=0) - mean), 0.02 * deviation + 4 * deviation / np.sqrt(chains.ess)
    )
    np.testing.assert_allclose(chains.flat.std(axis=0), deviation, rtol=0.08)
    np.testing.assert_array_less(np.abs(mean - true_mean), 0.6 * true_deviation)  # of a tiny flow
    np.testing.assert_allclose(deviation, true_deviation, rtol=0.3)
    with pytest.raises(InputError):
        sample_posterior(flow, PRIOR, [np.nan, 1e9])


@pytest.mark.slow
def test_exported_likelihood_answers_as_the_flow_does(trained):
    from zoo.serving import Session

    folder, flow = trained
    given = {"x": np.array([[30.0, 1e9 + 1.5]]), "theta": np.array([[29.0, 2.0]])}
    answer = Session(folder).run(given, "log_prob")["log_prob"]
    np.testing.assert_allclose(answer, flow.log_density(given["x"], given["theta"]), atol=2e-3)

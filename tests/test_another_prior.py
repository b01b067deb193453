"""Posteriors with another prior of some parameters than the trained one, against exact ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import ok, refused

from zoo.data.sbi.priors.laws import Normal, Uniform
from zoo.data.sbi.priors.prior import Prior
from zoo.errors import InputError, UnknownNameError
from zoo.interpret.posteriors.another_prior import reweighted, trained_prior
from zoo.model.store import locate
from zoo.serving import Session

TRAINED = Prior({"a": Uniform(low=-20, high=20), "b": Normal(mean=1.0, sd=2.0)})
"""Beside a measurement of a + b, 3 +- 0.5."""


def exact(prior_of_b: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of (a, b), where the prior of a is as good as flat: b is as its prior, and a = 3 - b +- 0.5."""
    mean, sd = prior_of_b
    return np.array([3 - mean, mean]), np.array([[sd**2 + 0.25, -(sd**2)], [-(sd**2), sd**2]])


def test_draws_are_those_of_the_posterior_with_the_other_prior():
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(*exact((1.0, 2.0)), 200_000)
    theta, effective = reweighted(draws, TRAINED, {"b": {"distribution": "normal", "mean": 2.0, "sd": 0.5}})
    mean, covariance = exact((2.0, 0.5))
    assert theta.shape == draws.shape
    np.testing.assert_allclose(theta.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(theta.T), covariance, atol=0.02)
    # The weights are a Gaussian's: E[w]^2 / E[w^2], of b from N(1, 2) to N(2, 0.5).
    b = np.linspace(-20, 20, 400_001)
    old, new = (np.exp(-0.5 * ((b - m) / s) ** 2) / s for m, s in ((1.0, 2.0), (2.0, 0.5)))
    share = np.trapezoid(new, b) ** 2 / (np.trapezoid(old, b) * np.trapezoid(new**2 / old, b))
    assert effective / len(draws) == pytest.approx(share, rel=0.02)


def test_the_same_prior_changes_nothing():
    draws = np.random.default_rng(1).multivariate_normal(*exact((1.0, 2.0)), 2000)
    theta, effective = reweighted(draws, TRAINED, {"b": Normal(mean=1.0, sd=2.0)})
    assert effective == pytest.approx(2000)
    np.testing.assert_array_equal(np.sort(theta, axis=0), np.sort(draws, axis=0))


def test_a_prior_where_no_draw_is():
    draws = np.random.default_rng(2).multivariate_normal(*exact((1.0, 2.0)), 5000)
    with pytest.raises(InputError, match="prior of b: 0 of 5,000 draws count, expected at least 1,000: make more"):
        reweighted(draws, TRAINED, {"b": Uniform(low=50, high=60)})
    with pytest.raises(UnknownNameError, match="c"):
        reweighted(draws, TRAINED, {"c": Uniform(low=0, high=1)})
    with pytest.raises(InputError, match="prior"):
        reweighted(draws, TRAINED, {"b": {"distribution": "normall", "mean": 0.0, "sd": 1.0}})


def test_the_trained_prior_of_a_released_posterior():
    prior = trained_prior(locate("nsf-cmb-posterior").spec)
    assert (prior.laws["tau"].mean, prior.laws["tau"].sd) == (0.0506, 0.0086)
    with pytest.raises(InputError, match="nsf-two-moons: another prior takes the place of one of independent parameters"):
        trained_prior(locate("nsf-two-moons").spec)


@pytest.mark.parametrize("source", ["simulations", "simulator"])
def test_the_trained_prior_of_own_simulations_is_the_recorded_one(source):
    """Wherever their file is: a model is asked in any folder, and handed on without it."""
    spec = locate("nsf-sbi-two-moons").spec
    parameters = {"file": "simulations.npz", "prior": TRAINED.plain(), "test": 10}
    data = spec.data.model_copy(update={"source": source, "parameters": parameters})
    found = trained_prior(spec.model_copy(update={"data": data}))
    assert found.plain() == TRAINED.plain()
    rows = data.model_copy(update={"parameters": parameters | {"prior": {"a": {"distribution": "rows"}}}})
    with pytest.raises(InputError, match="takes the place of one of independent parameters"):
        trained_prior(spec.model_copy(update={"data": rows}))


def test_an_observation_that_lacks_a_number_is_refused_as_such(tmp_path):
    sky = np.load(locate("nsf-cmb-posterior").path("test_tensors.npz"))["sample/in/spectrum"][0].copy()
    sky[[3, 7]] = np.nan
    np.save(tmp_path / "sky.npy", sky)
    said = refused(
        "infer", "nsf-cmb-posterior", "--observation", tmp_path / "sky.npy", "--out", tmp_path, "--allow-out-of-range"
    )
    assert "every element of spectrum, given 2 that are NaN or infinite, the first at [3]" in " ".join(said.split())


def test_a_sky_without_noise_is_said_to_be_one(tmp_path):
    best_fit = {"theta": np.array([[67.27, 0.02236, 0.1202, 0.0544, 0.9649, 3.045]], np.float32)}
    (spectrum,) = Session("mlp-cmb-emulator").run(best_fit).values()
    np.save(tmp_path / "sky.npy", spectrum[0])
    said = refused("infer", "nsf-cmb-posterior", "--observation", tmp_path / "sky.npy", "--out", tmp_path)
    assert "it varies less than they do: is it without noise?" in " ".join(said.split())


def test_a_measurement_of_tau_on_the_command_line(tmp_path):
    """As and tau move together along As exp(-2 tau): a narrower tau makes As narrower by as much."""
    spectrum = np.load(locate("nsf-cmb-posterior").path("test_tensors.npz"))["sample/in/spectrum"][0]
    np.save(tmp_path / "sky.npy", spectrum)
    asked = ["infer", "nsf-cmb-posterior", "--observation", str(tmp_path / "sky.npy"), "--out", str(tmp_path), "--json"]
    law = "tau={distribution: normal, mean: 0.054, sd: 0.002}"
    before, after = (json.loads(ok(*asked, *more)) for more in ([], ["--prior", law]))
    spread = {name: {p["name"]: p["std"] for p in found["parameters"]} for name, found in (("", before), ("tau", after))}
    assert before["effective"] is None
    assert 1000 < after["effective"] < 10_000
    assert spread["tau"]["tau"] == pytest.approx(0.002, rel=0.1)
    assert spread["tau"]["ln10As"] < 0.6 * spread[""]["ln10As"]
    assert "expected --prior key=value" in refused(*asked, "--prior", "tau")
    assert "no parameter named 'tua'" in refused(*asked, "--prior", "tua={distribution: normal, mean: 0, sd: 1}")

"""The posterior of LambdaCDM: its data, NUTS against closed forms, and what `zoo infer` makes of an observation."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

import zoo
from zoo.data.cmb.emulation import HIGH, LOW, PARAMETERS
from zoo.data.cmb.likelihood import nuts
from zoo.data.cmb.planck import PUBLISHED, TAU
from zoo.data.cmb.posterior_data import CMBPosterior, prior_of
from zoo.data.observation import Observation, read_observation
from zoo.errors import InputError, MisspecificationWarning
from zoo.interpret.posteriors.infer import infer
from zoo.model.axes import Axis
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

WIDTH, MIDDLE = HIGH - LOW, (LOW + HIGH) / 2


class Linear:
    """A linear emulator of any number of bins, in TensorFlow."""

    def __init__(self, bins: int, strength: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.slope = strength * rng.normal(size=(len(PARAMETERS), bins)) / WIDTH[:, None]
        self.offset = rng.normal(size=bins)

    def __call__(self, theta):
        import tensorflow as tf

        shifted = tf.convert_to_tensor(theta) - tf.constant(MIDDLE, tf.float32)
        return tf.matmul(shifted, tf.constant(self.slope, tf.float32)) + tf.constant(self.offset, tf.float32)

    def mean(self, theta: np.ndarray) -> np.ndarray:
        return (theta - MIDDLE) @ self.slope + self.offset


@pytest.fixture
def data(monkeypatch):
    """The data set on a linear emulator."""
    emulator = Linear(215, 100.0)
    monkeypatch.setattr("zoo.data.cmb.posterior_data.load_emulator", lambda name: emulator)
    return CMBPosterior(train=3000, validation=200, test=200), emulator


def test_prior_is_flat_but_for_tau():
    prior = prior_of()
    theta = prior.sample(5000, np.random.default_rng(0))
    assert ((theta > LOW) & (theta < HIGH)).all()
    for i, name in enumerate(PARAMETERS):
        law = truncnorm((LOW[i] - TAU[0]) / TAU[1], (HIGH[i] - TAU[0]) / TAU[1], TAU[0], TAU[1])
        uniform = (theta[:, i] - LOW[i]) / WIDTH[i]
        assert kstest(law.cdf(theta[:, i]) if name == "tau" else uniform, "uniform").pvalue > 1e-3, name
    assert prior.names == list(PARAMETERS)


def test_noise_has_the_covariance_of_the_set(data):
    dataset, emulator = data
    rows = dataset.rows("train")
    noise = rows.inputs["spectrum"] - emulator.mean(rows.inputs["theta"].astype(float))
    white = np.linalg.solve(dataset.cholesky, noise.T)
    assert np.abs(white.mean(axis=1)).max() < 5 / np.sqrt(len(rows))
    assert np.abs(np.cov(white) - np.eye(215)).max() < 6 / np.sqrt(len(rows))


def test_every_epoch_draws_new_skies_and_every_split_its_own(data):
    dataset, _ = data
    first, again, later = dataset.rows("train", 3), dataset.rows("train", 3), dataset.rows("train", 4)
    for name in ("theta", "spectrum"):
        np.testing.assert_array_equal(first.inputs[name], again.inputs[name])
        assert not np.isin(first.inputs[name], later.inputs[name]).all(axis=1).any()
    np.testing.assert_array_equal(dataset.rows("test", 0).inputs["spectrum"], dataset.rows("test", 9).inputs["spectrum"])
    groups = np.concatenate([dataset.rows(split).group for split in ("train", "validation", "test")])
    assert len(np.unique(groups)) == len(groups) == 3400
    np.testing.assert_allclose(np.stack([*first.truth.values()], axis=1), first.inputs["theta"], rtol=1e-6)


@pytest.fixture(scope="module")
def sampled():
    """NUTS on two skies of a linear emulator, the second in a corner of the hypercube; and the Gaussian that each would be."""
    emulator = Linear(8, 16.0)
    cholesky = np.linalg.cholesky(np.eye(8) + 0.3)
    truth = MIDDLE + WIDTH * np.array([[0.1, -0.2, 0.05, 0.02, 0.1, -0.1], [-0.5, 0.5, 0.0, 0.0, -0.1, 0.2]])
    spectra = emulator.mean(truth) + np.random.default_rng(1).normal(size=(2, 8)) @ cholesky.T
    chains = nuts(emulator, spectra, cholesky, chains=4, burn_in=100, draws=350)
    inverse = np.linalg.inv(cholesky @ cholesky.T)
    precision = emulator.slope @ inverse @ emulator.slope.T
    prior = np.diag(np.where(np.array(PARAMETERS) == "tau", TAU[1] ** -2, 0.0))
    covariance = np.linalg.inv(precision + prior)
    informed = emulator.slope @ inverse @ (spectra - emulator.offset + MIDDLE @ emulator.slope).T
    means = (covariance @ (informed + (prior @ np.full(6, TAU[0]))[:, None])).T
    return chains, means, covariance


@pytest.mark.slow  # test_likelihood has a conjugate posterior by NUTS too
def test_nuts_gives_the_conjugate_posterior(sampled):
    """A linear model with Gaussian noise and prior has a Gaussian posterior."""
    chains, means, covariance = sampled
    drawn, std = chains.of(0), np.sqrt(np.diag(covariance))
    assert np.abs((drawn.mean(axis=0) - means[0]) / std).max() < 0.12
    np.testing.assert_allclose(drawn.std(axis=0), std, rtol=0.08)
    np.testing.assert_allclose(np.corrcoef(drawn.T), covariance / np.outer(std, std), atol=0.1)


@pytest.mark.slow
def test_nuts_stops_at_the_ends_of_the_ranges(sampled):
    """In a corner the posterior is the same Gaussian cut at the ends: rejection gives it independently."""
    chains, means, covariance = sampled
    exact = np.random.default_rng(2).multivariate_normal(means[1], covariance, 200_000)
    exact = exact[((exact >= LOW) & (exact <= HIGH)).all(axis=1)]
    assert len(exact) < 150_000
    drawn, std = chains.of(1), exact.std(axis=0)
    assert ((drawn >= LOW) & (drawn <= HIGH)).all()
    assert np.abs((drawn.mean(axis=0) - exact.mean(axis=0)) / std).max() < 0.12
    np.testing.assert_allclose(drawn.std(axis=0), std, rtol=0.1)


@pytest.mark.slow
def test_chains_agree_and_say_so(sampled):
    chains, _, _ = sampled
    assert chains.samples.shape == (2, 4, 350, 6)
    assert chains.r_hat.max() < 1.03
    assert chains.effective.min() > 300
    assert chains.divergent < 0.02


def spec_of(endpoints, source="cmb-posterior") -> ModelSpec:
    return ModelSpec(
        name="tiny",
        family="nsf",
        config={},
        task="posterior-estimation",
        summary="Not a model of anything.",
        endpoints=endpoints,
        data=Data(source=source, description="none", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        revision="1",
        physzoo_version="0.1.0",
    )


@pytest.fixture(scope="module")
def spec():
    return zoo.get_spec("nsf-cmb-posterior")


def sampler(inputs):
    """Planck's own errors around its values, H0 one sigma higher; whatever the observation."""
    assert inputs["spectrum"].shape == (len(inputs["z"]), 215)
    values = np.array([PUBLISHED[name] for name in PARAMETERS])
    mean, std = values[:, 0], (values[:, 2] - values[:, 1]) / 2
    return {"theta": (mean + std * (inputs["z"] + np.eye(6)[0])).astype(np.float32)}


def test_posterior_of_plancks_spectra(spec, planck_folder, tmp_path):
    report = infer(spec, sampler, read_observation(spec, planck_folder), tmp_path, draws=4000)
    h0, tau = report.parameters[0], report.parameters[PARAMETERS.index("tau")]
    assert (h0.name, h0.published) == ("H0", (67.27, 66.67, 67.87))
    assert h0.mean == pytest.approx(67.87, abs=0.05)
    assert h0.std == pytest.approx(0.60, rel=0.05)
    assert h0.shift == pytest.approx(1.0, abs=0.08)
    assert tau.published == pytest.approx((0.0544, 0.0544 - 0.0081, 0.0544 + 0.0070))
    text = report.text()
    for word in ("67.27 +- 0.6", "0.0544 +0.007 -0.0081", "covariance", "foregrounds", "tau", "lens", "4,000 draws"):
        assert word in text, word
    with np.load(report.samples) as file:
        assert list(file) == list(PARAMETERS)
        assert file["H0"].shape == (4000,)
        assert file["H0"].mean() == pytest.approx(h0.mean)
    assert report.figure.stat().st_size > 10_000
    json.dumps(report.model_dump(mode="json"))


def test_draws_follow_the_seed(tmp_path):
    flow, observed = two_dimensional(["a", "b"]), Observation({"x": np.zeros((1, 2))}, "x", "zeros")

    def run(draws: int, seed: int = 0):
        return infer(flow, lambda given: {"theta": given["z"] + given["x"]}, observed, tmp_path, draws=draws, seed=seed)

    means = [run(100, seed).parameters[0].mean for seed in (0, 0, 1)]
    assert means[0] == means[1] != means[2]
    with pytest.raises(InputError, match="more than 2"):
        run(2)


def test_only_a_conditional_flow_has_a_posterior(planck_folder, tmp_path):
    classifier = zoo.get_spec("mlp-cmb-feature")
    observation = read_observation(classifier, planck_folder)
    for other in (classifier, zoo.get_spec("nsf-two-moons")):
        with pytest.raises(InputError, match="no conditional flow"):
            infer(other, sampler, observation, tmp_path)
    with pytest.raises(InputError, match="the endpoint also takes x, and only spectrum was observed"):
        infer(two_dimensional(), sampler, observation, tmp_path)


def two_dimensional(labels: list[str] | None = None) -> ModelSpec:
    axes = {
        name: [Axis(name=f"{name}_axis", size=2, labels=labels if name == "theta" else None)] for name in ("z", "x", "theta")
    }
    tensor = {name: Tensor(name=name, axes=of, unit="1", description="mass, spin") for name, of in axes.items()}
    endpoint = Endpoint(description="sample", inputs=[tensor["z"], tensor["x"]], outputs=[tensor["theta"]])
    return spec_of({"sample": endpoint}, source="elsewhere")


@pytest.mark.parametrize(("labels", "names"), [(None, ["theta[0]", "theta[1]"]), (["mass", "spin"], ["mass", "spin"])])
def test_parameters_are_called_what_their_axis_says(tmp_path, labels, names):
    """A description is prose: a comma in it names nothing."""
    np.save(tmp_path / "row.npy", np.array([[1.0, 2.0]]))
    np.savez(tmp_path / "row.npz", x=np.array([1.0, 2.0]), other=np.zeros(3))
    flow = two_dimensional(labels)
    for name in ("row.npy", "row.npz"):
        observation = read_observation(flow, tmp_path / name)
        np.testing.assert_array_equal(observation.inputs["x"], [[1.0, 2.0]])
    report = infer(flow, lambda given: {"theta": given["x"] + given["z"]}, observation, tmp_path, draws=500)
    assert [parameter.name for parameter in report.parameters] == names
    assert report.parameters[1].mean == pytest.approx(2.0, abs=0.2)
    assert "published" not in report.text()
    assert np.isnan(report.parameters[0].shift)


def test_a_posterior_without_the_libraries_of_its_figure(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    observation = Observation({"x": np.zeros((1, 2))}, "x", "zeros")
    report = infer(two_dimensional(), lambda given: {"theta": given["z"]}, observation, tmp_path, draws=10)
    assert report.figure is None
    assert "physzoo[interpret]" in report.text()
    assert report.samples.exists()


def test_released_flow_finds_plancks_parameters(spec, planck_folder, tmp_path):
    from zoo.serving import Session

    session = Session("nsf-cmb-posterior")
    report = infer(session.spec, lambda inputs: session.run(inputs, "sample"), read_observation(spec, planck_folder), tmp_path)
    for parameter in report.parameters:
        _, low, high = parameter.published
        assert abs(parameter.shift) < 1.5, parameter
        assert 0.7 < parameter.std / ((high - low) / 2) < 1.3, parameter


def test_what_lambda_cdm_does_not_predict_has_no_posterior(spec, tmp_path):
    """Numbers that are no spectra of LambdaCDM are refused by the chi-squared of the best draw."""
    from scipy.stats import chi2

    from zoo.data.cmb.feature import load_spectra
    from zoo.model.fit import survival
    from zoo.serving import Session

    assert [survival(x, 209) for x in (150, 209, 280, 320)] == pytest.approx(chi2.sf([150, 209, 280, 320], 209), rel=0.1)
    best = np.array([[PUBLISHED[name][0] for name in PARAMETERS]], np.float32)
    rng = np.random.default_rng(0)

    def emulate(name, inputs):
        return Session(name, device="cpu").run(inputs)

    sky = emulate("mlp-cmb-emulator", {"theta": best})["spectrum"][0] + load_spectra().cholesky @ rng.standard_normal(215)
    seen = Observation({"spectrum": sky[None]}, "sky", "a sky")
    report = infer(spec, sampler, seen, tmp_path, draws=500, emulate=emulate)
    assert report.fit.degrees == 209
    assert 0.01 < report.fit.p_value < 0.99
    assert f"chi-squared {report.fit.chi_squared:.4g} for 209 degrees of freedom" in report.text()
    tilted = Observation({"spectrum": (sky * np.linspace(0.97, 1.03, 215))[None]}, "tilted", "a tilted sky")
    with pytest.raises(InputError, match=r"best of 500 draws does not predict .*allow_out_of_range=True takes it all the same"):
        infer(spec, sampler, tilted, tmp_path, draws=500, emulate=emulate)
    taken = infer(spec, sampler, tilted, tmp_path, draws=500, emulate=emulate, allow_out_of_range=True)
    assert taken.fit.p_value < 1e-3


def test_draws_of_what_lambda_cdm_does_not_predict_are_refused():
    """Draws are held against the emulator as `infer` holds them, where the reference alone says nothing."""
    from zoo.data.cmb.feature import load_spectra

    model = zoo.load("nsf-cmb-posterior")
    model.reference = None
    best = np.array([[PUBLISHED[name][0] for name in PARAMETERS]], np.float32)
    rng = np.random.default_rng(0)
    noise = load_spectra().cholesky @ rng.standard_normal((215, 100))
    skies = model.emulate("mlp-cmb-emulator", {"theta": best})["spectrum"] + noise.T
    assert model.draw(300, skies[0]).shape == (300, 6)
    assert model.draw(20, skies).shape == (100, 20, 6)  # of as many, some are fitted badly by chance
    tilt = np.linspace(0.97, 1.03, 215)
    with pytest.raises(InputError, match=r"best of 200 draws does not predict the observation: chi-squared .* for 209 degrees"):
        model.draw(300, skies[0] * tilt)
    with pytest.raises(InputError, match=r"does not predict observation \d+ of 100, the worst.*allow_out_of_range=True"):
        model.draw(20, skies * tilt)
    assert model.draw(300, skies[0] * tilt, allow_out_of_range=True).shape == (300, 6)
    copied = copy.deepcopy(model)
    with pytest.raises(InputError, match="does not predict"):
        copied.draw(300, skies[0] * tilt)


def test_a_fit_that_is_rare_is_told_and_one_that_is_impossible_refused():
    from zoo.model.fit import Fit, expect_predicted

    expect_predicted([Fit(209.0, 209, 0.5)], 200)
    with pytest.warns(MisspecificationWarning, match="the best of 200 draws does not predict the observation: chi-squared 260"):
        expect_predicted([Fit(260.0, 209, 0.009)], 200)
    expect_predicted([Fit(260.0, 209, 0.009)] + [Fit(209.0, 209, 0.5)] * 99, 200)
    with pytest.raises(InputError, match="does not predict observation 1 of 2"):
        expect_predicted([Fit(209.0, 209, 0.5), Fit(400.0, 209, 1e-6)], 200)

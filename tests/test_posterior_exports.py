"""Samples of posteriors in arviz and getdist, which tell means, limits and mixing of their own."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.stats import truncnorm

from zoo.errors import InputError, ZooError
from zoo.interpret import Chains, to_arviz, to_getdist
from zoo.interpret.posteriors.parameters import ParameterSet, parameters_of
from zoo.model.axes import Axis
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

NAMES = ["lifetime", "sigma_8", "log T"]


class Posterior:
    """A flow of which only the spec counts."""

    def __init__(self, **config) -> None:
        axis = Axis(name="parameter", size=3, labels=NAMES, units=["us", "1", "dex(K)"])
        z, theta = (Tensor(name=name, axes=[axis], unit="", description="") for name in ("z", "theta"))
        self.spec = ModelSpec(
            name="tiny",
            family="nsf",
            config=config,
            task="posterior-estimation",
            summary="",
            endpoints={"sample": Endpoint(description="", inputs=[z], outputs=[theta])},
            data=Data(source="none", description="", simulator="", seed=0, rows={}),
            metrics=[],
            files=[],
            physzoo_version="0.1.0",
        )


def chains(spread: float = 0.0) -> Chains:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(400, 4, 3)) + spread * np.arange(4)[:, None]
    nothing = np.zeros(3)
    return Chains(samples.astype(np.float32), 0.8, 0.5, nothing, nothing, 1.0, nothing, None)


def test_what_is_known_of_the_parameters_of_a_flow():
    assert parameters_of(["a", "b"]) == ParameterSet(["a", "b"])
    known = parameters_of(Posterior(support=[[0.5, 5.0], None, [0.0, 1.0]]))
    assert known.names == NAMES
    assert known.units == {"lifetime": "us", "sigma_8": "1", "log T": "dex(K)"}
    assert known.limits == {"lifetime": (0.5, 5.0), "sigma_8": (None, None), "log T": (0.0, 1.0)}
    scales = [{"map": "log", "low": 0.0, "width": 1.0}, {"map": "logit", "low": -1.0, "high": 2.0}, {"map": "linear"}]
    assert list(parameters_of(Posterior(scales=scales)).limits.values()) == [(0.0, None), (-1.0, 2.0), (None, None)]
    for wrong in (["a", "a"], object(), "ab"):
        with pytest.raises(InputError, match="parameters: expected"):
            parameters_of(wrong)


# arviz


def test_draws_in_arviz():
    arviz = pytest.importorskip("arviz")
    draws = np.random.default_rng(0).normal([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], (2000, 3))
    lp = -np.square(draws).sum(axis=1)
    posterior = to_arviz(draws, Posterior(), log_density=lp, observed={"counts": [4.0, 5.0]})
    assert dict(posterior["posterior"].sizes) == {"chain": 1, "draw": 2000}
    summary = arviz.summary(posterior, round_to="none").loc[NAMES]
    np.testing.assert_allclose(summary["mean"].astype(float), draws.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(summary["sd"].astype(float), draws.std(axis=0, ddof=1), rtol=1e-3)
    assert posterior["posterior"]["lifetime"].attrs["units"] == "us"
    np.testing.assert_array_equal(posterior["sample_stats"]["lp"][0], lp)
    np.testing.assert_array_equal(posterior["observed_data"]["counts"], [4.0, 5.0])
    assert arviz.ess(posterior)["lifetime"] == pytest.approx(2000, rel=0.2)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_chains_in_arviz_have_their_r_hat(spread):
    arviz = pytest.importorskip("arviz")
    made = chains(spread)
    posterior = to_arviz(made, NAMES, log_density=np.arange(1600.0).reshape(400, 4))
    assert dict(posterior["posterior"].sizes) == {"chain": 4, "draw": 400}
    np.testing.assert_array_equal(posterior["posterior"]["sigma_8"].values, made.samples[..., 1].T)
    np.testing.assert_array_equal(posterior["sample_stats"]["lp"].values[:, 0], [0, 1, 2, 3])
    found = arviz.rhat(posterior, method="split")
    halves = np.concatenate(np.split(made.samples[..., 0].astype(float), 2)[:2], axis=1)  # Gelman et al., eq. 11.4
    between, within = 200 * halves.mean(axis=0).var(ddof=1), halves.var(axis=0, ddof=1).mean()
    assert float(found["lifetime"]) == pytest.approx(np.sqrt((199 / 200 * within + between / 200) / within), rel=1e-6)
    assert (float(found["lifetime"]) > 1.2) == (spread > 0)


# getdist


def test_draws_in_getdist_keep_to_the_limits_of_the_prior():
    """A density that is largest at the edge of its prior: smoothed across the edge it would be half as large there."""
    pytest.importorskip("getdist")
    rng = np.random.default_rng(0)
    half = truncnorm(0, np.inf)
    draws = np.stack([half.rvs(40_000, random_state=1), *rng.normal([2.0, 3.0], [0.2, 0.3], (40_000, 2)).T], axis=1)
    posterior = to_getdist(draws, Posterior(support=[[0.0, 10.0], None, None]), label="flow")
    np.testing.assert_allclose(posterior.getMeans(), draws.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(posterior.getCov(3), np.cov(draws.T), rtol=1e-3, atol=1e-6)
    assert posterior.getEffectiveSamples() == pytest.approx(40_000)
    density = posterior.get1DDensityGridData("lifetime")
    density.normalize("integral")
    at = np.linspace(0.01, 2, 20)
    np.testing.assert_allclose(density.Prob(at), half.pdf(at), rtol=0.08)
    low, high = np.quantile(draws[:, 1], [0.16, 0.84])
    found = posterior.getInlineLatex("sigma_8", limit=1)
    assert found.startswith(r"\sigma_{\mathrm{8}} = 2.00")
    limits = posterior.getMargeStats().parWithName("sigma_8").limits[0]
    assert (limits.lower, limits.upper) == pytest.approx((low, high), abs=0.01)
    assert posterior.label == "flow"
    assert [posterior.parLabel(name) for name in ("lifetime", "log_T")] == [
        r"\mathrm{lifetime}\;[\mathrm{us}]",
        r"\mathrm{log\ T}\;[\mathrm{dex(K)}]",
    ]


def test_chains_in_getdist(capsys):
    pytest.importorskip("getdist")
    made = chains(1.0)
    density = -0.5 * np.square(made.samples).sum(axis=-1)
    posterior = to_getdist(made, NAMES, log_density=density, limits={"lifetime": (None, 9.0)}, latex={"log T": "T"})
    assert capsys.readouterr().out == ""
    np.testing.assert_allclose(posterior.getMeans(), made.flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(posterior.loglikes, -density.T.ravel(), rtol=1e-6)
    assert posterior.getGelmanRubin() > 0.5
    assert to_getdist(chains(), NAMES, log_density=density).getGelmanRubin() < 0.02  # which asks for log densities
    assert posterior.ranges.getUpper("lifetime") == 9.0
    assert posterior.ranges.getLower("lifetime") is None
    assert posterior.parLabel("log_T") == "T"


# What does not go


@pytest.mark.parametrize("export", [to_arviz, to_getdist])
def test_what_is_refused(export, monkeypatch):
    draws = np.zeros((10, 3))
    for samples, message in (
        (draws[:, :2], r"\(n, 3\)"),
        (np.zeros((2, 10, 3)), "one posterior"),
        (draws * np.nan, "30 values"),
    ):
        with pytest.raises(InputError, match=message):
            export(samples, NAMES)
    with pytest.raises(InputError, match="values are missing"):
        export(np.ma.masked_array(draws, draws == 0), NAMES)
    with pytest.raises(InputError, match=r"log_density: expected one of each sample, of shape \(10,\)"):
        export(draws, NAMES, log_density=np.zeros(9))
    with pytest.raises(InputError, match="expected those of lifetime, sigma_8, log T, given mass"):
        to_getdist(draws, NAMES, limits={"mass": (0.0, 1.0)})
    monkeypatch.setitem(sys.modules, export.__name__.removeprefix("to_"), None)
    with pytest.raises(ZooError, match=r"pip install 'physzoo\[posteriors\]'"):
        export(draws, NAMES)

"""Samples of posteriors in arviz and getdist, which tell means, limits and mixing of their own."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from scipy.stats import truncnorm

from zoo.errors import InputError, UnknownNameError, ZooError
from zoo.interpret import Chains, to_arviz, to_getdist
from zoo.interpret.posteriors.draws import draws_of
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


# What draws come in


def test_draws_by_name_are_those_in_order():
    """Of tables in another order and with another unit, of arrays of chains, and of arviz itself."""
    pd, astropy_table = pytest.importorskip("pandas"), pytest.importorskip("astropy.table")
    from astropy import units

    rng = np.random.default_rng(0)
    draws = rng.normal([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], (500, 3))
    known = parameters_of(Posterior())
    frame = pd.DataFrame(draws, columns=NAMES)[["log T", "lifetime", "sigma_8"]].assign(run="a")
    nanoseconds = astropy_table.Table(draws, names=NAMES)
    nanoseconds["lifetime"] = draws[:, 0] * 1000 * units.ns
    for given in (draws, frame, nanoseconds, dict(zip(NAMES, draws.T, strict=True)), draws[None]):
        np.testing.assert_allclose(draws_of(given, known), draws[None], rtol=1e-12)
    several = draws.reshape(4, 125, 3)
    by_name = {name: several[..., k] for k, name in enumerate(NAMES)}
    for given in (several, by_name):
        np.testing.assert_array_equal(draws_of(given, known), several)
    with pytest.raises(InputError, match="lifetime has the unit ns, and that of the parameter is not known"):
        draws_of(nanoseconds, ParameterSet(NAMES))
    one = ParameterSet(["mass"])
    for given, shape in ((draws[:, 0], (1, 500, 1)), (draws[:, :1], (1, 500, 1)), (several[..., :1], (4, 125, 1))):
        assert draws_of(given, one).shape == shape


def test_draws_of_arviz_whatever_the_order_of_their_axes():
    xarray = pytest.importorskip("xarray")
    arviz = pytest.importorskip("arviz")
    made = chains()
    exported = to_arviz(made, NAMES)
    np.testing.assert_array_equal(draws_of(exported, ParameterSet(NAMES)), made.samples.swapaxes(0, 1))
    turned = xarray.Dataset({name: (("draw", "chain"), made.samples[..., k]) for k, name in enumerate(NAMES)})
    np.testing.assert_array_equal(draws_of(turned, ParameterSet(NAMES)), made.samples.swapaxes(0, 1))
    again = to_arviz(made.samples.swapaxes(0, 1), NAMES, log_density=np.arange(1600.0).reshape(4, 400))
    np.testing.assert_allclose(arviz.rhat(again)["sigma_8"], arviz.rhat(exported)["sigma_8"])
    np.testing.assert_array_equal(again["sample_stats"]["lp"].values[1, :2], [400, 401])


def test_draws_for_several_observations_are_no_chains_of_one_posterior():
    draws = np.random.default_rng(0).normal(size=(2, 500, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draws_of(draws, ParameterSet(NAMES))
    with pytest.warns(
        UserWarning, match=r"2 chains differ in sigma_8 \(R-hat .* each of which has a posterior of its own"
    ) as said:
        draws_of(draws + np.array([[0, 0, 0], [0, 2, 0]])[:, None], ParameterSet(NAMES))
    assert said[0].filename == __file__


def test_one_point_by_name():
    pd = pytest.importorskip("pandas")
    from astropy import units

    known = parameters_of(Posterior())
    series = pd.Series({"log T": 3.0, "lifetime": 1.0, "sigma_8": 2.0})
    for given in ([1.0, 2.0, 3.0], dict(series), series, pd.DataFrame([series]), dict(series) | {"lifetime": 1000 * units.ns}):
        np.testing.assert_allclose(known.point(given, "truth"), [1.0, 2.0, 3.0])
    for wrong, message in (
        ({"lifetime": 1.0, "sigma_8": 2.0}, "no column of .*truth.* named 'log T'"),
        (dict(series) | {"mass": 1.0}, r"no parameter \(truth\) named 'mass'"),
        (dict(series) | {"lifetime": np.nan}, "one finite number for each of lifetime, sigma_8, log T"),
        ([1.0, 2.0], "one finite number for each"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=message):
            known.point(wrong, "truth")


# What does not go


@pytest.mark.parametrize("export", [to_arviz, to_getdist])
def test_what_is_refused(export, monkeypatch):
    draws = np.zeros((10, 3))
    for samples, message in (
        (draws[:, :2], r"\(n, 3\)"),
        (np.zeros((2, 10, 4)), r"one posterior, \(n, 3\), or chains, \(chains, draws, 3\), given shape \(2, 10, 4\)"),
        (np.zeros((10, 2, 3)), r"10 chains of 2 draws: if the first axis is that of the draws, give samples.swapaxes"),
        (dict.fromkeys(NAMES[:2], draws[:, 0]), "no column of samples named 'log T'"),
        (dict.fromkeys([*NAMES, "weight"], draws[:, 0]), "the column weight holds weights, and draws count the same here"),
        (draws * np.nan, "30 values"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=message):
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

"""Priors: laws against SciPy's, maps to normal numbers, priors of a user's own, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy import units as u
from scipy import integrate, stats
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtri

from zoo.data.dataset import HasPrior
from zoo.data.sbi import JointPrior, LogNormal, LogUniform, Normal, Prior, Scipy, Uniform, as_prior
from zoo.data.sbi.priors.rows_prior import RowsPrior, prior_of_rows
from zoo.data.sbi.priors.scale_entries import mapped, measured_entry
from zoo.errors import InputError, UnknownNameError
from zoo.families.flows.scales import Maps

FROZEN = {
    "uniform": stats.uniform(2459000.0, 10.0),
    "loguniform": stats.loguniform(1e-18, 1e-8),
    "normal": stats.norm(3.52474859, 3.8e-7),
    "cut": stats.truncnorm(-1.5, 4.0, loc=1.0, scale=2.0),
    "half": stats.truncnorm(0.0, np.inf),
    "lognormal": stats.lognorm(2.0, scale=1e-20),
    "shifted": stats.lognorm(0.5, loc=3.0),
    "gamma": stats.gamma(2.0, scale=3.0),
    "beta": stats.beta(0.4, 2.5, loc=-1.0, scale=4.0),
    "falling": stats.expon(scale=1e6),
    "heavy": stats.t(3.0, loc=-4.0),
    "skewed": stats.gumbel_l(5.0, 0.1),
    "below": stats.weibull_max(1.7, loc=2.0),
}
PRIOR = Prior(FROZEN, units={"uniform": "d", "gamma": "1/s"})


def test_frozen_laws_have_scipys_density_and_draws():
    theta = PRIOR.sample(4000, np.random.default_rng(0))
    logs = [law.logpdf(column) for law, column in zip(FROZEN.values(), theta.T, strict=True)]
    np.testing.assert_allclose(PRIOR.log_density(theta), np.sum(logs, axis=0), rtol=1e-12)
    for law, column in zip(FROZEN.values(), theta.T, strict=True):
        assert stats.kstest(column, law.cdf).pvalue > 1e-3
    few = PRIOR.sample(5, np.random.default_rng(0))
    np.testing.assert_array_equal(few, theta[:5])
    np.testing.assert_allclose(PRIOR.standard_deviation(), [law.std() for law in FROZEN.values()], rtol=1e-9)
    for (low, high), law in zip(PRIOR.ends, FROZEN.values(), strict=True):
        np.testing.assert_allclose((low, high), law.support(), rtol=1e-12)


def test_frozen_laws_are_plain_data_and_ours_where_we_have_them():
    plain = json.loads(json.dumps(PRIOR.plain()))
    assert Prior(plain).plain() == PRIOR.plain()
    assert (PRIOR.units["uniform"], PRIOR.units["gamma"], PRIOR.units["beta"]) == ("d", "1/s", "1")
    kinds = {
        "uniform": Uniform,
        "loguniform": LogUniform,
        "normal": Normal,
        "cut": Normal,
        "half": Normal,
        "lognormal": LogNormal,
    }
    assert {name: type(law) for name, law in PRIOR.laws.items()} == {name: kinds.get(name, Scipy) for name in FROZEN}
    assert PRIOR.support[:4] == [[2459000, 2459010], [1e-18, 1e-8], None, [-2, 9]]
    assert PRIOR.support[4] is None


@pytest.mark.parametrize("ends", [(None, None), (0.5, None), (None, 4.0), (0.5, 4.0), (20.0, None)])
def test_lognormal_that_is_cut(ends):
    low, high = ends
    law = LogNormal(median=2.0, sigma=0.6, low=low, high=high)
    start, end = low or 0.0, high or np.inf
    uncut = stats.lognorm(0.6, scale=2.0)
    share = uncut.cdf(end) - uncut.cdf(start)
    x = np.linspace(start + 0.01, min(end, 60.0) - 0.01, 20)
    np.testing.assert_allclose(law.law.logpdf(x), uncut.logpdf(x) - np.log(share), rtol=1e-9)
    assert np.isneginf(law.law.logpdf(np.array([start - 0.1, min(end, 1e300) * 1.01]))[: 2 if high else 1]).all()
    np.testing.assert_allclose(law.law.cdf(x), (uncut.cdf(x) - uncut.cdf(start)) / share, rtol=1e-9)
    first, second = (uncut.expect(lambda x, k=k: x**k, lb=start, ub=end) / share for k in (1, 2))
    assert law.law.var() == pytest.approx(second - first**2, rel=1e-5)
    drawn = Prior({"a": law}).sample(2000, np.random.default_rng(1))[:, 0]
    assert stats.kstest(drawn, lambda x: (uncut.cdf(x) - uncut.cdf(start)) / share).pvalue > 1e-3
    assert law.scale["map"] == {(None, None): "log", (0.5, 4.0): "log-probit"}.get(ends, "table")


def test_maps_of_laws():
    maps = {name: law.scale for name, law in PRIOR.laws.items()}
    assert maps["uniform"] == {"map": "probit", "low": 2459000.0, "high": 2459010.0}
    assert maps["loguniform"] == {"map": "log-probit", "low": 1e-18, "high": 1e-8}
    assert maps["normal"] == {"map": "linear", "origin": 3.52474859, "width": 3.8e-7}
    assert maps["lognormal"] == {"map": "log", "low": 0.0, "width": 1e-20}
    assert maps["cut"] == {"map": "probit", "low": -2.0, "high": 9.0}
    for name in ("half", "shifted", "gamma", "beta", "falling", "heavy", "skewed", "below"):
        law, entry = FROZEN[name], maps[name]
        assert entry["map"] == "table"
        low, high = law.support()
        assert {key: entry[key] for key in ("low", "high") if key in entry} == {
            key: end for key, end in (("low", low), ("high", high)) if np.isfinite(end)
        }
        values, normal = np.array(entry["values"]), np.array(entry["normal"])
        assert (np.diff(values) > 0).all()
        assert (np.diff(normal) > 0).all()
        assert low < values[0] < values[-1] < high
        assert len(values) > 100
        drawn = law.ppf(np.random.default_rng(0).random(2000))
        drawn = drawn[(drawn > values[0]) & (drawn < values[-1])]
        np.testing.assert_allclose(PchipInterpolator(values, normal)(drawn), ndtri(law.cdf(drawn)), atol=0.03)
    json.dumps(maps, allow_nan=False)


def test_maps_of_laws_with_little_room():
    """A narrow normal in wide cuts keeps its digits; a law that piles up at its ends is mapped by them."""
    narrow = Normal(mean=1.0, sd=1e-6, low=0.0, high=10.0).scale
    assert narrow["map"] == "table"
    assert np.interp(1.0, narrow["values"], narrow["normal"]) == pytest.approx(0.0, abs=1e-6)
    assert Prior({"a": stats.beta(0.01, 0.01)}).scales == [{"map": "probit", "low": 0.0, "high": 1.0}]
    with pytest.raises(InputError, match="with a density"):
        _ = Prior({"a": stats.gamma(1e-9)}).scales


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (stats.poisson(3.0), "one posterior for each of its values"),
        (stats.gamma, "frozen"),
        (stats.gamma([1.0, 2.0]), "one number as each argument"),
        (stats.rv_histogram(np.histogram([1.0, 2.0, 3.0])), "scipy.stats has by name"),
        ({"distribution": "scipy", "name": "os.system"}, "no continuous distribution 'os.system'"),
        ({"distribution": "scipy", "name": "poisson", "args": [3.0]}, "no continuous distribution"),
        ({"distribution": "scipy", "name": "gama", "args": [3.0]}, "gamma"),
        ({"distribution": "scipy", "name": "gamma"}, "missing"),
        ({"distribution": "scipy", "name": "gamma", "args": [-1.0]}, "does not take"),
        ({"distribution": "scipy", "name": "gamma", "args": ["__import__('os')"]}, "number"),
        ({"distribution": "lognormal", "median": -1.0, "sigma": 1.0}, "greater than 0"),
        ({"distribution": "lognormal", "median": 1.0, "sigma": 1.0, "low": 2.0, "high": 1.0}, "low < high"),
        (3.0, "frozen distribution"),
    ],
)
def test_laws_that_are_refused(law, message):
    with pytest.raises(InputError, match=message):
        Prior({"a": law})


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"low": 0, "high": 1}, "expected 'distribution', one of uniform, loguniform, normal, lognormal, scipy, given {'low'"),
        ({"distribution": "unifrom", "low": 0}, "no distribution named 'unifrom'; did you mean uniform"),
        ({"distribution": "uniform", "low": 0}, "expected low, high of a uniform law, and if need be unit, given low"),
        (
            {"distribution": "normal", "mean": 0, "sd": 1, "sigma": 1},
            "expected mean, sd of a normal law, and if need be unit, low, high, given mean, sd, sigma",
        ),
        ({"distribution": "uniform", "low": "a", "high": 1}, "low: expected a valid number.*, given 'a'"),
        ({"distribution": "uniform", "low": 3, "high": 1}, "prior: rate: expected low < high, given low 3 and high 1"),
    ],
)
def test_a_law_that_is_written_wrongly_is_refused_in_its_own_words(law, message):
    with pytest.raises(InputError, match=message):
        as_prior({"rate": law})


# Joint and user-written priors

CORRELATED = stats.multivariate_normal([1.0, -2.0], [[1.0, 0.9], [0.9, 2.0]])


@pytest.mark.parametrize(
    "frozen",
    [CORRELATED, stats.multivariate_t([1.0, 2.0, 3.0], np.diag([1.0, 4.0, 9.0]), df=5), stats.multivariate_normal([0.0])],
)
def test_multivariate_of_scipy(frozen):
    prior = as_prior(frozen, units={"theta_1": "m"})
    theta = prior.sample(500, np.random.default_rng(3))
    np.testing.assert_array_equal(theta, prior.sample(500, np.random.default_rng(3)))
    np.testing.assert_allclose(prior.log_density(theta), np.atleast_1d(frozen.logpdf(theta)), rtol=1e-12)
    assert prior.sample(1, np.random.default_rng(0)).shape == (1, theta.shape[1])
    assert prior.names == [f"theta_{i + 1}" for i in range(theta.shape[1])]
    assert prior.plain()["theta_1"] == {"distribution": "rows", "unit": "m"}
    np.testing.assert_allclose(prior.standard_deviation(), theta.std(axis=0), rtol=0.15)
    assert {entry["map"] for entry in prior.scales} <= {"linear", "asinh"}


class Funnel:
    """A log width between ends, and a positive amplitude whose scatter it sets; draws from NumPy's global state."""

    def sample(self, n):
        width = np.random.uniform(-2.0, 1.0, n)  # noqa: NPY002
        return np.stack([width, np.exp(np.exp(width) * np.random.normal(size=n))], axis=1)  # noqa: NPY002

    def log_prob(self, theta):
        return -np.log(3.0) + stats.lognorm(np.exp(theta[:, 0])).logpdf(theta[:, 1])


def test_prior_that_a_user_has_written():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    prior = as_prior(Funnel(), ["width", "amplitude"], {"amplitude": "mV"}, {"width": (-2, 1), "amplitude": (0, None)})
    theta = prior.sample(300, np.random.default_rng(0))
    np.testing.assert_array_equal(theta, prior.sample(300, np.random.default_rng(0)))
    assert not np.array_equal(theta, prior.sample(300, np.random.default_rng(1)))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert np.isneginf(prior.log_density(np.array([[1.5, 1.0], [0.0, -1.0]]))).all()
    assert [entry["map"] for entry in prior.scales] == ["probit", "log"]
    assert prior.support == [[-2, 1], None]
    assert prior.plain() == {
        "width": {"distribution": "rows", "unit": "1", "low": -2.0, "high": 1.0},
        "amplitude": {"distribution": "rows", "unit": "mV", "low": 0.0},
    }


def normals(n, rng):
    return rng.normal(size=(n, 2))


def test_log_density_may_take_one_row_alone():
    prior = as_prior((normals, lambda theta: -0.5 * theta @ theta - np.log(2 * np.pi)), ["a", "b"])
    theta = normals(7, np.random.default_rng(0))
    np.testing.assert_allclose(prior.log_density(theta), stats.norm.logpdf(theta).sum(axis=1))


def test_density_that_is_not_that_of_the_draws_is_said():
    with pytest.warns(UserWarning, match=r"[67]\.\d times too high"):  # 2 pi
        as_prior((normals, lambda theta: -0.5 * np.square(theta).sum(axis=1)))
    with pytest.warns(UserWarning, match="factors that scatter"):  # of the logarithm, in place of the value
        as_prior(
            (lambda n, rng: np.exp(5 * rng.normal(size=(n, 2))), lambda x: stats.norm(0, 5).logpdf(np.log(x)).sum(axis=1)),
            bounds={"theta_1": (0, None), "theta_2": (0, None)},
        )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (stats.dirichlet([1.0, 2.0, 3.0]), "sum to one"),
        (stats.multinomial(3, [0.5, 0.5]), "one posterior for each of its values"),
        (stats.wishart(3, np.eye(2)), "multivariate_normal or multivariate_t"),
        (stats.multivariate_normal([0.0, 0.0], np.ones((2, 2)), allow_singular=True), "singular"),
        ((lambda n, rng: np.random.default_rng().normal(size=(n, 2)), lambda t: t.sum(axis=1)), "draws of one seed differ"),
        ((lambda n, rng: rng.normal(size=(2, n)), lambda t: t.sum(axis=1)), "expected 4 draws|expected 6 draws"),
        ((lambda n, rng: np.repeat(rng.normal(size=(n, 1)), 2, axis=1), lambda t: t.sum(axis=1)), "follow from others"),
        ((normals, lambda t: np.where((t > 0).all(axis=1), 0.0, -np.inf)), "own 2000 draws"),
        ((normals, lambda t: "broken"), "log density of"),
        (object(), "sample"),
        (CORRELATED.rvs(3), "a law|frozen distribution"),
    ],
)
def test_priors_that_are_refused(value, message):
    with pytest.raises(InputError, match=message):
        as_prior(value)


def test_names_units_and_bounds_belong_to_the_prior():
    assert as_prior([stats.norm(0, 1), stats.uniform(0, 1)], names=["a", "b"]).names == ["a", "b"]
    assert as_prior(stats.norm(0, 1)).names == ["theta_1"]
    with pytest.raises(UnknownNameError, match="amplitude"):
        as_prior({"amplitude": stats.norm(0, 1)}, units={"amplitud": "m"})
    with pytest.raises(UnknownNameError, match="bounds"):
        as_prior(CORRELATED, ["a", "b"], bounds={"c": (0, 1)})
    with pytest.raises(InputError, match="give the bounds"):
        as_prior(CORRELATED, ["a", "b"], bounds={"a": (0, 1)})
    with pytest.raises(InputError, match="where it is made"):
        as_prior(PRIOR, units={"gamma": "s"})


@pytest.mark.parametrize("name", ["", "two words", "a{b}", "a,b", "tab\t", 'quo"te', 3, None])
def test_names_that_would_end_elsewhere_are_refused(name):
    for make in (
        lambda: as_prior({name: stats.norm(0, 1)}),
        lambda: as_prior([stats.norm(0, 1), stats.norm(0, 1)], names=["a", name]),
        lambda: as_prior(CORRELATED, ["a", name]),
    ):
        with pytest.raises(InputError, match=r"expected names of one word.*given"):
            make()


def test_names_are_there_once():
    """A mapping would keep the last law of a name, and the prior would have one parameter less."""
    for value in ([stats.norm(0, 1), stats.norm(5, 1)], CORRELATED):
        with pytest.raises(InputError, match="given 'a' twice"):
            as_prior(value, names=["a", "a"])
    assert as_prior(CORRELATED, ["Ω_m", "log10(M/Msun)"]).names == ["Ω_m", "log10(M/Msun)"]


@pytest.mark.parametrize("unit", ["lightyears per banana", "1/banana", "kg m^^2", "h", "hr", u.hour, u.km / u.hour])
def test_units_that_are_none_are_refused(unit):
    law = {"a": stats.norm(0, 1)}
    for make in (lambda: as_prior(law, units={"a": unit}), lambda: as_prior(CORRELATED, ["a", "b"], {"b": unit})):
        with pytest.raises(InputError, match=r"prior: [ab]: expected a unit"):
            make()
    if isinstance(unit, str):
        with pytest.raises(InputError, match="prior: a: expected a unit"):
            Prior({"a": Normal(mean=0, sd=1, unit=unit)})


def test_units_are_written_as_a_spec_has_them():
    said = {"a": u.km / u.s, "b": "", "c": "log10(Msun/h)", "d": "R200m", "e": "km/s/Mpc", "f": u.one, "g": "muK^2"}
    prior = as_prior({name: stats.norm(0, 1) for name in said}, units=said)
    assert list(prior.units.values()) == ["km / s", "1", "log10(Msun/h)", "R200m", "km/s/Mpc", "1", "muK^2"]


@pytest.mark.parametrize(
    ("draws", "ends", "expected"),
    [
        (lambda rng: rng.normal(5, 2, 2000), (-np.inf, np.inf), "linear"),
        (lambda rng: rng.standard_cauchy(2000), (-np.inf, np.inf), "asinh"),
        (lambda rng: rng.uniform(2, 3, 2000), (2.0, 3.0), "probit"),
        (lambda rng: 10 ** rng.uniform(-9, 3, 2000), (1e-9, 1e3), "log-probit"),
        (lambda rng: rng.exponential(size=2000), (0.0, np.inf), "log"),
        (lambda rng: 7 - rng.exponential(size=2000), (-np.inf, 7.0), "log"),
    ],
)
def test_map_that_is_measured_on_draws(draws, ends, expected):
    values = draws(np.random.default_rng(0))
    entry = measured_entry(values, ends)
    assert entry["map"] == expected
    x = np.sort(values)[10:-10:50]
    u, log_slope = mapped(entry, x)
    assert (np.diff(u) > 0).all()
    step = 1e-6 * np.minimum(np.abs(x), 1.0)
    slope = (mapped(entry, x + step)[0] - mapped(entry, x - step)[0]) / (2 * step)
    np.testing.assert_allclose(log_slope, np.log(slope), atol=1e-4)
    for ours, flows in zip((u, log_slope), Maps([entry]).to_base(x[:, None]), strict=True):
        np.testing.assert_allclose(ours, np.asarray(flows)[:, 0], rtol=1e-9, atol=1e-9)


# Priors of the rows of a file


def test_prior_of_rows_knows_its_rows():
    joint = as_prior(CORRELATED, ["a", "b"], {"a": "m"})
    theta = joint.sample(50, np.random.default_rng(0))
    known = prior_of_rows(json.loads(json.dumps(joint.plain())), theta, joint.log_density(theta))
    assert isinstance(known, RowsPrior)
    assert isinstance(type("Data", (), {"prior": known})(), HasPrior)
    np.testing.assert_array_equal(known.log_density(theta[7:20]), CORRELATED.logpdf(theta[7:20]))
    np.testing.assert_allclose(known.standard_deviation(), theta.std(axis=0))
    assert known.plain() == joint.plain()
    with pytest.raises(InputError, match="asked for elsewhere"):
        known.log_density(theta + 1)
    with pytest.raises(InputError, match="one number for each of 50 rows"):
        prior_of_rows(joint.plain(), theta, np.zeros(3))
    with pytest.raises(InputError, match="distribution"):
        prior_of_rows({**joint.plain(), "b": {"distribution": "uniform", "low": 0, "high": 1}}, theta, None)


def test_density_of_a_joint_prior_integrates_to_one():
    joint = as_prior(Funnel(), ["width", "amplitude"], bounds={"width": (-2, 1), "amplitude": (0, None)})
    grid = np.linspace(-12, 12, 4001)
    theta = np.stack([np.full(4001, 0.3), np.exp(grid)], axis=1)
    total = integrate.simpson(np.exp(joint.log_density(theta) + grid), x=grid)
    assert total == pytest.approx(1 / 3, rel=1e-6)
    assert isinstance(joint, JointPrior)


def test_flows_take_the_maps():
    """Draws go through a flow's own maps and come back; what is mapped by its distribution function is standard normal."""
    from keras import ops

    from zoo.families.flows.maps import double
    from zoo.families.flows.scales import Maps

    theta = PRIOR.sample(2000, np.random.default_rng(0))
    maps = Maps(PRIOR.scales)
    with double():
        u = ops.convert_to_numpy(maps.to_base(theta)[0])
        back = ops.convert_to_numpy(maps.from_base(u))
    np.testing.assert_allclose(back, theta, rtol=1e-9)
    for name, column, entry in zip(PRIOR.names, u.T, PRIOR.scales, strict=True):
        assert np.isfinite(column).all()
        if entry["map"] == "table":
            assert stats.kstest(column, "norm").pvalue > 1e-3, name
    odd = Prior({"piled": stats.beta(0.01, 0.01), "narrow": Normal(mean=1, sd=1e-6, low=0, high=10), "wide": stats.cauchy()})
    Maps(odd.scales)
    Maps(as_prior(Funnel(), bounds={"theta_1": (-2, 1), "theta_2": (0, None)}).scales)

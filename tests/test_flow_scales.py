"""Scales of flows: SciPy and derivatives in many digits as oracles, at decades and offsets that float32 does not hold."""

from __future__ import annotations

import json

import keras
import mpmath
import numpy as np
import onnx
import pytest
from scipy import special, stats
from tiny_flows import build

from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.export import to_onnx
from zoo.export.parity import check_parity, onnx_function
from zoo.families.flows.maps import MAPS
from zoo.families.flows.scales import ContextScales, Maps, Scales
from zoo.model.axes import fixed_axes
from zoo.model.registry import get_family
from zoo.model.spec import Data, ElementTolerance, Endpoint, ModelSpec, Tensor, Tolerance
from zoo.model.test_tensors import excess
from zoo.training.fit import HeldOut


def table(law, reach=5, **ends):
    normal = np.linspace(-reach, reach, 65)
    values = np.where(normal < 0, law.ppf(stats.norm.cdf(normal)), law.isf(stats.norm.sf(normal)))
    return {"map": "table", "values": values.tolist(), "normal": normal.tolist(), **ends}


ENTRIES = {
    "period": {"map": "linear", "origin": 3.52474859, "width": 3.8e-7},
    "time": {"map": "logit", "low": 2459000.0, "high": 2459010.0},
    "share": {"map": "logit", "low": -1e-18, "high": 0.0},
    "above": {"map": "log", "low": 0.0, "width": 1e-48},
    "late": {"map": "log", "low": 2459000.0, "width": 3.0},
    "below": {"map": "log", "high": 5e40, "width": 1e40},
    "amplitude": {"map": "log-logit", "low": 1e-48, "high": 1e-42},
    "wide": {"map": "log-logit", "low": 1e-200, "high": 1e200},
    "efficiency": {"map": "probit", "low": 0.1, "high": 0.5},
    "strain": {"map": "log-probit", "low": 1e-24, "high": 1e-20},
    "long-tailed": {"map": "asinh", "origin": 3e-18, "width": 1e-18},
    "wild": {"map": "asinh", "origin": 2459000.0, "width": 1e-3},
    "gamma": table(stats.gamma(0.3, scale=1e-18), low=0.0),
    "beta": table(stats.beta(2.0, 3.0, loc=2, scale=4), low=2.0, high=6.0),
    "student": table(stats.t(3, scale=1e40)),
}
EVERY = pytest.mark.parametrize("name", ENTRIES)


def probit(logit):
    return np.sqrt(np.pi / 8) * logit / (1 + (np.pi * logit / 16) ** 2) ** 0.25


def in_scipy(entry, x):
    """The map, written out anew; None for tables, which the law's own distribution function judges."""
    low, high = entry.get("low"), entry.get("high")
    match entry["map"]:
        case "linear":
            return (x - entry["origin"]) / entry["width"]
        case "asinh":
            return np.arcsinh((x - entry["origin"]) / entry["width"])
        case "logit":
            return special.logit((x - low) / (high - low))
        case "log-logit":
            return special.logit((np.log(x) - np.log(low)) / (np.log(high) - np.log(low)))
        case "probit":
            return probit(special.logit((x - low) / (high - low)))
        case "log-probit":
            return probit(special.logit((np.log(x) - np.log(low)) / (np.log(high) - np.log(low))))
        case "log":
            return np.log((x - low) / entry["width"]) if high is None else -np.log((high - x) / entry["width"])
    return None


def mapped(maps, x):
    return tuple(np.asarray(value)[:, 0] for value in maps.to_base(np.asarray(x, np.float64)[:, None]))


@EVERY
def test_round_trip_keeps_all_digits(name):
    maps = Maps([ENTRIES[name]])
    u = np.random.default_rng(0).normal(0, 1.7, 500).astype(np.float32)
    x = np.asarray(maps.from_base(u[:, None]))[:, 0]
    assert x.dtype == np.float64
    assert len(np.unique(x)) == len(np.unique(u))
    again, _ = mapped(maps, x)
    steps = np.spacing(np.abs(x)) * np.exp(mapped(maps, x)[1])  # what the last digit of x is worth inside
    assert np.all(np.abs(again - u) <= 64 * steps + 1e-11)


@pytest.mark.parametrize("name", [name for name in ENTRIES if ENTRIES[name]["map"] != "table"])
def test_map_is_the_one_that_it_is_called(name):
    maps = Maps([ENTRIES[name]])
    x = np.asarray(maps.from_base(np.linspace(-6, 6, 101)[:, None]))[:, 0]
    np.testing.assert_allclose(mapped(maps, x)[0], in_scipy(ENTRIES[name], x), rtol=1e-7, atol=1e-7)


def exact_probit(logit):
    return mpmath.sqrt(mpmath.pi / 8) * logit / (1 + (mpmath.pi * logit / 16) ** 2) ** mpmath.mpf("0.25")


EXACT = {
    "linear": lambda x, e: (x - e["origin"]) / e["width"],
    "asinh": lambda x, e: mpmath.asinh((x - e["origin"]) / e["width"]),
    "logit": lambda x, e: mpmath.log((x - e["low"]) / (e["high"] - x)),
    "log-logit": lambda x, e: mpmath.log(mpmath.log(x / e["low"]) / mpmath.log(e["high"] / x)),
    "probit": lambda x, e: exact_probit(EXACT["logit"](x, e)),
    "log-probit": lambda x, e: exact_probit(EXACT["log-logit"](x, e)),
    "log": lambda x, e: mpmath.log((x - e["low"]) / e["width"]) if "low" in e else -mpmath.log((e["high"] - x) / e["width"]),
}


@pytest.mark.parametrize("name", [name for name in ENTRIES if ENTRIES[name]["map"] != "table"])
def test_log_slope_is_that_of_the_derivative(name):
    entry = ENTRIES[name]
    maps = Maps([entry])
    x = np.asarray(maps.from_base(np.linspace(-6, 6, 13)[:, None]))[:, 0]
    with mpmath.workdps(500):  # differences of 1e-200 beside 1e200
        numbers = {key: mpmath.mpf(value) for key, value in entry.items() if key != "map"}
        derivative = [
            mpmath.log(
                mpmath.diff(lambda at: EXACT[entry["map"]](at, numbers), mpmath.mpf(at), h=abs(at) * mpmath.mpf(10) ** -80)
            )
            for at in x
        ]
    np.testing.assert_allclose(mapped(maps, x)[1], [float(value) for value in derivative], rtol=1e-9, atol=1e-8)


def test_probit_makes_a_uniform_nearly_normal():
    normal = np.linspace(-4, 4, 81)
    u, log_slope = mapped(Maps([{"map": "probit", "low": 0.0, "high": 1.0}]), stats.norm.cdf(normal))
    density = np.exp(stats.norm.logpdf(u) + log_slope)  # which a normal has on the share
    middle = np.abs(normal) < 2
    np.testing.assert_allclose(u[middle], normal[middle], atol=0.11)
    assert 0.87 < density[middle].min() < density.max() < 1.035
    assert density.min() > 0.25


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("gamma", stats.gamma(0.3, scale=1e-18)),
        ("beta", stats.beta(2.0, 3.0, loc=2, scale=4)),
        ("student", stats.t(3, scale=1e40)),
    ],
)
def test_table_makes_a_law_normal(name, law):
    maps = Maps([ENTRIES[name]])
    x = law.ppf(np.linspace(0.001, 0.999, 333))
    u, log_slope = mapped(maps, x)
    np.testing.assert_allclose(u, stats.norm.ppf(law.cdf(x)), atol=2e-3)
    np.testing.assert_allclose(stats.norm.logpdf(u) + log_slope, law.logpdf(x), atol=0.02)


@EVERY
def test_table_and_other_maps_rise_with_a_slope_that_is_theirs(name):
    """In steps of u, also far beyond the knots of a table."""
    maps = Maps([ENTRIES[name]])
    reach = 6 if "probit" in ENTRIES[name]["map"] else 9  # as a normal's tails come to a bound
    u = np.linspace(-reach, reach, 4001)
    x = np.asarray(maps.from_base(u[:, None]))[:, 0]
    assert np.all(np.diff(x) > 0)
    between = mapped(maps, np.asarray(maps.from_base((u[1:, None] + u[:-1, None]) / 2))[:, 0])[1]
    lost = 8 * np.spacing(np.abs(x[1:])) / np.diff(x)
    found = np.log(np.diff(x) / np.diff(u))
    clear = (lost < 1e-3) & (np.abs(np.gradient(between)) < 0.05)
    assert clear.mean() > 0.3
    np.testing.assert_allclose(found[clear], -between[clear], atol=3e-3)


@EVERY
def test_no_number_leaves_the_support_and_none_is_lost(name):
    maps = Maps([ENTRIES[name]])
    x = np.asarray(maps.from_base(np.array([-1e30, -800, -100, -40, 0, 40, 100, 800, 1e30], np.float32)[:, None]))[:, 0]
    assert np.isfinite(x).all()
    assert np.all((x > maps.low) & (x < maps.high))
    inside = np.array([end for end in (*maps.low, *maps.high) if np.isfinite(end)])
    for values in mapped(maps, np.concatenate([x, inside])):
        assert np.isfinite(values).all()


def test_columns_keep_their_places():
    names = [*reversed(ENTRIES), "time", "period"]
    maps = Maps([ENTRIES[name] for name in names])
    u = np.random.default_rng(0).normal(0, 1.5, (20, 3, len(names)))
    x = np.asarray(maps.from_base(u))
    again, log_slope = map(np.asarray, maps.to_base(x))
    for i, name in enumerate(names):
        alone, slope_alone = map(np.asarray, Maps([ENTRIES[name]]).to_base(x[..., i : i + 1]))
        np.testing.assert_array_equal(again[..., i], alone[..., 0])
        np.testing.assert_array_equal(log_slope[..., i], slope_alone[..., 0])
    found = maps.tolerance(1e-3)
    assert found["absolute"][names.index("time")] == 0.0025
    assert found["relative"][names.index("amplitude")] == pytest.approx(1e-3 * np.log(1e6) / 4, rel=0.01)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"map": "boxcox"}, "linear, logit, log, log-logit, probit, log-probit, asinh, table"),
        ("linear", '"map"'),
        ({"map": "linear", "origin": 1.0}, "takes origin, width, given origin"),
        ({"map": "linear", "origin": "x", "width": 1.0}, "one finite number as origin"),
        ({"map": "linear", "origin": 0.0, "width": 0.0}, "width from 1e-290"),
        ({"map": "linear", "origin": 2459000.0, "width": 1e-9}, "holds 2 numbers of double precision: count from an origin"),
        ({"map": "logit", "low": 1.0, "high": 1.0}, "low < high"),
        ({"map": "logit", "low": 0.0, "high": float("inf")}, "one finite number as high"),
        ({"map": "log-logit", "low": 0.0, "high": 1.0}, "positive low"),
        ({"map": "log", "low": 0.0, "high": 1.0, "width": 1.0}, "takes low, width or high, width"),
        ({"map": "table", "values": [1.0, 2.0], "normal": [0.0, 1.0]}, "three or more"),
        ({"map": "table", "values": [1.0, 1.0, 2.0], "normal": [-1.0, 0.0, 1.0]}, "increase"),
        (table(stats.beta(0.5, 3.0, loc=2, scale=4), low=2.0, high=6.0), "tells apart, and from low and high"),
        ({"map": "table", "values": [0.0, 1.0, 2.0], "normal": [-1.0, 0.0, 1.0], "low": 0.0}, "between low and high"),
    ],
)
def test_scale_that_is_refused(entry, message):
    with pytest.raises(ValueError, match=f"^scale 1: .*{message}"):
        Maps([ENTRIES["time"], entry])


# In a flow


CASE = ("period", "amplitude", "beta", "time")
ONE_EACH = ("wild", "period", "late", "amplitude", "below", "gamma", "time", "efficiency", "strain")


def scaled(kind="maf", names=CASE, **changes):
    """A flow over some scales, given others, with random weights; variables and context (64, D)."""
    entries = [ENTRIES[name] for name in names]
    rng = np.random.default_rng(5)
    x, c = (np.asarray(Maps(entries).from_base(rng.normal(0, 1.2, (64, len(names))))) for _ in range(2))
    own = {"bins": 4} if kind == "nsf" else {}
    config = {"transforms": 2, "hidden": [8, 8], "scales": entries, "context_scales": entries} | own | changes
    flow = get_family(kind)(dimensions=len(names), context=len(names), **config)
    flow.adapt({"x": x, "c": c}, None)
    for weight in flow.trainable_weights:
        weight.assign(rng.normal(0, 0.4 / np.sqrt(weight.shape[0] if len(weight.shape) == 2 else 1), weight.shape))
    return flow, x, c


@pytest.fixture(scope="module")
def flow():
    return scaled()


def test_density_is_that_of_the_flow_inside_times_the_slopes(flow):
    flow, x, c = flow
    u, log_slope = map(np.asarray, flow.support.maps.to_base(x))
    plain = type(flow)(dimensions=4, context=4, transforms=2, hidden=[8, 8])
    for mine, theirs in zip(plain.weights, flow.weights, strict=True):
        mine.assign(theirs)
    inside = np.asarray(flow.observed.maps.to_base(c)[0], np.float32)
    expected = np.asarray(plain.log_prob(u.astype(np.float32), inside)) + log_slope.sum(axis=1)
    assert expected.max() > 100  # at 1e-44 and 1e-7
    found = flow.log_density(x, c)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.dtype == np.float32
    for again in (flow.log_prob(x, c), flow((x, c))):  # Keras would cast what a model is called with
        np.testing.assert_allclose(np.asarray(again), found, atol=1e-4)
    small = type(flow)(dimensions=4, context=4, transforms=1, hidden=[8], scales=flow.config["scales"])
    small.adapt({"x": x, "c": c.astype(np.float32)}, None)
    np.testing.assert_allclose(np.asarray(small((x, c))), small.log_density(x, c), atol=1e-4)  # a context without scales


def test_draws_have_the_resolution_of_double_precision(flow):
    flow, _, c = flow
    drawn = flow.draw(3000, c[0])
    assert drawn.dtype == np.float64
    assert all(len(np.unique(column)) > 2990 for column in drawn.T)
    assert np.median(np.diff(np.sort(drawn[:, 3]))) < 0.01  # days, of ten; in single precision steps are a quarter
    assert np.all((drawn > flow.support.maps.low) & (drawn < flow.support.maps.high))
    assert np.isfinite(flow.log_density(drawn, c[0])).all()
    assert flow.draw(2, c).shape == (64, 2, 4)


def test_density_outside_is_zero_and_on_an_end_is_not(flow):
    flow, x, c = flow
    outside = np.repeat(x[:1], 5, axis=0)
    outside[0, 1], outside[1, 1], outside[2, 2], outside[3, 3], outside[4, 3] = 9.9e-49, 1.1e-42, 6.1, 2458999.999, 2459010.001
    assert np.all(np.isneginf(flow.log_density(outside, c[0])))
    at_ends = np.repeat(x[:1], 2, axis=0)
    at_ends[0, 1:], at_ends[1, 1:] = (1e-48, 2.0, 2459000.0), (1e-42, 6.0, 2459010.0)
    assert np.isfinite(flow.log_density(at_ends, c[0])).all()


def test_it_is_built_again_from_its_config(flow):
    flow, x, c = flow
    again = type(flow).from_config(json.loads(json.dumps(flow.get_config())))
    again.set_weights(flow.get_weights())
    np.testing.assert_array_equal(again.log_density(x, c), flow.log_density(x, c))


def test_flows_without_scales_have_the_config_that_they_had():
    assert not build("maf", "boxed")[0].config.keys() & {"scales", "context_scales"}


def test_what_a_flow_refuses():
    entries = [ENTRIES["time"], ENTRIES["period"]]
    with pytest.raises(ValueError, match="no support"):
        get_family("maf")(dimensions=2, scales=entries, support=[None, None])
    with pytest.raises(ValueError, match="scales of 3 variables"):
        get_family("maf")(dimensions=3, scales=entries)
    with pytest.raises(ValueError, match="context of width 1"):
        get_family("maf")(dimensions=3, context=1, context_scales=entries)
    rows = np.asarray(Maps(entries).from_base(np.random.default_rng(0).normal(size=(50, 2))))
    scales = Scales(entries)
    with pytest.raises(InputError, match="float32, which has lost digits"):
        scales.adapt(rows.astype(np.float32))
    with pytest.raises(InputError, match="float32, which has lost digits"):
        ContextScales(entries).adapt(rows.astype(np.float32))
    with pytest.raises(InputError, match=r"variable 0 must be within \[2459000, 2459010\]: 1 of 50 training rows"):
        scales.adapt(np.where(np.arange(100).reshape(50, 2) == 4, 2459010.5, rows))
    with pytest.raises(InputError, match=r"variable 1 is 3\.5 in every training row"):
        scales.adapt(np.stack([rows[:, 0], np.full(50, 3.5)], axis=1))
    with pytest.raises(InputError, match=r"variable 0: .* 1e\+07 from zero .* cannot tell apart"):
        Scales([{"map": "linear", "origin": -1e7, "width": 1.0}]).adapt(rows[:, 1:] / 3.8e-7 - rows[0, 1] / 3.8e-7)


def test_a_training_step_moves_the_loss(flow):
    flow, x, c = scaled(names=("period", "amplitude"))
    before = -flow.log_density(x, c).mean()
    flow.compile(optimizer=keras.optimizers.Adam(0.01), loss=flow.objective, jit_compile=False)
    flow.fit(HeldOut(Rows({"x": x, "c": c}, np.zeros((64, 1), np.float32), np.arange(64))), epochs=8, verbose=0)
    assert -flow.log_density(x, c).mean() < before - 0.1
    with pytest.raises(InputError, match="take float64, given float32, which has lost digits"):  # Keras rounds arrays
        flow.fit((x, c), np.zeros((64, 1), np.float32), verbose=0)


# Graphs


def with_spec(flow, names):
    width = len(names)

    def tensor(name, dtype, size=width, **more):
        return Tensor(name=name, axes=fixed_axes(name, [size] if size else []), dtype=dtype, unit="1", description=name, **more)

    theta, x, z = tensor("theta", "float64"), tensor("x", "float64"), tensor("z", "float32")
    drawn = theta.model_copy(update={"tolerance": ElementTolerance(**flow.support.maps.tolerance(1e-4))})
    flow.spec = ModelSpec(
        name="tiny-flow",
        family="maf",
        config=flow.config,
        task="test",
        summary="a tiny flow",
        endpoints={
            "log_prob": Endpoint(description="density", inputs=[theta, x], outputs=[tensor("log_prob", "float32", 0)]),
            "sample": Endpoint(description="draw", inputs=[z, x], outputs=[drawn]),
        },
        data=Data(source="none", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        tolerance=Tolerance(absolute=1e-3, relative=1e-5),
        physzoo_version="0.1.0",
    )
    return flow


def check_graphs(flow, x, c, opset):
    rows = {
        "log_prob": {"theta": x, "x": c},
        "sample": {"z": np.random.default_rng(1).standard_normal(x.shape, dtype=np.float32), "x": c},
    }
    for endpoint, inputs in rows.items():
        graph = to_onnx(flow, flow.spec, endpoint, opset)
        onnx.checker.check_model(graph, full_check=True)
        check_parity(flow, flow.spec, endpoint, onnx_function(graph.SerializeToString()), inputs)
        if opset == 13:
            again = to_onnx(flow, flow.spec, endpoint, opset)
            assert again.SerializeToString(deterministic=True) == graph.SerializeToString(deterministic=True)


@pytest.mark.parametrize("opset", [11, pytest.param(13, marks=pytest.mark.slow), pytest.param(18, marks=pytest.mark.slow)])
def test_graph_answers_as_keras(opset):
    """Every map, at its decade: parity is judged on the scale of each variable."""
    flow, x, c = scaled(names=ONE_EACH, transforms=1, hidden=[9])
    check_graphs(with_spec(flow, ONE_EACH), x, c, opset)


def test_every_map_is_tested():
    assert {ENTRIES[name]["map"] for name in ONE_EACH} == set(MAPS)


# Tolerances of single elements


def test_tolerance_of_each_element():
    tolerance = ElementTolerance(absolute=[0.0025, 0.0], relative=[0.0, 1e-3])
    expected = np.array([[2459001.0, 1e-45]])
    assert np.all(excess(expected + np.array([0.002, 5e-49]), expected, tolerance) <= 0)
    beyond = excess(expected + np.array([0.01, 5e-48]), expected, tolerance)
    assert np.all(beyond > 0)
    assert tolerance.at([1]) == (0.0, 1e-3)
    with pytest.raises(ValueError, match="2 tolerances for a last axis"):
        Tensor(name="a", axes=fixed_axes("a", [3]), unit="1", description="a", tolerance=tolerance)

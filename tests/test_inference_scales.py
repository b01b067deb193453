"""Posteriors of parameters at any decade and offset: exact posteriors as oracles, and every runtime in double precision."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tritonclient.http as triton
from live_server import running
from scipy import stats
from tiny_flows import without_xla

from zoo.data.sbi.dataset import SimulationsFile
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.simulating.simulations import check_simulations
from zoo.data.sbi.x_scales import chosen_scales, described
from zoo.errors import InputError
from zoo.serving import Session
from zoo.serving.server import Server
from zoo.workflows.npe import train_npe

TINY = {
    "config.transforms": 2,
    "config.hidden": [32],
    "epochs": 30,
    "optimizer.learning_rate": 5e-3,
    "optimizer.weight_decay": 0.1,
    "batch_size": 64,
    "test_rows": 4,
}
PRIOR = {
    "t0": {"distribution": "uniform", "low": 2459000, "high": 2459010, "unit": "d"},
    "amplitude": {"distribution": "loguniform", "low": 1e-48, "high": 1e-42},
    "period": {"distribution": "normal", "mean": 3.52474859, "sd": 3.8e-7, "unit": "d"},
}
NOISE = np.array([0.5, 0.3, 2e-7])
"""Deviation of what is seen of each: a time, the logarithm of an amplitude, a period."""


def seen(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    exact = np.stack([theta[:, 0], np.log10(theta[:, 1]), theta[:, 2]], axis=1)
    return exact + NOISE * rng.normal(size=exact.shape)


def trained_on(folder, simulator, prior, simulations, **changes):
    import zoo.training.evaluations.posterior as module

    with without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 99)
        patch.setattr(module, "SAMPLES", 200)
        patch.setattr(module, "OBSERVATIONS", 1)
        options = {"test": 100, "jobs": 1, "vectorized": True, "changes": TINY | changes}
        return train_npe(simulator, prior, simulations, folder=folder, **options)


@pytest.fixture(scope="module")
def transit(tmp_path_factory):
    """A model of three parameters, no two of one size, hardly trained: what is asked here are digits."""
    folder = tmp_path_factory.mktemp("npe") / "transit"
    short = {"config.transforms": 1, "config.hidden": [16], "epochs": 8}
    return folder, trained_on(folder, seen, PRIOR, 1000, **short)


OBSERVED = np.array([2459004.0, -45.0, 3.5247485])


def test_every_tensor_of_a_parameter_or_an_observation_is_double(transit):
    _, flow = transit
    dtypes = {t.name: t.dtype for endpoint in flow.spec.endpoints.values() for t in endpoint.tensors}
    assert dtypes == {"theta": "float64", "x": "float64", "z": "float32", "log_prob": "float32"}
    assert flow.spec.config["scales"] == Prior(PRIOR).scales
    (theta,) = flow.spec.endpoint("sample").outputs
    assert theta.tolerance.absolute == [0.00399, 0.0, 3.8e-10]
    assert "seen linearly" in flow.spec.endpoint("sample").inputs[1].description


def test_draws_have_full_resolution_in_keras_and_onnx(transit):
    folder, flow = transit
    drawn = flow.draw(2000, OBSERVED)
    x = np.repeat(OBSERVED[None], 2000, axis=0)
    z = np.random.default_rng(0).standard_normal((2000, 3), dtype=np.float32)
    session = Session(folder)
    served = session.run({"z": z, "x": x}, "sample")["theta"]
    scale = np.array([10.0, 1e-45, 3.8e-7])
    for theta in (drawn, served):
        assert theta.dtype == np.float64
        assert all(len(np.unique(column)) > 1980 for column in theta.T)
        steps = np.array([np.diff(np.sort(column))[900:1100].mean() for column in theta.T]) / scale
        assert np.all(steps < 0.02)
        assert np.isfinite(Prior(PRIOR).log_density(theta)).all()
    np.testing.assert_allclose(served[:, 0], drawn[:, 0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(served[:, 1], drawn[:, 1], rtol=1e-3)
    np.testing.assert_allclose(served[:, 2], drawn[:, 2], rtol=0, atol=1e-11)
    density = session.run({"theta": drawn, "x": x}, "log_prob")["log_prob"]
    np.testing.assert_allclose(density, flow.log_density(drawn, OBSERVED), atol=1e-3)
    assert density.max() > 100  # per day, per 1e-45 and per 1e-7


def test_posterior_follows_what_is_seen(transit):
    _, flow = transit
    early, late = (flow.draw(1000, OBSERVED + shift) for shift in (np.zeros(3), np.array([3.0, 2.0, 4e-7])))
    moved = np.median(late, axis=0) - np.median(early, axis=0)
    assert moved[0] > 1
    assert np.median(np.log10(late[:, 1])) - np.median(np.log10(early[:, 1])) > 1
    assert moved[2] > 5e-8


@pytest.mark.parametrize("binary", [True, False])
def test_server_answers_in_double_precision(transit, binary):
    folder, _ = transit
    inputs = {"z": np.array([[0.3, -0.2, 1.1]], np.float32), "x": OBSERVED[None]}
    expected = Session(folder).run(inputs, "sample")["theta"]
    with running(Server([folder])) as address, triton.InferenceServerClient(address) as client:
        metadata = client.get_model_metadata("transit.sample")
        assert [tensor["datatype"] for tensor in metadata["inputs"]] == ["FP32", "FP64"]
        given = []
        for name, array in inputs.items():
            given.append(triton.InferInput(name, [1, 3], "FP32" if name == "z" else "FP64"))
            given[-1].set_data_from_numpy(array, binary_data=binary)
        outputs = [triton.InferRequestedOutput("theta", binary_data=binary)]
        theta = client.infer("transit.sample", given, outputs=outputs).as_numpy("theta")
    np.testing.assert_array_equal(theta, expected)


# Exact posteriors


def quantiles(values):
    return np.quantile(values, [0.16, 0.5, 0.84])


def expect_near(found, exact, within):
    """Median and half-width of the middle 68% beside the exact ones, in units of the exact half-width."""
    found, exact = quantiles(found), quantiles(exact)
    width = (exact[2] - exact[0]) / 2
    assert abs(found[1] - exact[1]) < within * width, (found, exact)
    assert (found[2] - found[0]) / 2 == pytest.approx(width, rel=within), (found, exact)


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(-18, -8), (-48, -42)])
def test_amplitude_over_decades(tmp_path, low, high):
    """Flat in log10 s, seen with 0.1 noise: the posterior is N(x, 0.1) in log10 s, cut at the ends."""

    def simulator(theta, rng):
        return np.log10(theta) + 0.1 * rng.normal(size=theta.shape)

    prior = {"s": {"distribution": "loguniform", "low": 10.0**low, "high": 10.0**high}}
    flow = trained_on(tmp_path / "amplitude", simulator, prior, 4000)
    for x in np.arange(low + 1, high, 2.0):
        exact = stats.norm(x, 0.1).rvs(20_000, random_state=0)
        expect_near(np.log10(flow.draw(4000, [x])[:, 0]), exact[(exact > low) & (exact < high)], within=0.35)


@pytest.mark.slow
def test_rate_over_decades_from_counts(tmp_path):
    """A rate flat in its logarithm has a Gamma posterior, of shape the sum of the counts and of rate their number, cut."""

    def simulator(theta, rng):
        return rng.poisson(np.repeat(theta, 3, axis=1)).astype(float)

    prior = {"rate": {"distribution": "loguniform", "low": 1.0, "high": 1e5}}
    flow = trained_on(tmp_path / "counts", simulator, prior, 6000)
    assert {scale["map"] for scale in flow.spec.config["context_scales"]} == {"asinh"}
    for counts in ([3, 2, 4], [30, 28, 33], [900, 880, 910]):
        exact = stats.gamma(sum(counts), scale=1 / 3).rvs(20_000, random_state=0)
        expect_near(np.log(flow.draw(4000, counts)[:, 0]), np.log(exact[(exact > 1) & (exact < 1e5)]), within=0.6)


@pytest.mark.slow
def test_time_and_period_far_from_zero(tmp_path):
    flow = trained_on(tmp_path / "transit", seen, PRIOR, 6000)
    drawn = flow.draw(6000, OBSERVED)
    expect_near(drawn[:, 0] - 2459004, stats.norm(0, 0.5).rvs(20_000, random_state=0), within=0.25)
    width = (3.8e-7**-2 + 2e-7**-2) ** -0.5  # of the product of two normals
    mean = (OBSERVED[2] - 3.52474859) * (width / 2e-7) ** 2
    expect_near(drawn[:, 2] - 3.52474859, stats.norm(mean, width).rvs(20_000, random_state=0), within=0.25)


# Scales of x

RNG = np.random.default_rng(0)
RATE = 10 ** RNG.uniform(0, 5, 4000)
COLUMNS = {
    "normal": (RNG.normal(5, 2, 4000), "linear"),
    "flat": (RNG.uniform(0, 1, 4000), "linear"),
    "two modes": (RNG.choice([-1, 1], 4000) + 0.05 * RNG.normal(size=4000), "linear"),
    "rare": ((RNG.random(4000) < 0.02) * 1.0, "linear"),
    "few counts": (RNG.poisson(3, 4000) * 1.0, "linear"),
    "late": (RNG.normal(2459004, 1e-4, 4000), "linear"),
    "counts": (RNG.poisson(RATE) * 1.0, "asinh"),
    "many zeros": (RNG.poisson(RATE) * (RNG.random(4000) < 0.5), "asinh"),
    "heavy tails": (4 + 1e-3 * RNG.standard_cauchy(4000), "asinh"),
    "both signs": (10 ** RNG.uniform(-5, 5, 4000) * RNG.choice([-1, 1], 4000), "asinh"),
    "outliers": (np.where(RNG.random(4000) < 0.002, 1e30, RNG.normal(size=4000)), "asinh"),
    "late outliers": (np.where(RNG.random(4000) < 0.002, -1e30, RNG.normal(2459004, 1, 4000)), "asinh"),
    "small": (10 ** RNG.uniform(-48, -42, 4000), "asinh"),
    "huge": (10 ** RNG.uniform(200, 280, 4000), "asinh"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_scale_of_a_column(name):
    """Standardized on its scale, the middle of a column is neither a point nor lost beside its tails."""
    column, kind = COLUMNS[name]
    (scale,) = chosen_scales(column[:, None])
    assert scale["map"] == kind
    u = (column - scale["origin"]) / scale["width"]
    u = np.arcsinh(u) if kind == "asinh" else u
    low, high = np.quantile((u - u.mean()) / u.std(), [0.16, 0.84])
    assert high - low > 0.8 or name == "rare"
    assert json.loads(json.dumps(scale)) == scale


def test_scales_follow_features_along_the_last_axis():
    x = np.stack([RNG.normal(size=(500, 4)), 10 ** RNG.uniform(0, 8, (500, 4))], axis=2)
    scales = chosen_scales(x)
    assert [scale["map"] for scale in scales] == ["linear", "asinh"]
    assert described(scales).startswith("seen through asinh((x - origin) / width): 1 (around ")
    assert "flux (around" in described(scales, ["time", "flux"])
    assert described(scales[:1]) == "seen linearly"


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (2459004 + 1e-9 * RNG.integers(0, 2, 100), "column 1 of x is 2459004 but for rounding"),
        (np.where(np.arange(100) == 3, 1e300, 1.0), r"column 1 of x reaches 1e\+300"),
    ],
)
def test_column_that_double_precision_does_not_hold(column, message):
    with pytest.raises(InputError, match=message):
        chosen_scales(np.stack([RNG.normal(size=100), column], axis=1))


# Rows


def test_small_change_of_a_large_number_is_one_in_double_precision(tmp_path):
    rng = np.random.default_rng(0)
    theta, x = rng.uniform(0, 1, (60, 1)), 2459004 + 1e-3 * rng.normal(size=(60, 1))
    check_simulations(theta, x, ["a"])
    with pytest.raises(InputError, match="the same value in all 60 simulations: column 0 of x"):
        check_simulations(theta, np.full((60, 1), 0.3) + np.arange(60)[:, None] % 2 * 1e-16, ["a"])
    np.savez(tmp_path / "rows.npz", theta=theta, x=x)
    prior = {"a": {"distribution": "uniform", "low": 0, "high": 1}}
    rows = SimulationsFile("rows.npz", prior, test=10, dtype="float64", folder=tmp_path).rows("train")
    np.testing.assert_array_equal(rows.inputs["x"], x[:45])
    assert rows.inputs["theta"].dtype == np.float64
    with pytest.raises(InputError, match="column 0 of x"):  # a flow without scales sees one number
        SimulationsFile("rows.npz", prior, test=10, folder=tmp_path)
    np.savez(tmp_path / "rows.npz", theta=theta, x=np.where(np.arange(60)[:, None] == 7, 1e200, x))
    with pytest.raises(InputError, match="NaN or infinity"):
        SimulationsFile("rows.npz", prior, test=10, folder=tmp_path)

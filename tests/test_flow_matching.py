"""Flow matching: an adaptive integrator with a network written anew, exact velocities, and posteriors that are known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from scipy.integrate import solve_ivp
from scipy.stats import norm
from tiny_flows import build, without_xla

from zoo.data.dataset import Rows
from zoo.families.flows.continuous import Continuous
from zoo.families.flows.flow_matching import FlowMatching
from zoo.families.flows.velocity import FASTEST, WAVES
from zoo.testing import check_family


def sigmoid_times(x):
    return x / (1 + np.exp(-x))


def velocity(flow: FlowMatching, u, time: float, features):
    """The network written out anew, for complex numbers too."""
    net = flow.transforms[0].velocity
    entry, time_kernel, time_bias, *others = [np.asarray(w, np.float64) for w in net.weights]
    context_kernel, others = others[0], others[1:]
    blocks = (len(others) - 2) // 2
    inward, outward, (head, head_bias) = others[:blocks], others[blocks:-2], others[-2:]
    waves = np.pi * np.arange(1, WAVES + 1) * time
    told = np.concatenate([np.sin(waves), np.cos(waves)]) @ time_kernel + time_bias
    widths = [entry.shape[1], *(kernel.shape[1] for kernel in inward)]
    shifts = np.split(told[: sum(widths)] + features @ context_kernel, np.cumsum(widths)[:-1], axis=-1)
    gains = np.split(1 + told[sum(widths) :], np.cumsum(widths[1:])[:-1])
    stream = u @ entry + shifts[0]
    for i in range(blocks):
        inner = (sigmoid_times(stream) @ inward[i]) * gains[i] + shifts[i + 1]
        stream = stream + sigmoid_times(inner) @ outward[i]
    return FASTEST * np.tanh((sigmoid_times(stream) @ head + head_bias) / FASTEST)


def test_density_is_that_of_an_adaptive_integrator():
    """SciPy's rule of eighth order, the divergence by complex steps: no step, tangent or weight has its place from ours."""
    flow, x, c = build("flow-matching", "conditional", steps=24)
    x, c = x[:3], c[:3]
    features = np.asarray(flow.condition(c), np.float64)
    start, log_scale = (np.asarray(part, np.float64) for part in flow.support.to_base(x))
    rows, dimensions = start.shape

    def rate(time, state):
        u = state[: rows * dimensions].reshape(rows, dimensions)
        speed = np.pi / 2 * 3 * (1 - time) ** 2
        divergence = np.zeros(rows)
        for i in range(dimensions):
            nudged = u + 1e-30j * np.eye(dimensions)[i]
            divergence += velocity(flow, nudged, time, features)[:, i].imag / 1e-30
        return speed * np.concatenate([velocity(flow, u, time, features).ravel(), divergence])

    ends = np.concatenate([start.ravel(), np.zeros(rows)])
    found = solve_ivp(rate, (1, 0), ends, method="DOP853", rtol=1e-7, atol=1e-7).y[:, -1]
    u, log_det = (np.asarray(part) for part in flow.to_base(x, c))
    assert np.ptp(found[rows * dimensions :]) > 0.3
    np.testing.assert_allclose(u, found[: rows * dimensions].reshape(rows, dimensions), atol=1e-4)
    np.testing.assert_allclose(log_det, found[rows * dimensions :] + log_scale, atol=1e-4)


class ExactVelocity:
    """The velocity that makes a normal of a mean and deviation, far from those of the standardized variables."""

    def __init__(self, mean: float, deviation: float) -> None:
        self.mean, self.deviation = mean, deviation

    def at(self, times):
        return ops.convert_to_tensor(np.pi / 2 * (1 - (1 - times) ** 3))

    def given(self, c):
        return None

    def __call__(self, x, at, given):
        return self.with_divergence(x, at, given)[0]

    def with_divergence(self, x, at, given):
        sine, cosine = ops.sin(at), ops.cos(at)
        variance = (self.deviation * sine) ** 2 + cosine**2
        slope = sine * cosine * (self.deviation**2 - 1) / variance
        return slope * (x - self.mean * sine) + self.mean * cosine, slope[0] + 0 * x[:, 0]


@pytest.mark.parametrize("deviation", [0.1, 0.01, 0.001])
def test_integration_resolves_a_density_a_thousandth_as_wide_as_its_prior(deviation):
    """Steps of one length in time would miss its logarithm by 1.9."""
    path = Continuous(1, 0, [4], 24)
    path.velocity = ExactVelocity(0.8, deviation)
    z = np.linspace(-3, 3, 61, dtype=np.float32)[:, None]
    x = 0.8 + deviation * z
    u, log_det = path.to_base(x)
    np.testing.assert_allclose(np.asarray(u), z, rtol=0.02, atol=1e-3)
    np.testing.assert_allclose(np.asarray(log_det), -np.log(deviation), atol=0.05)
    np.testing.assert_allclose(np.asarray(path.from_base(z)), x, atol=0.05 * deviation)


def test_untrained_it_is_the_standardized_normal():
    x = np.random.default_rng(0).normal([1.0, -4.0], [2.0, 0.5], (50, 2)).astype(np.float32)
    flow = FlowMatching(dimensions=2, hidden=[4], steps=2)
    flow.adapt({"x": x}, None)
    np.testing.assert_allclose(flow.log_density(x), norm(x.mean(axis=0), x.std(axis=0)).logpdf(x).sum(axis=1), atol=1e-4)
    z = np.random.default_rng(1).standard_normal((50, 2), dtype=np.float32)
    np.testing.assert_allclose(np.asarray(flow.sample(z)), x.mean(axis=0) + x.std(axis=0) * z, atol=1e-5)


def test_round_trip_over_six_sigma():
    flow, x, c = build("flow-matching", "plane", spread=0.5)
    z = np.random.default_rng(2).uniform(-6, 6, x.shape).astype(np.float32)
    assert np.abs(np.asarray(flow.to_base(flow.sample(z, c), c)[0]) - z).max() < 1e-4


def test_no_sample_leaves_the_support_nor_overflows():
    flow, x, c = build("flow-matching", "bounded", spread=2.0)
    sample = np.asarray(flow.sample(np.random.default_rng(0).uniform(-12, 12, x.shape).astype(np.float32), c))
    assert np.isfinite(sample).all()
    assert np.all((sample[:, 0] >= -1) & (sample[:, 0] <= 2) & (sample[:, 2] >= 0) & (sample[:, 2] <= 5))
    assert np.isfinite(np.asarray(flow.log_prob(sample, 1e6 * c))).all()
    assert np.isneginf(np.asarray(flow.log_prob(sample + np.float32([4, 0, 0, 0]), c))).all()


def rows(n: int = 64) -> Rows:
    rng = np.random.default_rng(0)
    c = rng.normal(size=(n, 2)).astype(np.float32)
    theta = (np.tanh(c[:, :1] + 0.2 * rng.normal(size=(n, 2))) * 0.9).astype(np.float32)
    return Rows({"theta": theta, "x": c}, np.zeros((n, 1), np.float32), np.arange(n))


CONFIG = {"dimensions": 2, "context": 2, "hidden": [6, 5], "steps": 3, "embedding": [4], "support": [[-1.0, 1.0], None]}


@pytest.mark.slow  # its graph of a density is in test_flows_export
def test_family_passes_the_kit():
    check_family(FlowMatching, CONFIG, rows())


def test_loss_of_held_out_rows_is_the_same_each_time_and_that_of_training_is_not():
    flow = FlowMatching(**CONFIG)
    given = tuple(rows().inputs.values())
    flow.adapt(rows().inputs, None)
    first, second = (np.asarray(flow(given)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    drawn = [np.asarray(flow(given, training=True)) for _ in range(30)]
    assert not np.array_equal(*drawn[:2])
    # At the start a velocity is zero, and its square is that of paths: unit variance, whatever the time.
    assert first.mean() == pytest.approx(1, abs=0.15)
    assert np.mean(drawn) == pytest.approx(1, abs=0.1)


def test_settings_are_refused():
    with pytest.raises(ValueError, match="at least one step"):
        FlowMatching(dimensions=2, steps=0)
    with pytest.raises(TypeError, match="transforms"):
        FlowMatching(dimensions=2, transforms=3)


@pytest.fixture(scope="module")
def normal():
    """Trained on x = 2 c + noise of deviations 1 and 0.5, correlated."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    root = np.array([[1.0, 0.0], [0.4, 0.3]])
    c = rng.normal(size=(4096, 1)).astype(np.float32)
    x = (np.concatenate([2 * c, -c], axis=1) + rng.normal(size=(4096, 2)) @ root.T).astype(np.float32)
    flow = FlowMatching(dimensions=2, context=1, hidden=[32, 32], steps=12)
    flow.adapt({"x": x, "c": c}, None)
    with without_xla():
        flow.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 640)), loss=flow.objective)
        flow.fit((x, c), np.zeros((len(x), 1)), batch_size=128, epochs=20, verbose=0)
    return flow, x, c, root


@pytest.mark.slow  # the page of simulators trains one
def test_training_finds_a_correlated_conditional_normal(normal):
    flow, x, c, root = normal
    entropy = 1 + np.log(2 * np.pi) + np.log(np.linalg.det(root))
    assert -flow.log_density(x, c).mean() == pytest.approx(entropy, abs=0.05)
    drawn = flow.draw(10_000, np.array([1.0]), seed=1)
    np.testing.assert_allclose(drawn.mean(axis=0), [2.0, -1.0], atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), root @ root.T, atol=0.1)


def test_density_is_that_of_the_draws_and_integrates_to_one(normal):
    flow, *_ = normal
    drawn = flow.draw(10_000, np.array([1.0]), seed=2)
    axes = [np.linspace(drawn[:, i].min() - 1, drawn[:, i].max() + 1, 81) for i in (0, 1)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    share = np.exp(flow.log_density(grid, np.array([1.0]))).astype(float) * cell
    assert share.sum() == pytest.approx(1, abs=0.01)
    for i in (0, 1):
        assert drawn[:, i].mean() == pytest.approx(share @ grid[:, i], abs=0.03)
        assert drawn[:, i].std() == pytest.approx(np.sqrt(share @ (grid[:, i] - share @ grid[:, i]) ** 2), abs=0.03)
    c = np.ones((500, 1), np.float32)
    z = np.random.default_rng(3).standard_normal((500, 2), dtype=np.float32)
    np.testing.assert_allclose(np.asarray(flow.to_base(flow.sample(z, c), c)[0]), z, atol=2e-3)

"""Typicality against Gaussians whose typical set is known, and a real flow whose samples are typical by construction."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import kolmogorov
from scipy.stats import chi2, kstest

from zoo.errors import InputError
from zoo.interpret import typicality_calibration, typicality_test
from zoo.model.registry import get_family

D = 100


class Normal:
    """A flow of x ~ N(0, scale^2): u = x / scale."""

    context = 0

    def __init__(self, dimensions=D, scale=2.0):
        self.dimensions, self.scale = dimensions, scale

    def to_base(self, x):
        return x / self.scale, ops.zeros_like(x[:, 0]) - self.dimensions * float(np.log(self.scale))

    def draw(self, n, seed):
        return (self.scale * np.random.default_rng(seed).normal(size=(n, self.dimensions))).astype(np.float32)


def likelihood_test(reference: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The p-value of the bare likelihood: how many reference rows are as unlikely."""
    return (reference[None, :] <= given[:, None]).mean(axis=1)


def test_the_mode_is_most_likely_and_atypical():
    flow = Normal()
    reference, held_out = flow.draw(2000, 0), flow.draw(2000, 1)
    mode = np.zeros((1, D), np.float32)
    likelihood = typicality_test(flow, reference, held_out).log_likelihood
    found = typicality_test(flow, reference, mode)
    assert found.log_likelihood[0] > likelihood.max() + 20  # no sample comes near
    assert likelihood_test(likelihood, found.log_likelihood)[0] == 1  # bare likelihood: as typical as can be
    assert found.p_value[0] == pytest.approx(1 / 1001)


def test_both_sides_of_the_shell_are_flagged_and_bare_likelihood_misses_one():
    flow = Normal()
    reference = flow.draw(2000, 0)
    held_out = typicality_test(flow, reference, flow.draw(2000, 1)).log_likelihood
    for factor, missed in ((0.7, True), (1.4, False)):
        found = typicality_test(flow, reference, factor * flow.draw(500, 2))
        assert (found.p_value < 0.01).mean() > 0.9
        assert ((likelihood_test(held_out, found.log_likelihood) < 0.01).mean() < 0.01) == missed


def test_p_value_is_the_two_sided_tail_of_the_chi2():
    """With constant volume only the norm counts: the analytic p-value of the Wilson-Hilferty variable."""
    flow = Normal()
    x = np.concatenate([factor * flow.draw(200, 3) for factor in (0.9, 1.0, 1.1)])
    found = typicality_test(flow, flow.draw(20_000, 0), x)
    norm = np.cbrt(np.square(x / flow.scale).sum(axis=1) / D)
    mean = np.mean(np.cbrt(chi2(D).rvs(400_000, random_state=0) / D))
    tails = [chi2(D).cdf(D * (mean - np.abs(norm - mean)) ** 3), chi2(D).sf(D * (mean + np.abs(norm - mean)) ** 3)]
    np.testing.assert_allclose(found.p_value, np.sum(tails, axis=0), atol=0.03)


def uniformity(found) -> float:
    """The p-value of a two-sample Kolmogorov-Smirnov test: rows on the one hand, the reference that ranks them on the other."""
    effective = 1 / (1 / len(found.p_value) + 1 / found.ranked)
    return kolmogorov(np.sqrt(effective) * kstest(found.p_value, "uniform").statistic)


def test_p_values_are_exactly_uniform_over_references():
    """400 references of 60 rows and one row each: 31 ranks, each as frequent."""
    flow, rng = Normal(3), np.random.default_rng(4)
    drawn = [flow.draw(61, seed) for seed in range(400)]
    p_value = np.concatenate([typicality_test(flow, rows[:60], rows[60:]).p_value for rows in drawn])
    np.testing.assert_allclose(p_value * 31, np.round(p_value * 31), atol=1e-9)
    assert kstest(p_value - rng.random(400) / 31, "uniform").pvalue > 0.01


@pytest.fixture(scope="module")
def flow():
    """A spline flow with weights away from the identity: its own samples are the right distribution."""
    keras.utils.set_random_seed(1)
    model = get_family("nsf")(dimensions=6, transforms=3, hidden=[16])
    rng = np.random.default_rng(0)
    model.adapt({"x": rng.normal(size=(500, 6)) * 3}, np.zeros((500, 1)))
    model.set_weights(
        [
            w + 0.1 * rng.normal(size=w.shape) if variable.trainable else w
            for w, variable in zip(model.get_weights(), model.weights, strict=True)
        ]
    )
    return model


def test_p_values_of_the_right_distribution_are_uniform(flow):
    drawn = flow.draw(6000, seed=5)
    found = typicality_test(flow, drawn[:3000], drawn[3000:])
    assert uniformity(found) > 0.01
    calibration = typicality_calibration(found.p_value, found.ranked)
    inside = (calibration.low <= calibration.levels) & (calibration.levels <= calibration.high)
    assert inside.mean() > 0.85
    np.testing.assert_allclose(found.log_likelihood, flow.log_density(drawn[3000:]), rtol=1e-3, atol=1e-3)


def test_p_values_are_uniform_whatever_the_flow(flow):
    """Calibration is on held-out rows: rows from elsewhere are uniform where the reference is from there too."""
    rng = np.random.default_rng(8)
    x = rng.exponential(size=(4000, 6))
    assert uniformity(typicality_test(flow, x[:2000], x[2000:])) > 0.01


def test_other_data_are_flagged(flow):
    drawn = flow.draw(3000, seed=5)
    scale = drawn.std(axis=0)
    assert (typicality_test(flow, drawn[:2000], drawn[2000:] + 4 * scale).p_value < 0.05).mean() > 0.9
    few = typicality_test(flow, drawn[:2000], drawn.mean(axis=0) + 0.05 * (drawn[2000:] - drawn.mean(axis=0)))
    assert few.p_value.mean() < 0.35  # six dimensions: the middle of the shell is rare, not impossible


def test_rows_outside_the_support_are_infinitely_far():
    flow = get_family("realnvp")(dimensions=2, transforms=1, hidden=[4], support=[[-1, 1], [-1, 1]])
    reference = np.random.default_rng(0).uniform(-1, 1, size=(200, 2))
    flow.adapt({"x": reference}, np.zeros((200, 1)))
    found = typicality_test(flow, reference, np.array([[0.0, 2.0], [0.1, 0.2]]))
    assert found.score[0] == np.inf
    assert found.p_value[0] == pytest.approx(1 / 101)
    assert np.isfinite(found.score[1])
    with pytest.raises(InputError, match="outside the flow's support"):
        typicality_test(flow, reference + 5, reference)


def test_observations_of_a_conditional_flow_by_their_features():
    keras.utils.set_random_seed(2)
    flow = get_family("nsf")(dimensions=2, context=12, transforms=1, hidden=[8], embedding=[16, 8])
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 12)) @ rng.normal(size=(12, 12))
    flow.adapt({"theta": x[:, :2], "x": x}, np.zeros((4000, 1)))
    found = typicality_test(flow, x[:2000], x[2000:])
    assert found.log_likelihood is None
    assert uniformity(found) > 0.01
    assert (typicality_test(flow, x[:2000], x[2000:] + 6 * x.std(axis=0)).p_value < 0.05).mean() > 0.9
    wide = get_family("nsf")(dimensions=2, context=12, transforms=1, hidden=[8], embedding=[100])
    with pytest.raises(InputError, match="four rows for each"):
        typicality_test(wide, x[:90], x)


def test_calibration_counts():
    calibration = typicality_calibration(np.arange(1, 101) / 100, 1000, levels=np.array([0.1, 0.5, 1.0]))
    np.testing.assert_allclose(calibration.flagged, [0.1, 0.5, 1.0])
    assert (calibration.low < calibration.levels).all()


@pytest.mark.parametrize(
    ("reference", "x", "message"),
    [
        (np.zeros((59, D)), np.zeros((1, D)), "at least 60 rows, given 59"),
        (np.zeros((99, D + 1)), np.zeros((1, D)), "reference: expected rows of 100 values"),
        (np.zeros((99, D)), np.zeros(D), "x: expected rows of 100 values"),
        (np.zeros((99, D)), np.full((1, D), np.nan), "x: 1 of 1 rows are not finite"),
    ],
)
def test_bad_input_is_named(reference, x, message):
    with pytest.raises(InputError, match=message):
        typicality_test(Normal(), reference, x)


def test_bad_calibration_input_is_named():
    with pytest.raises(InputError, match="p_value"):
        typicality_calibration(np.array([0.5, np.nan]), 10)
    with pytest.raises(InputError, match="levels"):
        typicality_calibration(np.array([0.5]), 10, np.array([0.0]))

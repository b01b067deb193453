"""Information from nearest neighbors against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma

from zoo.errors import InputError
from zoo.interpret.latents.information import information_profile, mutual_information_matrix, neighbor_information
from zoo.interpret.latents.neighbors import ksg, ross


def bivariate(rho: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    return x, rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n)


def true_value(rho: float) -> float:
    return -0.5 * np.log(1 - rho**2)


def brute_force(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Algorithm 1 as it is written, by all pairs."""
    dx, dy = np.abs(x[:, None] - x), np.abs(y[:, None] - y)
    radius = np.sort(np.maximum(dx, dy), axis=1)[:, k]
    counts = [(d < radius[:, None]).sum(axis=1) - 1 for d in (dx, dy)]
    return digamma(k) + digamma(len(x)) - np.mean(digamma(counts[0] + 1) + digamma(counts[1] + 1))


@pytest.mark.parametrize("k", [1, 3, 8])
def test_ksg_by_all_pairs(k):
    x, y = bivariate(0.6, 300, 0)
    assert ksg([x[:, None], y[:, None]], k) == pytest.approx(brute_force(x, y, k), abs=1e-12)
    wide = [np.stack([x, x], axis=1), y[:, None]]  # the maximum norm does not see a column twice
    assert ksg(wide, k) == pytest.approx(brute_force(x, y, k), abs=1e-12)


def test_against_scikit_learn():
    """Whose jitter is 1e-10 of the spread, and whose clipping does not matter here."""
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    x, y = bivariate(0.6, 1000, 0)
    x, y = x / x.std(), y / y.std()
    assert ksg([x[:, None], y[:, None]], 3) == pytest.approx(mutual_info_regression(x[:, None], y, random_state=0)[0], abs=1e-3)
    labels = np.digitize(y, [-1, 0, 1])
    assert ross(x[:, None], labels, 3) == pytest.approx(mutual_info_classif(x[:, None], labels, random_state=0)[0], abs=1e-6)


def test_unbiased_over_a_hundred_draws():
    """At rho = 0.6 there are 0.223 nat; the mean of a hundred within its own error, and the errors as large as the scatter."""
    draws = [neighbor_information(*bivariate(0.6, 500, seed), seed=seed) for seed in range(100)]
    values, errors = np.array([draw.value for draw in draws]), np.array([draw.error for draw in draws])
    assert true_value(0.6) == pytest.approx(0.223, abs=5e-4)
    assert abs(values.mean() - true_value(0.6)) < 2.5 * values.std() / 10
    assert 0.75 < errors.mean() / values.std() < 1.35
    pulls = (values - true_value(0.6)) / errors
    assert 0.85 < np.mean(np.abs(pulls) < 2) <= 1


def test_unbiased_where_there_is_nothing():
    """Not clipped at zero."""
    values = [neighbor_information(*bivariate(0.0, 300, seed)).value for seed in range(60)]
    assert abs(np.mean(values)) < 2.5 * np.std(values) / np.sqrt(60)
    assert min(values) < 0


@pytest.mark.parametrize("rho", [0.3, 0.9, 0.99])
def test_larger_gaussian_samples(rho):
    found = neighbor_information(*bivariate(rho, 4000, 1))
    assert abs(found.value - true_value(rho)) < 3 * found.error + 0.005


def test_exactly_invariant_under_monotone_maps():
    x, y = bivariate(0.6, 500, 2)
    found = neighbor_information(x, y)
    assert neighbor_information(np.exp(2 * x), 1e4 * y**3) == found
    assert neighbor_information(1 / (1 + np.exp(-x)), np.arctan(y)) == found


def test_of_several_columns():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 2))
    y = x.sum(axis=1) + rng.standard_normal(4000)
    found = neighbor_information(x, y)
    assert found.value == pytest.approx(0.5 * np.log(3), abs=3 * found.error + 0.02)


def test_a_ring_is_found():
    """Radius 1 + 0.1 noise, angle uniform."""
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, (2, 4000))[0], 1 + 0.1 * rng.standard_normal(4000)
    found = neighbor_information(radius * np.cos(angle), radius * np.sin(angle))
    assert found.value == pytest.approx(ring(), rel=0.06)


def ring() -> float:
    """By quadrature of the density (1/2 pi r) N(r; 1, 0.1)."""
    edges = np.linspace(-1.6, 1.6, 801)
    x, y = np.meshgrid(edges, edges)
    r = np.maximum(np.hypot(x, y), 1e-9)
    density = np.exp(-0.5 * ((r - 1) / 0.1) ** 2) / (2 * np.pi * r)
    joint = density / density.sum()
    single = joint.sum(axis=0)
    return float(np.sum(joint * np.log((joint + 1e-300) / (np.outer(single, single) + 1e-300))))


# Tests of a discrete factor follow.


def test_a_factor_that_decides_everything():
    """Where intervals do not overlap, the information is the factor's entropy."""
    labels = np.random.default_rng(0).integers(4, size=2000)
    latent = labels + np.random.default_rng(1).uniform(0, 0.5, 2000)
    found = neighbor_information(latent, labels, classes=True)
    assert found.value == pytest.approx(np.log(4), abs=0.01)
    names = np.array(["cube", "sphere", "cylinder", "pill"])[labels]
    assert neighbor_information(-(latent**3), names, classes=True).value == pytest.approx(found.value, abs=0.01)


def test_a_discrete_factor_over_many_draws():
    """With x uniform on [0, 1) or [0.5, 1.5): half of the rows tell nothing, half tell the class: log(2) / 2."""
    draws = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = rng.integers(2, size=400)
        draws.append(neighbor_information(rng.uniform(size=400) + 0.5 * labels, labels, classes=True, seed=seed))
    values, errors = np.array([draw.value for draw in draws]), np.array([draw.error for draw in draws])
    assert values.mean() == pytest.approx(0.5 * np.log(2), abs=0.01)
    assert 0.6 < errors.mean() / values.std() < 1.6


def test_a_factor_that_decides_nothing():
    rng = np.random.default_rng(0)
    found = neighbor_information(rng.standard_normal((2000, 2)), rng.integers(15, size=2000), classes=True)
    assert abs(found.value) < 3 * found.error + 0.01


def test_a_class_of_one_row_is_left_out():
    x = np.random.default_rng(0).standard_normal((60, 1))
    labels = np.arange(60) % 2
    assert ross(np.append(x, [[9.0]], axis=0), np.append(labels, 2), 3) == ross(x, labels, 3)


# Tests of many pairs follow.


def test_matrix_by_neighbors_in_two_processes():
    x, y = bivariate(0.8, 600, 4)
    other = np.random.default_rng(9).standard_normal(600)
    one = mutual_information_matrix({"latent 0": x, "latent 1": other}, {"b": y}, estimator="neighbors")
    assert one["latent 0", "b"] == neighbor_information(x, y)
    assert mutual_information_matrix({"latent 0": x, "latent 1": other}, {"b": y}, estimator="neighbors", jobs=2) == one
    chosen = mutual_information_matrix({"z": x}, {"a": y, "b": other}, pairs=[("z", "b")], estimator="neighbors")
    assert list(chosen) == [("z", "b")]


def test_matrix_with_classes():
    labels = np.random.default_rng(0).integers(3, size=600)
    latents = {"z": labels + np.random.default_rng(1).uniform(0, 0.5, 600)}
    found = mutual_information_matrix(latents, {"shape": labels}, estimator="classes")
    assert found["z", "shape"].value == pytest.approx(np.log(3), abs=0.02)


@pytest.mark.parametrize("estimator", ["mixture", "neighbors"])
def test_profile(estimator):
    """A latent that sets the inner radii and one that sets the outer."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((500, 2))
    share = np.array([0.9, 0.5, 0.0])
    profile = latents[:, :1] * share + latents[:, 1:] * share[::-1] + 0.3 * rng.standard_normal((500, 3))
    values, errors = information_profile({"inner": latents[:, 0], "outer": latents[:, 1]}, profile, estimator=estimator)
    variance = share**2 + share[::-1] ** 2 + 0.09
    for i, own in enumerate((share, share[::-1])):
        np.testing.assert_allclose(values[i], -0.5 * np.log(1 - own**2 / variance), atol=0.12)
    assert errors.shape == (2, 3)
    assert (errors > 0).all()


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.arange(60.0), np.arange(50.0), {}, "same number of rows, given 60 and 50"),
        (np.arange(40.0), np.arange(40.0), {}, "45 rows for 3, given 40"),
        (np.arange(400.0), np.arange(400.0), {"rows": 40}, "45 rows for 3, given 40"),
        (np.arange(60.0), np.arange(60.0), {"neighbors": 0}, "at least 1"),
        (np.full(60, 2.0), np.arange(60.0), {}, "x: column 0 is constant"),
        (np.arange(60.0), np.arange(60) % 5, {}, "only 5 different values"),
        (np.append(np.arange(59.0), np.inf), np.arange(60.0), {}, "x: 1 values are NaN or infinite"),
        (np.append(np.arange(56.0), [3.0] * 4), np.append(np.arange(56.0), [3.0] * 4), {}, "repeat more than 3 times"),
        (np.append(np.arange(56.0), [3.0] * 4), np.ones(60), {"classes": True}, "at least two classes"),
        (np.append(np.arange(56.0), [4.0] * 4), np.arange(60) < 57, {"classes": True}, "class False has 3 rows"),
        (np.append(np.arange(56.0), [4.0] * 4), np.arange(60) % 4 // 2, {"classes": True}, None),
        (np.arange(60.0), np.zeros((60, 2)), {"classes": True}, r"labels of shape \(n,\)"),
    ],
)
def test_bad_input(x, y, options, message):
    if message is None:
        assert neighbor_information(x, y, **options).error > 0
        return
    with pytest.raises(InputError, match=message):
        neighbor_information(x, y, **options)


def test_bad_tables():
    x, y = bivariate(0.6, 100, 0)
    with pytest.raises(InputError, match="mixture, neighbors, classes, given 'binned'"):
        mutual_information_matrix({"x": x}, {"y": y}, estimator="binned")
    with pytest.raises(InputError, match=r"\(n, radii\), given \(100,\)"):
        information_profile({"x": x}, y)

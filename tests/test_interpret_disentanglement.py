"""Disentanglement scores of constructed latents whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.interpret.latents.disentanglement import beta_vae_score, dci, disentanglement_scores, factor_vae_score, mig, sap
from zoo.interpret.latents.factors import Grid, encoded, encoded_sample

SIZES = (4, 4, 4)
WORLD = Grid(SIZES, lambda factors: (factors - 1.5) / np.sqrt(1.25))  # shows factors of unit variance
UNEQUAL = Grid((2, 8), lambda factors: factors.astype(float))
ROTATION = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
FEW = {"train": 400, "test": 300}


class Continuous:
    """Three uniform factors of unit variance, seen as they are."""

    def draw(self, rows, rng):
        return rng.uniform(-np.sqrt(3), np.sqrt(3), (rows, 3))

    def observe(self, factors, rng):
        return factors


def noise(rows, columns, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((rows, columns))


def perfect(x):
    """Each factor in a latent of its own, reversed, permuted and rescaled, and a collapsed one."""
    return np.column_stack([-2 * x[:, 2], 0.5 * x[:, 0], 3 + x[:, 1], noise(len(x), 1, scale=0.01)])


def rotated(x):
    """Two factors turned by 45 degrees, the third alone."""
    return np.column_stack([x[:, :2] @ ROTATION, x[:, 2]])


def duplicated(x):
    return np.column_stack([x, x])


def dead(x):
    return noise(len(x), 3)


def collapsed(x):
    return np.full((len(x), 3), 1e-4) * noise(len(x), 3)


def entangled(x):
    """Reflected at the plane across the diagonal, so that every latent is a mixture of all factors: 1/3, -2/3, -2/3."""
    return x - 2 / 3 * x.sum(axis=1, keepdims=True)


@pytest.fixture
def rows():
    def of(encode, sampler=WORLD, number=1500):
        return encoded_sample(encode, sampler, number, seed=3)

    return of


# Tests of the score of the beta-VAE follow.


@pytest.mark.parametrize(
    ("encode", "low", "high"),
    [
        (perfect, 0.99, 1),
        (duplicated, 0.99, 1),
        (entangled, 0.95, 1),  # the held factor leaves one latent with more variance than the others: a line sees that
        (dead, 0.25, 0.42),
        (collapsed, 0.25, 0.42),
    ],
)
def test_beta_vae(encode, low, high):
    assert low <= beta_vae_score(encode, WORLD, **FEW, seed=0) <= high


def test_beta_vae_of_rotated_latents_depends_on_the_spreads():
    """Held factor 0 leaves the same |z1 - z2| in both rotated latents as held factor 1, unless one factor spreads further."""
    assert beta_vae_score(lambda x: x[:, :2] @ ROTATION, Grid((4, 4), WORLD.render), **FEW, seed=0) < 0.6
    assert beta_vae_score(lambda x: x @ ROTATION, UNEQUAL, **FEW, seed=0) > 0.95


# FactorVAE


@pytest.mark.parametrize(
    ("encode", "low", "high"),
    [
        (perfect, 1, 1),
        (duplicated, 1, 1),
        (rotated, 0.6, 0.74),  # 1/3 of the votes are sure, 2/3 are a coin's: 2/3 in all
        (entangled, 0.42, 0.58),  # two latents tie for the least variance, each of them for two factors
        (dead, 0.25, 0.42),
        (collapsed, 0, 0),
    ],
)
def test_factor_vae(encode, low, high):
    assert low <= factor_vae_score(encode, WORLD, **FEW, variance_rows=2000, seed=0) <= high


def test_factor_vae_leaves_collapsed_latents_out():
    """A constant latent has no variance to divide by, and one of rounding errors would vote at random."""

    def encode(x):
        return np.column_stack([x, np.zeros(len(x)), noise(len(x), 1, scale=1e-3)])

    assert factor_vae_score(encode, WORLD, **FEW, variance_rows=2000, seed=0) == 1


def test_continuous_factors_can_be_held():
    assert beta_vae_score(perfect, Continuous(), **FEW, seed=1) > 0.99
    assert factor_vae_score(perfect, Continuous(), **FEW, variance_rows=2000, seed=1) == 1


# MIG


@pytest.mark.parametrize(
    ("encode", "expected"),
    [(perfect, 1), (rotated, 1 / 3), (duplicated, 0), (dead, 0), (collapsed, 0)],
)
def test_mig(encode, expected, rows):
    assert mig(*rows(encode, number=6000)).score == pytest.approx(expected, abs=0.03)


def test_mig_of_entangled_latents(rows):
    """Factors are continuous: on a grid, multiples of 1/3 and 2/3 would give away whether a factor is odd."""
    assert mig(*rows(entangled, Continuous(), 6000)).score == pytest.approx(0, abs=0.02)


def test_mig_by_hand(rows):
    """One latent is the first factor, one its upper bit: log 4 - log 2 of log 4. Nobody knows the second factor."""
    _, factors = rows(lambda x: x, Grid((4, 3), lambda x: x), number=6000)
    found = mig(np.column_stack([factors[:, 0], factors[:, 0] // 2]), factors)
    np.testing.assert_allclose(found.matrix[:, 0], [np.log(4), np.log(2)], atol=2e-3)
    np.testing.assert_allclose(found.per_factor, [0.5, 0], atol=2e-3)


def test_mig_does_not_see_that_one_latent_holds_everything(rows):
    """Eight values in twenty bins tell three bits; DCI's disentanglement is what sees it."""
    _, bits = rows(lambda x: x, Grid((2, 2, 2), lambda x: x))
    latents = np.column_stack([bits @ [4, 2, 1], noise(len(bits), 2)])
    assert mig(latents, bits).score > 0.95
    found = dci(latents, bits, seed=0)
    assert found.disentanglement < 0.05
    assert found.completeness > 0.95
    assert found.informativeness > 0.99


def test_mig_of_a_continuous_factor():
    """The entropy is that of the factor's cells, which a latent equal to it fills alike."""
    factors = np.random.default_rng(0).uniform(size=(20_000, 2))
    latents = np.column_stack([factors, noise(20_000, 1)])
    found = mig(latents, factors)
    assert found.score == pytest.approx(1, abs=0.02)
    assert np.diag(found.matrix) == pytest.approx(np.log(20), abs=1e-3)


# SAP


@pytest.mark.parametrize(
    ("encode", "expected"), [(perfect, 1), (rotated, 1 / 3), (entangled, 0), (duplicated, 0), (dead, 0), (collapsed, 0)]
)
def test_sap_of_continuous_factors(encode, expected, rows):
    assert sap(*rows(encode, Continuous(), 4000), seed=0).score == pytest.approx(expected, abs=0.05)


def test_sap_of_classes(rows):
    """Two classes: the right latent is always right, any other half of the time. Four: a line names the outer two at most."""
    binary = Grid((2, 2, 2), lambda x: 2.0 * x - 1)
    assert sap(*rows(perfect, binary), seed=0).score == pytest.approx(0.5, abs=0.07)
    assert sap(*rows(duplicated, binary), seed=0).score == pytest.approx(0, abs=0.01)
    assert sap(*rows(dead, binary), seed=0).score < 0.07
    assert sap(*rows(perfect, WORLD), seed=0).score < 0.5


# DCI


@pytest.mark.parametrize(
    ("encode", "disentangled", "complete", "informed"),
    [
        pytest.param(perfect, (0.97, 1), (0.97, 1), (0.99, 1), marks=pytest.mark.slow),  # as of continuous factors
        (duplicated, (0.97, 1), (0.5, 0.8), (0.99, 1)),  # halves in two of six latents: 1 - log 2 / log 6 = 0.61
        (entangled, (0, 0.2), (0, 0.2), (0.5, 1)),
        (dead, (0, 0.1), (0, 0.1), (0.15, 0.35)),
    ],
)
def test_dci_of_classes(encode, disentangled, complete, informed, rows):
    found = dci(*rows(encode, number=900), seed=0)
    for value, (low, high) in zip(
        (found.disentanglement, found.completeness, found.informativeness), (disentangled, complete, informed), strict=True
    ):
        assert low <= value <= high
    assert found.importance.sum(axis=0) == pytest.approx(1)


@pytest.mark.parametrize("model", ["lasso", "trees"])
def test_dci_of_continuous_factors(model, rows):
    found = dci(*rows(perfect, Continuous()), model=model, seed=0)
    assert min(found.disentanglement, found.completeness, found.informativeness) > 0.95
    turned = dci(*rows(rotated, Continuous()), model=model, seed=0)
    # Two latents of two factors each and one of one: (1 + 2 (1 - log 2 / log 3)) / 3, importances alike.
    weight = turned.importance[2].sum() / turned.importance.sum()
    expected = weight + (1 - weight) * (1 - np.log(2) / np.log(3))
    assert turned.disentanglement == pytest.approx(expected, abs=0.05)
    assert turned.completeness == pytest.approx(expected, abs=0.05)


def test_dci_of_entangled_latents(rows):
    """Coefficients 1/3, 2/3, 2/3 whichever way."""
    found = dci(*rows(entangled, Continuous()), model="lasso", seed=0)
    expected = 1 + (0.2 * np.log(0.2) + 0.8 * np.log(0.4)) / np.log(3)
    assert (found.disentanglement, found.completeness) == pytest.approx((expected, expected), abs=0.01)
    assert found.informativeness > 0.99


def test_dci_where_nothing_matters(rows):
    found = dci(*rows(lambda x: np.ones((len(x), 2)), Continuous()), model="lasso", seed=0)
    assert (found.disentanglement, found.completeness) == (0, 0)
    assert found.informativeness == pytest.approx(0, abs=0.02)


# Tests of all scores follow.


def test_same_seed_same_numbers(rows):
    assert factor_vae_score(rotated, WORLD, **FEW, seed=5) == factor_vae_score(rotated, WORLD, **FEW, seed=5)
    assert factor_vae_score(rotated, WORLD, **FEW, seed=5) != factor_vae_score(rotated, WORLD, **FEW, seed=6)
    assert beta_vae_score(dead, WORLD, **FEW, seed=5) == beta_vae_score(dead, WORLD, **FEW, seed=5)
    latents, factors = rows(rotated, number=300)
    np.testing.assert_array_equal(dci(latents, factors, seed=1).importance, dci(latents, factors, seed=1).importance)


def test_a_grid_that_is_encoded_once():
    every = np.stack(np.meshgrid(*map(np.arange, SIZES), indexing="ij"), axis=-1).reshape(-1, 3)
    table = rotated(WORLD.render(every))
    looked_up = Grid(SIZES, lambda index: table[np.ravel_multi_index(index.T, SIZES)])
    factors = WORLD.draw(2500, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(encoded(lambda z: z, looked_up, factors, rng), encoded(rotated, WORLD, factors, rng))


@pytest.mark.slow
def test_all_scores_at_the_published_sizes():
    found = disentanglement_scores(perfect, WORLD, seed=0)
    assert set(found) == {
        "beta-VAE score",
        "FactorVAE score",
        "MIG",
        "SAP",
        "DCI disentanglement",
        "DCI completeness",
        "DCI informativeness",
    }
    assert min(value for name, value in found.items() if name != "SAP") > 0.97


@pytest.mark.parametrize(
    ("latents", "factors", "message"),
    [
        (np.zeros((5, 2)), np.zeros((4, 2), int), r"expected shape \(4, latents\), given \(5, 2\)"),
        (np.zeros(4), np.zeros((4, 2), int), r"given \(4,\)"),
        (np.full((4, 2), np.nan), np.zeros((4, 2), int), "8 values are NaN"),
        (np.zeros((4, 1)), np.zeros((4, 2), int), "at least two"),
        (noise(30, 2), np.stack([np.arange(30), np.ones(30)], axis=1), r"columns \[1\] are constant"),
        (noise(30, 2), np.full((30, 2), np.inf), "factors: expected finite"),
        (noise(30, 2), np.arange(30), r"given int64 \(30,\)"),
        (noise(30, 2), np.array([["a"]] * 30), "factors: expected numbers, given 'a'"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "constant"),
    ],
)
def test_bad_arrays(latents, factors, message):
    for score in (mig, lambda z, y: sap(z, y, seed=0), lambda z, y: dci(z, y, seed=0)):
        with pytest.raises(InputError, match=message):
            score(latents, factors)


def test_bad_options(rows):
    latents, factors = rows(perfect, number=60)
    with pytest.raises(InputError, match="bins"):
        mig(latents, factors, bins=1)
    with pytest.raises(InputError, match="'trees' or 'lasso'"):
        dci(latents, factors, model="forest", seed=0)
    with pytest.raises(InputError, match="at least two"):
        dci(latents, factors[:, :1], seed=0)
    for score in (sap, dci):
        with pytest.raises(InputError, match="12 rows are too few"):
            score(latents[:12], factors[:12], seed=0)
    with pytest.raises(InputError, match="at least 2 rows"):
        factor_vae_score(perfect, WORLD, rows=1, seed=0)
    for score in (beta_vae_score, factor_vae_score):
        with pytest.raises(InputError, match="at least two factors"):
            score(lambda x: x, Grid((4,), lambda x: x), seed=0)
        with pytest.raises(InputError, match=r"factors \(3\), given 2"):
            score(perfect, WORLD, train=2, test=5, seed=0)
        with pytest.raises(InputError, match="NaN"):
            score(lambda x: x + np.nan, WORLD, seed=0)

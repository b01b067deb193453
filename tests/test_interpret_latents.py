"""Latents against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from zoo.errors import InputError, UnknownNameError
from zoo.interpret.latents.information import mutual_information
from zoo.interpret.latents.traversal import active_latents, kl_per_latent, linear_r2, sample, traverse
from zoo.model.axes import fixed_axes
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor


def test_kl_by_hand_and_by_monte_carlo():
    mean = np.array([[0.0, 1.0, -2.0], [0.0, -1.0, 0.5]])
    log_variance = np.array([[0.0, 0.0, np.log(0.25)], [0.0, 0.0, np.log(0.04)]])
    found = kl_per_latent(mean, log_variance)
    assert found[:2] == pytest.approx([0.0, 0.5])
    rng = np.random.default_rng(0)
    estimates = []
    for m, s in ((-2.0, 0.5), (0.5, 0.2)):
        z = m + s * rng.standard_normal(400_000)
        estimates.append(np.mean(norm.logpdf(z, m, s) - norm.logpdf(z)))
    assert found[2] == pytest.approx(np.mean(estimates), abs=0.01)


def test_active_latents():
    assert active_latents(np.array([0.86, 0.0, 2.01, 0.049])).tolist() == [0, 2]
    assert active_latents(np.array([0.86, 0.0]), threshold=1.0).size == 0


def test_samples_of_a_dead_latent_carry_nothing_while_its_means_do():
    quantity = np.random.default_rng(0).uniform(size=2000)
    mean = 0.01 * quantity[:, None] + 1e-5 * np.random.default_rng(1).standard_normal((2000, 1))
    drawn = sample(mean, np.zeros((2000, 1)))
    assert drawn.std() == pytest.approx(1, abs=0.06)
    assert mutual_information(mean[:, 0], quantity).value > 3
    assert mutual_information(drawn[:, 0], quantity).value < 0.005


@pytest.mark.parametrize(
    ("mean", "log_variance", "message"),
    [
        (np.zeros((4, 3)), np.zeros((4, 2)), r"given \(4, 3\), \(4, 2\)"),
        (np.zeros(4), np.zeros(4), r"shape \(n, latents\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"given \(0, 3\)"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "finite"),
    ],
)
def test_bad_posteriors(mean, log_variance, message):
    for function in (kl_per_latent, sample):
        with pytest.raises(InputError, match=message):
            function(mean, log_variance)


def tensor(name: str, shape: list[int], unit: str = "1", low: float | None = None, high: float | None = None) -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, shape), unit=unit, description="", low=low, high=high)


def described(inputs: list[Tensor], outputs: list[Tensor]) -> ModelSpec:
    return ModelSpec(
        name="tiny",
        family="ive",
        config={},
        task="regression",
        summary="",
        endpoints={"decode": Endpoint(description="", inputs=inputs, outputs=outputs)},
        data=Data(source="", description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )


class Decoder:
    """A decoder x(t) = z0 + 2 z1 t, the third latent without effect; the interface of a loaded model."""

    def __init__(self, low: float | None = 0.0, query: bool = True) -> None:
        latent, time = tensor("latent", [3], low=-5.0, high=5.0), tensor("time", [1], "s", low, 10.0)
        self.spec = described([latent, time] if query else [latent], [tensor("displacement", [1], "m")])

    def endpoint(self, name):
        def decode(latent, time=1.0, **_):
            return {"displacement": latent[:, :1] + 2 * latent[:, 1:2] * time}

        return decode


class Profile:
    """A profile log rho(r) = z0 - 2 log10 r, its deviation 0.1 r."""

    spec = described(
        [tensor("latent", [2]), tensor("radius", [1], "R200m", 0.2, 3.0)], [tensor("log_density", [1]), tensor("scale", [1])]
    )

    def endpoint(self, name):
        return lambda latent, radius, **_: {"log_density": latent[:, :1] - 2 * np.log10(radius), "scale": 0.1 * radius}


class Images:
    """Images whose red is z0 and whose green at the top is z1."""

    spec = described([tensor("latent", [3])], [tensor("reconstruction", [4, 6, 3])])

    def endpoint(self, name):
        def decode(latent, **_):
            images = np.full((len(latent), 4, 6, 3), 0.5, np.float32)
            images[..., 0] += 0.1 * latent[:, :1, None]
            images[:, 0, :, 1] += 0.2 * latent[:, 1:2]
            return {"reconstruction": images}

        return decode


def test_traversal_moves_one_latent_at_a_time():
    found = traverse(Decoder(), grid=np.array([-1.0, 0.5, 2.0]), at=np.array([1.0, 0.0, 0.0]), query=np.array([0.0, 3.0]))
    assert found.decoded.shape == (3, 3, 2, 1)
    np.testing.assert_allclose(found.decoded[0, :, :, 0], [[-1, -1], [0.5, 0.5], [2, 2]])
    np.testing.assert_allclose(found.decoded[1, :, :, 0], [[1, -5], [1, 4], [1, 13]])
    np.testing.assert_allclose(found.decoded[2], 1)
    np.testing.assert_allclose(found.effect, [3, 18, 0])
    assert (found.query_label, found.answer_label) == ("time [s]", "displacement [m]")


def test_traversal_by_default():
    found = traverse(Decoder())
    assert norm.cdf(found.grid) == pytest.approx(np.tile(np.linspace(0.05, 0.95, 7), (3, 1)))
    np.testing.assert_allclose(found.query[[0, -1], 0], [0, 10])
    assert {name: array.shape for name, array in found.arrays().items()} == {
        "latents": (3,),
        "grid": (3, 7),
        "query": (101, 1),
        "decoded": (3, 7, 101, 1),
        "extrapolated": (101,),
    }
    assert not found.extrapolated.any()
    assert not found.logarithmic
    bare = traverse(Decoder(query=False), latents=1)
    assert bare.decoded.shape == (1, 7, 1)
    assert "query" not in bare.arrays()


def test_traversal_through_what_occurs():
    """Each latent through its own quantiles, the others at their medians."""
    drawn = np.random.default_rng(0).normal([3.0, 0.0, -1.0], [0.1, 0.5, 1.0], (4000, 3))
    found = traverse(Decoder(), drawn=drawn, query=[0.0])
    np.testing.assert_allclose(found.grid, norm.ppf(found.quantiles) * [[0.1], [0.5], [1.0]] + [[3], [0], [-1]], atol=0.1)
    np.testing.assert_allclose(found.decoded[0, :, 0, 0], found.grid[0], rtol=1e-6)
    assert found.decoded[2] == pytest.approx(np.median(drawn[:, 0]), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": [3]}, r"indices from 0 to 2, given \[3\]"),
        ({"latents": [0.5]}, "indices from 0 to 2"),
        ({"grid": np.zeros((2, 2))}, r"values of shape \(g,\), given shape \(2, 2\)"),
        ({"grid": np.array([np.nan])}, "finite values to move to"),
        ({"at": np.zeros(2)}, "one value or 3"),
        ({"drawn": np.zeros((5, 2))}, r"rows of 3 latents, given shape \(5, 2\)"),
        ({"query": np.zeros((4, 2))}, r"'time': expected shape \(batch, 1\), given \(4, 2\)"),
        ({"query": np.array([np.inf])}, "'time': 1 values are NaN or infinite"),
        ({"query": np.array(["a"])}, "'time': expected dtype float32"),
        ({"query": [1.0, 10.5, -1.0]}, r"'time': 2 values lie outside .* \(1, 0\): expected 0 to 10 s, given 10.5"),
        ({"grid": np.array([0.0, 6.0])}, "'latent': 3 values lie outside .* expected -5 to 5, given 6"),
    ],
)
def test_bad_traversals(options, message):
    with pytest.raises(InputError, match=message):
        traverse(Decoder(), **options)


def test_queries_outside_the_trained_range_are_flagged_where_they_are_asked_for():
    found = traverse(Decoder(), query=[-1.0, 0.0, 10.0, 10.5], allow_out_of_range=True)
    assert found.extrapolated.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(found.arrays()["extrapolated"], found.extrapolated)
    assert traverse(Decoder(), grid=[6.0], allow_out_of_range=True).decoded.max() == 120
    half = traverse(Decoder(low=None), query=[-1e6, 10.5], allow_out_of_range=True)
    assert half.extrapolated.tolist() == [False, True]


def test_a_profile_with_its_band():
    """Queries evenly in the logarithm over more than a decade, and deviations beside the answers."""
    found = traverse(Profile(), latents=[0], grid=[-1.0, 1.0])
    np.testing.assert_allclose(found.query[:, 0], np.geomspace(0.2, 3, 101), rtol=1e-6)
    assert found.logarithmic
    assert not found.extrapolated.any()
    np.testing.assert_allclose(found.decoded[0, 1, :, 0], 1 - 2 * np.log10(found.query[:, 0]), atol=1e-6)
    np.testing.assert_allclose(found.scale, np.broadcast_to(0.1 * found.query, (1, 2, 101, 1)), rtol=1e-6)
    assert found.arrays()["scale"].shape == found.decoded.shape
    with pytest.raises(InputError, match=r"'radius': 1 values lie outside .* expected 0\.2 to 3 R200m, given 4"):
        traverse(Profile(), query=[1.0, 4.0])


def test_images():
    found = traverse(Images(), grid=[-2.0, 0.0, 2.0])
    assert found.decoded.shape == (3, 3, 4, 6, 3)
    assert found.extrapolated is None
    assert (found.scale, found.query) == (None, None)
    np.testing.assert_allclose(found.decoded[0, :, 2, 3, 0], [0.3, 0.5, 0.7], atol=1e-6)
    np.testing.assert_allclose(found.decoded[1, :, 0, 3, 1], [0.1, 0.5, 0.9], atol=1e-6)
    np.testing.assert_allclose(found.effect, [0.4, 0.8, 0], atol=1e-6)


def test_traversal_without_a_range_or_a_decoder():
    with pytest.raises(InputError, match="give the queries"):
        traverse(Decoder(low=None))
    model = Decoder()
    model.spec = model.spec.model_copy(update={"endpoints": {"predict": model.spec.endpoints["decode"]}})
    with pytest.raises(UnknownNameError, match="decode"):
        traverse(model)


def test_linear_r2():
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((2000, 2))
    truth = {
        "exact": latents @ [2.0, -1.0] + 5,
        "half": latents[:, 0] + rng.standard_normal(2000),
        "none": rng.standard_normal(2000),
        "even": latents[:, 0] ** 2,
    }
    found = {name: folds.mean() for name, folds in linear_r2(latents, truth).items()}
    assert found["exact"] == pytest.approx(1)
    assert found["half"] == pytest.approx(0.5, abs=0.05)
    assert found["none"] == pytest.approx(0, abs=0.02)  # held out: never above by fitting noise
    assert found["even"] == pytest.approx(0, abs=0.03)
    backwards = linear_r2({"a": truth["exact"], "b": truth["half"]}, {"latent 0": latents[:, 0]})
    assert backwards["latent 0"].shape == (5,)
    assert backwards["latent 0"].mean() == pytest.approx(5 / 6, abs=0.02)  # precision 1 of the prior, 4 of a, 1 of b


@pytest.mark.parametrize(
    ("latents", "target", "message"),
    [
        (np.zeros((3, 2)), np.arange(3.0), "at least 10 rows for 5 folds, given 3"),
        (np.zeros(20), np.arange(20.0), r"shape \(n, d\)"),
        (np.zeros((20, 0)), np.arange(20.0), r"given shape \(20, 0\)"),
        (np.full((20, 2), np.nan), np.arange(20.0), "finite numbers"),
        (np.zeros((20, 2)), np.ones(20), "b: expected 20 finite values that are not all equal"),
        (np.zeros((20, 2)), np.arange(19.0), r"given shape \(19,\)"),
    ],
)
def test_bad_regressions(latents, target, message):
    with pytest.raises(InputError, match=message):
        linear_r2(latents, {"b": target})

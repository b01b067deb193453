"""Networks of maps and cubes: the contract of families, free sizes, and what they say of fields that are no such fields."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.data.dataset import Rows
from zoo.families.fields.convolutions import FieldFeatures, smoothed
from zoo.families.fields.field_cnn import FieldCNN
from zoo.families.fields.moments import MomentMLP
from zoo.model.registry import get_family
from zoo.testing import check_family

CONFIGS = {
    "field-cnn": {"dimensions": 2, "channels": [3, 4], "hidden": [5], "outputs": 2, "smoothing": 0.8},
    "moment-mlp": {"inputs": 7, "hidden": [5], "outputs": 2},
}
CUBES = {"dimensions": 3, "channels": [2, 3], "hidden": [], "outputs": 1}


def lognormal(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Overdensities of smooth lognormal fields (n, ...) of deviations from 0.5 to 1 of their logarithms."""
    rng = np.random.default_rng(seed)
    axes = tuple(range(1, len(shape) + 1))
    k = np.sqrt(sum(np.square(f) for f in np.meshgrid(*(np.fft.fftfreq(s) for s in shape), indexing="ij")))
    noise = np.fft.fftn(rng.normal(size=(n, *shape)), axes=axes)
    field = np.fft.ifftn(noise / (0.05 + k) ** 1.5, axes=axes).real
    field *= rng.uniform(0.5, 1, (n, *[1] * len(shape))) / field.std(axis=axes, keepdims=True)
    return (np.exp(field - 0.5 * field.var(axis=axes, keepdims=True)) - 1).astype(np.float32)


def rows(name: str, n: int = 40) -> Rows:
    x = np.random.default_rng(1).normal(size=(n, 7)).astype(np.float32) if name == "moment-mlp" else lognormal(n, (20, 20))
    target = np.random.default_rng(2).normal([0.3, 0.8], [0.1, 0.1], (n, 2)).astype(np.float32)
    return Rows({"x": x}, target, np.arange(n))


def made(shape: tuple[int, ...] = (20, 20), n: int = 64) -> FieldCNN:
    keras.utils.set_random_seed(1)
    config = CONFIGS["field-cnn"] if len(shape) == 2 else CUBES
    model = FieldCNN(**config)
    fields = lognormal(n, shape)
    model.adapt({"overdensity": fields}, np.random.default_rng(0).normal(size=(n, config["outputs"])))
    model.head.set_weights([np.random.default_rng(3).normal(size=w.shape) for w in model.head.get_weights()])
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_family_keeps_its_contract(name):
    keras.utils.set_random_seed(1)
    check_family(get_family(name), CONFIGS[name], rows(name), opsets=[13])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_field_seen_twice_side_by_side_is_answered_nearly_as_itself(dimensions):
    """What is found is averaged over places: of a field repeated along an axis only what crosses the seam is new."""
    model = made((20,) * dimensions)
    fields = lognormal(4, (40,) * dimensions, seed=5)
    for once, twice in zip(
        model.predict_moments(fields), model.predict_moments(np.concatenate([fields, fields], axis=1)), strict=True
    ):
        np.testing.assert_allclose(once, twice, rtol=0.2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_beyond_an_edge_stand_the_cells_at_the_edge(dimensions):
    """A cut-out is answered as it is: no side is continued by the one across from it, as in a periodic box."""
    inner = lognormal(3, (20,) * dimensions, seed=6)
    seen = FieldFeatures(dimensions, [3, 4], "swish")
    seen.adapt(inner)
    outer = np.pad(inner, [(0, 0), *[(2, 2)] * dimensions], mode="edge")
    within = (slice(None), *[slice(2, -2)] * dimensions)
    np.testing.assert_allclose(seen.places(outer)[0][within], seen.places(inner)[0], atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("deviation", [0.0, 0.64, 2.5])
def test_fields_are_smoothed_by_a_gaussian(dimensions, deviation):
    fields = lognormal(3, (17, 20, 12)[:dimensions], seed=6).astype(np.float64)
    filtered = [gaussian_filter(one, deviation, mode="nearest", truncate=4.1) for one in fields] if deviation else fields
    np.testing.assert_allclose(smoothed(fields.astype(np.float32), deviation), filtered, atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_what_convolutions_find_of_the_training_has_deviations_of_one(dimensions):
    shape, rng = (16,) * dimensions, np.random.default_rng(0)
    fields, weight = lognormal(60, shape), rng.uniform(0, 2, 60)
    seen = FieldFeatures(dimensions, [4, 5], "linear", smoothing=0.6)
    seen.adapt(fields, weight)
    for found in seen.places(fields):
        rows = np.asarray(found, np.float64).reshape(-1, found.shape[-1])
        of_each = np.repeat(weight, len(rows) // len(weight))
        mean = np.average(rows, axis=0, weights=of_each)
        np.testing.assert_allclose(mean, 0, atol=1e-3)
        np.testing.assert_allclose(np.average((rows - mean) ** 2, axis=0, weights=of_each), 1, rtol=1e-3)


def test_scales_are_measured_on_fields_from_all_over_the_training():
    """Rows may be sorted by their cosmology."""
    fields = np.zeros((5000, 64, 64), np.float32)
    fields[4500:] = np.random.default_rng(0).normal(size=(500, 64, 64)).clip(-1)
    model = FieldCNN(**CONFIGS["field-cnn"])
    model.adapt({"overdensity": fields}, np.ones((5000, 2), np.float32) * np.arange(2))
    assert float(model.seen.standardize.scale) > 0.05  # that of the first 512 is 0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_fields_of_the_training_are_like_it_and_others_are_not(dimensions):
    shape = {2: (48, 48), 3: (20, 20, 20)}[dimensions]
    model = made(shape, n=200)
    known = np.asarray(model.predict_moments(lognormal(200, shape))[2])
    assert known.mean() == pytest.approx(6, rel=0.05)  # that of as many statistics
    new = np.asarray(model.predict_moments(lognormal(50, shape, seed=8))[2])
    assert new.max() < 2 * known.max()
    fields = lognormal(20, shape, seed=9)
    rng = np.random.default_rng(0)
    for wrong in (1 + fields, 64 * (1 + fields), rng.permuted(fields.reshape(len(fields), -1), axis=1).reshape(fields.shape)):
        assert np.asarray(model.predict_moments(wrong.astype(np.float32))[2]).min() > known.max()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_filled_holes_are_counted(dimensions):
    fields = lognormal(2, (20,) * dimensions)
    fields[1][(slice(0, 11),) * dimensions] = 0.0
    share = 10 * 11 ** (dimensions - 1) / (19 * 20 ** (dimensions - 1))
    np.testing.assert_allclose(made((20,) * dimensions).predict_moments(fields)[3], [0, share], rtol=1e-5)


def test_the_loss_is_minus_the_log_likelihood_of_gaussians():
    from scipy import stats

    model = made()
    fields, target = lognormal(5, (20, 20), seed=7), np.random.default_rng(4).normal(size=(5, 2)).astype(np.float32)
    mean, scale, *_ = (np.asarray(part, np.float64) for part in model.predict_moments(fields))
    expected = -stats.norm(mean, scale).logpdf(target).sum(axis=1)
    np.testing.assert_allclose(model.objective(target, model(fields)), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dimensions": 1}, "expected 2 or 3 dimensions and channels"),
        ({"channels": []}, "expected 2 or 3 dimensions and channels"),
        ({"smoothing": -1.0}, "smoothing: expected cells, 0 or more"),
    ],
)
def test_a_network_without_stages_or_of_other_axes_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        FieldCNN(**CONFIGS["field-cnn"] | changes)


def test_moments_are_those_of_a_linear_relation():
    """Of a quantity that is a row's first number and noise, the mean and the deviation of that noise are learned."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4096, 7)).astype(np.float32)
    target = (x[:, :1] + 0.3 * rng.normal(size=(4096, 1))).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = MomentMLP(inputs=7, hidden=[16])
    model.adapt({"x": x}, target)
    model.compile(keras.optimizers.Adam(3e-3), loss=model.objective)
    model.fit(x, target, epochs=30, batch_size=256, verbose=0)
    mean, scale = (np.asarray(part) for part in model.moments(x))
    assert np.corrcoef(mean[:, 0], x[:, 0])[0, 1] > 0.99
    assert np.median(scale) == pytest.approx(0.3, rel=0.1)


def test_a_posterior_of_maps_is_a_family_as_others():
    config = {
        "dimensions": 2,
        "context": [20, 20],
        "transforms": 1,
        "hidden": [6],
        "bins": 4,
        "support": [[-1, 2], [0, 2]],
        "embedding": {"kind": "field", "channels": [3, 4], "units": [5], "smoothing": 0.8},
    }
    given = rows("field-cnn")
    inputs = {"theta": given.target, "overdensity": given.inputs["x"]}
    keras.utils.set_random_seed(1)
    check_family(get_family("nsf"), config, Rows(inputs, np.zeros((len(given), 1), np.float32), given.group), opsets=[13])


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("map-diffusion", {"parameters": 2, "channels": [8, 8], "told": 6, "steps": 3}),
        ("map-vae", {"parameters": 2, "channels": [8, 8], "latents": 2, "told": 6}),
    ],
    ids=["diffusion", "vae"],
)
def test_a_generator_of_maps_is_a_family_as_others(family, config):
    given = rows("field-cnn")
    inputs = {"theta": given.target, "overdensity": given.inputs["x"]}
    keras.utils.set_random_seed(1)
    check_family(get_family(family), config, Rows(inputs, np.zeros((len(given), 1), np.float32), given.group), opsets=[13])


@pytest.mark.parametrize("changes", [{"channels": []}, {"channels": [6]}, {"latents": 5}])
def test_an_autoencoder_without_levels_or_of_too_many_latents_is_refused(changes):
    with pytest.raises(ValueError, match="expected channels"):
        get_family("map-vae")(**{"parameters": 2, "channels": [8], "told": 6, **changes})


def test_an_autoencoder_of_white_noise_learns_its_deviation_and_no_latents():
    """Nothing can be said of white noise in fewer numbers: its cost is its entropy, and maps are drawn of its deviation."""
    model = get_family("map-vae")(parameters=2, channels=[8], told=4)
    theta = np.zeros((64, 2), np.float32)
    logarithm = np.random.default_rng(0).normal(0, 0.3, (64, 16, 16)).astype(np.float32)
    maps = np.exp(logarithm) - 1.05
    model.adapt({"theta": theta, "overdensity": maps}, None)
    model.compile(keras.optimizers.Adam(3e-3), loss=model.objective)
    model.fit((theta, maps), np.zeros((64, 1)), epochs=30, batch_size=16, verbose=0)
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    assert abs(float(np.mean(model.cost(theta, maps))) - entropy) < 0.03
    z = np.random.default_rng(1).standard_normal((64, 16, 16)).astype(np.float32)
    assert abs(np.log(np.asarray(model.sample(z, theta)) + 1.05).std() / 0.3 - 1) < 0.1


def test_an_ensemble_answers_with_the_moments_of_the_mixture():
    from zoo.families.ensemble import Ensemble

    ensemble = Ensemble(member="field-cnn", config=CONFIGS["field-cnn"], count=2)
    fields = lognormal(30, (20, 20))
    for i, member in enumerate(ensemble.members):
        member.adapt({"overdensity": fields}, rows("field-cnn", 30).target)
        member.head.set_weights([np.random.default_rng(i).normal(size=w.shape) for w in member.head.get_weights()])
    (first, one), (second, two) = ([np.asarray(part) for part in member.moments(fields)] for member in ensemble.members)
    mean, deviation = (np.asarray(part) for part in ensemble.answer(fields))
    np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-5)
    expected = (one**2 + two**2 + (first - mean) ** 2 + (second - mean) ** 2) / 2
    np.testing.assert_allclose(deviation**2, expected, rtol=1e-4)
    np.testing.assert_allclose(ensemble(fields), np.concatenate([mean, deviation], axis=1), rtol=1e-5)

"""beta-VAE: its loss by hand, its plain autoencoder, its graphs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import stats

from zoo.families.beta_vae import BetaVAE
from zoo.training.fit import HeldOut
from zoo.training.recipe import load_recipe

TINY = {"image": [8, 4, 3], "latents": 3, "convolutions": [[4, 4], [5, 2]], "hidden": 6}
IMAGES = np.random.default_rng(0).random((7, 8, 4, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> BetaVAE:
    keras.utils.set_random_seed(1)
    return BetaVAE(**TINY, beta=4.0)


def test_networks_are_those_of_disentanglement_lib():
    """Locatello et al. 2019, table 1: filters, kernels and units, for 64 x 64 in color."""
    model = load_recipe("bvae-shapes3d").untrained()
    weights = {name: [weight for layer in layers for weight in layer.weights] for name, layers in model.blocks.items()}
    shapes = {name: [tuple(one.shape) for one in some if one.name == "kernel"] for name, some in weights.items()}
    assert shapes == {
        "encoder": [(4, 4, 3, 32), (4, 4, 32, 32), (2, 2, 32, 64), (2, 2, 64, 64), (4 * 4 * 64, 256)],
        "latent": [(256, 10), (256, 10)],
        "decoder": [(10, 256), (256, 1024), (4, 4, 64, 64), (4, 4, 32, 64), (4, 4, 32, 32)],
        "head": [(4, 4, 3, 32)],
    }
    assert model.encoder.get_layer("convolution_3").output.shape == (None, 4, 4, 64)
    assert model.decode(np.zeros((2, 10), np.float32)).shape == (2, 64, 64, 3)


def test_endpoints_give_latents_and_intensities(model):
    examples = model.example({"image": IMAGES}, np.random.default_rng(0))
    assert [np.shape(tensor) for tensor in examples["reconstruct"]] == [(7, 8, 4, 3), (7, 3)]
    mean, log_variance = model.encode(*examples["encode"])
    assert mean.shape == log_variance.shape == (7, 3)
    for endpoint in ("predict", "decode", "reconstruct"):
        decoded = np.asarray(getattr(model, model.endpoints[endpoint])(*examples[endpoint]))
        assert decoded.shape == IMAGES.shape
        assert decoded.min() > 0
        assert decoded.max() < 1


def test_likelihood_of_intensities_is_bernoullis(model):
    """For black and white pixels it is SciPy's; between them, it is linear in the intensity."""
    logits = np.asarray(model(IMAGES), np.float64)
    p = 1 / (1 + np.exp(-logits))
    white = (IMAGES > 0.5).astype(np.float64)
    expected = stats.bernoulli(p).logpmf(white).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(model.log_likelihood(white, logits)), expected, rtol=1e-10)
    expected = (IMAGES * np.log(p) + (1 - IMAGES) * np.log(1 - p)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(model.log_likelihood(IMAGES.astype(np.float64), logits)), expected, rtol=1e-10)


def test_likelihood_stays_finite_where_the_network_is_sure(model):
    logits = np.full((1, 8, 4, 3), 1000.0, np.float32)
    assert float(model.log_likelihood(np.ones_like(logits), logits)[0]) == 0
    assert float(model.log_likelihood(np.zeros_like(logits), logits)[0]) == pytest.approx(-1000 * logits.size)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_loss_is_the_likelihood_plus_beta_kl(beta):
    keras.utils.set_random_seed(1)
    model = BetaVAE(**TINY, beta=beta)
    model.compile(loss=lambda target, answer: -model.log_likelihood(target, answer), jit_compile=False)
    loss = model.evaluate(IMAGES, IMAGES, batch_size=7, verbose=0)
    mean, log_variance = (np.asarray(value, np.float64) for value in model.encode(IMAGES))
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1)
    p = np.asarray(model.answer(IMAGES), np.float64)
    nll = -(IMAGES * np.log(p) + (1 - IMAGES) * np.log(1 - p)).sum(axis=(1, 2, 3))
    assert loss == pytest.approx(nll.mean() + beta * kl.mean(), rel=1e-5)


def test_kl_warms_up_over_training_steps():
    """A third of it in the first of three steps, all of it after them, and always all of it outside training."""
    keras.utils.set_random_seed(1)
    model = BetaVAE(**TINY, beta=4.0, warm_up=3)

    def charged(training: bool) -> float:
        model(IMAGES, training=training)
        return float(sum(model.losses))

    whole = charged(training=False)
    steps = [charged(training=True) for _ in range(4)]
    np.testing.assert_allclose(steps, np.array([1 / 3, 2 / 3, 1, 1]) * whole, rtol=1e-5)
    assert charged(training=False) == pytest.approx(whole)


def test_training_samples_the_posterior(model):
    """The decoder in training sees mean + deviation x noise: its logits scatter, and around no other mean."""
    first, second = (np.asarray(model(IMAGES, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-4
    noise = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    mean, log_variance = (np.asarray(value) for value in model.encode(IMAGES))
    expected = model.decode(mean + np.exp(log_variance / 2) * noise)
    np.testing.assert_allclose(np.asarray(model.reconstruct(IMAGES, noise)), np.asarray(expected), atol=1e-6)
    np.testing.assert_allclose(np.asarray(model.reconstruct(IMAGES, 0 * noise)), np.asarray(model.answer(IMAGES)), atol=1e-6)


def test_plain_autoencoder_has_neither_noise_nor_kl(model):
    keras.utils.set_random_seed(1)
    plain = BetaVAE(**TINY, beta=4.0, variational=False)
    np.testing.assert_array_equal(np.asarray(plain(IMAGES, training=True)), np.asarray(plain(IMAGES)))
    assert not plain.losses
    missing = {tuple(w.shape) for w in model.log_variance.weights}
    assert len(model.trainable_weights) - len(plain.trainable_weights) == len(missing) == 2
    _, log_variance = plain.encode(IMAGES)
    assert np.exp(np.asarray(log_variance)).max() < 1e-40
    noise = np.full((7, 3), 5, np.float32)
    np.testing.assert_array_equal(np.asarray(plain.reconstruct(IMAGES, noise)), np.asarray(plain.answer(IMAGES)))


def test_images_that_cannot_be_halved_are_refused():
    for image in ([6, 4, 3], [8, 4], [8, 6, 3]):
        with pytest.raises(ValueError, match="2 convolutions can halve"):
            BetaVAE(**TINY | {"image": image})
    with pytest.raises(ValueError, match="halve"):
        BetaVAE(**TINY | {"convolutions": []})


@pytest.mark.slow
def test_it_learns_where_a_square_is():
    """A white square of 4 x 4 at one of 25 places of a black image: two latents are enough to draw it."""
    keras.utils.set_random_seed(0)
    places = np.random.default_rng(0).integers(5, size=(256, 2))
    images = np.zeros((256, 8, 8, 1), np.float32)
    for image, (i, j) in zip(images, places, strict=True):
        image[i : i + 4, j : j + 4] = 1
    model = BetaVAE(image=[8, 8, 1], latents=3, convolutions=[[16, 4], [16, 2]], hidden=32, beta=1.0)
    model.compile(
        keras.optimizers.Adam(5e-3), loss=lambda target, answer: -model.log_likelihood(target, answer), jit_compile=False
    )
    model.fit(images, images, epochs=25, batch_size=32, verbose=0)
    assert np.mean((np.asarray(model.answer(images)) > 0.5) == (images > 0.5)) > 0.97
    mean, _ = model.encode(images)
    apart = np.asarray(mean)[:, None] - np.asarray(mean)
    same = (places[:, None] == places).all(axis=-1)
    assert (apart[same] ** 2).sum(axis=-1).mean() < 0.05 * (apart[~same] ** 2).sum(axis=-1).mean()


@pytest.mark.parametrize(("opset", "variational"), [(11, True), (13, False)])
def test_every_endpoint_as_a_graph(opset, variational):
    pytest.importorskip("tf2onnx")
    from zoo.export import check_parity, to_onnx
    from zoo.export.parity import onnx_function

    keras.utils.set_random_seed(1)
    model = BetaVAE(**TINY, variational=variational)
    describe(model)
    examples = model.example({"image": IMAGES}, np.random.default_rng(0))
    for endpoint, tensors in examples.items():
        graph = onnx_function(to_onnx(model, model.spec, endpoint, opset).SerializeToString())
        inputs = {t.name: array for t, array in zip(model.spec.endpoint(endpoint).inputs, tensors, strict=True)}
        report = check_parity(model, model.spec, endpoint, graph, inputs)
        assert report.max_absolute < 1e-5
        one = {name: array[:1] for name, array in inputs.items()}
        expected = model.endpoint(endpoint)(**one)
        for name, answer in graph(one).items():
            np.testing.assert_allclose(answer, np.asarray(expected[name]), atol=1e-5)


def test_saved_model_has_every_signature(model, tmp_path):
    from zoo.export.parity import saved_model_function
    from zoo.export.saved_model import to_saved_model

    describe(model)
    to_saved_model(model, model.spec, tmp_path)
    (decoded,) = saved_model_function(tmp_path, "predict")({"image": IMAGES}).values()
    np.testing.assert_allclose(decoded, np.asarray(model.answer(IMAGES)), atol=1e-5)


def test_recipe_trains_on_images_that_are_rendered_when_asked_for():
    from zoo.training.fit import EpochData, build

    recipe = load_recipe("bvae-shapes3d").changed(
        {
            "data.parameters": {"train": 32, "validation": 8, "test": 8},
            "config.convolutions": [[2, 4], [2, 4]],
            "config.hidden": 4,
            "batch_size": 16,
            "epochs": 1,
        }
    )
    dataset = recipe.data.dataset()
    model = build(recipe, dataset)
    model.run_eagerly = True  # tracing takes longer than two steps
    data = EpochData(dataset, 16, 0, 0)
    image, target = data[1]
    assert image.shape == (16, 64, 64, 3)
    np.testing.assert_array_equal(image, target)
    history = model.fit(data, validation_data=HeldOut(dataset.rows("validation")), verbose=0).history
    assert np.isfinite([*history["loss"], *history["val_loss"]]).all()


def describe(model: BetaVAE) -> None:
    """Give the model a spec of the recipe's endpoints, for tensors of its own size."""
    from zoo.model.axes import fixed_axes
    from zoo.model.spec import Data, ModelSpec

    shapes = {"image": TINY["image"], "reconstruction": TINY["image"]}

    def sized(tensors):
        return [
            tensor.model_copy(update={"axes": fixed_axes(tensor.name, shapes.get(tensor.name, [TINY["latents"]]))})
            for tensor in tensors
        ]

    recipe = load_recipe("bvae-shapes3d")
    model.spec = ModelSpec(
        name="tiny",
        family="beta-vae",
        config=TINY,
        task="test",
        summary="A tiny model",
        endpoints={
            name: endpoint.model_copy(update={"inputs": sized(endpoint.inputs), "outputs": sized(endpoint.outputs)})
            for name, endpoint in recipe.endpoints.items()
        },
        data=Data(source="none", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )

"""Every method of explaining where the answer is known: linear and additive models, planted features, planted blobs."""

from __future__ import annotations

from typing import ClassVar

import keras
import numpy as np
import pytest

from zoo.data.cmb.binning import SLICES, joint_multipoles
from zoo.data.cmb.feature import load_spectra
from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.families.base import ZooModel
from zoo.families.cnn3d import CNN3D
from zoo.families.logistic import Logistic
from zoo.families.mlp import MLP
from zoo.interpret import explain, permutation_importance
from zoo.interpret.methods import registered

WIDTH = 6
RNG = np.random.default_rng(3)
W = RNG.normal(size=WIDTH).astype(np.float32)
MEAN = RNG.normal(size=WIDTH).astype(np.float32)
X = RNG.normal(size=(5, WIDTH)).astype(np.float32)
CONTRIBUTIONS = ("integrated_gradients", "occlusion", "shap", "lime")
"""Methods whose values are contributions in the unit of the answer."""

PLANTED = 1000.0
"""Multipole of the bump in TT."""
SIDE, BLOB = 8, (2, 5, 3)


def needs_shap(method: str) -> None:
    if method == "shap":
        pytest.importorskip("shap", reason="the library shap is not installed")


def linear() -> Logistic:
    model = Logistic(WIDTH)
    model.standardize.mean.assign(MEAN)
    model.head.kernel.assign(W[:, None])
    model.head.bias.assign([0.7])
    return model


class Additive(ZooModel):
    """A model sin(x0) + x1^2 + 3 x2, the other elements of no effect."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

    def call(self, x):
        return (keras.ops.sin(x[:, 0]) + keras.ops.square(x[:, 1]) + 3.0 * x[:, 2])[:, None]


class Product(ZooModel):
    """A product x0 x1, whose Shapley values share the interaction equally."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

    def call(self, x):
        return x[:, :1] * x[:, 1:2]


@pytest.mark.parametrize("method", CONTRIBUTIONS)
def test_contributions_of_a_linear_model_are_its_terms(method):
    needs_shap(method)
    found = explain(linear(), X, method=method)
    np.testing.assert_allclose(found.values, W * (X - MEAN), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.baseline_answer, 0.7, rtol=1e-6)
    assert found.output == "logits"
    assert found.completeness_error.max() < 1e-3


@pytest.mark.parametrize("method", ["occlusion", "shap", "lime"])
def test_patches_share_the_terms_of_their_elements(method):
    needs_shap(method)
    model = linear()
    model.linear_output = None  # asked by permutations
    found = explain(model, X, method=method, patch=4)
    terms = W * (X - MEAN)
    np.testing.assert_allclose(found.values[:, :4], np.tile(terms[:, :4].mean(axis=1, keepdims=True), 4), atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(found.values[:, 4:], np.tile(terms[:, 4:].mean(axis=1, keepdims=True), 2), atol=1e-4, rtol=1e-3)
    assert found.meta["patch"] == 4


@pytest.mark.parametrize("method", CONTRIBUTIONS)
def test_additive_function_gets_each_term(method):
    needs_shap(method)
    found = explain(Additive(), X, method=method, baseline=np.full(WIDTH, 0.5, np.float32))
    wanted = np.zeros_like(X)
    wanted[:, 0] = np.sin(X[:, 0]) - np.sin(0.5)
    wanted[:, 1] = X[:, 1] ** 2 - 0.25
    wanted[:, 2] = 3 * (X[:, 2] - 0.5)
    np.testing.assert_allclose(found.values, wanted, atol=2e-4, rtol=1e-3)


def test_shapley_values_share_an_interaction_and_occlusion_counts_it_twice():
    pytest.importorskip("shap", reason="the library shap is not installed")
    shares = explain(Product(), X, method="shap", baseline=0.0)
    product = X[:, 0] * X[:, 1]
    np.testing.assert_allclose(shares.values[:, :2], np.stack([product / 2] * 2, axis=1), rtol=1e-4, atol=1e-6)
    assert shares.completeness_error.max() < 1e-5
    occluded = explain(Product(), X, method="occlusion", baseline=0.0)
    np.testing.assert_allclose(occluded.values[:, :2], np.stack([product] * 2, axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(occluded.completeness_error, np.abs(product), rtol=1e-4, atol=1e-6)


def test_shap_leaves_the_global_random_numbers_alone():
    pytest.importorskip("shap", reason="the library shap is not installed")
    np.random.seed(5)  # noqa: NPY002
    wanted = np.random.rand(3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    explain(Additive(), X, method="shap")
    np.testing.assert_array_equal(np.random.rand(3), wanted)  # noqa: NPY002


def test_smoothgrad_is_the_gradient_of_the_smoothed_function():
    """The mean over noise of the derivative of sin is cos times exp(-variance / 2); of x^2 it is that at the input."""
    noise = 0.2
    found = explain(Additive(), X, method="smoothgrad", noise=noise, samples=20_000)
    deviation = noise * np.ptp(X, axis=1)
    np.testing.assert_allclose(found.values[:, 0], np.cos(X[:, 0]) * np.exp(-(deviation**2) / 2), atol=0.02)
    np.testing.assert_allclose(found.values[:, 1], 2 * X[:, 1], atol=0.05)
    np.testing.assert_allclose(found.values[:, 2], 3, rtol=1e-3)
    assert not found.values[:, 3:].any()
    np.testing.assert_array_equal(
        explain(Additive(), X, method="smoothgrad").values, explain(Additive(), X, method="smoothgrad").values
    )


class Convolution(ZooModel):
    """Sum over channels of c_k times the mean of map k: Grad-CAM is sum_k c_k map_k / cells."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}
    weights_of_maps = np.array([2.0, -1.0], np.float32)

    def __init__(self, dimensions: int, strides: int = 1) -> None:
        super().__init__()
        kind = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)[dimensions - 1]
        self.convolution = kind(2, 3, strides, padding="same", activation="relu", name="convolution")
        self.convolution.build((None, *(SIDE,) * dimensions, 1))

    @property
    def blocks(self):
        return {"stages": [self.convolution]}

    def call(self, x):
        maps = self.convolution(x if x.shape[-1] == 1 else x[..., None])
        return keras.ops.mean(maps, axis=tuple(range(1, len(maps.shape) - 1))) @ self.weights_of_maps[:, None]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_grad_cam_of_a_mean_over_maps(dimensions):
    keras.utils.set_random_seed(0)
    model = Convolution(dimensions)
    channel = (1,) if dimensions == 2 else ()
    x = RNG.normal(size=(3, *(SIDE,) * dimensions, *channel)).astype(np.float32)
    maps = keras.ops.convert_to_numpy(model.convolution(x if channel else x[..., None]))
    wanted = maps @ model.weights_of_maps / SIDE**dimensions
    found = explain(model, x, method="grad_cam")
    np.testing.assert_allclose(found.values.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-7)
    assert found.values.shape == x.shape
    assert "call" not in vars(model.convolution)  # nothing is left behind


def test_grad_cam_is_interpolated_between_the_middles_of_cells():
    from zoo.interpret.attribution.grad_cam import upsampled

    coarse = np.arange(4.0)[None]  # cells with middles at 0.5, 2.5, 4.5, 6.5 of the fine grid
    np.testing.assert_allclose(upsampled(coarse, (8,))[0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert upsampled(np.zeros((2, 3, 3)), (6, 6, 3)).shape == (2, 6, 6, 3)


@pytest.fixture(scope="module")
def planted():
    """Spectra of one sky with noise, half of them with a bump in TT about l = 1000; a network that was trained to tell them."""
    shipped = load_spectra()
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 4000)
    ell = joint_multipoles()
    bump = np.exp(-(((ell - PLANTED) / 40) ** 2) / 2)
    bump[SLICES["TT"].stop :] = 0
    spectra = shipped.best_fit + rng.standard_normal((4000, len(ell))) @ shipped.cholesky.T
    spectra = (spectra + 3 * label[:, None] * bump * shipped.error).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = MLP(len(ell), [16])
    model.adapt({"spectrum": spectra}, label)
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy", jit_compile=False)
    model.fit(spectra, label[:, None], epochs=8, batch_size=64, verbose=0)
    return model, spectra, label, np.flatnonzero(bump > 0.3)


@pytest.mark.parametrize("method", [method for method in registered("attribution") if method != "grad_cam"])
def test_a_feature_planted_at_known_multipoles_is_found_there(planted, method):
    needs_shap(method)
    model, spectra, label, bins = planted
    rows = spectra[label == 1][:10]
    found = explain(model, rows, method=method).values
    if method == "gradient_x_input":  # counted from zero and not from the mean, contributions are of the sky more than the bump
        found = found / rows
    if method in ("gradient", "gradient_x_input", "smoothgrad"):  # per muK^2, and now per deviation of the noise
        found = found * load_spectra().error
    score = np.abs(found.mean(axis=0))
    assert set(np.argsort(score)[-3:]) <= set(bins)


def test_permutation_importance_finds_the_planted_feature(planted):
    model, spectra, label, bins = planted
    found = permutation_importance(model, spectra[:400], label[:400], repeats=1)
    assert set(np.argsort(found.mean)[-3:]) <= set(bins)
    channels = {channel: range(part.start, part.stop) for channel, part in SLICES.items()}
    grouped = permutation_importance(model, spectra[:1000], label[:1000], groups=channels)
    assert grouped.names == ["TT", "TE", "EE"]
    assert grouped.mean[0] > 10 * np.abs(grouped.mean[1:]).max()


@pytest.fixture(scope="module")
def blobs():
    """Noise with a blob of varying height in a known place; a network that was trained to say how high."""
    rng = np.random.default_rng(0)
    height = rng.uniform(0, 4, (1500, 1)).astype(np.float32)
    distance = np.sum((np.indices((SIDE,) * 3).T - np.array(BLOB)).T ** 2, axis=0)
    blob = np.exp(-distance / 2).astype(np.float32)
    cubes = rng.normal(size=(1500, *(SIDE,) * 3)).astype(np.float32) * 0.5 + height[:, :, None, None] * blob
    keras.utils.set_random_seed(2)
    model = CNN3D(SIDE, [8, 16], [16])
    model.adapt({"density": cubes}, height)
    model.compile(keras.optimizers.Adam(3e-3), lambda y, answer: -model.log_likelihood(y, answer), jit_compile=False)
    model.fit(cubes, height, epochs=12, batch_size=64, verbose=0)
    return model, cubes[height[:, 0] > 2.5][:6], distance


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("integrated_gradients", {}),
        ("smoothgrad", {"samples": 10}),
        ("occlusion", {"patch": 1}),
        ("shap", {"patch": 2, "samples": 3}),
        ("lime", {"patch": 2}),
    ],
)
def test_a_planted_blob_is_found_in_the_cube(blobs, method, options):
    needs_shap(method)
    model, cubes, distance = blobs
    found = explain(model, cubes, method=method, **options).values.mean(axis=0)
    peak = np.array(np.unravel_index(np.argmax(found), found.shape))
    assert np.abs(peak - np.array(BLOB)).max() <= 1
    assert found[distance <= 2].mean() > 4 * np.abs(found[distance > 9]).mean()


def test_grad_cam_finds_a_planted_blob():
    """A network without memory of places: blobs are found by a convolution and averaged."""
    model = Convolution(3, strides=2)
    kernel = np.zeros((3, 3, 3, 1, 2), np.float32)
    kernel[..., 0] = 1 / 27
    model.convolution.kernel.assign(kernel)
    distance = np.sum((np.indices((SIDE,) * 3).T - np.array(BLOB)).T ** 2, axis=0)
    cubes = 0.3 * RNG.normal(size=(5, *(SIDE,) * 3)) + 3 * np.exp(-distance / 2)
    found = explain(model, cubes.astype(np.float32), method="grad_cam").values
    for values in found:  # within a cell of the map, which is two of the cube
        assert np.abs(np.array(np.unravel_index(np.argmax(values), values.shape)) - np.array(BLOB)).max() <= 2


def test_figures_of_cubes_and_images():
    keras.utils.set_random_seed(0)
    image = RNG.uniform(size=(2, SIDE, SIDE, 1)).astype(np.float32)
    figure = explain(Convolution(2), image, method="grad_cam").plot()
    assert "Grad-CAM of output" in "".join(text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text")))
    found = explain(CNN3D(SIDE, [4], [4]), RNG.normal(size=(2, SIDE, SIDE, SIDE)).astype(np.float32), method="occlusion")
    assert len(found.plot().axes) >= 3


def test_figures_say_which_element_is_explained():
    keras.utils.set_random_seed(0)

    def text(figure):
        return " ".join(one.get_text() for one in figure.findobj(lambda one: hasattr(one, "get_text")))

    assert "contribution to logit" in text(explain(linear(), X).plot())
    model = MLP(WIDTH, [4], outputs=2, output_activation="linear")
    assert "[1]" in text(explain(model, X, target=1, baseline=0.0).plot())


def test_a_figure_of_a_cube_sums_contributions_and_averages_derivatives():
    keras.utils.set_random_seed(0)
    model = CNN3D(SIDE, [4], [4])
    model.head.kernel.assign(RNG.normal(size=model.head.kernel.shape))
    cubes = RNG.normal(size=(1, SIDE, SIDE, SIDE)).astype(np.float32)
    for method, shown in (("integrated_gradients", "sum over shells"), ("gradient", "mean of shells")):
        found = explain(model, cubes, method=method)
        panel = next(ax for ax in found.plot().axes if ax.get_title() == shown)
        curve = panel.lines[-1].get_ydata()
        assert curve[0] == pytest.approx(found.values[0, SIDE // 2, SIDE // 2, SIDE // 2], rel=1e-5)
        if method == "integrated_gradients":
            assert curve.sum() == pytest.approx((found.answer - found.baseline_answer)[0], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "grad_cam"}, ExplanationError, "needs a convolution, and Logistic has none: .*occlusion"),
        ({"method": "gradient", "patch": 2}, InputError, "takes no patch; lime, occlusion and shap do"),
        ({"method": "occlusion", "layer": "head"}, InputError, "takes no layer; grad_cam does"),
        ({"method": "occlusion", "patches": 2}, UnknownNameError, "did you mean patch"),
        ({"method": "occlusion", "patch": 0}, InputError, "patch: expected a whole number of at least 1"),
        ({"method": "smoothgrad", "samples": 0}, InputError, "samples: expected a whole number of at least 1"),
        ({"method": "smoothgrad", "noise": 0.0}, InputError, "noise: expected a positive fraction"),
        ({"method": "smoothgrad", "baseline": 0.0}, InputError, "takes no baseline; integrated_gradients, lime, occlusion and"),
        ({"method": "smooth_grad"}, UnknownNameError, "did you mean smoothgrad"),
    ],
)
def test_what_a_method_cannot_do_is_said(arguments, error, message):
    with pytest.raises(error, match=message):
        explain(linear(), X, **arguments)


def test_grad_cam_says_which_layers_there_are():
    model = CNN3D(SIDE, [4, 4], [4])
    cube = RNG.normal(size=(1, SIDE, SIDE, SIDE)).astype(np.float32)
    with pytest.raises(UnknownNameError, match="did you mean stage_"):
        explain(model, cube, method="grad_cam", layer="stage_2")
    with pytest.raises(ExplanationError, match="one of stage_0, stage_1; given 'head'"):
        explain(model, cube, method="grad_cam", layer="head")


def test_shap_that_is_not_installed_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ExplanationError, match=r"pip install 'physzoo\[interpret\]'"):
        explain(Additive(), X, method="shap")

"""Attribution against models whose attributions are known in closed form."""

from __future__ import annotations

import subprocess
import sys
from typing import ClassVar

import keras
import numpy as np
import pytest

from zoo.errors import InputError, IntegrityError, UnknownNameError
from zoo.families.base import ZooModel
from zoo.families.beta_vae import BetaVAE
from zoo.interpret import Explanation, as_estimator, explain, feature_names
from zoo.interpret.attribution import scalar_output as answer
from zoo.loading import load
from zoo.model.axes import Axis, fixed_axes
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

WIDTH = 6
RNG = np.random.default_rng(3)
W = RNG.normal(size=WIDTH).astype(np.float32)
MEAN = RNG.normal(size=WIDTH).astype(np.float32)
X = RNG.normal(size=(5, WIDTH)).astype(np.float32)


class Linear(ZooModel):
    """A model whose logit is w (x - mean); predict is its sigmoid."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}
    answers_with = "probability"

    def logits(self, spectrum):
        return keras.ops.matmul(keras.ops.subtract(spectrum, MEAN), W[:, None])

    def call(self, spectrum):
        return keras.ops.sigmoid(self.logits(spectrum))

    def baseline(self, tensor):
        return MEAN


class Additive(ZooModel):
    """A model sin(x0) + x1^2 + 3 x2, the other elements of no effect."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

    def call(self, x):
        return (keras.ops.sin(x[:, 0]) + keras.ops.square(x[:, 1]) + 3.0 * x[:, 2])[:, None]


class TwoInputs(ZooModel):
    """Two tensors in, two out: product = x t, both = (x^2, t)."""

    endpoints: ClassVar[dict[str, str]] = {"encode": "encode"}

    def encode(self, x, t):
        return keras.ops.sum(x * t, axis=1, keepdims=True), keras.ops.concatenate([x**2, t], axis=1)


@pytest.fixture(scope="module")
def mlp():
    keras.utils.set_random_seed(0)

    class Net(ZooModel):
        endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

        def __init__(self):
            super().__init__()
            self.stack = keras.Sequential(
                [keras.Input((WIDTH,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(16, "elu"), keras.layers.Dense(2)]
            )

        def call(self, x):
            return self.stack(x)

    return Net()


def spec_of(inputs: list[Tensor], outputs: list[Tensor], endpoint: str = "predict") -> ModelSpec:
    return ModelSpec(
        name="tiny",
        family="mlp",
        config={},
        task="classification",
        summary="",
        endpoints={endpoint: Endpoint(description="", inputs=inputs, outputs=outputs)},
        data=Data(source="", description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )


def tensor(name: str, shape: list[int], **kwargs) -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, shape), unit="1", description="", **kwargs)


@pytest.mark.parametrize("steps", [1, 7])
def test_integrated_gradients_of_a_linear_model_are_its_terms(steps):
    found = explain(Linear(), X, steps=steps)
    np.testing.assert_allclose(found.values, W * (X - MEAN), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.answer, (X - MEAN) @ W, rtol=1e-5)
    np.testing.assert_array_equal(found.baseline, np.tile(MEAN, (5, 1)))
    assert found.output == "logits"
    assert found.completeness_error.max() < 1e-5


def test_gradient_and_gradient_x_input_of_a_linear_model():
    np.testing.assert_allclose(explain(Linear(), X, method="gradient").values, np.tile(W, (5, 1)), rtol=1e-6)
    found = explain(Linear(), X, method="gradient_x_input")
    np.testing.assert_allclose(found.values, W * X, rtol=1e-6)
    assert found.baseline is None
    assert found.completeness_error is None


def test_the_probability_saturates_where_the_logit_does_not():
    sure = 40 * np.sign(W)[None]
    # The float32 sigmoid is exactly 1 here, so that its gradient vanishes.
    model = Linear()
    model.spec = spec_of([tensor("spectrum", [WIDTH])], [tensor("probability", [1])])
    assert not explain(model, sure, method="gradient", output="probability").values.any()
    np.testing.assert_allclose(explain(model, sure, method="gradient").values[0], W, rtol=1e-6)


def test_additive_function_gets_each_term():
    start = np.full(WIDTH, 0.5, np.float32)
    found = explain(Additive(), X, baseline=start)
    wanted = np.zeros_like(X)
    wanted[:, 0] = np.sin(X[:, 0]) - np.sin(0.5)
    wanted[:, 1] = X[:, 1] ** 2 - 0.25
    wanted[:, 2] = 3 * (X[:, 2] - 0.5)
    np.testing.assert_allclose(found.values, wanted, atol=2e-6)
    assert not found.values[:, 3:].any()


def test_gradient_against_finite_differences(mlp):
    eps = 1e-2
    shifts = eps * np.eye(WIDTH, dtype=np.float32)
    row = X[:1]
    up, down = (keras.ops.convert_to_numpy(mlp(x))[:, 1].astype(float) for x in (row + shifts, row - shifts))
    numeric = (up - down) / (2 * eps)
    np.testing.assert_allclose(explain(mlp, row, method="gradient", target=1).values[0], numeric, atol=2e-3)


def test_integrated_gradients_against_a_dense_riemann_sum(mlp):
    found = explain(mlp, X, target=1, steps=512)
    alpha = (np.arange(2000) + 0.5) / 2000
    path = (alpha[:, None, None] * X).astype(np.float32)
    gradient = explain(mlp, path.reshape(-1, WIDTH), method="gradient", target=1).values.reshape(path.shape)
    np.testing.assert_allclose(found.values, X * gradient.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(found.values.sum(axis=1), found.answer - found.baseline_answer, atol=2e-3)


def test_completeness_error_falls_with_steps_and_is_no_constant(mlp):
    errors = [explain(mlp, X, steps=steps).completeness_error.max() for steps in (1, 4, 256)]
    assert errors[0] > 10 * errors[2] > 0
    assert errors[2] < 1e-3


def test_batches_do_not_change_the_answer(mlp, monkeypatch):
    whole = explain(mlp, X, steps=10)
    monkeypatch.setattr(answer, "ELEMENTS_PER_BATCH", 7 * WIDTH)  # neither rows nor steps divide it
    np.testing.assert_allclose(explain(mlp, X, steps=10).values, whole.values, atol=1e-6)
    gradient = explain(mlp, X, method="gradient")
    monkeypatch.setattr(answer, "ELEMENTS_PER_BATCH", 1)
    np.testing.assert_allclose(explain(mlp, X, method="gradient").values, gradient.values, atol=1e-6)


@pytest.mark.parametrize(("output", "target"), [("product", 0), ("both", 5)])
def test_many_batches_are_compiled_to_the_same_answer(output, target, monkeypatch):
    model = TwoInputs()
    tensors = [tensor("x", [WIDTH]), tensor("t", [WIDTH])]
    outputs = [tensor("product", [1]), tensor("both", [2 * WIDTH])]
    model.spec = spec_of(tensors, outputs, "encode")
    given = {"x": X, "t": 2 * X + 1}
    asked = {"endpoint": "encode", "output": output, "target": target, "steps": 5}
    eager = explain(model, given, **asked)
    monkeypatch.setattr(answer, "ELEMENTS_PER_BATCH", 2 * WIDTH)
    monkeypatch.setattr(answer.Answer, "gradient", None)
    compiled = explain(model, given, **asked)
    np.testing.assert_allclose(compiled.values, eager.values, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="expected 0 to 11"):
        explain(model, given, **asked | {"output": "both", "target": 12})


def test_a_planted_feature_is_found():
    """A classifier is trained on noise with a bump in known bins; the attribution must point there."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 3000)
    spectra = rng.normal(size=(3000, 40)).astype(np.float32)
    spectra[:, 11:14] += 1.5 * label[:, None]

    class Classifier(ZooModel):
        endpoints: ClassVar[dict[str, str]] = {"predict": "call"}
        answers_with = "probability"

        def __init__(self):
            super().__init__()
            self.stack = keras.Sequential([keras.Input((40,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)])

        def logits(self, spectrum):
            return self.stack(spectrum)

        def call(self, spectrum):
            return keras.ops.sigmoid(self.logits(spectrum))

    keras.utils.set_random_seed(1)
    model = Classifier()
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy", jit_compile=False)
    model.fit(spectra, label[:, None], epochs=6, batch_size=64, verbose=0)
    found = explain(model, spectra[label == 1][:200]).values.mean(axis=0)
    assert set(np.argsort(found)[-3:]) == {11, 12, 13}
    others = np.delete(found, [11, 12, 13])
    assert found[11:14].min() > 5 * np.abs(others).max()


def test_one_tensor_of_several_and_one_output_of_several():
    t = RNG.normal(size=(5, 1)).astype(np.float32)
    model = TwoInputs()
    found = explain(model, {"x": X, "t": t}, endpoint="encode", method="gradient", wrt="t")
    np.testing.assert_allclose(found.values, X.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(found.fixed["x"], X)
    model.spec = spec_of(
        [tensor("x", [WIDTH]), tensor("t", [1])], [tensor("product", [1]), tensor("both", [WIDTH + 1])], "encode"
    )
    both = explain(model, {"x": X, "t": t}, endpoint="encode", method="gradient", output="both", target=2)
    wanted = np.zeros_like(X)
    wanted[:, 2] = 2 * X[:, 2]
    np.testing.assert_allclose(both.values, wanted, rtol=1e-6)
    assert both.meta["model"] == "tiny"
    assert both.meta["unit"] == "1"


def test_an_input_of_several_axes():
    class Cube(ZooModel):
        endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

        def call(self, field):
            return keras.ops.sum(field**2, axis=(1, 2, 3))[:, None]

    field = RNG.normal(size=(3, 4, 4, 2)).astype(np.float32)
    found = explain(Cube(), field)
    np.testing.assert_allclose(found.values, field**2, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="to draw a curve"):
        found.plot()


def test_saved_and_loaded(tmp_path):
    t = RNG.normal(size=(5, 1)).astype(np.float32)
    for found in (explain(Linear(), X), explain(TwoInputs(), {"x": X, "t": t}, endpoint="encode", method="gradient")):
        again = Explanation.load(found.save(tmp_path / "explanation.npz"))
        for name, value in vars(found).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(getattr(again, name), value)
            elif name == "fixed":
                assert again.fixed.keys() == value.keys()
            else:
                assert getattr(again, name) == value
        assert list(tmp_path.iterdir()) == [tmp_path / "explanation.npz"]


@pytest.mark.parametrize("damage", ["text", "other arrays", "truncated", "pickle", "one array"])
def test_what_is_not_an_explanation_is_refused(tmp_path, damage):
    path = tmp_path / "explanation.npz"
    explain(Linear(), X).save(path)
    if damage == "text":
        path.write_text("no")
    elif damage == "other arrays":
        np.savez(path, values=X)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "pickle":
        np.savez(path, values=np.array([{}], dtype=object), about=np.array("{}"), allow_pickle=True)
    else:
        with path.open("wb") as file:
            np.save(file, X)
    with pytest.raises((InputError, IntegrityError), match=r"explanation\.npz is not "):
        Explanation.load(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Explanation.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "integrated_gradient"}, UnknownNameError, "did you mean integrated_gradients"),
        ({"endpoint": "predct"}, UnknownNameError, "did you mean predict"),
        ({"wrt": "spectra"}, UnknownNameError, "did you mean spectrum"),
        ({"output": "logit"}, UnknownNameError, "did you mean logits"),
        ({"target": 1}, InputError, "expected 0 to 0"),
        ({"target": -1}, InputError, "expected 0 to 0"),
        ({"steps": 0}, InputError, "at least 1, given 0"),
        ({"baseline": np.zeros(WIDTH + 1)}, InputError, r"expected shape \(6,\) or \(5, 6\), given \(7,\)"),
        ({"baseline": np.zeros((3, WIDTH))}, InputError, r"given \(3, 6\)"),
        ({"baseline": np.full(WIDTH, np.nan)}, InputError, "6 values are NaN"),
        ({"baseline": "mean"}, InputError, "expected numbers"),
        ({"baseline": 0.0, "method": "gradient"}, InputError, "takes no baseline"),
        ({"inputs": np.full((2, WIDTH), np.nan)}, InputError, "'spectrum': 12 values are NaN"),
        ({"inputs": np.zeros((0, WIDTH))}, InputError, "at least one row"),
        ({"inputs": {"spectra": X}}, InputError, r"expected the inputs \['spectrum'\], given \['spectra'\]"),
        ({"inputs": np.array([["a"] * WIDTH])}, InputError, "expected dtype float32"),
        ({"inputs": np.float32(3)}, InputError, "expected shape"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"inputs": X, **change}
    with pytest.raises(error, match=message):
        explain(Linear(), **arguments)


def test_the_spec_checks_shape_and_range():
    model = Linear()
    model.spec = spec_of([tensor("spectrum", [WIDTH], low=-1.0, high=1.0)], [tensor("probability", [1])])
    with pytest.raises(InputError, match=r"expected shape \(batch, 6\), given \(5, 4\)"):
        explain(model, X[:, :4])
    with pytest.raises(InputError, match="outside the trained range"):
        explain(model, 3 + X)
    assert explain(model, 3 + X, allow_out_of_range=True).values.shape == X.shape


def test_importing_loads_neither_keras_nor_matplotlib():
    code = (
        "import sys, zoo.interpret, zoo.interpret.attribution.explain, zoo.interpret.attribution.explanation,"
        " zoo.interpret.latents.traversal, zoo.interpret.latents.information, zoo.interpret.uncertainty.calibration;"
        "print({'keras', 'tensorflow', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_public_names():
    import zoo.interpret

    assert all(getattr(zoo.interpret, name) for name in dir(zoo.interpret))
    with pytest.raises(AttributeError, match="saliency"):
        zoo.interpret.saliency  # noqa: B018


def test_an_image_model_is_explained_by_what_it_answers():
    """The logits of intensities, which its decoder has of latents, are not those of a class."""
    model = BetaVAE(image=[8, 8, 3], latents=2, convolutions=[[4, 4]], hidden=8)
    image = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)
    explanation = explain(model, image, method="gradient", target=5)
    assert explanation.values.shape == image.shape
    np.testing.assert_allclose(explanation.answer, np.asarray(model.answer(image)).reshape(3, -1)[:, 5], rtol=1e-6)


class Jet(ZooModel):
    """The sum over real particles of their momenta times 1, 2 and 3, and of their charges, which are whole numbers."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

    def call(self, charge, momentum, mask):
        real = keras.ops.cast(mask, "float32")
        weighed = keras.ops.sum(momentum * np.array([1.0, 2.0, 3.0], np.float32), axis=-1) + keras.ops.cast(charge, "float32")
        return keras.ops.sum(weighed * real, axis=1, keepdims=True)


def test_a_set_with_a_mask_is_explained_along_its_axes():
    """Padding has no share, and what cannot change a little is held as it is."""
    particles = Axis(name="particle", least=1, most=8)
    features = Axis(name="feature", size=3, labels=["px", "py", "pz"])
    model = Jet()
    model.spec = spec_of(
        [
            Tensor(name="charge", axes=[particles], dtype="int64", unit="e", description="", mask="mask"),
            Tensor(name="momentum", axes=[particles, features], unit="GeV", description="", mask="mask"),
            Tensor(name="mask", axes=[particles], dtype="bool", unit="1", description=""),
        ],
        [tensor("mass", [1])],
    )
    momentum, mask = RNG.normal(size=(2, 5, 3)).astype(np.float32), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    momentum[~mask] = 0
    given = {"charge": np.ones((2, 5), np.int64), "momentum": momentum, "mask": mask}
    for method in ("integrated_gradients", "occlusion", "gradient_x_input"):
        found = explain(model, given, method=method)
        assert found.tensor == "momentum"
        shares = momentum * [1, 2, 3] * mask[..., None]
        if method == "occlusion":  # takes whole particles away, charge and all, whose components share evenly
            shares = np.repeat((shares.sum(axis=-1) + mask)[..., None] / 3, 3, axis=-1)
        np.testing.assert_allclose(found.values, shares, rtol=1e-5, atol=1e-6)
    assert [axis.size for axis in found.along] == [5, 3]
    assert "py" in " ".join(tick.get_text() for tick in found.plot().axes[0].get_xticklabels())
    estimator, matrix = as_estimator(model, given)
    np.testing.assert_allclose(estimator.predict(matrix), found.answer, rtol=1e-5)
    assert feature_names(estimator.answer)[:6] == [*(f"charge[{i}]" for i in range(5)), "momentum[0, px]"]
    with pytest.raises(InputError, match="wrt: expected a tensor of floating-point numbers, momentum; charge is int64"):
        explain(model, given, wrt="charge")


def test_a_model_is_called_by_its_name():
    model = load("logistic-cmb-running")
    with np.load(model.folder.path("test_tensors.npz")) as rows:
        x = rows["predict/in/spectrum"][:2]
    found, expected = (explain(one, x, method="gradient") for one in ("logistic-cmb-running", model))
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.meta == expected.meta


@pytest.mark.parametrize("method", ["gradient", "occlusion"])
def test_an_element_goes_by_its_name_too(method):
    network = load("cnn2d-cosmology")
    maps = np.random.default_rng(0).lognormal(-0.5, 1, (1, 64, 64)).astype(np.float32) - 1
    options = {"method": method, "output": "mean", "allow_out_of_range": True}
    by_name, by_text, by_number = (
        explain(network, {"overdensity": maps}, target=target, **options) for target in ("sigma8", "1", 1)
    )
    assert by_name.answered == "mean[sigma8]"
    assert by_name.target == by_text.target == 1
    np.testing.assert_array_equal(by_name.values, by_number.values)
    with pytest.raises(UnknownNameError, match=r"element of mean named 'sigma9'; did you mean sigma8"):
        explain(network, {"overdensity": maps}, target="sigma9", **options)

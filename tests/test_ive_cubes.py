"""The interpretable variational encoder on cubes: several queries a row, answers with a deviation, a KL term that warms up."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import stats

from zoo.export import check_parity, to_onnx
from zoo.export.parity import onnx_function
from zoo.families.ive import IVE
from zoo.families.layers import gaussian_kl
from zoo.model.axes import fixed_axes
from zoo.model.spec import Endpoint, Tensor

CONFIG = {
    "observation": 8,
    "query": 1,
    "latents": 2,
    "encoder": [6],
    "decoder": [5],
    "activation": "swish",
    "beta": 0.5,
    "channels": [3, 4],
    "log_query": True,
    "scatter": True,
}


def made(**changes) -> IVE:
    keras.utils.set_random_seed(1)
    model = IVE(**CONFIG | changes)
    model.adapt(rows(100), None)
    return model


def rows(n: int, queries: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    cubes = rng.normal(1.0, 2.0, (n, 8, 8, 8)).astype(np.float32)
    return {"density": cubes, "radius": np.exp(rng.uniform(-1.6, 1.1, (n, queries))).astype(np.float32)}


def test_many_queries_of_a_row_are_answered_as_one_by_one():
    model, inputs = made(), rows(5)
    density, radius = inputs.values()
    together = np.asarray(model((density, radius)))
    assert together.shape == (5, 8)
    for k in range(4):
        location, scale = model.answer(density, radius[:, k : k + 1])
        np.testing.assert_allclose(together[:, k], np.asarray(location)[:, 0], atol=1e-5)
        np.testing.assert_allclose(together[:, 4 + k], np.asarray(scale)[:, 0], atol=1e-5)
    np.testing.assert_allclose(model.answers_at(inputs), together, atol=1e-5)
    latent = np.asarray(model.encode(density)[0])
    np.testing.assert_allclose(model.answers_at(inputs, latent), together, atol=1e-5)


def test_the_loss_is_minus_the_mean_log_likelihood_plus_beta_kl():
    model, (density, radius) = made(), rows(5).values()
    target = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    answer = np.asarray(model((density, radius)), np.float64)
    expected = stats.norm(answer[:, :4], answer[:, 4:]).logpdf(target).mean(axis=1)
    np.testing.assert_allclose(np.asarray(model.log_likelihood(target, answer)), expected, rtol=1e-5)
    model.compile(loss=lambda truth, given: -model.log_likelihood(truth, given), jit_compile=False)
    kl = np.asarray(gaussian_kl(*model.encode(density))).sum(axis=1).mean()
    loss = model.evaluate((density, radius), target, verbose=0)
    assert loss == pytest.approx(-expected.mean() + 0.5 * kl, rel=1e-4)


def test_the_kl_term_warms_up_and_goes_on_after_a_reload(tmp_path):
    model, (density, radius) = made(warm_up=4), rows(5).values()

    def added(training: bool) -> float:
        model((density, radius), training=training)
        return float(model.losses[0])

    whole = added(False)
    assert [added(True) / whole for _ in range(3)] == pytest.approx([0.25, 0.5, 0.75], rel=1e-5)
    assert added(False) == pytest.approx(whole)  # judged by the same loss from the first epoch on
    model.save_weights(tmp_path / "model.weights.h5")
    model = made(warm_up=4)
    model.load_weights(tmp_path / "model.weights.h5")
    assert [added(True) / whole for _ in range(2)] == pytest.approx([1.0, 1.0], rel=1e-5)


def test_blocks_hold_every_weight_once():
    model = made(warm_up=4)
    in_blocks = [id(weight) for layers in model.blocks.values() for layer in layers for weight in layer.weights]
    assert sorted(in_blocks) == sorted(id(weight) for weight in model.weights)


def test_a_cube_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="2 convolutions can halve, given a side of 6"):
        made(observation=6)


@pytest.mark.parametrize("opset", [11, 13])
def test_endpoints_export(opset):
    """Unequal rows of queries; `decode` alone is what a notebook uses with latents from elsewhere."""
    model = made()

    def tensor(name: str, *shape: int) -> Tensor:
        return Tensor(name=name, axes=fixed_axes(name, list(shape)), unit="1", description=name)

    density, radius, latent, noise = tensor("density", 8, 8, 8), tensor("radius", 1), tensor("latent", 2), tensor("noise", 2)
    answers = [tensor("log_density", 1), tensor("scale", 1)]
    described = {
        "predict": ([density, radius], answers),
        "encode": ([density], [tensor("mean", 2), tensor("log_variance", 2)]),
        "decode": ([latent, radius], answers),
        "reconstruct": ([density, radius, noise], answers),
    }
    from test_export import describe

    endpoints = {name: Endpoint(description=name, inputs=i, outputs=o) for name, (i, o) in described.items()}
    spec = describe(model, **endpoints).spec
    examples = model.example(rows(9), np.random.default_rng(0))
    for name, (inputs, _) in described.items():
        tensors = {given.name: value for given, value in zip(inputs, examples[name], strict=True)}
        graph = to_onnx(model, spec, name, opset).SerializeToString()
        report = check_parity(model, spec, name, onnx_function(graph), tensors)
        assert report.max_absolute < 1e-5

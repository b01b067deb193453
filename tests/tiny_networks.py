"""A small network of every Keras family, with rows for it, and with a spec as if it were released."""

from __future__ import annotations

import keras
import numpy as np

from zoo.families.base import ZooModel
from zoo.model.axes import fixed_axes
from zoo.model.registry import get_family
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

CONFIGS = {
    "logistic": {"inputs": 7},
    "mlp": {"inputs": 7, "hidden": [5, 4], "outputs": 2, "output_activation": "linear"},
    "quantized-mlp": {"inputs": 7, "hidden": [5, 4]},
    "cnn3d": {"size": 4, "channels": [3, 4], "hidden": [5], "activation": "swish"},
    "cnn3d-bottleneck": {
        "size": 4,
        "channels": [3, 4],
        "hidden": [5],
        "latents": 2,
        "decoder": [5],
        "activation": "swish",
        "warm_up": 5,
    },
    "ive": {"observation": 7, "query": 2, "latents": 3, "encoder": [6], "decoder": [5], "outputs": 2},
    "beta-vae": {"image": [8, 4, 3], "latents": 3, "convolutions": [[4, 4], [5, 2]], "hidden": 6, "warm_up": 5},
    "realnvp": {"dimensions": 7, "transforms": 2, "hidden": [6]},
    "maf": {"dimensions": 7, "context": 2, "transforms": 1, "hidden": [9], "embedding": [4]},
    "nsf": {"dimensions": 7, "context": 2, "transforms": 2, "hidden": [9], "bins": 4},
    "ensemble": {"member": "mlp", "config": {"inputs": 7, "hidden": [5]}, "count": 2},
}
TWO_INPUTS = {"ive", "maf", "nsf"}
TARGET = np.random.default_rng(1).normal(13.0, 0.5, (100, 1)).astype(np.float32)


def example(name: str, n: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of n rows."""
    rng = np.random.default_rng(seed)
    shape = {"cnn3d": (n, 4, 4, 4), "cnn3d-bottleneck": (n, 4, 4, 4), "beta-vae": (n, 8, 4, 3)}.get(name, (n, 7))
    rows = {"observed": rng.normal(2.0, 3.0, shape).astype(np.float32)}
    return rows | ({"asked": rng.random((n, 2), dtype=np.float32)} if name in TWO_INPUTS else {})


def released(name: str, **changes) -> ZooModel:
    """A network of a family, scaled, its weights random, with a spec; its answers are called ``answer``, ``answer_1``, ..."""
    keras.utils.set_random_seed(1)
    model = get_family(name)(**CONFIGS[name] | changes)
    inputs = example(name, 100)
    model.adapt(inputs, TARGET)
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:  # some heads start at zero, through which nothing before them learns
        if not np.any(keras.ops.convert_to_numpy(weight)):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    examples = model.example({key: array[:2] for key, array in inputs.items()}, np.random.default_rng(0))
    endpoints = {}
    for endpoint, tensors in examples.items():
        answers = getattr(model, model.endpoints[endpoint])(*tensors)
        answers = answers if isinstance(answers, tuple) else (answers,)
        known = {id(array): key for key, array in zip(inputs, examples[model.data_endpoint], strict=False)}
        taken = [known.get(id(tensor), f"given_{i}") for i, tensor in enumerate(tensors)]
        endpoints[endpoint] = Endpoint(
            description=endpoint,
            inputs=[_tensor(key, tensor, -30.0, 30.0) for key, tensor in zip(taken, tensors, strict=True)],
            outputs=[_tensor(f"answer_{i}" if i else "answer", answer) for i, answer in enumerate(answers)],
        )
    model.spec = ModelSpec(
        name=f"tiny-{name}",
        revision="2",
        family=name,
        config=model.config,
        task="test",
        summary="A network made up for tests",
        endpoints=endpoints,
        data=Data(source="numbers", description="random", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        tolerance={"absolute": 1e-3, "relative": 1e-3},
        physzoo_version="0.1.0",
    )
    return model


def _tensor(name: str, array, low: float | None = None, high: float | None = None) -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, list(array.shape[1:])), unit="m", description=name, low=low, high=high)


def user_data(name: str, n: int = 60) -> dict[str, np.ndarray]:
    """Inputs and, where there is one, a target called ``answer`` that follows from them."""
    inputs = example(name, n, seed=7)
    first = inputs["observed"].reshape(n, -1)
    if name == "beta-vae":
        return {"observed": 1 / (1 + np.exp(-inputs["observed"]))}
    targets = {
        "logistic": first[:, :1] > 2,
        "quantized-mlp": first[:, :1] > 2,
        "mlp": first[:, :2] + 1,
        "cnn3d": 13 + first.mean(axis=1, keepdims=True),
        "cnn3d-bottleneck": 13 + first.mean(axis=1, keepdims=True),
        "ive": first[:, :2],
    }
    return inputs | ({"answer": targets[name].astype(np.float32)} if name in targets else {})

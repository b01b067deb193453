"""The kit for families."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.dataset import Rows
from zoo.loading import load_weights
from zoo.model.axes import fixed_axes
from zoo.model.inputs import along
from zoo.model.spec import WEIGHTS, Data, Endpoint, ModelSpec, Tensor, Tolerance
from zoo.testing.graph_checks import Tensors, check_backends, check_graphs, expect_close

if TYPE_CHECKING:
    from zoo.families.base import EndpointModel

OPSETS = (11, 13, 18)
"""Opsets at which a family is exported: the oldest that old runtimes read, the default, and the newest that tf2onnx writes."""
STEP = 8
"""Rows of one step of training."""


def check_family(
    cls: type[Any],
    config: Mapping[str, Any],
    rows: Rows,
    *,
    endpoints: Mapping[str, Endpoint] | None = None,
    opsets: Sequence[int] = OPSETS,
    tolerance: Tolerance | None = None,
) -> None:
    """Hold a family to what loading, training, fine-tuning, export and serving ask of it.

    Parameters
    ----------
    cls : type
        The class that ``register_family`` decorates.
    config : mapping of str to Any
        Plain data that build a small model of it.
    rows : Rows
        Rows that the model can be trained on, at least 16.
    endpoints : mapping of str to Endpoint, optional
        The tensors of each endpoint, where some have a mask, a dtype other than float32 or a free axis; by default their names
        and shapes are taken from ``example``.
    opsets : sequence of int
        Opsets at which the graphs must answer as the model does, but for those that the family's ``opset_reason`` names.
    tolerance : Tolerance, optional
        Largest difference between a graph, or another backend, and the model; by default 1e-4, absolute and relative.

    Raises
    ------
    AssertionError
        Naming what the family lacks, and what to do.
    """
    assert len(rows) >= 2 * STEP, f"give at least {2 * STEP} rows to try the family on, given {len(rows)}"
    tolerance = tolerance or Tolerance(absolute=1e-4, relative=1e-4)
    model = built(cls, config)
    examples = _examples(model, rows)
    model.spec = _spec(model, examples, rows, endpoints, tolerance)
    _check_training(model, rows)
    answers = _check_answers(model, examples)
    _check_batches(model, examples, answers)
    _check_masks(model, examples, answers)
    _check_contracts(model, rows)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS
        _check_saving(model, config, weights, examples, answers)
        check_backends(model, config, weights, examples, answers, tolerance)
    check_graphs(model, examples, opsets)


def built(cls: type[Any], config: Mapping[str, Any]) -> EndpointModel:
    """A model of a config that has gone through JSON, as a spec does.

    Parameters
    ----------
    cls : type
        The class of the family.
    config : mapping of str to Any
        Plain data that build it.

    Returns
    -------
    EndpointModel
        The model, with random weights.

    Raises
    ------
    AssertionError
        Naming what the family lacks to be built again from its config, and what to do.
    """
    from zoo.families.base import EndpointModel, ZooModel
    from zoo.families.state import own_randomness

    name = cls.__name__
    assert issubclass(cls, EndpointModel), f"{name}: derive it from zoo.families.base.ZooModel, or EndpointModel if not Keras"
    try:
        plain = json.loads(json.dumps(config))
    except TypeError as error:
        raise AssertionError(f"{name}: its config must be plain data, numbers, strings, lists and dicts: {error}") from error
    with own_randomness(1):
        model = cls(**plain)
    defaults = {key: one.default for key, one in inspect.signature(cls).parameters.items()}
    given = {key: model.config.get(key, defaults.get(key)) for key in plain}  # a config may leave out what is the default
    assert given == plain, f"{name}: set self.config to the keyword arguments that build it again, of {plain} it holds {given}"
    assert json.loads(json.dumps(model.config)) == model.config, f"{name}: self.config must be plain data that JSON keeps"
    for endpoint, method in model.endpoints.items():
        assert callable(getattr(model, method, None)), f"{name}: endpoint {endpoint!r} names the method {method!r}: write it"
    assert model.data_endpoint in model.endpoints, f"{name}: data_endpoint {model.data_endpoint!r} is none of its endpoints"
    if isinstance(model, ZooModel):
        assert model.built, f"{name}: build every layer in the constructor and set self.built, so that weights can be loaded"
        _check_layers(model)
    return model


def _check_layers(model: Any) -> None:
    import keras

    name, twin = type(model).__name__, type(model).from_config(model.get_config())
    assert twin.config == model.config, f"{name}: get_config must return its name and self.config"
    shapes = [[tuple(weight.shape) for weight in each.weights] for each in (model, twin)]
    assert shapes[0] == shapes[1], f"{name}: a second model of its config has other weights: let only the config decide them"
    names = [
        [layer.name for layer in each._flatten_layers(include_self=False) if not isinstance(layer, keras.layers.InputLayer)]
        for each in (model, twin)
    ]
    assert names[0] == names[1], f"{name}: name every layer, Keras numbers those without: {set(names[0]) ^ set(names[1])}"
    held = sorted(id(weight) for layers in model.blocks.values() for layer in layers for weight in layer.weights)
    assert held == sorted(id(weight) for weight in model.weights), f"{name}: blocks must hold every weight exactly once"


def _examples(model: EndpointModel, rows: Rows) -> dict[str, tuple[np.ndarray, ...]]:
    """Inputs of every endpoint for the first rows, once the model has measured its scaling on all of them."""
    from zoo.families.base import ZooModel
    from zoo.families.contracts import Boosted

    name = type(model).__name__
    if isinstance(model, ZooModel):
        model.adapt(rows.inputs, rows.target)
    elif isinstance(model, Boosted):
        (x,) = (np.asarray(array[:]) for array in rows.inputs.values())
        fitted = model.estimator(0.1, 0).set_params(max_iter=2).fit(x, np.asarray(rows.target)[:, 0])
        model.take(fitted, 2, x.mean(axis=0, dtype=np.float64))
    inputs = {key: np.asarray(array[:STEP]) for key, array in rows.inputs.items()}
    examples = model.example(inputs, np.random.default_rng(0))
    missing = model.endpoints.keys() ^ examples.keys()
    assert not missing, f"{name}: example must make inputs for every endpoint and no other; it differs in {sorted(missing)}"
    for endpoint, tensors in examples.items():
        lengths = {len(tensor) for tensor in tensors}
        assert lengths == {STEP}, f"{name}: example made {lengths} rows for {endpoint!r} of {STEP}: make one for each row"
    return {endpoint: tuple(map(np.asarray, tensors)) for endpoint, tensors in examples.items()}


def _spec(
    model: EndpointModel,
    examples: Tensors,
    rows: Rows,
    endpoints: Mapping[str, Endpoint] | None,
    tolerance: Tolerance,
) -> ModelSpec:
    """A spec as a release would write it, with names made up where none are given."""
    if endpoints is None:
        endpoints = {name: _endpoint(model, name, tensors, list(rows.inputs)) for name, tensors in examples.items()}
    return ModelSpec(
        name="checked",
        family="checked",
        library=model.library,
        config=model.config,
        task="check",
        summary="a model that a check has made",
        endpoints=dict(endpoints),
        data=Data(source="rows", description="rows of a check", simulator="none", seed=0, rows={}),
        metrics=[],
        files=[],
        tolerance=tolerance,
        physzoo_version="0",
    )


def _endpoint(model: EndpointModel, name: str, tensors: tuple[np.ndarray, ...], known: list[str]) -> Endpoint:
    names = known if name == model.data_endpoint else [f"{name}_{i}" for i in range(len(tensors))]
    inputs = [_tensor(key, tensor) for key, tensor in zip(names, tensors, strict=True)]
    outputs = [_tensor(f"answer_{i}", answer) for i, answer in enumerate(_asked(model, name, tensors))]
    return Endpoint(description=name, inputs=inputs, outputs=outputs)


def _tensor(name: str, array: np.ndarray) -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, list(array.shape[1:])), dtype=str(array.dtype), unit="1", description=name)  # type: ignore[arg-type]


def _asked(model: EndpointModel, endpoint: str, tensors: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """What an endpoint answers, as arrays."""
    from zoo.families.batches import answer

    found = answer(getattr(model, model.endpoints[endpoint]), *tensors)
    return tuple(np.asarray(one) for one in (found if isinstance(found, tuple) else (found,)))


def _check_training(model: EndpointModel, rows: Rows) -> None:
    """Two steps on the family's own objective move weights, and leave scalings where they are."""
    from zoo.families.base import ZooModel
    from zoo.families.contracts import Boosted

    name = type(model).__name__
    if isinstance(model, Boosted):
        return  # the trees of the examples were fitted already
    assert isinstance(model, ZooModel), f"{name}: fulfil zoo.families.contracts.Boosted, or derive it from ZooModel"
    if model.no_fine_tuning or not model.trainable_weights:
        return
    import keras

    inputs = [np.asarray(array[: 2 * STEP]) for array in rows.inputs.values()]
    given = inputs[0] if len(inputs) == 1 else tuple(inputs)
    target = np.asarray(rows.target[: 2 * STEP])
    loss = keras.ops.convert_to_numpy(model.objective(keras.ops.convert_to_tensor(target), model(given)))
    assert loss.shape == (len(target),), f"{name}: objective must give the loss of each row, (n,), given {loss.shape}"
    assert np.isfinite(loss).all(), f"{name}: objective is not finite on the rows given: look at its scaling"
    before, scaling = _numbers(model.trainable_weights), _numbers(_scaling(model))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    statistics = [_numbers(layer.non_trainable_weights) for layer in norms]
    model.compile(keras.optimizers.Adam(1e-3), loss=model.objective, jit_compile=False)
    model.fit(given, target, batch_size=STEP, epochs=1, shuffle=False, verbose=0)
    moved = not _same(before, _numbers(model.trainable_weights))
    assert moved, f"{name}: two steps moved no weight: let objective depend on what call answers"
    for layer, held in zip(norms, statistics, strict=True):
        measured = not _same(held, _numbers(layer.non_trainable_weights))
        assert measured, f"{name}: training left the statistics of {layer.name}: let call take training=False"
    kept = _same(scaling, _numbers(_scaling(model)))
    assert kept, f"{name}: training changed the scaling in its stem: make those weights not trainable"


def _scaling(model: Any) -> list[Any]:
    return [weight for layer in model.blocks.get("stem", []) for weight in layer.weights]


def _numbers(weights: Sequence[Any]) -> list[np.ndarray]:
    import keras

    return [keras.ops.convert_to_numpy(weight) for weight in weights]


def _same(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _check_answers(model: EndpointModel, examples: Tensors) -> Tensors:
    name, answers = type(model).__name__, {}
    for endpoint, tensors in examples.items():
        answers[endpoint] = _asked(model, endpoint, tensors)
        again = _asked(model, endpoint, tensors)
        described = model.spec.endpoint(endpoint).outputs
        assert len(described) == len(again), (
            f"{name}: {endpoint!r} answers {len(again)} tensors, its spec names {len(described)}"
        )
        for tensor, a, b in zip(described, answers[endpoint], again, strict=True):
            where = f"{name}: {endpoint!r}, {tensor.name}"
            assert np.array_equal(a, b), f"{where}: the same inputs got two answers: take noise as an input"
            assert a.dtype == tensor.dtype, f"{where}: expected {tensor.dtype}, answered {a.dtype}: cast it in the endpoint"
            sizes = zip(tensor.shape, a.shape[1:], strict=False)
            fits = a.ndim == 1 + len(tensor.shape) and all(wanted in (None, size) for wanted, size in sizes)
            assert fits, f"{where}: expected shape (n, {tensor.shape}), answered {a.shape}"
            assert np.isfinite(a).all(), f"{where}: not finite on example's inputs: make an example that can be answered"
    return answers


def _check_batches(model: EndpointModel, examples: Tensors, answers: Tensors) -> None:
    """A row is answered the same whatever rows are beside it."""
    chosen = np.array([5, 0, 3])
    for endpoint, tensors in examples.items():
        part = _asked(model, endpoint, [tensor[chosen] for tensor in tensors])
        for whole, some in zip(answers[endpoint], part, strict=True):
            where = f"{type(model).__name__}: {endpoint!r} answers a row otherwise with other rows beside it"
            expect_close(some, whole[chosen], Tolerance(absolute=1e-5, relative=1e-4), f"{where}: let no operation mix rows")


def _check_masks(model: EndpointModel, examples: Tensors, answers: Tensors) -> None:
    """More elements that a mask calls padding, and other values in them, change no answer."""
    for endpoint, tensors in examples.items():
        described = model.spec.endpoint(endpoint)
        given = {tensor.name: array for tensor, array in zip(described.inputs, tensors, strict=True)}
        if not any(tensor.mask for tensor in described.inputs):
            continue
        after_padding = _asked(model, endpoint, _padded(described, given))
        for tensor, before, after in zip(described.outputs, answers[endpoint], after_padding, strict=True):
            after = after[tuple(slice(size) for size in before.shape)]
            if tensor.mask is not None:
                real = along(given[tensor.mask], before)
                before, after = np.where(real, before, 0), np.where(real, after, 0)
            said = f"{type(model).__name__}: {endpoint!r}: padding changes {tensor.name}: leave out what the mask calls padding"
            expect_close(after, before, Tolerance(absolute=1e-5, relative=1e-4), said)


def _padded(endpoint: Endpoint, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Inputs with two more elements along every masked axis that is free, and mixed up values in all padding."""
    rng = np.random.default_rng(1)
    masks = {tensor.mask for tensor in endpoint.inputs if tensor.mask}
    longer = {axis for tensor in endpoint.inputs if tensor.name in masks for axis in tensor.free}
    padded = []
    for tensor in endpoint.inputs:
        more = [(0, 0), *((0, 2 if axis.name in longer else 0) for axis in tensor.axes)]
        array = np.pad(given[tensor.name], more)
        if tensor.mask is not None:
            mask = given[tensor.mask]
            real = along(np.pad(mask, more[: mask.ndim]), array)
            array = np.where(real, array, rng.permutation(array.ravel()).reshape(array.shape))
        padded.append(array)
    return padded


def _check_contracts(model: EndpointModel, rows: Rows) -> None:
    """The shapes that ``zoo.families.contracts`` promises."""
    from zoo.families.contracts import Classifies, Density, Generates, Latent, Predictive

    name, n = type(model).__name__, STEP
    inputs = {key: np.asarray(array[:n]) for key, array in rows.inputs.items()}
    target = np.asarray(rows.target[:n])
    first, *others = inputs.values()

    def expect(what: str, array: Any, shape: tuple[int, ...]) -> None:
        assert np.shape(array) == shape, f"{name}: {what} must be of shape {shape}, given {np.shape(array)}"

    if isinstance(model, Classifies) and model.answers_with == "probability":
        expect("logits(...)", model.logits(*inputs.values()), np.shape(_asked(model, model.data_endpoint, (first, *others))[0]))
    if isinstance(model, Density):
        expect("log_density(x, c)", model.log_density(first, *others), (n,))
        if isinstance(model, Generates):
            context = others[0][:2] if others else None
            expect("draw(3, c)", model.draw(3, context), (2, 3, model.dimensions) if others else (3, model.dimensions))
    if isinstance(model, Latent):
        for what, found in zip(("mean", "log-variance"), model.encode(first), strict=True):
            expect(f"the {what} that encode answers", found, (n, model.latents))
    one = target.shape[1:] == (1,) and not (isinstance(model, Density) and model.dimensions != 1)
    if isinstance(model, Predictive) and one:
        for what, found in model.predictive(inputs, target)._asdict().items():
            if found is not None:
                expect(f"{what} of predictive", found, (n,))


def _check_saving(
    model: EndpointModel,
    config: Mapping[str, Any],
    path: Path,
    examples: Tensors,
    answers: Tensors,
) -> None:
    """A file of numbers, loaded by a model that only the config has built, gives the same answers."""
    name = type(model).__name__
    model.bare().save_weights(path)
    loaded = type(model)(**json.loads(json.dumps(config)))
    load_weights(loaded, path)  # as zoo.load does, from a file in memory
    for endpoint, tensors in examples.items():
        for a, b in zip(answers[endpoint], _asked(loaded, endpoint, tensors), strict=True):
            said = f"{name}: {endpoint!r} answers otherwise once saved and loaded: keep every number that it uses in a weight"
            expect_close(b, a, Tolerance(absolute=1e-6, relative=1e-5), said)

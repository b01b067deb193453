"""An endpoint as a traced TensorFlow function: what both export formats are made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from zoo.errors import ExportError, ZooError
from zoo.families.base import EndpointModel
from zoo.model.spec import LIBRARIES, Endpoint, ModelSpec, Tensor

RANDOM = re.compile("Random|Multinomial|TruncatedNormal")


def checked_endpoint(model: EndpointModel, spec: ModelSpec, endpoint: str) -> Endpoint:
    """An endpoint of the spec that can become a graph.

    Raises
    ------
    UnknownNameError
        When the spec has no such endpoint.
    ExportError
        When the family has no such endpoint, or a name stands for both an input and an output.
    """
    described = spec.endpoint(endpoint)
    if endpoint not in model.endpoints:
        raise ExportError(
            f"{spec.name}: the card names the endpoint {endpoint!r}, {type(model).__name__} has {', '.join(model.endpoints)}"
        )
    shared = {t.name for t in described.inputs} & {t.name for t in described.outputs}
    if shared:
        raise ExportError(
            f"{spec.name}, endpoint {endpoint!r}: {', '.join(sorted(shared))} names an input and an output;"
            " a graph needs two names"
        )
    return described


def endpoint_call(model: EndpointModel, spec: ModelSpec, endpoint: str) -> Callable[..., dict[str, tf.Tensor]]:
    """An endpoint's method: of tensors (batch, *shape) in the spec's order it makes named tensors in the spec's order.

    Raises
    ------
    ExportError
        What ``checked_endpoint`` raises.
    """
    outputs = checked_endpoint(model, spec, endpoint).outputs
    method = getattr(model, model.endpoints[endpoint])

    def call(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        values = method(*inputs)
        values = values if isinstance(values, tuple) else (values,)
        if len(values) != len(outputs):
            raise ExportError(
                f"{spec.name}, endpoint {endpoint!r}: expected {_names(outputs)}, the method returns {len(values)}"
            )
        return {tensor.name: value for tensor, value in zip(outputs, values, strict=True)}

    return call


def signature(endpoint: Endpoint) -> list[tf.TensorSpec]:
    """Named inputs in the spec's order, the batch and free axes left open."""
    return [tf.TensorSpec([None, *tensor.shape], tensor.dtype, name=tensor.name) for tensor in endpoint.inputs]


def expect_tensorflow(model: EndpointModel) -> None:
    """Refuse a Keras model whose operations are not TensorFlow's, before anything is computed."""
    if isinstance(model, keras.Model) and (backend := keras.backend.backend()) != "tensorflow":
        raise ExportError(f"export needs KERAS_BACKEND=tensorflow, given {backend}; folders and weights load on either")


def traced(model: EndpointModel, spec: ModelSpec, endpoint: str) -> tf.types.experimental.PolymorphicFunction:
    """An endpoint as a ``tf.function``, traced once for ``signature(...)`` and checked against the spec.

    Raises
    ------
    ExportError
        When the model is no Keras model, Keras runs on another backend, a name stands for both an input and an output,
        the method is no graph, an output does not have the card's shape or dtype, or the graph draws random numbers.
    """
    where = f"{spec.name}, endpoint {endpoint!r}"
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"{where}: a SavedModel holds TensorFlow graphs, and a model made with {LIBRARIES[model.library]} has none:"
            " export it to ONNX"
        )
    expect_tensorflow(model)
    described = checked_endpoint(model, spec, endpoint)
    function = tf.function(endpoint_call(model, spec, endpoint), autograph=False)
    try:
        graph = function.get_concrete_function(*signature(described))
    except ZooError:
        raise
    except Exception as error:  # whatever the model's own code does on symbolic tensors
        raise ExportError(f"{where}: the method does not run as a graph: {str(error).splitlines()[0]}") from error
    for tensor in described.outputs:
        _check_output(where, tensor, graph.structured_outputs[tensor.name])
    random = [f"{node.name} ({node.op})" for node in _nodes(graph.graph.as_graph_def()) if RANDOM.search(node.op)]
    if random:
        raise ExportError(f"{where}: the graph draws random numbers in {', '.join(random)}; make the noise an input instead")
    return function


def _check_output(where: str, tensor: Tensor, given: tf.Tensor) -> None:
    if given.dtype.name != tensor.dtype or not given.shape.is_compatible_with([None, *tensor.shape]):
        expected = ", ".join(map(str, ("batch", *tensor.shape)))
        raise ExportError(
            f"{where}: output {tensor.name!r} should be {tensor.dtype} of shape ({expected}),"
            f" the model gives {given.dtype.name} of shape {given.shape}"
        )


def _nodes(graph: tf.compat.v1.GraphDef) -> Iterator[tf.compat.v1.NodeDef]:
    """All nodes, those in the bodies of loops and branches too."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _names(tensors: list[Tensor]) -> str:
    return f"{len(tensors)} outputs ({', '.join(tensor.name for tensor in tensors)})"

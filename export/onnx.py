"""One endpoint as one ONNX graph that old runtimes read too."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import tf2onnx
from onnx import helper

from zoo.errors import ExportError
from zoo.export.canonical import make_canonical, replace
from zoo.export.joined import join_products
from zoo.export.nodes import walk
from zoo.export.targets import OPSET
from zoo.export.traced import checked_endpoint, signature, traced
from zoo.families.base import EndpointModel
from zoo.model.axes import BATCH
from zoo.model.spec import ModelSpec, Tensor

OPSETS = range(9, 19)
"""What tf2onnx writes; skl2onnx goes further."""
_COPIES = "TF2ONNX_CATCH_ERRORS"
"""A variable of the environment that, set to anything, lets errors of tf2onnx's passes through and spares their copies."""

_DOUBLE_LOG: dict[str, tuple[Callable[..., Any], list[Any]]] = {"Log": (lambda graph, node, name, arguments: node, [])}
"""A logarithm of doubles stays one: tf2onnx makes it a float's, for a runtime of 2019 that knew no other."""


def to_onnx(model: EndpointModel, spec: ModelSpec, endpoint: str, opset: int = OPSET) -> onnx.ModelProto:
    """Convert one endpoint.

    Inputs and outputs have the names, order, dtypes and shapes of the spec, with a free first dimension called ``batch`` and
    other free dimensions called as their axes; units and descriptions travel along as doc strings, and model, revision,
    endpoint and units as metadata. The IR version is the lowest that carries the opset, since runtimes refuse files newer than
    themselves (opset 11 runs in ONNX Runtime 1.4, opset 13 from 1.6 on). The same model gives the same bytes, unless its graph
    has loops or branches: tf2onnx orders their nodes by names that TensorFlow numbers anew each time.

    Parameters
    ----------
    model : EndpointModel
        A model of the family and configuration that ``spec`` describes; one of Keras on the TensorFlow backend.
    spec : ModelSpec
        The names, dtypes, axes and units of the tensors.
    endpoint : str
        One of ``spec.endpoints``.
    opset : int
        The version of ONNX's operators, 9 to 18.

    Returns
    -------
    ModelProto
        The graph, which has passed ONNX's full check.

    Raises
    ------
    UnknownNameError
        When the spec has no such endpoint.
    ExportError
        When the opset is out of range, an operation has no ONNX counterpart (naming operation and node), the graph
        draws random numbers, or its inputs and outputs are not those of the spec.
    """
    if opset not in OPSETS:
        raise ExportError(
            f"opset {opset}: expected {OPSETS[0]} to {OPSETS[-1]}; 13 suits ONNX Runtime from 1.6 on, 11 from 1.4 on"
        )
    where = f"{spec.name}, endpoint {endpoint!r}, opset {opset}"
    described = checked_endpoint(model, spec, endpoint)
    try:
        proto = model.as_onnx(endpoint, described, opset)
    except ExportError as error:
        raise ExportError(f"{where}: {error}") from error
    if proto is None:
        proto = _traced_graph(model, spec, endpoint, opset, where)
    graph = proto.graph
    _expect(where, "inputs", [t.name for t in described.inputs], [value.name for value in graph.input])
    _expect(where, "outputs", [t.name for t in described.outputs], [value.name for value in graph.output])

    join_products(graph)
    by_structure = bool(described.free) or model.repeats_operations
    make_canonical(graph, keep=[tensor.name for tensor in described.tensors], by_structure=by_structure)
    return describe_graph(proto, spec, endpoint, opset)


def describe_graph(proto: onnx.ModelProto, spec: ModelSpec, endpoint: str, opset: int) -> onnx.ModelProto:
    """The graph with what its card says of the endpoint: tensors in order, units, provenance; checked.

    Raises
    ------
    ExportError
        When the graph is invalid.
    """
    graph, described = proto.graph, spec.endpoint(endpoint)
    replace(graph.input, [value_info(tensor) for tensor in described.inputs])
    replace(graph.output, [value_info(tensor) for tensor in described.outputs])
    graph.name, graph.doc_string = endpoint, described.description

    # tf2onnx declares ai.onnx.ml in every file, skl2onnx the default domain twice.
    used_domains = {node.domain for node in walk(graph)}
    domains = {"": opset} | {used.domain: used.version for used in proto.opset_import if used.domain in used_domains}
    replace(proto.opset_import, [helper.make_opsetid(domain, number) for domain, number in domains.items()])
    proto.ir_version = ir_version(opset)
    proto.producer_name, proto.producer_version = "physzoo", version("physzoo")
    proto.doc_string = spec.summary
    units = {tensor.name: tensor.unit for tensor in (*described.inputs, *described.outputs)}
    metadata = {"model": spec.name, "revision": spec.revision, "endpoint": endpoint, "units": json.dumps(units)}
    helper.set_model_props(proto, metadata)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{spec.name}, endpoint {endpoint!r}, opset {opset}: the graph is invalid: {error}") from error
    return proto


def ir_version(opset: int) -> int:
    """The lowest IR version that carries an opset: 6 for opset 11, 7 for 13."""
    return helper.find_min_ir_version_for([helper.make_opsetid("", opset)])


def _traced_graph(model: EndpointModel, spec: ModelSpec, endpoint: str, opset: int, where: str) -> onnx.ModelProto:
    function, inputs = traced(model, spec, endpoint), signature(spec.endpoint(endpoint))
    with _logged_errors() as errors:
        try:
            convert = partial(tf2onnx.convert.from_function, function, input_signature=inputs, opset=opset)
            proto, _ = _converted(partial(convert, custom_op_handlers=_DOUBLE_LOG))
        except Exception as error:  # tf2onnx raises whatever went wrong inside, down to KeyError and AssertionError
            raise ExportError(f"{where}: tf2onnx failed: {'; '.join([*errors, str(error)])}") from error
    if errors:
        higher = "export with opset 13 or higher, or " if opset < OPSET else ""
        raise ExportError(f"{where}: no ONNX counterpart: {'; '.join(errors)}; {higher}write the layer with other operations")
    return proto


def _converted(convert: Callable[[], tuple[onnx.ModelProto, Any]]) -> tuple[onnx.ModelProto, Any]:
    """What tf2onnx makes without copies of the graph, where it can.

    It copies the graph before each of its passes, in case that one fails, which takes up to half of its time. Only where a pass
    does fail is the graph converted again with copies, and without that pass.
    """
    os.environ[_COPIES] = "false"
    try:
        return convert()
    except Exception:  # a pass has failed, or what is raised again
        del os.environ[_COPIES]
        return convert()
    finally:
        os.environ.pop(_COPIES, None)


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Silence tf2onnx and collect the errors that it logs where it should raise."""
    errors: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage().splitlines()[0]
            if message not in errors:  # a conversion that is tried again repeats them
                errors.append(message)

    logger, handler = logging.getLogger("tf2onnx"), Collect(logging.ERROR)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield errors
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _expect(where: str, kind: str, expected: list[str], given: list[str]) -> None:
    """Compare names as sets: the order is put right afterwards."""
    extra = sorted(set(given) - set(expected))
    missing = sorted(set(expected) - set(given))
    if extra:
        raise ExportError(
            f"{where}: expected the {kind} {expected}, the graph has {extra} too; a tensor that a layer holds becomes an input:"
            " hold it as a non-trainable weight"
        )
    if missing:
        raise ExportError(f"{where}: expected the {kind} {expected}, the graph lacks {missing}")


def value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    """An input or output of a graph, as the card describes it; a free dimension has the name of its axis."""
    shape = [BATCH, *(axis.name if axis.size is None else axis.size for axis in tensor.axes)]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    return helper.make_tensor_value_info(tensor.name, dtype, shape, doc_string=f"{tensor.description} [{tensor.unit}]")

"""The server's description of its own REST protocol, with the names and versions that it serves at this moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from zoo.model.dtypes import NAMES
from zoo.model.spec import Endpoint, Tensor
from zoo.model.whole_numbers import rounded
from zoo.serving.protocol import HEADER

if TYPE_CHECKING:
    from zoo.serving.handlers import Handlers
    from zoo.serving.repository import Served

Schema = dict[str, object]

_EXAMPLE_VALUES, _EXAMPLE_LENGTH = 1000, 3
"""Values that an example may have in all, and how long its free axes are if their limits allow it."""

_STRING: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "binary_data_size": _COUNT | {"description": "bytes of this tensor after the JSON part"},
        "binary_data": {"type": "boolean"},
        "binary_data_output": {"type": "boolean"},
        "allow_nonfinite": {"type": "boolean", "description": "let NaN and infinity through"},
        "allow_out_of_range": {"type": "boolean", "description": "let values outside the trained range through"},
        "timeout": _COUNT | {"description": "microseconds, 0 for the server's own", "maximum": 2**63 - 1},
    },
}


def _object(properties: dict[str, Schema], *optional: str) -> Schema:
    return {"type": "object", "properties": properties, "required": [name for name in properties if name not in optional]}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SIZE: Schema = {"type": "integer", "description": "-1 for the batch and for axes of any length"}
_DATATYPE: Schema = {"type": "string", "enum": [names.datatype for names in NAMES.values()]}
_TENSOR = _object(
    {
        "name": _STRING,
        "datatype": _DATATYPE,
        "shape": _array(_SIZE),
    }
)
_DURATION = _object({"count": _COUNT, "ns": _COUNT})
_INPUT = _object(
    {
        "name": _STRING,
        "datatype": _DATATYPE,
        "shape": _array(_COUNT | {"maximum": 2**63 - 1}),
        "data": {"type": "array", "items": {}, "description": "flat, or nested as the shape says"},
        "parameters": _PARAMETERS,
    },
    "data",
    "parameters",
)
_SCHEMAS: dict[str, Schema] = {
    "Error": _object({"error": _STRING}),
    "Server": _object({"name": _STRING, "version": _STRING, "extensions": _array(_STRING)}),
    "Model": _object(
        {
            "name": _STRING,
            "versions": _array(_STRING),
            "platform": _STRING,
            "inputs": _array(_TENSOR),
            "outputs": _array(_TENSOR),
        }
    ),
    "Config": {"type": "object"},
    "Statistics": _object(
        {
            "model_stats": _array(
                _object(
                    {
                        "name": _STRING,
                        "version": _STRING,
                        "last_inference": _COUNT,
                        "inference_count": _COUNT,
                        "execution_count": _COUNT,
                        "inference_stats": {"type": "object", "additionalProperties": _DURATION},
                        "batch_stats": _array({"type": "object"}),
                    }
                )
            )
        }
    ),
    "Index": _array(_object({"name": _STRING, "version": _STRING, "state": _STRING, "reason": _STRING})),
    "InferRequest": _object(
        {
            "id": {"type": ["string", "null"]},
            "inputs": _array(_INPUT),
            "outputs": _array(_object({"name": _STRING, "parameters": _PARAMETERS}, "parameters")),
            "parameters": _PARAMETERS,
        },
        "id",
        "outputs",
        "parameters",
    ),
    "InferResponse": _object(
        {"model_name": _STRING, "model_version": _STRING, "id": _STRING, "outputs": _array({"type": "object"})}, "id"
    ),
}
_ERRORS = {
    400: "a field, a tensor or a value that is not what is expected",
    404: "no such model or version",
    408: "the request did not arrive in time",
    413: "the request is too large",
    415: "an unknown content encoding",
    503: "the queue is full, or the server shuts down; see Retry-After",
    504: "no answer within the timeout",
}


def document(handlers: Handlers) -> dict[str, object]:
    """OpenAPI 3.1 of what is served now."""
    served = handlers.repository.loaded()
    names = sorted({one.name for one in served})
    every = sorted({row["name"] for row in handlers.repository.index()})
    pairs = sorted({one.version for one in served})
    examples: Schema = {one.name: {"value": _example(one)} for one in served if _values(one) <= _EXAMPLE_VALUES}
    paths: dict[str, object] = {
        "/v2": {"get": _operation("metadata of the server", _ref("Server"))},
        "/v2/health/live": {"get": _operation("whether the server runs", None)},
        "/v2/health/ready": {"get": _operation("whether it takes requests", None)},
        "/v2/models/stats": {"get": _operation("statistics of all models", _ref("Statistics"))},
        "/v2/repository/index": {
            "get": _operation("models at hand", _ref("Index")),
            "post": _operation(
                "models at hand", _ref("Index"), body=_object({"ready": {"type": "boolean"}}, "ready"), body_needed=False
            ),
        },
        "/metrics": {"get": _operation("Prometheus's metrics", _STRING, media="text/plain")},
    }
    for verb in ("load", "unload"):
        operation = _operation(f"{verb} a model, where clients may", None, body={"type": "object"}, body_needed=False)
        paths[f"/v2/repository/models/{{name}}/{verb}"] = {"post": operation, "parameters": [_parameter("name", every)]}
    for path, parameters in (
        ("/v2/models/{name}", [_parameter("name", names)]),
        ("/v2/models/{name}/versions/{version}", [_parameter("name", names), _parameter("version", pairs)]),
    ):
        for suffix, method, operation in (
            ("", "get", _operation("metadata of a model", _ref("Model"))),
            ("/ready", "get", _operation("whether a model is ready", None)),
            ("/config", "get", _operation("configuration of a model", _ref("Config"))),
            ("/stats", "get", _operation("statistics of a model", _ref("Statistics"))),
            ("/infer", "post", _infer(examples)),
        ):
            paths[path + suffix] = {method: operation, "parameters": parameters}
    server = handlers.server()
    return {
        "openapi": "3.1.0",
        "info": {"title": "physzoo: Open Inference Protocol V2", "version": server["version"]},
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _lengths(endpoint: Endpoint) -> dict[str, int]:
    """A short length of each axis."""
    axes = {axis.name: axis for tensor in endpoint.tensors for axis in tensor.axes}
    return {name: axis.size or min(max(axis.least or 1, _EXAMPLE_LENGTH), axis.most or 1) for name, axis in axes.items()}


def _values(served: Served) -> int:
    lengths = _lengths(served.endpoint)
    return sum(math.prod(tensor.sized(lengths)) for tensor in served.endpoint.inputs)


def _example(served: Served) -> Schema:
    """A request for one row: short free axes, all elements real, values in the middle of their ranges."""
    lengths = _lengths(served.endpoint)
    inputs = [
        {
            "name": tensor.name,
            "datatype": NAMES[tensor.dtype].datatype,
            "shape": [1, *(tensor.sized(lengths) or tensor.wire_shape)],
            "data": _row(tensor, lengths).ravel().tolist(),
        }
        for tensor in served.endpoint.inputs
    ]
    return {"inputs": inputs}


def _row(tensor: Tensor, lengths: Mapping[str, int]) -> np.ndarray:
    """Values that the check of the inputs lets through: true, positions that the axis has, a listed value, a jet, middles."""
    shape = tensor.sized(lengths)
    if tensor.dtype == "bool":
        return np.ones(shape, bool)
    if tensor.index_of is not None:
        return (np.arange(math.prod(shape)) % lengths[tensor.index_of]).reshape(shape)
    if tensor.values is not None:
        return np.full(shape, tensor.values[0])
    low, high = (
        np.broadcast_to(known if bound is None else bound, shape)
        for bound, known in ((tensor.low, -np.inf), (tensor.high, np.inf))
    )
    bounded = np.isfinite(low) & np.isfinite(high)
    row = np.where(bounded, np.where(bounded, low, 0) / 2 + np.where(bounded, high, 0) / 2, np.clip(0.0, low, high))
    if tensor.jet is not None:  # particles beside each other, of one azimuth, so that their momenta add up
        row[:, 0] = sum(tensor.jet.pt) / 2 / len(row)
        row[:, 1], row[:, 2] = np.linspace(0, tensor.jet.radius, len(row)), 0.0
    row = rounded(tensor, row)
    return np.ceil(row).astype(tensor.dtype) if tensor.dtype.startswith("int") else row


def _infer(examples: Schema) -> Schema:
    operation = _operation("answers of a model", _ref("InferResponse"), body=_ref("InferRequest"))
    operation["requestBody"]["content"]["application/json"]["examples"] = examples  # type: ignore[index]
    binary: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    operation["requestBody"]["content"] |= binary  # type: ignore[index]
    operation["responses"]["200"]["content"] |= binary  # type: ignore[index]
    length = {"name": HEADER, "in": "header", "schema": _COUNT, "description": "bytes of JSON, where binary tensors follow"}
    operation["parameters"] = [length]
    return operation


def _parameter(name: str, values: Iterable[str]) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": list(values)}}


def _operation(
    summary: str,
    answer: Schema | None,
    *,
    body: Schema | None = None,
    body_needed: bool = True,
    media: str = "application/json",
) -> Schema:
    error: Schema = {"application/json": {"schema": _ref("Error")}}
    responses: dict[str, Schema] = {str(status): {"description": text, "content": error} for status, text in _ERRORS.items()}
    responses["200"] = {"description": summary} | ({} if answer is None else {"content": {media: {"schema": answer}}})
    operation: Schema = {"summary": summary, "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": body_needed, "content": {"application/json": {"schema": body}}}
    return operation

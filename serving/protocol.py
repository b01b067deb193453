"""Open Inference Protocol V2 over REST: bytes to named arrays and back.

The protocol is KServe's (https://github.com/kserve/open-inference-protocol), with the binary tensor data extension as
Triton defines it: the JSON part, whose length the header ``Inference-Header-Content-Length`` gives, is followed by the
tensors, little-endian and row-major, in the order of the JSON part. The protocol has no endpoints, so every endpoint of
a model is a served model of its own: ``predict`` under the model's name, ``encode`` under ``<model>.encode``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.errors import InputError
from zoo.spec import Endpoint, ModelSpec, Tensor

HEADER = "Inference-Header-Content-Length"
_DATATYPE = "FP32"
_UNSUPPORTED = {"classification", "shared_memory_region"}


class _Wire(BaseModel):
    """Strict types; fields that we do not know are other servers' extensions and pass."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Parameters(_Wire):
    binary_data_size: Annotated[int, Field(ge=0)] | None = None
    binary_data: bool | None = None
    binary_data_output: bool = False
    allow_nonfinite: bool = False
    allow_out_of_range: bool = False


class _Input(_Wire):
    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=0, lt=2**63)]]
    data: list[Any] | None = None
    parameters: _Parameters = _Parameters()


class _Output(_Wire):
    name: str
    parameters: _Parameters = _Parameters()


class _Request(_Wire):
    id: str | None = None
    inputs: list[_Input]
    outputs: list[_Output] = []
    parameters: _Parameters = _Parameters()


@dataclass(frozen=True)
class InferRequest:
    """What a client asks of one endpoint."""

    id: str | None
    inputs: dict[str, np.ndarray]
    outputs: dict[str, bool]
    """Names of the outputs wanted, and whether each is wanted as binary data."""
    allow_nonfinite: bool
    allow_out_of_range: bool


def wire_name(model: str, endpoint: str) -> str:
    """The name under which an endpoint is served."""
    return model if endpoint == "predict" else f"{model}.{endpoint}"


def metadata(spec: ModelSpec, endpoint: str) -> dict[str, object]:
    """The protocol's model metadata of one endpoint."""
    return {
        "name": wire_name(spec.name, endpoint),
        "versions": [spec.revision],
        "platform": "onnxruntime_onnx",
        "inputs": [_tensor_metadata(tensor) for tensor in spec.endpoints[endpoint].inputs],
        "outputs": [_tensor_metadata(tensor) for tensor in spec.endpoints[endpoint].outputs],
    }


def parse(body: bytes, header_length: str | None, endpoint: Endpoint) -> InferRequest:
    """Read an inference request.

    Parameters
    ----------
    body : JSON, and after it the binary tensors
    header_length : value of ``Inference-Header-Content-Length``, None where the body is JSON alone
    endpoint : whose tensors are expected

    Raises
    ------
    InputError
        Naming the field or tensor, what was expected and what was given. Nothing is allocated by a declared size.
    """
    length = _json_length(header_length, len(body))
    try:
        request = _Request.model_validate_json(body[:length])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"request {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    expected = {tensor.name: tensor for tensor in endpoint.inputs}
    inputs: dict[str, np.ndarray] = {}
    rest = memoryview(body)[length:]
    for item in request.inputs:
        if item.name not in expected:
            raise InputError(f"no input named {item.name!r}; expected the inputs {sorted(expected)}")
        if item.name in inputs:
            raise InputError(f"input {item.name!r} is given twice")
        size = item.parameters.binary_data_size or 0
        inputs[item.name] = _read(item, expected[item.name], rest[:size])
        rest = rest[size:]
    if rest:
        raise InputError(f"{len(rest)} bytes follow the last tensor; expected none")
    return InferRequest(
        id=request.id,
        inputs=inputs,
        outputs=_wanted(request, endpoint),
        allow_nonfinite=request.parameters.allow_nonfinite,
        allow_out_of_range=request.parameters.allow_out_of_range,
    )


def build(request: InferRequest, name: str, version: str, arrays: Mapping[str, np.ndarray]) -> tuple[bytes, int | None]:
    """Write an inference response: its body, and the length of the JSON part where binary tensors follow it.

    NaN and infinity, which only a request that allows them can produce, are written as ``NaN`` and ``Infinity``: Triton's
    clients read these although JSON has no such numbers. Binary data has no such trouble.
    """
    outputs: list[dict[str, object]] = []
    blobs: list[bytes] = []
    for output, binary in request.outputs.items():
        array = arrays[output]
        described: dict[str, object] = {"name": output, "datatype": _DATATYPE, "shape": list(array.shape)}
        if binary:
            blobs.append(array.astype("<f4", copy=False).tobytes())
            described["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            described["data"] = array.ravel().tolist()
        outputs.append(described)
    response: dict[str, object] = {"model_name": name, "model_version": version, "outputs": outputs}
    if request.id is not None:
        response["id"] = request.id
    text = json.dumps(response).encode()
    return b"".join([text, *blobs]), len(text) if blobs else None


def _tensor_metadata(tensor: Tensor) -> dict[str, object]:
    return {"name": tensor.name, "datatype": _DATATYPE, "shape": [-1, *tensor.shape]}


def _json_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not (header.isascii() and header.isdigit() and len(header) < 20):
        raise InputError(f"{HEADER}: expected a number of bytes, given {header!r}")
    if int(header) > size:
        raise InputError(f"{HEADER}: {header} bytes of JSON announced, but the body has {size}")
    return int(header)


def _read(item: _Input, expected: Tensor, binary: memoryview) -> np.ndarray:
    """One input tensor as float32 of its declared shape."""
    name = item.name
    if item.datatype != _DATATYPE:
        raise InputError(f"input {name!r}: expected datatype {_DATATYPE}, given {item.datatype!r}")
    _refuse_extensions(f"input {name!r}", item.parameters)
    if not item.shape or item.shape[1:] != expected.shape:
        wanted = ", ".join(map(str, ["batch", *expected.shape]))
        raise InputError(f"input {name!r}: expected shape [{wanted}], given {item.shape}")
    count = math.prod(item.shape)
    declared = item.parameters.binary_data_size
    if (declared is None) == (item.data is None):
        raise InputError(f"input {name!r}: expected either data or the parameter binary_data_size")
    if item.data is not None:
        array = _numbers(name, item.data)
        if array.shape != tuple(item.shape) and array.shape != (count,):
            raise InputError(f"input {name!r}: shape {item.shape} needs {count} values, given data of shape {array.shape}")
    else:
        if declared != 4 * count or len(binary) != declared:
            raise InputError(
                f"input {name!r}: shape {item.shape} needs {4 * count} bytes,"
                f" binary_data_size says {declared} and the body has {len(binary)} left for it"
            )
        array = np.frombuffer(binary, "<f4")
    with np.errstate(over="ignore"):  # becomes infinite, which the input check names
        return array.astype(np.float32).reshape(item.shape)  # a copy: tensors lie unaligned in the body


def _numbers(name: str, data: list[Any]) -> np.ndarray:
    try:
        array = np.asarray(data)
    except ValueError:
        raise InputError(
            f"input {name!r}: data is nested unevenly; expected one flat list, or one shaped as declared"
        ) from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"input {name!r}: expected numbers, given other values among them")
    return array


def _wanted(request: _Request, endpoint: Endpoint) -> dict[str, bool]:
    """The outputs asked for, all by default, each with whether it is wanted as binary data."""
    by_default = request.parameters.binary_data_output
    known = [tensor.name for tensor in endpoint.outputs]
    if not request.outputs:
        return dict.fromkeys(known, by_default)
    wanted: dict[str, bool] = {}
    for item in request.outputs:
        if item.name not in known:
            raise InputError(f"no output named {item.name!r}; expected among the outputs {sorted(known)}")
        if item.name in wanted:
            raise InputError(f"output {item.name!r} is asked for twice")
        _refuse_extensions(f"output {item.name!r}", item.parameters)
        binary = item.parameters.binary_data
        wanted[item.name] = by_default if binary is None else binary
    return wanted


def _refuse_extensions(what: str, parameters: _Parameters) -> None:
    if refused := sorted(_UNSUPPORTED & (parameters.model_extra or {}).keys()):
        raise InputError(f"{what}: this server does not support {', '.join(refused)}")

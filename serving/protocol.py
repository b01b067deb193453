"""Open Inference Protocol V2 over REST: bytes to named arrays and back.

The protocol is KServe's (https://github.com/kserve/open-inference-protocol), with the binary tensor data extension as
Triton defines it: the JSON part, whose length the header ``Inference-Header-Content-Length`` gives, is followed by the
tensors, little-endian and row-major, in the order of the JSON part; with no JSON part, the body is one row of the only input.
The protocol has no endpoints, so every endpoint of
a model is a served model of its own: ``predict`` under the model's name, ``encode`` under ``<model>.encode``.

Shapes are those of each request: a free axis may have any length between its limits, and metadata says -1 for it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.errors import InputError, fault
from zoo.model.dtypes import NAMES, little_endian
from zoo.model.spec import Endpoint, Tensor
from zoo.serving.tensors import check_tensor, from_bytes, from_json, graph_shape, raw_shape, wire_shape

HEADER = "Inference-Header-Content-Length"
Body = bytes | bytearray | memoryview
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
# Requests whose JSON part is remembered, of how many bytes at most.
_CACHED, _CACHED_BYTES = 256, 2048
UNSUPPORTED = {"classification", "shared_memory_region"}


# Whole numbers of requests are at most those of the protocol over gRPC.
_Size = Annotated[int, Field(ge=0, lt=2**63)]
_MOST_TENSORS = 1000
"""Inputs and outputs that a request may name, before it is known which there are."""


class _Wire(BaseModel):
    """Strict types; fields that we do not know are other servers' extensions and pass."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Parameters(_Wire):
    binary_data_size: _Size | None = None
    binary_data: bool | None = None
    binary_data_output: bool = False
    allow_nonfinite: bool = False
    allow_out_of_range: bool = False
    timeout: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    priority: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    """Whose requests take turns here whatever priority they have."""


class _Input(_Wire):
    name: str
    datatype: str
    shape: list[_Size]
    data: list[Any] | None = None
    parameters: _Parameters = _Parameters()


class _Output(_Wire):
    name: str
    parameters: _Parameters = _Parameters()


class _Request(_Wire):
    id: str | None = None
    inputs: Annotated[list[_Input], Field(max_length=_MOST_TENSORS)]
    outputs: Annotated[list[_Output], Field(max_length=_MOST_TENSORS)] = []
    parameters: _Parameters = _Parameters()


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client asks of one endpoint."""

    id: str | None
    inputs: dict[str, np.ndarray]
    outputs: dict[str, bool]
    """Names of the outputs wanted, and whether each is wanted as binary data."""
    allow_nonfinite: bool = False
    allow_out_of_range: bool = False
    timeout: float | None = None
    """Seconds; None for the server's own."""


class _Plan:
    """What a JSON part that was read once says: the same request with other tensors, each where the first one had its."""

    __slots__ = ("_template", "_tensors", "size")

    def __init__(self, template: InferRequest, size: int) -> None:
        self.size = size
        self._tensors = [(name, array.shape, array.nbytes, array.dtype) for name, array in template.inputs.items()]
        self._template = replace(template, inputs={})

    def request(self, tensors: memoryview) -> InferRequest:
        inputs: dict[str, np.ndarray] = {}
        start = 0
        for name, shape, size, dtype in self._tensors:
            inputs[name] = from_bytes(name, tensors[start : start + size], dtype).reshape(shape)
            start += size
        t = self._template
        return InferRequest(t.id, inputs, t.outputs, t.allow_nonfinite, t.allow_out_of_range, t.timeout)


class Codec:
    """REST of one served model: bodies in and out.

    What the JSON part of a request with nothing but binary tensors says, and the JSON part of its answer, do not depend on
    the tensors, and clients in a loop send the same one each time: these are read and written once.

    Parameters
    ----------
    name : str
        The name under which the model is served.
    version : str
        The version of this name.
    endpoint : Endpoint
        The endpoint whose tensors are expected.
    """

    def __init__(self, name: str, version: str, endpoint: Endpoint) -> None:
        self._name, self._version, self._endpoint = name, version, endpoint
        self._inputs = {tensor.name: tensor for tensor in endpoint.inputs}
        self._datatypes = {tensor.name: NAMES[tensor.dtype].datatype for tensor in endpoint.outputs}
        self._dtypes = {tensor.name: little_endian(tensor.dtype) for tensor in endpoint.outputs}
        self._plans: dict[bytes, _Plan] = {}
        self._texts: dict[tuple[object, ...], bytes] = {}

    def parse(self, body: Body, header_length: str | None) -> InferRequest:
        """Read an inference request.

        Parameters
        ----------
        body : bytes, bytearray or memoryview
            JSON, and after it the binary tensors.
        header_length : str or None
            Value of ``Inference-Header-Content-Length``, None where the body is JSON alone.

        Returns
        -------
        InferRequest
            Arrays of the declared shapes, which ``InputCheck`` has yet to check.

        Raises
        ------
        InputError
            Naming the field or tensor, what was expected and what was given. Nothing is allocated by a declared size.
        """
        length = _json_length(header_length, len(body))
        if length == 0 and header_length is not None:
            return self._raw(memoryview(body))
        text = bytes(memoryview(body)[:length])
        rest = memoryview(body)[length:]
        if (plan := self._plans.get(text)) is not None and len(rest) == plan.size:
            return plan.request(rest)
        request = _validated(text)
        inputs: dict[str, np.ndarray] = {}
        for item in request.inputs:
            if item.name not in self._inputs:
                raise InputError(f"no input named {item.name!r}; expected the inputs {sorted(self._inputs)}")
            if item.name in inputs:
                raise InputError(f"input {item.name!r} is given twice")
            size = item.parameters.binary_data_size or 0
            inputs[item.name] = _read(item, self._inputs[item.name], rest[:size])
            rest = rest[size:]
        if rest:
            raise InputError(f"{len(rest)} bytes follow the last tensor; expected none")
        parameters = request.parameters
        read = InferRequest(
            id=request.id,
            inputs=inputs,
            outputs=wanted_outputs(_asked(request), self._endpoint, request.parameters.binary_data_output),
            allow_nonfinite=parameters.allow_nonfinite,
            allow_out_of_range=parameters.allow_out_of_range,
            timeout=parameters.timeout / 1e6 if parameters.timeout else None,
        )
        if len(text) <= _CACHED_BYTES and all(item.data is None for item in request.inputs):
            _keep(self._plans, text, _Plan(read, len(body) - length))
        return read

    def _raw(self, body: memoryview) -> InferRequest:
        """A raw request, the bytes of the only input and no JSON: one row, as Triton takes it, answered in binary."""
        if len(self._endpoint.inputs) > 1:
            raise InputError(
                f"{HEADER}: 0 announces the bytes of a single input; expected JSON that says where those of"
                f" {', '.join(self._inputs)} are"
            )
        [tensor] = self._endpoint.inputs
        shape = raw_shape(tensor, len(body))
        check_tensor(tensor.name, NAMES[tensor.dtype].datatype, shape, tensor)
        array = from_bytes(tensor.name, body, little_endian(tensor.dtype)).reshape(graph_shape(shape, tensor))
        return InferRequest(None, {tensor.name: array}, wanted_outputs((), self._endpoint, True))

    def build(self, request: InferRequest, arrays: Mapping[str, np.ndarray]) -> tuple[bytes, int | None]:
        """Write an inference response.

        NaN and infinity, which only a request that allows them can produce, are written as ``NaN`` and ``Infinity``:
        Triton's clients read these although JSON has no such numbers. Binary data has no such trouble.

        Parameters
        ----------
        request : InferRequest
            The request that is answered.
        arrays : mapping of str to ndarray
            What the graph answered.

        Returns
        -------
        tuple of (bytes, int or None)
            The body, and the length of its JSON part where binary tensors follow it.
        """
        dtypes = self._dtypes
        blobs = [arrays[name].astype(dtypes[name], copy=False).tobytes() for name, binary in request.outputs.items() if binary]
        if len(blobs) < len(request.outputs):
            text = self._text(request, arrays)
            return b"".join([text, *blobs]), len(text) if blobs else None
        key = (request.id, *((name, arrays[name].shape) for name in request.outputs))
        known = self._texts.get(key)
        text = self._text(request, arrays) if known is None else known
        if known is None and len(text) <= _CACHED_BYTES:
            _keep(self._texts, key, text)
        return b"".join([text, *blobs]), len(text)

    def _text(self, request: InferRequest, arrays: Mapping[str, np.ndarray]) -> bytes:
        outputs: list[dict[str, object]] = []
        for name, binary in request.outputs.items():
            array = arrays[name]
            described: dict[str, object] = {"name": name, "datatype": self._datatypes[name], "shape": wire_shape(array)}
            if binary:
                described["parameters"] = {"binary_data_size": array.nbytes}
            else:
                described["data"] = array.ravel().tolist()
            outputs.append(described)
        response: dict[str, object] = {"model_name": self._name, "model_version": self._version, "outputs": outputs}
        if request.id is not None:
            response["id"] = request.id
        return json.dumps(response).encode()


def _validated(text: bytes) -> _Request:
    try:
        return _Request.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"request {fault(first)}") from None


def _keep(cache: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(cache) >= _CACHED:
        cache.clear()
    cache[key] = value
    return value


def _json_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not (header.isascii() and header.isdigit() and len(header) < 20):
        raise InputError(f"{HEADER}: expected a number of bytes, given {header!r}")
    if int(header) > size:
        raise InputError(f"{HEADER}: {header} bytes of JSON announced, but the body has {size}")
    return int(header)


def _read(item: _Input, expected: Tensor, binary: memoryview) -> np.ndarray:
    """One input tensor of its declared shape."""
    name = item.name
    count = check_tensor(name, item.datatype, item.shape, expected)
    refuse_extensions(f"input {name!r}", item.parameters.model_extra or {})
    declared, dtype = item.parameters.binary_data_size, little_endian(expected.dtype)
    if (declared is None) == (item.data is None):
        raise InputError(f"input {name!r}: expected either data or the parameter binary_data_size")
    if item.data is not None:
        array = from_json(name, item.data, dtype)
        if array.shape != tuple(item.shape) and array.shape != (count,):
            raise InputError(f"input {name!r}: shape {item.shape} needs {count} values, given data of shape {array.shape}")
    else:
        if declared != dtype.itemsize * count or len(binary) != declared:
            raise InputError(
                f"input {name!r}: shape {item.shape} needs {dtype.itemsize * count} bytes,"
                f" binary_data_size says {declared} and the body has {len(binary)} left for it"
            )
        array = from_bytes(name, binary, dtype)
    return array.reshape(graph_shape(item.shape, expected))


def wanted_outputs(asked: Iterable[tuple[str, Collection[str], bool]], endpoint: Endpoint, by_default: bool) -> dict[str, bool]:
    """The outputs asked for, all by default, each with whether it is wanted as binary data.

    Parameters
    ----------
    asked : iterable of tuple
        Name, names of further parameters, and whether the output is wanted as binary data.
    endpoint : Endpoint
        The endpoint whose outputs there are.
    by_default : bool
        Whether outputs are wanted as binary data where none is named.

    Returns
    -------
    dict of str to bool
        Name -> whether as binary data, in the order in which they were asked for.

    Raises
    ------
    InputError
        An output is unknown, or asked for twice, or wanted in a way that this server does not have.
    """
    known = [tensor.name for tensor in endpoint.outputs]
    wanted: dict[str, bool] = {}
    for name, parameters, binary in asked:
        if name not in known:
            raise InputError(f"no output named {name!r}; expected among the outputs {sorted(known)}")
        if name in wanted:
            raise InputError(f"output {name!r} is asked for twice")
        refuse_extensions(f"output {name!r}", parameters)
        wanted[name] = binary
    return wanted or dict.fromkeys(known, by_default)


def _asked(request: _Request) -> Iterator[tuple[str, Collection[str], bool]]:
    for item in request.outputs:
        binary = item.parameters.binary_data
        further = item.parameters.model_extra or {}
        yield item.name, further, request.parameters.binary_data_output if binary is None else binary


def refuse_extensions(what: str, parameters: Collection[str]) -> None:
    """Refuse parameters of extensions that this server does not have."""
    if refused := sorted(UNSUPPORTED.intersection(parameters)):
        raise InputError(f"{what}: this server does not support {', '.join(refused)}")

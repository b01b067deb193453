"""The protocol over gRPC, on the event loop of REST and the same handlers.

Measured: gRPC's asyncio server takes 300 us of processor time for an empty method, its threaded one 150 to 230. The threaded
one does not pay here: batches are made on the loop, and the way there and back costs as much. An empty method answers 1.9 times
as many requests of 10 kB as ours (``benchmarks/serving.py``): grpcio takes half of the time, and hands them over one by one, so
that few are joined.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.json_format import ParseDict

from zoo.errors import InputError
from zoo.model.dtypes import NAMES, little_endian
from zoo.model.spec import Tensor
from zoo.quiet import without_lines
from zoo.serving.grpc_health import add_health_and_reflection
from zoo.serving.handlers import INLINE_BYTES, Handlers
from zoo.serving.logs import LOGGER
from zoo.serving.messages import MESSAGES, SERVICE, lenient, received
from zoo.serving.protocol import InferRequest, refuse_extensions, wanted_outputs
from zoo.serving.rejections import RefusedError
from zoo.serving.repository import Served
from zoo.serving.tensors import check_tensor, from_bytes, graph_shape, wire_shape

_CODES = {
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
LIVES = {
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.ping_timeout_ms": 20_000,  # of other pings than those, one of which is sent at a time
    "grpc.max_connection_age_ms": 3_600_000,
    "grpc.max_connection_age_grace_ms": 300_000,
}
"""How long a connection lives, of a client that no longer answers pings and of any.

gRPC holds an answer until its client takes it, and Python cannot give up one call alone: where pings are answered and answers
are not taken, the end of the connection is what lets go of them. Clients open another by themselves; calls under way have the
grace.
"""
_FLAGS = ("allow_nonfinite", "allow_out_of_range")
_Infer = MESSAGES["ModelInferResponse"]
_Stream = MESSAGES["ModelStreamInferResponse"]


def create_grpc_server(handlers: Handlers, address: str, tls: tuple[Path, Path] | None = None) -> tuple[grpc.aio.Server, int]:
    """A server bound to an address, to be started on the running event loop.

    Parameters
    ----------
    handlers : Handlers
        The handlers that answer.
    address : str
        ``host:port``, with port 0 for any that is free.
    tls : tuple of (Path, Path), optional
        PEM files of a certificate and of its key, which may be one.

    Returns
    -------
    tuple of (grpc.aio.Server, int)
        The server, and its port.

    Raises
    ------
    OSError
        The address is taken.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", handlers.limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            *LIVES.items(),
        ]
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, _methods(handlers)),))
    add_health_and_reflection(server, handlers)
    try:
        with without_lines(rb"E\d{4} .* add_port\.cc"):  # which says what the error does
            if tls is None:
                bound = server.add_insecure_port(address)
            else:
                certificate, key = (path.read_bytes() for path in tls)
                bound = server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    except RuntimeError as error:
        raise OSError(f"{_taken(address)} ({error})") from error
    if not bound:
        raise OSError(_taken(address))
    return server, bound


def _taken(address: str) -> str:
    return f"gRPC cannot listen on {address}: is the port taken? Choose another one, or another host"


def _methods(handlers: Handlers) -> dict[str, Any]:
    repository = handlers.repository
    infer = _ModelInfer(handlers)

    def model_ready(request: Any) -> dict[str, object]:
        try:
            repository.find(request.name, request.version)
        except RefusedError:
            return {"ready": False}
        return {"ready": handlers.ready}

    async def load(request: Any) -> dict[str, object]:
        if request.parameters:
            raise InputError("load: this server takes no parameters; a model's configuration is its config.pbtxt")
        await repository.load(request.model_name)
        return {}

    async def unload(request: Any) -> dict[str, object]:
        await repository.unload(request.model_name)
        return {}

    plain: dict[str, Callable[[Any], Any]] = {
        "ServerLive": lambda request: {"live": True},
        "ServerReady": lambda request: {"ready": handlers.ready},
        "ModelReady": model_ready,
        "ServerMetadata": lambda request: handlers.server(),
        "ModelMetadata": lambda request: handlers.model(request.name, request.version),
        "ModelConfig": lambda request: {"config": handlers.config(request.name, request.version)},
        "ModelStatistics": lambda request: handlers.statistics(request.name, request.version),
        "RepositoryIndex": lambda request: {"models": repository.index(request.ready)},
        "RepositoryModelLoad": load,
        "RepositoryModelUnload": unload,
    }
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            _plain(name, call),
            request_deserializer=lenient(MESSAGES[f"{name}Request"]),
            response_serializer=MESSAGES[f"{name}Response"].SerializeToString,
        )
        for name, call in plain.items()
    }
    methods["ModelInfer"] = grpc.unary_unary_rpc_method_handler(
        infer.once,
        request_deserializer=lenient(MESSAGES["ModelInferRequest"]),
        response_serializer=_Infer.SerializeToString,
    )
    methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        infer.stream,
        request_deserializer=lenient(MESSAGES["ModelInferRequest"]),
        response_serializer=_Stream.SerializeToString,
    )
    return methods


def _plain(name: str, call: Callable[[Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
    """A method whose answer is the plain data of a handler."""
    response = MESSAGES[f"{name}Response"]

    async def method(request: Any, context: Any) -> Any:
        try:
            answer = call(received(request))
            return ParseDict(await answer if isinstance(answer, Awaitable) else answer, response())
        except Exception as error:
            await _abort(context, error)

    return method


class _ModelInfer:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    async def once(self, request: Any, context: Any) -> Any:
        try:
            answer, held = await self._answer(received(request), context)
        except Exception as error:
            await _abort(context, error)
        context.add_done_callback(lambda _: self._handlers.release(held))
        return answer

    async def stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """One answer or message for each request, in order; the next one is made once gRPC has taken the last."""
        async for request in requests:
            held = 0
            try:
                infer, held = await self._answer(received(request), context)
                answer = _Stream(infer_response=infer)
            except Exception as error:
                _, message = _refusal(error)
                answer = _Stream(error_message=message)
                answer.infer_response.id = getattr(request, "id", "")
            try:
                yield answer
            finally:
                self._handlers.release(held)

    async def _answer(self, message: Any, context: Any) -> tuple[Any, int]:
        """An answer, and the bytes that are held for it until it is sent."""
        start, handlers = time.perf_counter_ns(), self._handlers
        served = handlers.repository.find(message.model_name, message.model_version)
        size, held = message.ByteSize(), 0
        try:
            with handlers.holding(size):
                if size <= INLINE_BYTES:
                    request, arrays = self._read(message, served)
                else:
                    request, arrays = await handlers.in_pool(self._read, message, served)
                held = handlers.hold_answer(served, request, arrays)
                outputs = await handlers.infer(served, request, arrays, context.peer())
                if sum(array.nbytes for array in outputs.values()) <= INLINE_BYTES:
                    answer = _build(request, served, outputs)
                else:
                    answer = await handlers.in_pool(_build, request, served, outputs)
        except BaseException:
            handlers.release(held)
            handlers.count(served, start, failed=True)
            raise
        handlers.count(served, start, failed=False)
        return answer, held

    def _read(self, message: Any, served: Served) -> tuple[InferRequest, dict[str, np.ndarray]]:
        request = _parse(message, served)
        return request, self._handlers.check(served, request)


def _parse(message: Any, served: Served) -> InferRequest:
    """Named arrays of a request; InputError names what is wrong with it."""
    expected = {tensor.name: tensor for tensor in served.endpoint.inputs}
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InputError(f"raw_input_contents: expected one for each of {len(message.inputs)} inputs, given {len(raw)}")
    inputs: dict[str, np.ndarray] = {}
    for position, tensor in enumerate(message.inputs):
        name = tensor.name
        if name not in expected:
            raise InputError(f"no input named {name!r}; expected the inputs {sorted(expected)}")
        if name in inputs:
            raise InputError(f"input {name!r} is given twice")
        refuse_extensions(f"input {name!r}", tensor.parameters)
        inputs[name] = _read(tensor, raw[position] if raw else None, expected[name])  # raw: a copy each time
    flags, timeout = _parameters(message)
    return InferRequest(
        id=message.id,
        inputs=inputs,
        outputs=wanted_outputs(((item.name, item.parameters, True) for item in message.outputs), served.endpoint, True),
        **flags,
        timeout=timeout / 1e6 if timeout else None,
    )


def _read(tensor: Any, raw: bytes | None, expected: Tensor) -> np.ndarray:
    """One input tensor of its declared shape, from its raw bytes or from the field of its datatype."""
    name, shape = tensor.name, tensor.shape
    count = check_tensor(name, tensor.datatype, shape, expected)
    if raw is not None:
        if tensor.HasField("contents"):
            raise InputError(f"input {name!r}: expected contents or raw_input_contents, given both")
        dtype = little_endian(expected.dtype)
        if len(raw) != dtype.itemsize * count:
            needed = dtype.itemsize * count
            raise InputError(f"input {name!r}: shape {list(shape)} needs {needed} bytes, given {len(raw)}")
        array = from_bytes(name, raw, dtype)
    else:
        field = NAMES[expected.dtype].contents
        if others := [given.name for given, _ in tensor.contents.ListFields() if given.name != field]:
            raise InputError(f"input {name!r}: expected values of {tensor.datatype} in {field}, given {', '.join(others)}")
        array = np.array(getattr(tensor.contents, field), expected.dtype)
        if len(array) != count:
            raise InputError(f"input {name!r}: shape {list(shape)} needs {count} values in {field}, given {len(array)}")
    return array.reshape(graph_shape(shape, expected))


def _parameters(message: Any) -> tuple[dict[str, bool], int]:
    """What a request lets through, and its timeout in microseconds, 0 for the server's own."""
    parameters = {
        name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param") for name, value in message.parameters.items()
    }
    flags = {name: parameters.get(name, False) for name in _FLAGS}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"parameter {name}: expected true or false, given {value!r}")
    timeout = parameters.get("timeout", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise InputError(f"parameter timeout: expected microseconds, given {timeout!r}")
    return flags, timeout


def _build(request: InferRequest, served: Served, arrays: dict[str, np.ndarray]) -> Any:
    answer = _Infer(model_name=served.name, model_version=served.version, id=request.id or "")
    dtypes = {tensor.name: tensor.dtype for tensor in served.endpoint.outputs}
    for name in request.outputs:
        array, dtype = arrays[name], dtypes[name]
        answer.outputs.add(name=name, datatype=NAMES[dtype].datatype, shape=wire_shape(array))
        answer.raw_output_contents.append(array.astype(little_endian(dtype), copy=False).tobytes())
    return answer


def _refusal(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, InputError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)[:500]
    if isinstance(error, RefusedError):
        return _CODES.get(error.status, grpc.StatusCode.UNKNOWN), str(error)[:500]
    LOGGER.error("internal error", exc_info=error)
    return grpc.StatusCode.INTERNAL, "internal error; the server's log has the details"


async def _abort(context: Any, error: Exception) -> NoReturn:
    await context.abort(*_refusal(error))
    raise AssertionError  # abort raises

"""What gRPC's own tools ask: the health of the server and of each model, and what methods there are.

Health is that of https://github.com/grpc/grpc/blob/master/doc/health-checking.md, as Kubernetes' probes ask for it. It is
worked out when it is asked for, so that it cannot lag behind; reflection is the library's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from zoo.errors import InputError
from zoo.serving.handlers import Handlers
from zoo.serving.messages import POOL, SERVICE, lenient
from zoo.serving.rejections import RefusedError

_Status = health_pb2.HealthCheckResponse
for _described in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
    POOL.Add(FileDescriptorProto.FromString(_described.serialized_pb))


def add_health_and_reflection(server: grpc.aio.Server, handlers: Handlers) -> None:
    """Answer ``grpc.health.v1.Health`` and ``grpc.reflection.v1alpha.ServerReflection`` on a server.

    Parameters
    ----------
    server : grpc.aio.Server
        The server, not yet started.
    handlers : Handlers
        The handlers that know what is ready.
    """
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server, pool=POOL)
    answers = _Health(handlers)
    encoding: dict[str, Any] = {
        "request_deserializer": lenient(health_pb2.HealthCheckRequest),
        "response_serializer": _Status.SerializeToString,
    }
    methods = {
        "Check": grpc.unary_unary_rpc_method_handler(answers.check, **encoding),
        "Watch": grpc.unary_stream_rpc_method_handler(answers.watch, **encoding),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(health.SERVICE_NAME, methods),))


async def _refuse_malformed(request: Any, context: Any) -> None:
    if isinstance(request, InputError):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(request))


class _Health:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    async def check(self, request: Any, context: Any) -> Any:
        await _refuse_malformed(request, context)
        if (status := self._status(request.service)) is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model named {request.service!r}; the server itself has no name")
        return _Status(status=status)

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The status now and after each change, until the server stops: a watcher is no request to wait for."""
        await _refuse_malformed(request, context)
        sent = None
        while True:
            changed = self._handlers.repository.changed
            status = self._status(request.service)
            if status is None:
                status = _Status.SERVICE_UNKNOWN
            if status != sent:
                yield _Status(status=status)
                sent = status
            if not self._handlers.ready:
                return
            await changed.wait()

    def _status(self, service: str) -> int | None:
        """Of the server, under no name or its service's, or of a model; None for one that nobody knows."""
        ready = self._handlers.ready
        if service not in ("", SERVICE):
            repository = self._handlers.repository
            try:
                repository.find(service)
            except RefusedError:
                if not repository.knows(service):
                    return None
                ready = False
        return int(_Status.SERVING if ready else _Status.NOT_SERVING)

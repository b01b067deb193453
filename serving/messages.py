"""Protobuf messages of gRPC and of ``config.pbtxt``: Triton's own, from the compiled description beside this file.

``triton.binpb`` holds ``model_config.proto`` and ``grpc_service.proto`` as Triton's client carries them, so that every field
of a configuration is known. The compiled description rather than generated code: generated code runs only with protobuf
releases near the one that made it, and a process holds it once, so that it would clash with a client's. What a description is
good for besides: ``protoc --descriptor_set_in`` makes a client of it, and gRPC's reflection shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from zoo.errors import InputError

DESCRIPTION = Path(__file__).with_name("triton.binpb")
SERVICE = "inference.GRPCInferenceService"


def _pool() -> tuple[descriptor_pool.DescriptorPool, list[str]]:
    """A pool of its own, beside which a client's messages of the same names may live, and the names of its messages."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTION.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    return pool, [message.name for file in files for message in file.message_type]


POOL, _names = _pool()
MESSAGES: dict[str, Any] = {
    name: message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}")) for name in _names
}
"""Name in the protocol -> class."""


def lenient(message: Any) -> Callable[[bytes], Any]:
    """What reads a message of gRPC, or gives an InputError in its place for a handler to raise.

    grpcio answers what a reader raises with INTERNAL, as if it were a fault of the server.

    Parameters
    ----------
    message : type
        The class of the message.

    Returns
    -------
    callable
        From bytes to a message or an InputError.
    """

    def read(content: bytes) -> Any:
        try:
            return message.FromString(content)
        except Exception as error:  # protobuf's implementations raise errors of their own
            return InputError(f"this is no {message.DESCRIPTOR.name}: {error}")

    return read


def received(request: Any) -> Any:
    """A message that :func:`lenient` read; the InputError where it could not."""
    if isinstance(request, InputError):
        raise request
    return request


def read_config(text: str) -> Any:
    """The ``ModelConfig`` in a ``config.pbtxt``; text_format.ParseError with line and field where it is none."""
    return text_format.Parse(text, MESSAGES["ModelConfig"]())

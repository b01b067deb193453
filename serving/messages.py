"""Protobuf messages of the gRPC protocol, from the compiled ``open_inference.proto`` beside this file.

The compiled description rather than generated code: generated code runs only with protobuf releases near the one that made
it, and refuses to be imported beside another package that generated the same messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

DESCRIPTION = Path(__file__).with_name("open_inference.binpb")
_PACKAGE = "physzoo.open_inference"


def _messages() -> dict[str, Any]:
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTION.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    names = [message.name for file in files.file for message in file.message_type]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in names}


MESSAGES: dict[str, Any] = _messages()
"""Name in the protocol -> class."""


def read_config(text: str) -> Any:
    """The ``ModelConfig`` in a ``config.pbtxt``; text_format.ParseError where it is none. Fields unknown here pass."""
    return text_format.Parse(text, MESSAGES["ModelConfig"](), allow_unknown_field=True)

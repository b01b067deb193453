"""What the wire alone costs: zeros for answers, a bare socket on uvloop for REST and an empty method of grpcio.

    python on_nothing.py FOLDER REST_PORT GRPC_PORT

Nothing is read but the length of a request, and nothing runs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import httptools
import numpy as np
import uvloop

from zoo.serving.messages import MESSAGES


class Echo(asyncio.Protocol):
    """Answers each request once it has all come."""

    def __init__(self, row_bytes: int) -> None:
        self._row_bytes, self._received, self._parser = row_bytes, 0, httptools.HttpRequestParser(self)

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        """Count."""
        self._received += len(piece)

    def on_message_complete(self) -> None:
        """Answer."""
        content = bytes(4 * (self._received // self._row_bytes))
        self._received = 0
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(content), content))


async def main() -> None:
    """Listen on both ports."""
    folder, rest, grpc_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with np.load(folder / "rows.npz") as rows:
        row_bytes = rows["x"][0].nbytes
    message = MESSAGES["ModelInferResponse"](model_name="mlp", raw_output_contents=[bytes(4)])
    message.outputs.add(name="y", datatype="FP32", shape=[1, 1])

    async def empty(request: Any, context: Any) -> Any:
        return message

    method = grpc.unary_unary_rpc_method_handler(
        empty,
        request_deserializer=MESSAGES["ModelInferRequest"].FromString,
        response_serializer=MESSAGES["ModelInferResponse"].SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": method}),)
    )
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    listening = await asyncio.get_running_loop().create_server(lambda: Echo(row_bytes), "127.0.0.1", rest)
    await listening.serve_forever()


uvloop.run(main())

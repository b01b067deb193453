"""HTTP/1.1 for REST: llhttp (httptools) reads heads, bodies are received in place, one answer goes out in one write.

Measured against uvicorn on the same application (``benchmarks/serving.py``): a general server hands a body over in pieces of
64 kB, each of which costs a turn of the event loop and a copy, and a small request in five calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
import numpy as np

from zoo.serving.logs import LOGGER
from zoo.serving.protocol import Body
from zoo.serving.rejections import RefusedError
from zoo.serving.responses import refusal, written
from zoo.serving.rest import HEADER, Rest

_HEAD_BYTES = 64 * 2**10
_READ_BYTES = 256 * 2**10
_PIPELINED = 16
_ALIGNMENT = 64
_IDLE_SECONDS = 75.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpServer:
    """A listening socket and its connections.

    Parameters
    ----------
    rest : Rest
        The handlers of REST that answer.
    """

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.scratch = bytearray(_READ_BYTES)
        """Where heads are received, one connection after the other: what is received is read at once."""
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port, where 0 was asked for; OSError where it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=2048)
        self._sweeping = asyncio.create_task(self._sweep())
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def stop(self, seconds: float) -> None:
        """Take no more connections, answer what is under way, close. After so many seconds close whatever is left."""
        assert self._server is not None
        assert self._sweeping is not None
        self._server.close()
        for connection in list(self.connections):
            connection.close_when_idle()
        end = asyncio.get_running_loop().time() + seconds
        while self.connections and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.transport.abort()
        self._sweeping.cancel()

    async def _sweep(self) -> None:
        """Close what has been silent for too long; one timer for all, as timers for each request would cost more."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self.rest.limits.reading / 4))
            for connection in list(self.connections):
                connection.check_deadline(loop.time())


class _Request:
    """One request, while it arrives and while it waits for those before it on its connection."""

    __slots__ = ("body", "close", "counted", "discarded", "head_bytes", "headers", "method", "refused", "size", "url")

    def __init__(self) -> None:
        self.url = b""
        self.method = ""
        self.headers: dict[bytes, bytes] = {}
        self.head_bytes = 0
        self.body: Body = b""
        self.size = -1
        self.counted = 0
        self.discarded = 0
        self.refused: RefusedError | None = None
        self.close = False


class _Connection(asyncio.BufferedProtocol):
    """One client; also the callbacks of its parser."""

    def __init__(self, server: HttpServer) -> None:
        self._server, self._rest, self._limits = server, server.rest, server.rest.limits
        self._handlers = server.rest.handlers
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._request = _Request()
        self._waiting: deque[_Request] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._body: memoryview | None = None
        self._missing = 0
        self._unsent = 0
        self._closing = False
        self._writable = True
        self._paused = False
        self._last = False
        self._deadline = self._loop.time() + self._limits.reading

    # -- the transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._client = transport.get_extra_info("peername")
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._closing = True
        for request in (self._request, *self._waiting):
            self._release(request)
        self._waiting.clear()
        del self._parser  # which holds this connection

    def get_buffer(self, hint: int) -> memoryview | bytearray:
        """Where the next bytes go: into the body under way, else where heads are read."""
        if self._missing == 0:
            return self._server.scratch
        if self._body is None:  # refused
            return memoryview(self._server.scratch)[: self._missing]
        return self._body[-self._missing :]

    def buffer_updated(self, count: int) -> None:
        """Bytes have come."""
        if self._closing:
            return
        if self._missing:
            self._missing -= count
            self._count(count)
            if self._request.refused:
                self._discard()
            if not self._missing:
                self._request.body, self._body = self._body or b"", None
                self._parser = httptools.HttpRequestParser(self)  # the old one still waits for the body
                self.on_message_complete()
            return
        try:
            self._parser.feed_data(memoryview(self._server.scratch)[:count])
        except httptools.HttpParserUpgrade:
            self._closing_after()
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                LOGGER.error("internal error", exc_info=error)
            if not self._closing:
                self._refuse_connection(RefusedError(400, f"this is no HTTP request: {error}"))
            return
        if self._request.size > len(self._request.body) and not self._request.refused:
            self._receive_in_place()

    def eof_received(self) -> bool:
        """The client sends no more; answer what it sent."""
        if self._answering is None and not self._waiting:
            return False
        self._closing_after()
        return True

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._next()

    # -- the parser

    def on_message_begin(self) -> None:
        self._request = _Request()
        self._deadline = self._loop.time() + self._limits.reading

    def on_url(self, url: bytes) -> None:
        self._head(len(url))
        self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head(len(name) + len(value))
        self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode("ascii")
        request.close = not self._parser.should_keep_alive()
        length = request.headers.get(b"content-length", b"")
        if length.isdigit() and b"transfer-encoding" not in request.headers:
            request.size = int(length)
            if request.size > self._limits.body:
                request.refused = self._limits.too_large()
        if request.headers.get(b"expect", b"").lower() == b"100-continue":
            if request.refused:
                self._refuse_connection(request.refused)
            else:
                self.transport.write(_CONTINUE)

    def on_body(self, piece: bytes) -> None:
        request = self._request
        self._count(len(piece))
        if request.refused:
            self._discard()
        elif not request.body:
            request.body = piece
        else:
            if not isinstance(request.body, bytearray):
                request.body = bytearray(request.body)
            request.body += piece

    def on_message_complete(self) -> None:
        request = self._request
        self._request = _Request()
        self._waiting.append(request)
        self._deadline = self._loop.time() + _IDLE_SECONDS
        if len(self._waiting) >= _PIPELINED and not self._paused and not self._closing:
            self._paused = True
            self.transport.pause_reading()
        self._next()

    # -- requests

    def check_deadline(self, now: float) -> None:
        """Close a connection that is idle for too long or does not read its answer, refuse a request that does not arrive."""
        if now < self._deadline or self._answering is not None:
            return
        if unsent := self.transport.get_write_buffer_size():
            if unsent == self._unsent:
                self.transport.abort()
            self._unsent, self._deadline = unsent, now + _IDLE_SECONDS
        elif self._closing:
            return
        elif self._request.method or self._request.head_bytes:
            self._refuse_connection(self._request.refused or self._limits.too_slow())
        else:
            self.transport.close()

    def close_when_idle(self) -> None:
        """Close once what arrived is answered."""
        if self._answering is None and not self._waiting and not (self._request.method or self._request.head_bytes):
            self.transport.close()
        self._closing_after()

    def _closing_after(self) -> None:
        """The last request that has begun is the last one."""
        self._last = True

    def _head(self, count: int) -> None:
        self._request.head_bytes += count
        if self._request.head_bytes > _HEAD_BYTES and not self._closing:
            self._refuse_connection(RefusedError(431, f"the head of the request is larger than {_HEAD_BYTES} bytes"))

    def _count(self, count: int) -> None:
        request = self._request
        request.counted += count
        self._handlers.pending += count
        if request.refused is None:
            if request.counted > self._limits.body:
                request.refused = self._limits.too_large()
            elif self._handlers.pending > self._limits.pending:
                request.refused = self._limits.too_many()

    def _release(self, request: _Request) -> None:
        self._handlers.pending -= request.counted
        request.counted = 0

    def _discard(self) -> None:
        """Go on reading for a while and throw away: a client that is still sending would not read the answer."""
        request = self._request
        request.discarded += request.counted
        self._release(request)
        request.body, request.close = b"", True
        self._body = None
        assert request.refused is not None
        if request.discarded > 4 * self._limits.body:
            self._refuse_connection(request.refused)

    def _receive_in_place(self) -> None:
        """Receive the rest of the body where it will be read, around the parser.

        The system gives memory to an array as it is written, so a size that is only declared costs nothing. The first tensor
        is placed where numpy and ONNX Runtime can use it without a copy.
        """
        first, size = self._request.body, self._request.size
        length = self._request.headers.get(HEADER, b"")
        start = -(int(length) if length.isdigit() and len(length) < 20 else 0) % _ALIGNMENT
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        start += -memory.ctypes.data % _ALIGNMENT
        self._body = memory.data[start % _ALIGNMENT :][:size]
        self._missing = size - len(first)
        self._body[: len(first)] = first
        self._request.body = b""

    def _refuse_connection(self, error: RefusedError) -> None:
        """Say why, and close."""
        self._closing = True
        answer = refusal(error)
        answer.headers = (*answer.headers, (b"content-length", b"%d" % len(answer.body)))
        if self._answering is None:
            self.transport.write(written(answer, close=True))
        self.transport.close()

    def _next(self) -> None:
        if self._waiting and self._answering is None and self._writable and not self._closing:
            self._answering = self._loop.create_task(self._answer(self._waiting.popleft()))

    async def _answer(self, request: _Request) -> None:
        if request.refused is not None:
            answer = refusal(request.refused)
            answer.headers = (*answer.headers, (b"content-length", b"%d" % len(answer.body)))
        else:
            answer = await self._rest.answer(request.method, _path(request.url), request.headers, request.body, self._client)
        self._release(request)
        self._answering = None
        self._deadline = self._loop.time() + _IDLE_SECONDS
        if self._closing:
            return
        close = request.close or (self._last and not self._waiting)
        self.transport.write(written(answer, close=close))
        if close:
            self._closing = True
            self.transport.close()
            return
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._next()


def _path(url: bytes) -> str:
    """The path, unquoted; bytes that are no text are replaced, and then are nobody's name."""
    path = url.partition(b"?")[0]
    if path.startswith((b"http://", b"https://")):  # as a proxy asks
        path = b"/" + path.split(b"/", 3)[3] if path.count(b"/") > 2 else b"/"
    return unquote(path.decode("latin-1")) if b"%" in path else path.decode("latin-1")

"""The ASGI application in uvicorn, beside gRPC on one event loop.

uvicorn reads heads with llhttp (httptools). ``Connection`` adds what it has no setting for: how long a head may take and be,
how long answers may stay unread, clients that close their half, requests that offer to go on in another protocol, and refusals
in our own words.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from pathlib import Path
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zoo.errors import InputError
from zoo.serving.asgi import AsgiApp
from zoo.serving.rejections import RefusedError
from zoo.serving.responses import refusal, written

IDLE_SECONDS = 75.0
_HEAD_BYTES = 64 * 2**10
_MOST_FRAMING = 32
"""Bytes that each byte of a body may take in chunks: a chunk of one byte takes six, and may have an extension."""
_BACKLOG = 2048
_SWEEP_TICKS = 5  # of a tenth of a second
_LEAST_TAKEN = 2**20
"""Bytes of answers that a client must read in ``IDLE_SECONDS`` while there are more for it."""


class RestServer:
    """REST on a port or a Unix socket.

    Parameters
    ----------
    app : AsgiApp
        The application.
    drain : int
        Seconds after which requests under way are given up when the server is asked to stop.
    tls : tuple of (Path, Path), optional
        PEM files of a certificate and of its key, which may be one.
    forwarded_allow_ips : str
        Proxies whose ``X-Forwarded-For`` is believed, as uvicorn takes them.

    Raises
    ------
    InputError
        The files are no certificate with its key.
    """

    def __init__(self, app: AsgiApp, drain: int, tls: tuple[Path, Path] | None = None, forwarded_allow_ips: str = "") -> None:
        self._app = app
        certificate, key = tls or (None, None)
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=IDLE_SECONDS,  # type: ignore[arg-type]  # any number of seconds
            timeout_graceful_shutdown=drain,
            proxy_headers=bool(forwarded_allow_ips),
            forwarded_allow_ips=forwarded_allow_ips,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise InputError(
                f"TLS: expected PEM files of a certificate and its key, given {certificate} and {key}: {error}"
            ) from None
        self._host = _Host(config)
        self._host.lifespan = config.lifespan_class(config)
        self._sockets: list[socket.socket] | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def connections(self) -> set[Any]:
        """The connections that are open."""
        return self._host.server_state.connections

    def bind(self, host: str, port: int) -> int:
        """Take a port, and give its number, where 0 was asked for; OSError where it is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:  # Python adds the address to the system's words
            reason = (error.strerror or str(error)).partition(" (while")[0]
            raise OSError(f"REST cannot listen on {host}:{port}: {reason}: choose another port, or another host") from error
        self._sockets = [listening]
        number: int = listening.getsockname()[1]
        return number

    def bind_unix(self, path: Path) -> None:
        """Serve at this path; a socket that another server left there is replaced."""
        self._host.config.uds = os.fspath(path)

    async def start(self) -> None:
        """Serve."""
        try:
            await self._host.startup(self._sockets)
        except OSError as error:
            raise OSError(f"REST cannot listen on {self._host.config.uds}: {error}") from error
        self._ticking = asyncio.create_task(self._host.main_loop())

    async def stop(self) -> None:
        """Take no more connections, answer what has arrived, close."""
        if self._ticking is None:
            for listening in self._sockets or []:
                listening.close()
            return
        self._ticking.cancel()
        self._ticking = None
        self._app.hurry()
        await self._host.shutdown(self._sockets)
        for connection in list(self.connections):
            connection.transport.abort()


class _Host(uvicorn.Server):
    async def on_tick(self, counter: int) -> bool:
        if counter % _SWEEP_TICKS == 0:
            now, connections = asyncio.get_running_loop().time(), cast("set[Connection]", self.server_state.connections)
            for connection in list(connections):
                connection.check(now)
        return await super().on_tick(counter)


class Connection(HttpToolsProtocol):
    """One client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = cast(AsgiApp, self.config.app).rest.limits
        self._refusal: RefusedError | None = None
        self._in_head, self._since = True, self.loop.time()
        self._ended = False
        self._unanswered: deque[Any] = deque()  # requests in their order, the first being answered
        self._chunk_bytes = self._first_bytes = self._head_bytes = self._framing_bytes = self._taken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin."""
        super().connection_made(transport)
        self._answer = _HeadWithBody(transport)

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        self._unset_keepalive_if_required()
        if self._ended:
            return
        self._chunk_bytes = len(data)
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or RefusedError(400, f"this is no HTTP request: {error}"))
        else:
            if self._in_head:
                self._head_bytes += len(data)
            elif self.cycle is not None and self.cycle.more_body:
                self._framing_bytes += len(data)
            if max(self._head_bytes, self._framing_bytes) - self._first_bytes > _HEAD_BYTES:
                self._refuse(_large_head())

    def eof_received(self) -> bool:  # type: ignore[override]  # as in asyncio
        """Answer what has arrived whole of a client that sends no more; of TLS, asyncio has no half of a connection."""
        return self.scheme == "http" and self._end()

    def on_message_begin(self) -> None:
        """Start the clock of a head."""
        super().on_message_begin()
        self._in_head, self._since = True, self.loop.time()
        self._head_bytes, self._first_bytes = 0, self._chunk_bytes  # with what came before the head in the same piece
        self._framing_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those that follow a body are for nobody here, and would be kept without bound."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the application, unless the head is too large."""
        self._in_head = False
        if fault := _head_fault(self.parser.get_http_version(), self.headers):
            self._refusal = fault
            raise fault
        if self._head_bytes + self._chunk_bytes > _HEAD_BYTES:  # with what came before and after it
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > _HEAD_BYTES:
                self._refusal = _large_head()
                raise self._refusal
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = cast(asyncio.Transport, self._answer)
            self._unanswered.append(self.cycle)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._unanswered.popleft()
        self._answer.flush()
        super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a piece over as it is; uvicorn would copy it twice, and stop reading until it is taken."""
        self._framing_bytes -= _MOST_FRAMING * len(body)
        cycle = self.cycle
        if cycle.body or cycle.response_complete or self.pipeline:
            super().on_body(body)
        else:
            cycle.body = body  # type: ignore[assignment]  # what is read of it is as well of bytes
            cycle.message_event.set()

    def check(self, now: float) -> None:
        """Let a client go that leaves its answers unread, or all but, and refuse a head that does not arrive."""
        unsent = self.transport.get_write_buffer_size()
        taken = self._answer.written - unsent
        if unsent and taken - self._taken < _LEAST_TAKEN:
            if now - self._since > IDLE_SECONDS:
                self.transport.abort()
        elif unsent:
            self._taken, self._since = taken, now
        elif self.cycle is not None and not self.cycle.response_complete:
            self._taken, self._since = taken, now  # nothing more may be read meanwhile
        elif self._in_head and now - self._since > self._limits.reading:
            self._refuse(self._limits.too_slow()) if self.scope else self.transport.close()

    def _should_upgrade(self) -> bool:
        """Leave a request alone that offers to go on in another protocol, until ``_parse`` declines."""
        return True

    def _parse(self, data: memoryview) -> None:
        """Read requests that offer another protocol as if they did not: httptools would drop their bodies."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
                head = self._head_without_offer()
                self.parser = self._new_parser()  # the other has stopped, for good where the connection is to be closed
                self.parser.feed_data(head)
            else:
                return

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        return parser

    def _head_without_offer(self) -> bytes:
        if self.scope["method"] == "CONNECT":
            self._refusal = RefusedError(405, "this server is no proxy")
            raise httptools.HttpParserError
        lines = [b"%s %s HTTP/1.1" % (self.scope["method"].encode(), self.url)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, error: RefusedError) -> None:
        """Say why and close; what arrived whole before is answered first, and then nobody is told what followed it."""
        if self._end():
            return
        if not self._unanswered or not self._unanswered[0].response_started:
            self.transport.write(written(refusal(error)))
        self.transport.close()

    def _end(self) -> bool:
        """Take nothing more of this client, and close once it is answered; whether anything that arrived whole is not yet."""
        self._ended = True
        while self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        whole = [cycle for cycle in self._unanswered if not cycle.more_body]
        if whole:
            whole[-1].keep_alive = False
        return bool(whole)


class _HeadWithBody:
    """Sends the head of an answer with its body; uvicorn writes one after the other, and each is a call of the system."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head, self._begun = transport, b"", False
        self.written = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        self.written += len(data)
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif self._begun or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self._head, self._begun = data, True

    def flush(self) -> None:
        """End an answer: send a head that no body follows."""
        if self._head:
            self.write(b"")
        self._begun = False

    def close(self) -> None:
        self.flush()
        self._transport.close()


def _head_fault(version: str, headers: list[tuple[bytes, bytes]]) -> RefusedError | None:
    """What RFC 9112 has a server refuse and llhttp lets pass."""
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (not hosts and version == "1.1"):
        return RefusedError(400, f"expected one Host header, given {hosts}")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        return RefusedError(501, "expected the transfer coding chunked or none; content may be encoded by Content-Encoding")
    return None


def _large_head() -> RefusedError:
    return RefusedError(431, f"the head of the request, or what is around its body, is larger than {_HEAD_BYTES} bytes")

"""REST: whole requests to answers. The way to ``infer`` is one dictionary look-up."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from zoo.errors import InputError
from zoo.serving import protocol
from zoo.serving.handlers import INLINE_BYTES, Handlers
from zoo.serving.logs import LOGGER
from zoo.serving.openapi import document
from zoo.serving.protocol import Body, InferRequest
from zoo.serving.rejections import RefusedError, busy
from zoo.serving.repository import Served

_COMPRESSED_BYTES = 500
_JSON = ((b"content-type", b"application/json"),)
_BINARY = (b"content-type", b"application/octet-stream")
HEADER = protocol.HEADER.lower().encode()


@dataclass(frozen=True)
class Limits:
    """What one client may take of the server.

    Parameters
    ----------
    body : largest request, in bytes, compressed or not
    pending : bytes of all requests together, compressed and not, that are being read or answered
    reading : seconds within which a request must have arrived
    """

    body: int = 64 * 2**20
    pending: int = 2**30
    reading: float = 60.0

    def too_large(self) -> RefusedError:
        """413."""
        return RefusedError(413, f"the request is larger than the {self.body} bytes that this server accepts")

    def too_many(self) -> RefusedError:
        """503 for want of memory."""
        return busy("this server holds as many bytes of requests as it may: ask again later")

    def too_slow(self) -> RefusedError:
        """408."""
        return RefusedError(408, f"the request did not arrive within {self.reading:g} s: send it faster, or in parts")


@dataclass(slots=True)
class Answer:
    """Status, headers and body of one response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = _JSON
    request_id: str | None = None


class Rest:
    """Requests in, answers out; how they travel is ``zoo.serving.http``'s and ``zoo.serving.asgi``'s business.

    Parameters
    ----------
    handlers, limits : see there
    log_requests : one line a request, besides the faults of the server that are always logged
    """

    def __init__(self, handlers: Handlers, limits: Limits, *, log_requests: bool = False) -> None:
        self.handlers = handlers
        self.limits = limits
        self._log_requests = log_requests
        self._routes = [(re.compile(pattern), methods) for pattern, methods in self._table()]

    async def answer(self, method: str, path: str, headers: Mapping[bytes, bytes], body: Body, client: object) -> Answer:
        """Answer one request that has arrived whole; never raises.

        Parameters
        ----------
        method, path : the path unquoted, without its query
        headers : by lower-case name
        body : as it came over the wire
        client : whose turn it is when many wait
        """
        start = time.perf_counter_ns()
        try:
            if headers.get(b"content-encoding", b"identity") == b"identity":
                answer = await self._answer(method, path, headers, body, client, start)
            else:
                answer = await self._answer_compressed(method, path, headers, body, client, start)
        except RefusedError as error:
            answer = refusal(error)
        except InputError as error:
            answer = refusal(RefusedError(400, str(error)))
        except Exception:
            LOGGER.exception("internal error", extra={"fields": {"path": path}})
            answer = refusal(RefusedError(500, "internal error; the server's log has the details"))
        if len(answer.body) >= _COMPRESSED_BYTES and b"gzip" in headers.get(b"accept-encoding", b""):
            large = len(answer.body) > INLINE_BYTES
            answer.body = await self.handlers.in_pool(_gzip, answer.body) if large else _gzip(answer.body)
            answer.headers = (*answer.headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
        answer.headers = (*answer.headers, (b"content-length", b"%d" % len(answer.body)))
        if (request_id := headers.get(b"x-request-id")) is not None:
            answer.headers = (*answer.headers, (b"x-request-id", request_id))
        if method == "HEAD":
            answer.body = b""
        if self._log_requests:
            self._log(method, path, answer, headers, client, start)
        return answer

    async def _answer_compressed(
        self, method: str, path: str, headers: Mapping[bytes, bytes], body: Body, client: object, start: int
    ) -> Answer:
        encoding = headers[b"content-encoding"].decode("latin-1")
        if encoding not in ("gzip", "deflate"):
            raise RefusedError(415, f"expected the content encoding gzip, deflate or none, given {encoding!r}")
        try:
            content = None if len(body) > INLINE_BYTES else _decompressed(body, min(INLINE_BYTES, self.limits.body))
            if content is None:
                content = await self.handlers.in_pool(_decompressed, body, self.limits.body)
        except (zlib.error, EOFError) as error:
            raise InputError(f"the body is no whole {encoding} stream: {error}") from None
        if content is None:
            raise self.limits.too_large()
        self.handlers.pending += len(content)
        try:
            if self.handlers.pending > self.limits.pending:
                raise self.limits.too_many()
            return await self._answer(method, path, headers, content, client, start)
        finally:
            self.handlers.pending -= len(content)

    async def _answer(
        self,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        body: Body,
        client: object,
        start: int,
    ) -> Answer:
        served = self.handlers.repository.at(path)
        if served is not None and method == "POST":
            try:
                answer = await self._infer(served, headers, body, client)
            except BaseException:
                self.handlers.count(served, start, failed=True)
                raise
            self.handlers.count(served, start, failed=False)
            return answer
        for pattern, methods in self._routes:
            if match := pattern.fullmatch(path):
                handler = methods.get("GET" if method == "HEAD" else method)
                if handler is None:
                    allowed = ", ".join(methods)
                    raise RefusedError(405, f"expected {allowed}, given {method}", ((b"allow", allowed.encode()),))
                return await handler(content=body, **match.groupdict())
        raise RefusedError(404, f"nothing is at {path}; the protocol starts at /v2, its description is at /openapi.json")

    async def _infer(self, served: Served, headers: Mapping[bytes, bytes], body: Body, client: object) -> Answer:
        header = headers.get(HEADER)
        length = None if header is None else header.decode("latin-1")
        if len(body) <= INLINE_BYTES:
            request, arrays = self._read(served, body, length)
        else:
            request, arrays = await self.handlers.in_pool(self._read, served, body, length)
        outputs = await self.handlers.infer(served, request, arrays, client)
        if sum(array.nbytes for array in outputs.values()) <= INLINE_BYTES:
            text, json_length = served.codec.build(request, outputs)
        else:
            text, json_length = await self.handlers.in_pool(served.codec.build, request, outputs)
        if json_length is None:
            return Answer(200, text, request_id=request.id)
        return Answer(200, text, (_BINARY, (HEADER, b"%d" % json_length)), request.id)

    def _read(self, served: Served, content: Body, length: str | None) -> tuple[InferRequest, dict[str, np.ndarray]]:
        request = served.codec.parse(content, length)
        return request, self.handlers.check(served, request)

    def _table(self) -> list[tuple[str, dict[str, Callable[..., Awaitable[Answer]]]]]:
        handlers, repository = self.handlers, self.handlers.repository

        def plain(call: Callable[..., object]) -> Callable[..., Awaitable[Answer]]:
            async def answer(content: Body, **parts: str) -> Answer:
                return Answer(200, json.dumps(call(**parts)).encode())

            return answer

        async def live(content: Body) -> Answer:
            return Answer(200, headers=())

        async def ready(content: Body) -> Answer:
            return Answer(200, headers=()) if handlers.ready else refusal(RefusedError(503, "this server is shutting down"))

        async def model_ready(content: Body, name: str, version: str | None = None) -> Answer:
            repository.find(name, version)
            return await ready(content)

        async def index(content: Body) -> Answer:
            wanted = _object(content).get("ready", False)
            if not isinstance(wanted, bool):
                raise InputError(f"ready: expected true or false, given {wanted!r}")
            return Answer(200, json.dumps(repository.index(wanted)).encode())

        async def load(content: Body, name: str) -> Answer:
            if _object(content).get("parameters"):
                raise InputError("load: this server takes no parameters; a model's configuration is its config.pbtxt")
            await repository.load(name)
            return Answer(200, headers=())

        async def unload(content: Body, name: str) -> Answer:
            _object(content)
            await repository.unload(name)
            return Answer(200, headers=())

        async def infer_nowhere(content: Body, name: str, version: str | None = None) -> Answer:
            repository.find(name, version)  # raises
            raise AssertionError(name)

        async def metrics(content: Body) -> Answer:
            from zoo.serving.metrics import text  # a fifth of the server's imports

            return Answer(200, text(repository.statistics), ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),))

        def described(name: str, version: str | None = None) -> object:
            return handlers.model(name, version)

        model = r"/v2/models/(?P<name>[^/]+)"
        table: list[tuple[str, dict[str, Callable[..., Awaitable[Answer]]]]] = [
            ("/v2/?", {"GET": plain(handlers.server)}),
            ("/v2/health/live", {"GET": live}),
            ("/v2/health/ready", {"GET": ready}),
            ("/v2/models/stats", {"GET": plain(handlers.statistics)}),
            ("/v2/repository/index", {"GET": index, "POST": index}),
            ("/v2/repository/models/(?P<name>[^/]+)/load", {"POST": load}),
            ("/v2/repository/models/(?P<name>[^/]+)/unload", {"POST": unload}),
            ("/metrics", {"GET": metrics}),
            ("/openapi.json", {"GET": plain(lambda: document(handlers))}),
        ]
        for path in (model, model + r"/versions/(?P<version>[^/]+)"):
            table += [
                (path, {"GET": plain(described)}),
                (f"{path}/ready", {"GET": model_ready}),
                (f"{path}/config", {"GET": plain(lambda name, version=None: handlers.config(name, version))}),
                (f"{path}/stats", {"GET": plain(lambda name, version=None: handlers.statistics(name, version))}),
                (f"{path}/infer", {"POST": infer_nowhere}),
            ]
        return table

    def _log(self, method: str, path: str, answer: Answer, headers: Mapping[bytes, bytes], client: object, start: int) -> None:
        fields: dict[str, object] = {
            "method": method,
            "path": path,
            "status": answer.status,
            "milliseconds": round((time.perf_counter_ns() - start) / 1e6, 3),
            "client": str(client),
        }
        if request_id := answer.request_id or headers.get(b"x-request-id", b"").decode("latin-1"):
            fields["id"] = request_id
        LOGGER.info("request", extra={"fields": fields})


def _object(content: Body) -> dict[str, object]:
    """A body that is empty or a JSON object."""
    if not len(content):
        return {}
    try:
        value = json.loads(bytes(content))
    except (ValueError, RecursionError):
        raise InputError("expected no body or a JSON object") from None
    if not isinstance(value, dict):
        raise InputError("expected no body or a JSON object")
    return value


def _decompressed(body: Body, most: int) -> bytes | None:
    """A gzip or zlib stream, None where it holds more than so many bytes; zlib.error or EOFError where it is none."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # reads both
    content = stream.decompress(body, most + 1)
    if len(content) > most:
        return None
    if not stream.eof:
        raise EOFError("it is cut short")
    return content


def _gzip(content: bytes) -> bytes:
    stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return stream.compress(content) + stream.flush()


def refusal(error: RefusedError) -> Answer:
    """A refusal as an answer."""
    message = str(error)
    text = message if len(message) <= 500 else message[:500] + "..."
    return Answer(error.status, json.dumps({"error": text}).encode(), _JSON + error.headers)

"""REST: whole requests to answers. The way to ``infer`` is one dictionary look-up."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping

import numpy as np

from zoo.errors import InputError
from zoo.serving import protocol
from zoo.serving.handlers import INLINE_BYTES, Handlers
from zoo.serving.limits import Limits
from zoo.serving.logs import LOGGER
from zoo.serving.protocol import Body, InferRequest
from zoo.serving.rejections import RefusedError
from zoo.serving.repository import Served
from zoo.serving.responses import JSON, Answer, refusal
from zoo.serving.routes import routes

_COMPRESSED_BYTES = 500
JSON_IN_MEMORY = 8
"""Bytes that the objects of JSON take for each of its own, where it is all numbers of one digit."""
_BINARY = (b"content-type", b"application/octet-stream")
HEADER = protocol.HEADER.lower().encode()


class Rest:
    """Requests in, answers out; how they travel is ``zoo.serving.asgi``'s business.

    Parameters
    ----------
    handlers : Handlers
        The protocol's methods.
    log_requests : bool
        Whether to log one line a request, besides the faults of the server that are always logged.
    """

    def __init__(self, handlers: Handlers, *, log_requests: bool = False) -> None:
        self.handlers = handlers
        self._log_requests = log_requests
        self._routes = routes(handlers)

    @property
    def limits(self) -> Limits:
        """What one client may take."""
        return self.handlers.limits

    async def answer(self, method: str, path: str, headers: Mapping[bytes, bytes], body: Body, client: object) -> Answer:
        """Answer one request that has arrived whole; never raises.

        Parameters
        ----------
        method : str
            The method of HTTP.
        path : str
            The path unquoted, without its query.
        headers : mapping of bytes to bytes
            Headers by lower-case name.
        body : bytes, bytearray or memoryview
            The body as it came over the wire.
        client : object
            Whose turn it is when many wait.

        Returns
        -------
        Answer
            What is sent back.
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
        with self.handlers.holding(len(content)):
            return await self._answer(method, path, headers, content, client, start)

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
            with self.handlers.holding(JSON_IN_MEMORY * len(body) if length is None else 0):
                request, arrays = await self.handlers.in_pool(self._read, served, body, length)
        held = self.handlers.hold_answer(served, request, arrays)
        try:
            outputs = await self.handlers.infer(served, request, arrays, client)
            if sum(array.nbytes for array in outputs.values()) <= INLINE_BYTES:
                text, json_length = served.codec.build(request, outputs)
            else:
                text, json_length = await self.handlers.in_pool(served.codec.build, request, outputs)
        except BaseException:
            self.handlers.release(held)
            raise
        binary = () if json_length is None else (_BINARY, (HEADER, b"%d" % json_length))
        return Answer(200, text, binary or JSON, request.id, held)

    def _read(self, served: Served, content: Body, length: str | None) -> tuple[InferRequest, dict[str, np.ndarray]]:
        request = served.codec.parse(content, length)
        return request, self.handlers.check(served, request)

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


def _decompressed(body: Body, most: int) -> bytes | None:
    """A gzip or zlib stream, None where it holds more than so many bytes; zlib.error or EOFError where it is none."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # reads both
    content = stream.decompress(body, most + 1)
    if len(content) > most:
        return None
    if not stream.eof:
        raise EOFError("it is cut short")
    if stream.unused_data:
        raise EOFError("something follows its end")
    return content


def _gzip(content: bytes) -> bytes:
    stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return stream.compress(content) + stream.flush()

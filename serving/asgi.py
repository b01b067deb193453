"""The server as an ASGI application: ``zoo serve`` hosts it in uvicorn, others in a server of their own, such as Ray Serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from zoo.serving.incoming import Incoming
from zoo.serving.rejections import RefusedError, busy
from zoo.serving.responses import CLOSE, Answer, refusal
from zoo.serving.rest import Rest

# What a request that is still arriving gets when the server is asked to stop; then it is refused.
GRACE_SECONDS = 1.0
_PIECE_BYTES = 2**18

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def _send(answer: Answer, send: Send) -> None:
    """Send an answer, a large one piece by piece: each waits until its host has room, so none is held that nobody reads."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    body = answer.body
    for start in range(0, len(body) - _PIECE_BYTES, _PIECE_BYTES):
        await send({"type": "http.response.body", "body": body[start : start + _PIECE_BYTES], "more_body": True})
    last = max(0, -(-len(body) // _PIECE_BYTES) - 1) * _PIECE_BYTES
    await send({"type": "http.response.body", "body": body[last:] if last else body})


class AsgiApp:
    """ASGI 3.

    Parameters
    ----------
    rest : Rest
        The handlers of REST that answer.
    start, stop : callable
        What begins and ends with the application, on its event loop.
    """

    def __init__(self, rest: Rest, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self.rest = rest
        self._start, self._stop = start, stop
        self._arriving: set[asyncio.Timeout] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or run with the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        incoming = Incoming(self.rest.handlers, self.rest.limits, headers)
        try:
            await self._receive(receive, incoming)
            answer = await self._answer(scope, headers, incoming)
        except RefusedError as error:  # what it still sends would be taken for the next request
            answer = refusal(error)
            answer.headers = (*answer.headers, (b"content-length", b"%d" % len(answer.body)), CLOSE)
        except ConnectionError:
            return
        finally:
            incoming.release()
        try:
            await _send(answer, send)
        finally:
            self.rest.handlers.release(answer.held)

    def hurry(self) -> None:
        """Give what is still arriving little time: a client that never ends must not hold up the server's end."""
        soon = asyncio.get_running_loop().time() + GRACE_SECONDS
        for timeout in self._arriving:
            timeout.reschedule(soon)

    async def _receive(self, receive: Receive, incoming: Incoming) -> None:
        ready, limits = self.rest.handlers.ready, self.rest.limits
        timeout = asyncio.timeout(limits.reading if ready else GRACE_SECONDS)
        self._arriving.add(timeout)
        try:
            async with timeout:
                await incoming.receive(receive)
        except TimeoutError:
            late = limits.too_slow() if self.rest.handlers.ready else busy("this server is shutting down")
            raise incoming.refused or late from None
        finally:
            self._arriving.discard(timeout)

    async def _answer(self, scope: Message, headers: Mapping[bytes, bytes], incoming: Incoming) -> Answer:
        path = scope["path"].removeprefix(scope.get("root_path", ""))  # where a host keeps several applications apart
        return await self.rest.answer(scope["method"], path, headers, incoming.body, scope.get("client"))

    async def _live(self, receive: Receive, send: Send) -> None:
        for stage, call in (("startup", self._start), ("shutdown", self._stop)):
            await receive()
            try:
                await call()
            except Exception as error:
                await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{stage}.complete"})

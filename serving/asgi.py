"""The server as an ASGI application, for those who host it in a server of their own (uvicorn, Ray Serve)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from zoo.serving.rejections import RefusedError
from zoo.serving.responses import refusal
from zoo.serving.rest import Rest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


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

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or run with the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        if scope["type"] != "http":
            return
        limits, body = self.rest.limits, bytearray()
        try:
            async with asyncio.timeout(limits.reading):
                await self._receive(receive, body)
            headers = dict(scope["headers"])
            path = scope["path"].removeprefix(scope.get("root_path", ""))  # where a host keeps several applications apart
            answer = await self.rest.answer(scope["method"], path, headers, body, scope.get("client"))
        except TimeoutError:
            answer = refusal(limits.too_slow())
        except RefusedError as error:
            answer = refusal(error)
        except ConnectionError:
            return
        finally:
            self.rest.handlers.pending -= len(body)
        await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _receive(self, receive: Receive, body: bytearray) -> None:
        """Add what comes to the body, and its size to what is pending."""
        handlers, limits, more = self.rest.handlers, self.rest.limits, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            piece = message.get("body", b"")
            handlers.pending += len(piece)
            body += piece
            if len(body) > limits.body:
                raise limits.too_large()
            if handlers.pending > limits.pending:
                raise limits.too_many()
            more = message.get("more_body", False)

    async def _live(self, receive: Receive, send: Send) -> None:
        for stage, call in (("startup", self._start), ("shutdown", self._stop)):
            await receive()
            try:
                await call()
            except Exception as error:
                await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{stage}.complete"})

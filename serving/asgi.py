"""The server as an ASGI application, for those who host it in a server of their own (uvicorn, Ray Serve)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from zoo.serving.protocol import Body
from zoo.serving.refused import RefusedError
from zoo.serving.rest import Rest, refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiApp:
    """ASGI 3.

    Parameters
    ----------
    rest : what answers
    start, stop : run with the application, on its event loop
    """

    def __init__(self, rest: Rest, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self.rest = rest
        self._start, self._stop = start, stop
        self._pending = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or run with the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        if scope["type"] != "http":
            return
        counted = 0
        try:
            async with asyncio.timeout(self.rest.limits.reading):
                body = await self._body(receive)
            counted = len(body)
            self._pending += counted
            if self._pending > self.rest.limits.pending:
                raise self.rest.limits.too_many()
            headers = dict(scope["headers"])
            answer = await self.rest.answer(scope["method"], scope["path"], headers, body, scope.get("client"))
        except TimeoutError:
            answer = refusal(self.rest.limits.too_slow())
        except RefusedError as error:
            answer = refusal(error)
        except ConnectionError:
            return
        finally:
            self._pending -= counted
        await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _body(self, receive: Receive) -> Body:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            if len(message.get("body", b"")) > self.rest.limits.body:
                raise self.rest.limits.too_large()
            return bytes(message.get("body", b""))
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ConnectionError
            body += message.get("body", b"")
            if len(body) > self.rest.limits.body:
                raise self.rest.limits.too_large()
            if not message.get("more_body"):
                return body
            message = await receive()

    async def _live(self, receive: Receive, send: Send) -> None:
        for stage, call in (("startup", self._start), ("shutdown", self._stop)):
            await receive()
            try:
                await call()
            except Exception as error:
                await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{stage}.complete"})

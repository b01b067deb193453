"""A request's body while it arrives: counted, refused where it is too large, and put where a graph can use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from zoo.serving.handlers import Handlers
from zoo.serving.limits import Limits
from zoo.serving.protocol import Body
from zoo.serving.rejections import RefusedError
from zoo.serving.rest import HEADER

_ALIGNMENT = 64
_LINGER_SECONDS = 0.5


class Incoming:
    """The body of one request.

    Parameters
    ----------
    handlers : Handlers
        Where the bytes of all requests are counted.
    limits : Limits
        What one client may take.
    headers : mapping of bytes to bytes
        Headers by lower-case name.
    """

    __slots__ = ("_at", "_declared", "_discarded", "_handlers", "_headers", "_limits", "_memory", "body", "counted", "refused")

    def __init__(self, handlers: Handlers, limits: Limits, headers: Mapping[bytes, bytes]) -> None:
        self._handlers, self._limits, self._headers = handlers, limits, headers
        length = headers.get(b"content-length", b"")
        self._declared = int(length) if length.isdigit() and b"transfer-encoding" not in headers else None
        self._at = self._discarded = 0
        self._memory: memoryview | None = None
        self.body: Body = b""
        self.counted = 0
        self.refused = limits.too_large() if self._declared is not None and self._declared > limits.body else None
        """Why the request is not answered; what else arrives of it is thrown away."""

    async def receive(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
        """Take all of it; RefusedError where it is refused, TimeoutError or ConnectionError where the client waits or has left.

        A client that is still sending would not read the answer, so what is refused is read on for as long as it sends, up to
        four times the limit, unless the client waits for ``100 Continue``.
        """
        if self.refused and self._headers.get(b"expect", b"").lower() == b"100-continue":
            raise self.refused
        more = True
        while more:
            message = await (asyncio.wait_for(receive(), _LINGER_SECONDS) if self.refused else receive())
            if message["type"] == "http.disconnect":
                raise ConnectionError
            more = message.get("more_body", False)
            self._take(message.get("body", b""), more)
            if self.refused and (not more or self._discarded > 4 * self._limits.body):
                raise self.refused

    def release(self) -> None:
        """Count none of it any longer."""
        self._handlers.pending -= self.counted
        self.counted = 0

    def _take(self, piece: bytes, more: bool) -> None:
        self.counted += len(piece)
        self._handlers.pending += len(piece)
        self.refused = self.refused or self._too_much()
        if self.refused:
            self._discarded += self.counted
            self.release()
            self.body, self._memory = b"", None
        elif not more and not self._at:
            self.body = piece
        else:
            self._append(piece)
            if not more and self._memory is not None:
                self.body = self._memory[: self._at]  # a host may let less through than was declared

    def _too_much(self) -> RefusedError | None:
        if self.counted > self._limits.body:
            return self._limits.too_large()
        return self._limits.too_many() if self._handlers.pending > self._limits.pending else None

    def _append(self, piece: bytes) -> None:
        if self._memory is None and self._declared:
            self._memory = self._placed(self._declared)
        if self._memory is not None:
            self._memory[self._at : self._at + len(piece)] = piece
        else:
            if not isinstance(self.body, bytearray):
                self.body = bytearray()
            self.body += piece
        self._at += len(piece)

    def _placed(self, size: int) -> memoryview:
        """Memory whose first tensor is where numpy and ONNX Runtime can use it without a copy.

        The system gives memory to an array as it is written, so a size that is only declared costs nothing.
        """
        length = self._headers.get(HEADER, b"")
        start = -(int(length) if length.isdigit() and len(length) < 20 else 0) % _ALIGNMENT
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        start += -memory.ctypes.data % _ALIGNMENT
        return memory.data[start % _ALIGNMENT :][:size]

"""Bodies while they arrive: whole, in pieces, too large, from hosts that let less through than was declared."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from zoo.serving.incoming import Incoming
from zoo.serving.limits import Limits
from zoo.serving.protocol import HEADER
from zoo.serving.rejections import RefusedError

BODY = np.random.default_rng(0).bytes(100_000)


def receive(pieces: list[bytes], headers: dict[bytes, bytes], limits: Limits | None = None) -> tuple[Incoming, int]:
    """What came of a request in these pieces, and how many bytes were pending once it had."""
    handlers = SimpleNamespace(pending=0)
    incoming = Incoming(handlers, limits or Limits(), headers)
    left = list(pieces)

    async def next_piece() -> dict[str, object]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    try:
        asyncio.run(incoming.receive(next_piece))
    finally:
        pending = handlers.pending
        incoming.release()
        assert handlers.pending == 0
    return incoming, pending


def cut(size: int) -> list[bytes]:
    return [BODY[start : start + size] for start in range(0, len(BODY), size)]


@pytest.mark.parametrize("size", [1000, 65_536, 100_000])
@pytest.mark.parametrize("declared", [b"", b"100000"])
def test_pieces(size: int, declared: bytes) -> None:
    incoming, pending = receive(cut(size), {b"content-length": declared} if declared else {})
    assert bytes(incoming.body) == BODY
    assert pending == len(BODY)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 137])
def test_the_first_tensor_is_aligned(length: int) -> None:
    incoming, _ = receive(cut(1000), {b"content-length": b"100000", HEADER.lower().encode(): b"%d" % length})
    assert np.frombuffer(incoming.body, np.uint8, offset=length).ctypes.data % 64 == 0


def test_less_than_was_declared() -> None:
    incoming, _ = receive(cut(1000)[:3], {b"content-length": b"100000"})
    assert bytes(incoming.body) == BODY[:3000]


@pytest.mark.parametrize("headers", [{}, {b"content-length": b"100000"}])
@pytest.mark.parametrize(("limits", "status"), [(Limits(body=50_000), 413), (Limits(pending=50_000), 503)])
def test_too_much(headers: dict[bytes, bytes], limits: Limits, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        receive(cut(1000), headers, limits)
    assert refused.value.status == status

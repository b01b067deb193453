"""What REST sends back: status, headers and body, and a refusal in this form."""

from __future__ import annotations

import http
import json
from dataclasses import dataclass

from zoo.serving.rejections import RefusedError

CLOSE = (b"connection", b"close")
JSON = ((b"content-type", b"application/json"),)


@dataclass(slots=True)
class Answer:
    """Status, headers and body of one response, and the bytes that are held for it until it is sent."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = JSON
    request_id: str | None = None
    held: int = 0


def refusal(error: RefusedError) -> Answer:
    """A refusal as an answer."""
    message = str(error)
    text = message if len(message) <= 500 else message[:500] + "..."
    return Answer(error.status, json.dumps({"error": text}).encode(), JSON + error.headers)


def written(answer: Answer) -> bytes:
    """The bytes of an answer on a connection of HTTP/1.1 that is closed afterwards."""
    status = http.HTTPStatus(answer.status)
    head = [f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()]
    for name, value in (*answer.headers, (b"content-length", b"%d" % len(answer.body)), CLOSE):
        head += (name, b": ", value, b"\r\n")
    return b"".join((*head, b"\r\n", answer.body))

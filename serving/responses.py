"""What REST sends back: status, headers and body, and a refusal in this form."""

from __future__ import annotations

import http
import json
from dataclasses import dataclass

from zoo.serving.rejections import RefusedError

_JSON = ((b"content-type", b"application/json"),)
_STATUS: dict[int, bytes] = {code: f"HTTP/1.1 {code} {http.HTTPStatus(code).phrase}\r\n".encode() for code in http.HTTPStatus}


@dataclass(slots=True)
class Answer:
    """Status, headers and body of one response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = _JSON
    request_id: str | None = None


def refusal(error: RefusedError) -> Answer:
    """A refusal as an answer."""
    message = str(error)
    text = message if len(message) <= 500 else message[:500] + "..."
    return Answer(error.status, json.dumps({"error": text}).encode(), _JSON + error.headers)


def written(answer: Answer, *, close: bool) -> bytes:
    """The bytes of an answer on a connection of HTTP/1.1, which is closed afterwards or goes on."""
    head = [_STATUS[answer.status]]
    for name, value in answer.headers:
        head += (name, b": ", value, b"\r\n")
    head.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    head.append(answer.body)
    return b"".join(head)

"""A client of gRPC that asks and takes no answer, written in frames of HTTP/2 (RFC 9113), since no library would do so."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACKNOWLEDGED, END_HEADERS = 1, 1, 4
INITIAL_WINDOW = 4


class TakesNothing:
    """Sends one request over a connection on which no byte of an answer may come.

    Parameters
    ----------
    address : str
        ``host:port``.
    path : str
        The method, ``/service/method``.
    message : bytes
        The request, of at most 60,000 bytes.
    reads : bool
        Whether the client reads what else comes and answers pings, or nothing at all.
    """

    def __init__(self, address: str, path: str, message: bytes, reads: bool) -> None:
        host, _, port = address.partition(":")
        self._connection = socket.create_connection((host, int(port)))
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
        fields["content-type"] = "application/grpc"
        body = b"\0" + struct.pack(">I", len(message)) + message
        pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)]
        sent = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", _frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 0))]
        sent.append(_frame(HEADERS, END_HEADERS, 1, b"".join(_field(*field) for field in fields.items())))
        sent += [_frame(DATA, END_STREAM * (piece is pieces[-1]), 1, piece) for piece in pieces]
        self._connection.sendall(b"".join(sent))
        if reads:
            threading.Thread(target=self._acknowledge, daemon=True).start()

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def _acknowledge(self) -> None:
        with contextlib.suppress(OSError), self._connection.makefile("rb") as stream:
            while head := stream.read(9):
                kind, flags, content = head[3], head[4], stream.read(int.from_bytes(head[:3], "big"))
                if kind in (SETTINGS, PING) and not flags & ACKNOWLEDGED:
                    self._connection.sendall(_frame(kind, ACKNOWLEDGED, 0, content if kind == PING else b""))


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def _field(name: str, value: str) -> bytes:
    """A header as HPACK writes what is in no table."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))

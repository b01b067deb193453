"""A load generator that is not slower than the server: requests built once, sockets read as bytes, answers checked.

One process, one event loop, one request under way on each connection.

    python benchmarks/serving_load.py rest 127.0.0.1:8000 MODEL INPUT OUTPUT rows.npz --rows 1 --connections 32 --seconds 3

``rows.npz`` holds ``x``, (n, width), and ``y``, (n, 1), what a model answers to it. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


class Clock:
    """When answers came, and what was wrong with them."""

    def __init__(self, warm_up: float, seconds: float) -> None:
        self.start = time.perf_counter() + warm_up
        self.end = self.start + seconds
        self.latencies: list[float] = []
        self.counted = 0
        self.requests = 0
        self.wrong = 0

    def note(self, asked: float) -> bool:
        """Note an answer; whether to go on."""
        now = time.perf_counter()
        self.requests += 1
        if now >= self.start:
            self.latencies.append(now - asked)
            self.counted += now <= self.end
        return now < self.end


class Client(asyncio.Protocol):
    """Asks, waits for the answer, asks again; each request its own rows, each answer compared with its own."""

    def __init__(self, requests: list[bytes], answers: list[np.ndarray], clock: Clock, done: asyncio.Future[None]) -> None:
        self.requests, self.answers, self.clock, self.done = requests, answers, clock, done
        self.at, self.asked, self.received = 0, 0.0, bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ask the first."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next request."""
        self.at = (self.at + 1) % len(self.requests)
        self.asked = time.perf_counter()
        self.transport.write(self.requests[self.at])

    def answered(self, content: bytes) -> None:
        """Compare one answer, a tensor's bytes."""
        given, expected = np.frombuffer(content, "<f4"), self.answers[self.at]
        if len(given) != len(expected) or abs(given[0] - expected[0]) > 1e-5 or abs(given[-1] - expected[-1]) > 1e-5:
            self.clock.wrong += 1
        if self.clock.note(self.asked):
            self.ask()
        else:
            self.finish()

    def finish(self) -> None:
        """Leave."""
        if not self.done.done():
            self.done.set_result(None)
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """A server that leaves in the middle is an error."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


class Rest(Client):
    """HTTP/1.1, answers with Content-Length or in chunks."""

    def data_received(self, data: bytes) -> None:
        """Collect one response."""
        self.received += data
        head = self.received.find(b"\r\n\r\n") + 4
        if head < 4:
            return
        if not self.received.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(bytes(self.received[:500]).decode()))
            return
        length, json_length = self.lengths(bytes(self.received[:head]))
        if length is None:
            if not self.received.endswith(b"\r\n0\r\n\r\n"):  # an answer is the last that was sent
                return
            content = self.joined(bytes(self.received[head:]))
            self.received.clear()
        else:
            if len(self.received) < head + length:
                return
            content = bytes(self.received[head : head + length])
            del self.received[: head + length]
        self.answered(content[json_length:])

    @staticmethod
    @functools.lru_cache(64)
    def lengths(head: bytes) -> tuple[int | None, int]:
        """Bytes of the body, None where it comes in chunks, and of its JSON part; the same head comes again and again."""
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        length = None if fields.get(b"transfer-encoding") == b"chunked" else int(fields[b"content-length"])
        return length, int(fields.get(b"inference-header-content-length", 0))

    @staticmethod
    def joined(body: bytes) -> bytes:
        """Chunks put together."""
        content = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            content, body = content + body[: int(size, 16)], body[int(size, 16) + 2 :]
        return content


class Json(Rest):
    """The same with tensors as JSON, for servers that take nothing else."""

    def answered(self, content: bytes) -> None:
        """Take the tensor out of the text."""
        super().answered(np.array(json.loads(content)["outputs"][0]["data"], "<f4").tobytes())


_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _literal(name: str, value: str) -> bytes:
    """An HPACK field that no table remembers."""
    return b"\x00" + b"".join(bytes((len(text),)) + text.encode() for text in (name, value))


class Grpc(Client):
    """gRPC over bare HTTP/2 frames: as many as one unary call needs."""

    headers = b"".join(
        (
            _literal(":method", "POST"),
            _literal(":scheme", "http"),
            _literal(":path", "/inference.GRPCInferenceService/ModelInfer"),
            _literal(":authority", "benchmark"),
            _literal("content-type", "application/grpc"),
            _literal("te", "trailers"),
        )
    )

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Greet with windows so large that answers never fill them."""
        self.stream, self.window, self.content = -1, 65535, b""
        self.unsent = b""
        window = _frame(_WINDOW, 0, 0, struct.pack(">I", 2**31 - 1 - 65535))
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b"") + window)
        super().connection_made(transport)

    def ask(self) -> None:
        """Open one stream for each request."""
        self.at = (self.at + 1) % len(self.requests)
        self.stream += 2
        self.asked = time.perf_counter()
        self.transport.write(_frame(_HEADERS, _END_HEADERS, self.stream, self.headers))
        self.unsent = self.requests[self.at]
        self.send()

    def send(self) -> None:
        """What the connection's window lets through; a request is smaller than a stream's window."""
        while self.unsent and self.window:
            size = min(16384, self.window, len(self.unsent))
            part, self.unsent = self.unsent[:size], self.unsent[size:]
            self.window -= size
            self.transport.write(_frame(_DATA, 0 if self.unsent else _END_STREAM, self.stream, part))

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        self.received += data
        while len(self.received) >= 9:
            size = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + size:
                return
            kind, flags, stream = self.received[3], self.received[4], int.from_bytes(self.received[5:9], "big")
            payload = bytes(self.received[9 : 9 + size])
            del self.received[: 9 + size]
            if kind == _DATA:
                self.content += payload
            elif kind == _HEADERS and flags & _END_STREAM:
                content, self.content = self.content[-4 * len(self.answers[self.at]) :], b""
                self.answered(content)
            elif kind == _SETTINGS and not flags & _ACK:
                self.transport.write(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                self.transport.write(_frame(_PING, _ACK, 0, payload))
            elif kind == _WINDOW and stream == 0:  # a stream's own window is never short
                self.window += int.from_bytes(payload, "big")
                self.send()
            elif kind == _GOAWAY:
                self.finish()


def rest_request(model: str, input_name: str, output_name: str, x: np.ndarray) -> bytes:
    """One request in the binary tensor extension."""
    tensor = {"name": input_name, "datatype": "FP32", "shape": list(x.shape), "parameters": {"binary_data_size": x.nbytes}}
    text = json.dumps({"inputs": [tensor], "outputs": [{"name": output_name, "parameters": {"binary_data": True}}]}).encode()
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: benchmark\r\nContent-Length: {len(text) + x.nbytes}\r\n"
        f"Inference-Header-Content-Length: {len(text)}\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + text + x.tobytes()


def json_request(model: str, input_name: str, output_name: str, x: np.ndarray) -> bytes:
    """One request in JSON, numbers to 7 decimals, which loses nothing that the check of the answers would see."""
    data = np.char.mod("%.7f", x.ravel())
    tensor = f'{{"name":"{input_name}","datatype":"FP32","shape":{list(x.shape)},"data":[{",".join(data)}]}}'
    text = f'{{"inputs":[{tensor}],"outputs":[{{"name":"{output_name}"}}]}}'.encode()
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: benchmark\r\nContent-Length: {len(text)}\r\n"
        "Content-Type: application/json\r\n\r\n"
    )
    return head.encode() + text


def grpc_request(model: str, input_name: str, output_name: str, x: np.ndarray) -> bytes:
    """One message with raw tensors, with gRPC's prefix."""
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name=model)
    message.inputs.add(name=input_name, datatype="FP32", shape=x.shape)
    message.outputs.add(name=output_name)
    message.raw_input_contents.append(x.tobytes())
    content = message.SerializeToString()
    return struct.pack(">BI", 0, len(content)) + content


PROTOCOLS: dict[str, tuple[type[Client], Callable[[str, str, str, np.ndarray], bytes]]] = {
    "rest": (Rest, rest_request),
    "json": (Json, json_request),
    "grpc": (Grpc, grpc_request),
}


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Load the server for some seconds; rates, latencies and wrong answers."""
    with np.load(options.data) as stored:
        x, y = stored["x"], stored["y"]
    client, build = PROTOCOLS[options.protocol]
    starts = range(0, len(x) - options.rows + 1, options.rows)[: 64 if options.protocol == "json" else None]
    requests = [build(options.model, options.input, options.output, x[s : s + options.rows]) for s in starts]
    answers = [y[s : s + options.rows, 0] for s in starts]
    clock = Clock(options.warm_up, options.seconds)
    loop = asyncio.get_running_loop()
    host, _, port = options.address.rpartition(":")
    finished = []
    for number in range(options.connections):
        finished.append(loop.create_future())
        turn = number % len(requests)
        order = requests[turn:] + requests[:turn], answers[turn:] + answers[:turn]
        await loop.create_connection(lambda order=order: client(*order, clock, finished[-1]), host, int(port))
    await asyncio.gather(*finished)
    milliseconds = np.array(clock.latencies) * 1e3
    return {
        "requests_per_second": round(clock.counted / options.seconds, 1),
        "rows_per_second": round(clock.counted * options.rows / options.seconds, 1),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 3),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 3),
        "requests": clock.requests,
        "wrong": clock.wrong,
    }


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=PROTOCOLS)
    for name in ("address", "model", "input", "output"):
        parser.add_argument(name)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=0.5)
    options = parser.parse_args()
    try:
        from uvloop import run as start
    except ImportError:
        start = asyncio.run
    json.dump(start(run(options)), sys.stdout)
    print()


if __name__ == "__main__":
    main()

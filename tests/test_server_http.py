"""What REST does with clients that are slow, impolite or in a hurry, and when it is asked to stop."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from geventhttpclient.response import HTTPParseError
from live_server import ended, hosted, infer, running

from zoo.serving import rest
from zoo.serving.batching import Policy
from zoo.serving.graph import Graph
from zoo.serving.limits import Limits
from zoo.serving.protocol import HEADER
from zoo.serving.server import Server, Settings, create_app

WIDTH = tiny_models.WIDTH
BODY = json.dumps({"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH], "data": [0.5] * WIDTH}]}).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    limits = Limits(body=2**20, reading=0.5)
    with running(Server([folder], Settings(limits=limits))) as address:
        yield address


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Graphs wait for this event once it is cleared; its ``entered`` says that one does."""
    go, run = threading.Event(), Graph.run
    go.entered = threading.Event()
    go.set()

    def waiting(self: Graph, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        time.sleep(0.002)  # not on the event loop
        if not go.is_set():
            go.entered.set()
        assert go.wait(30)
        return run(self, arrays)

    monkeypatch.setattr(Graph, "run", waiting)
    return go


def spectra(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)


def head(length: int | str = len(BODY), *more: str) -> bytes:
    lines = ["POST /v2/models/tiny/infer HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


def connect(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def read(connection: socket.socket) -> tuple[int, bytes]:
    """One response."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def post(address: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str | None]:
    """Status and Retry-After."""
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v2/models/tiny/infer", body, headers or {})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers["Retry-After"]


def body_of(x: np.ndarray) -> tuple[bytes, bytes]:
    """The JSON part and the tensor of a binary request."""
    content = x.astype("<f4").tobytes()
    parameters = {"binary_data_size": len(content)}
    tensor = {"name": "spectrum", "datatype": "FP32", "shape": list(x.shape), "parameters": parameters}
    return json.dumps({"inputs": [tensor]}).encode(), content


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120  # or it hangs
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def answers(address: str) -> bool:
    with triton.InferenceServerClient(address) as client:
        return infer(client, "tiny", {"spectrum": spectra()}).as_numpy("probability").shape == (3, 1)


def test_byte_by_byte(address: str) -> None:
    with connect(address) as connection:
        for byte in head() + BODY:
            connection.sendall(bytes([byte]))
        assert read(connection)[0] == 200


def test_several_requests_on_one_connection_in_order(address: str) -> None:
    with connect(address) as connection:
        request = b"".join(
            head(len(body)) + body for body in (BODY.replace(b'{"inputs"', b'{"id": "%d", "inputs"' % n) for n in range(40))
        )
        connection.sendall(request)
        stream = connection.makefile("rb")
        seen = []
        for _ in range(40):
            length = 0
            assert stream.readline().startswith(b"HTTP/1.1 200")
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            seen.append(json.loads(stream.read(length))["id"])
        assert seen == [str(n) for n in range(40)]


def test_chunked(address: str) -> None:
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v2/models/tiny/infer", iter([BODY[:10], BODY[10:]]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


def test_chunked_and_too_large(address: str) -> None:
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v2/models/tiny/infer", (bytes(2**16) for _ in range(20)), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert answers(address)


def test_expect_100_continue(address: str) -> None:
    with connect(address) as connection:
        connection.sendall(head(len(BODY), "Expect: 100-continue"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read(connection)[0] == 200


def until_closed(connection: socket.socket) -> list[tuple[int, int]]:
    """Status and length of each answer until the server closes the connection."""
    found, stream = [], connection.makefile("rb")
    while line := stream.readline():
        headers = http.client.parse_headers(stream)
        found.append((int(line.split()[1]), len(stream.read(int(headers["content-length"])))))
        assert found[-1][1] == int(headers["content-length"])
    return found


def test_a_client_that_closes_its_half_is_answered(folder: Path, slow: threading.Event) -> None:
    """What has arrived whole, and nothing of what has not; then the server closes the other half."""
    one, gone = head() + BODY, head("100") + b"half"
    with running(Server([folder])) as address:
        for sent, count in ((one, 1), (one + one + one, 3), (one + gone, 1), (one + one + b"POST /v2", 2), (gone, 0), (b"", 0)):
            slow.clear()
            with connect(address) as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                if count:
                    assert slow.entered.wait(30)
                    connection.settimeout(0.1)
                    with pytest.raises(TimeoutError):
                        connection.recv(1)
                    connection.settimeout(30)
                slow.set()
                assert [status for status, _ in until_closed(connection)] == [200] * count
        text, content = body_of(spectra(60_000))
        with connect(address) as connection:  # an answer larger than what fits into the sockets
            connection.sendall(head(len(text) + len(content), f"{HEADER}: {len(text)}") + text + content)
            connection.shutdown(socket.SHUT_WR)
            [(status, length)] = until_closed(connection)
            assert (status, length > 60_000) == (200, True)
        with connect(address) as connection:  # between two requests
            connection.sendall(one)
            assert read(connection)[0] == 200
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""


def test_http_1_0_and_close(address: str) -> None:
    for first in (head(len(BODY), "Connection: close"), head().replace(b"HTTP/1.1", b"HTTP/1.0")):
        with connect(address) as connection:
            connection.sendall(first + BODY)
            assert read(connection)[0] == 200
            assert connection.recv(1) == b""


def test_head_of_a_resource(address: str) -> None:
    connection = http.client.HTTPConnection(address)
    connection.request("HEAD", "/v2")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.request("GET", "/v2/")  # the connection is still in step
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),  # a client that speaks TLS
        (head("-1"), 400),
        (head("1e3"), 400),
        (head(len(BODY), "Content-Length: 1"), 400),
        (head(len(BODY), "X: " + "x" * 70_000), 431),
        (head()[:-2] + b"X: " + b"x" * 400_000, 431),  # a line that never ends
        (head(10**30), 400),
        (head(2**62) + bytes(5 * 2**20), 413),
        (head().replace(b"HTTP/1.1", b"HTTP/9.9"), 400),
        (b"GET http://x/v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /v2/health/live?a=b%20c#d HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
    ],
)
def test_heads(address: str, sent: bytes, status: int) -> None:
    with connect(address) as connection:
        try:
            connection.sendall(sent)
        except ConnectionError:
            assert status in (413, 431)  # said and closed while we still sent
        else:
            try:
                assert read(connection)[0] == status
            except ConnectionError:
                assert status in (413, 431)
    assert answers(address)


def test_too_large_is_answered_though_the_client_sends_on(address: str) -> None:
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v2/models/tiny/infer", bytes(3 * 2**20))
    response = connection.getresponse()
    assert response.status == 413
    assert "1048576 bytes" in json.loads(response.read())["error"]
    connection.close()


@pytest.mark.parametrize("sent", [head()[:30], head(), head() + BODY[:20], head(10**6) + bytes(500_000)])
def test_a_request_that_never_arrives(address: str, sent: bytes) -> None:
    with connect(address) as connection:
        connection.sendall(sent)
        assert answers(address)  # others are served meanwhile
        status, body = read(connection)
        assert status == 408
        assert "0.5 s" in json.loads(body)["error"]
        assert connection.recv(1) == b""


def test_a_client_that_does_not_read_its_answers(address: str) -> None:
    rows = 2000
    body = json.dumps(
        {"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [rows, WIDTH], "data": [0.5] * rows * WIDTH}]}
    )
    with connect(address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.2)
        try:
            for _ in range(100):
                connection.sendall(head(len(body)) + body.encode())
        except TimeoutError:
            pass  # the server stopped reading from it
        assert answers(address)


def test_bytes_of_all_requests_together(folder: Path) -> None:
    limits = Limits(body=2**20, pending=2**20, reading=600)  # a client gives up sooner than the first must
    server = Server([folder], Settings(limits=limits))
    with running(server) as address:
        with connect(address) as first, connect(address) as second:
            first.sendall(head(900_000) + bytes(800_000))
            until(lambda: server.handlers.pending >= 800_000)
            assert answers(address)  # nobody waits for the first
            second.sendall(head(900_000) + bytes(800_000))
            time.sleep(0.1)
            second.sendall(bytes(100_000))  # one that is still sending reads the answer all the same
            status, body = read(second)
            assert status == 503
            assert "holds as many bytes" in json.loads(body)["error"]
        until(lambda: server.handlers.pending == 0)
        assert answers(address)


def test_bytes_that_a_compressed_request_holds_count(folder: Path, slow: threading.Event) -> None:
    limits = Limits(body=2**20, pending=6_000_000)
    text, tensor = body_of(np.zeros((50_000, WIDTH)))
    server = Server([folder], Settings(limits=limits))
    with running(server) as address, ThreadPoolExecutor(1) as pool:
        headers = {HEADER: str(len(text)), "Content-Encoding": "gzip"}

        def ask() -> tuple[int, str | None]:
            return post(address, gzip.compress(text + tensor), headers)

        slow.clear()
        first = pool.submit(ask)
        until(lambda: server.handlers.pending > 10**6)
        try:
            assert ask() == (503, "1")
        finally:
            slow.set()
        assert first.result() == (200, None)
        assert ask() == (200, None)


def test_large_compressed_bodies_and_answers_do_not_hold_up_others(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, set[str]] = {"_decompressed": set(), "_gzip": set()}
    for name, seen in threads.items():
        call = getattr(rest, name)
        monkeypatch.setattr(
            rest, name, lambda *a, call=call, seen=seen: (seen.add(threading.current_thread().name), call(*a))[1]
        )
    x = np.random.default_rng(0).normal(size=(20_000, WIDTH)).astype(np.float32)
    for batch, pooled in ((x[:10], False), (x, True), (0 * x, True)):  # zeros: small until they are decompressed
        for seen in threads.values():
            seen.clear()
        with triton.InferenceServerClient(address) as client:
            options = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
            given = infer(client, "tiny", {"spectrum": batch}, **options).as_numpy("probability")
        np.testing.assert_allclose(given, tiny_models.predict(batch), atol=1e-6)
        assert any(name.startswith("zoo-serving") for name in threads["_decompressed"]) == pooled
        if pooled:
            assert all(name.startswith("zoo-serving") for name in threads["_gzip"])


def test_a_client_that_never_reads_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.serving.rest_server.IDLE_SECONDS", 0.3)
    server = Server([folder], Settings(limits=Limits(reading=0.4)))
    rows = 100_000
    outputs = [{"name": "mean"}, {"name": "log_variance"}]
    inputs = [
        {"name": n, "datatype": "FP32", "shape": [rows, w], "parameters": {"binary_data_size": 4 * rows * w}}
        for n, w in (("trajectory", WIDTH), ("time", 1))
    ]
    text = json.dumps({"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}).encode()
    lines = ["POST /v2/models/tiny.encode/infer HTTP/1.1", "Host: x", f"{HEADER}: {len(text)}"]
    lines.append(f"Content-Length: {len(text) + 24 * rows}")
    with running(server) as address, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = address.partition(":")
        deaf.connect((host, int(port)))
        deaf.sendall("\r\n".join([*lines, "", ""]).encode() + text + bytes(24 * rows) + b"GET /v2 HTTP/1.1\r\n")
        until(lambda: server._rest.connections)
        until(lambda: not server._rest.connections)
        assert server.handlers.pending == 0


def test_expect_100_continue_of_what_is_too_large(address: str) -> None:
    with connect(address) as connection:
        connection.sendall(head(2**30, "Expect: 100-continue"))
        assert read(connection)[0] == 413


def test_a_full_queue_says_when_to_come_back(folder: Path, slow: threading.Event) -> None:
    server = Server([folder], Settings(policy=Policy(max_queue=2, instances=1)))
    with running(server) as address, ThreadPoolExecutor(3) as pool:
        slow.clear()
        waiting = [pool.submit(post, address, BODY)]
        assert slow.entered.wait(30)  # or those that follow would share its call
        waiting += [pool.submit(post, address, BODY) for _ in range(2)]
        until(lambda: server.repository.find("tiny").statistics.pending == 2)
        assert post(address, BODY) == (503, "1")
        slow.set()
        assert [future.result() for future in waiting] == [(200, None)] * 3


def test_timeouts(folder: Path, slow: threading.Event) -> None:
    with running(Server([folder], Settings(timeout=0.3))) as address, triton.InferenceServerClient(address) as client:
        slow.clear()
        try:
            for options, words in (({"timeout": 100_000}, "within 0.1 s"), ({}, "within 0.3 s")):
                with pytest.raises(Exception, match=words) as caught:
                    infer(client, "tiny", {"spectrum": spectra()}, **options)
                assert caught.value.status() == "504"
        finally:
            slow.set()
        assert answers(address)


def test_request_ids_and_logs(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.serving import logs

    monkeypatch.setattr(logs.LOGGER, "propagate", logs.LOGGER.propagate)
    monkeypatch.setattr(logs.LOGGER, "level", logs.LOGGER.level)
    handlers = list(logs.LOGGER.handlers)
    logs.log_to_stderr()
    try:
        with running(Server([folder], Settings(log_requests=True))) as address:
            connection = http.client.HTTPConnection(address)
            connection.request("POST", "/v2/models/tiny/infer", BODY, {"X-Request-Id": "abc"})
            response = connection.getresponse()
            assert response.headers["X-Request-Id"] == "abc"
            response.read()
            connection.request("GET", "/nowhere")
            connection.getresponse().read()
            connection.close()
    finally:
        logs.LOGGER.handlers[:] = handlers
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    first, second = (line for line in lines if line["message"] == "request")
    assert (first["status"], first["id"], first["path"]) == (200, "abc", "/v2/models/tiny/infer")
    assert (second["status"], second["level"]) == (404, "info")


def test_an_asgi_server_of_others_hosts_it(folder: Path) -> None:
    with hosted(create_app([folder], Settings(limits=Limits(body=2**20)))) as address:
        assert answers(address)
        with triton.InferenceServerClient(address) as client:
            for rows in (1, 3000):
                given = infer(client, "tiny", {"spectrum": spectra(rows)}).as_numpy("probability")
                np.testing.assert_allclose(given, tiny_models.predict(spectra(rows)), atol=1e-6)
        connection = http.client.HTTPConnection(address)
        connection.request("POST", "/v2/models/tiny/infer", bytes(2**20 + 1))
        assert connection.getresponse().status == 413
        connection.close()


def test_bytes_of_all_requests_together_in_an_asgi_server(folder: Path) -> None:
    app = create_app([folder], Settings(limits=Limits(body=2**20, pending=2**20)))
    with hosted(app) as address, connect(address) as first, connect(address) as second:
        first.sendall(head(900_000) + bytes(800_000))
        until(lambda: app.rest.handlers.pending >= 800_000)
        second.sendall(head(900_000) + bytes(800_000))
        assert read(second)[0] == 503
        first.close()
        until(lambda: app.rest.handlers.pending == 0)


class TestStop:
    def start(self, folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
        """``zoo serve`` in a process of its own, and its address."""
        command = [sys.executable, "-m", "zoo", "serve", str(folder), "--port", "0", "--grpc-port", "0", *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        ready = json.loads(process.stderr.readline())
        assert ready["message"] == "ready"
        self.grpc_port = ready["grpc_port"]
        assert ready["models"] == ["tiny", "tiny.encode"]
        return process, f"127.0.0.1:{ready['port']}"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_nobody_who_is_half_done_holds_it_up(self, folder: Path, number: signal.Signals) -> None:
        process, address = self.start(folder)
        with process, ended(process), connect(address) as half, connect(address) as less, connect(address) as idle:
            half.sendall(head() + BODY[:-5])
            less.sendall(head()[:30])
            assert answers(address)  # by then the server has read both
            process.send_signal(number)
            assert idle.recv(1) == b""
            assert less.recv(1) == b""
            with pytest.raises(ConnectionError):
                connect(address)
            status, body = read(half)
            assert status == 503
            assert "shutting down" in json.loads(body)["error"]
            assert process.wait(timeout=30) == 0
            assert process.stderr.read().count("stopping") == 1

    def test_what_has_arrived_or_still_arrives_is_answered(
        self, folder: Path, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("zoo.serving.asgi.GRACE_SECONDS", 600)
        server, asked_of = Server([folder]), []
        infer = server.handlers.infer
        monkeypatch.setattr(server.handlers, "infer", lambda *what: (asked_of.append(what), infer(*what))[1])
        with running(server, grpc=True) as grpc_address, ThreadPoolExecutor(1) as pool:
            address = f"127.0.0.1:{server.port}"
            slow.clear()
            with connect(address) as whole, connect(address) as half, triton_grpc.InferenceServerClient(grpc_address) as client:
                whole.sendall(head() + BODY)
                half.sendall(head() + BODY[:-5])
                tensor = triton_grpc.InferInput("spectrum", [1, WIDTH], "FP32")
                tensor.set_data_from_numpy(spectra(1))
                asked = pool.submit(client.infer, "tiny", [tensor])
                until(lambda: len(asked_of) == 2 and server.handlers.pending > 2 * len(BODY) - 5)
                stopping = asyncio.run_coroutine_threadsafe(server.stop(), server._rest._ticking.get_loop())
                until(lambda: not server.handlers.ready)
                half.sendall(BODY[-5:])
                slow.set()
                assert read(whole)[0] == read(half)[0] == 200
                np.testing.assert_allclose(asked.result().as_numpy("probability"), tiny_models.predict(spectra(1)), atol=1e-6)
                stopping.result(30)

    def test_a_stream_that_asks_nothing_does_not_hold_it_up(self, folder: Path) -> None:
        process, _ = self.start(folder)
        with process, ended(process), triton_grpc.InferenceServerClient(f"127.0.0.1:{self.grpc_port}") as client:
            came: queue.Queue[object] = queue.Queue()
            client.start_stream(lambda result, error: came.put(error or result))
            tensor = triton_grpc.InferInput("spectrum", [1, WIDTH], "FP32")
            tensor.set_data_from_numpy(spectra(1))
            client.async_stream_infer("tiny", [tensor])
            np.testing.assert_allclose(came.get(timeout=30).as_numpy("probability"), tiny_models.predict(spectra(1)), atol=1e-6)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0  # not after the 30 s that requests under way have

    def test_killed_under_load_and_started_again_on_the_same_port(self, folder: Path) -> None:
        """Clients see connections that break, never another answer than their own, and go on where they were."""
        process, address = self.start(folder)
        stop = threading.Event()
        answered, broken, wrong = [0] * 6, [0] * 6, []

        def ask(number: int) -> None:
            random = np.random.default_rng(number)
            with triton.InferenceServerClient(address) as client:
                while not stop.is_set():
                    x = random.normal(size=(random.choice([1, 7, 5000]), WIDTH)).astype(np.float32)
                    try:
                        given = infer(client, "tiny", {"spectrum": x}).as_numpy("probability")
                    except (OSError, HTTPParseError):  # refused, reset, or ended in the middle of an answer
                        broken[number] += 1
                        time.sleep(0.01)
                        continue
                    except Exception as error:
                        wrong.append(error)
                        return
                    if given.shape != (len(x), 1) or not np.allclose(given, tiny_models.predict(x), atol=1e-6):
                        wrong.append(given)
                    answered[number] += 1

        with ThreadPoolExecutor(6) as pool:
            asking = [pool.submit(ask, number) for number in range(6)]
            try:
                with process, ended(process):
                    until(lambda: min(answered) >= 20)
                    process.kill()
                until(lambda: min(broken) >= 1)
                before = list(answered)
                process, again = self.start(folder, "--port", address.partition(":")[2])
                with process, ended(process):
                    try:
                        assert again == address
                        until(lambda: all(now >= then + 20 for now, then in zip(answered, before, strict=True)))
                    finally:
                        stop.set()
                        process.terminate()
                    assert process.wait(timeout=30) == 0
            finally:
                stop.set()
        for future in asking:
            future.result()
        assert wrong == []

    def test_a_port_that_is_taken(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=str(port)):
                asyncio.run(Server([folder]).start(port=port))
            for ports in (["--port", "0", "--grpc-port", str(port)], ["--port", str(port), "--grpc-port", "0"]):
                command = [sys.executable, "-m", "zoo", "serve", str(folder), *ports]
                result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
                assert result.returncode == 1
                assert "Traceback" not in result.stderr
                assert str(port) in result.stderr
                assert "hoose another" in result.stderr
                assert "[Errno" not in result.stderr
                assert len(result.stderr.splitlines()) == 1, result.stderr


def test_aio_client(address: str) -> None:
    async def ask() -> list[np.ndarray]:
        client = triton_aio.InferenceServerClient(address)
        try:
            futures = []
            for rows in range(1, 30):
                tensor = triton.InferInput("spectrum", [rows, WIDTH], "FP32")
                tensor.set_data_from_numpy(spectra(rows), binary_data=bool(rows % 2))
                futures.append(client.infer("tiny", [tensor]))
            return [result.as_numpy("probability") for result in await asyncio.gather(*futures)]
        finally:
            await client.close()

    for rows, given in enumerate(asyncio.run(ask()), 1):
        np.testing.assert_allclose(given, tiny_models.predict(spectra(rows)), atol=1e-6)

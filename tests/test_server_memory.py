"""What clients may make the server hold: known before anything is computed, and let go when it is sent."""

from __future__ import annotations

import gzip
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import tritonclient.grpc as triton
from live_server import running
from raw_http2 import TakesNothing
from set_models import MODELS
from tritonclient.utils import InferenceServerException

from zoo.serving import grpc_server
from zoo.serving.answer_size import AnswerSize
from zoo.serving.batching import Policy
from zoo.serving.graph import Graph
from zoo.serving.instances import in_pieces
from zoo.serving.limits import Limits
from zoo.serving.messages import MESSAGES, SERVICE
from zoo.serving.server import Server, Settings

WIDTH = tiny_models.WIDTH
BUDGET = 4 * 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def serving(folder: Path) -> Iterator[Server]:
    server = Server([folder], Settings(limits=Limits(pending=BUDGET), policy=Policy(max_batch=100)))
    with running(server):
        yield server


def rest_address(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def body_of(rows: int, binary: bool) -> tuple[bytes, dict[str, str]]:
    size = 4 * rows * WIDTH
    inputs = [{"name": "spectrum", "datatype": "FP32", "shape": [rows, WIDTH], "parameters": {"binary_data_size": size}}]
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": binary}}).encode()
    return text + bytes(size), {"Inference-Header-Content-Length": str(len(text)), "Content-Encoding": "gzip"}


def post(server: Server, rows: int, binary: bool) -> tuple[int, str]:
    body, headers = body_of(rows, binary)
    url = f"http://{rest_address(server)}/v2/models/tiny/infer"
    request = urllib.request.Request(url, gzip.compress(body), headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()[:100].decode("latin-1")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]


def until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("name", MODELS)
def test_the_size_of_an_answer_is_known_from_the_spec(name: str, tmp_path: Path) -> None:
    from zoo.model.onnx_bytes import OnnxBytes

    model = MODELS[name]
    graph = Graph(OnnxBytes.read(model.write(tmp_path / name) / "predict.onnx"), model.endpoint)
    for seed, rows in enumerate((1, 2, 7)):
        arrays = graph.check(model.draw(np.random.default_rng(seed), rows))
        total = sum(array.nbytes for array in graph.run(arrays).values())
        size = AnswerSize(model.endpoint)
        assert size(arrays, {}) == total
        assert size(arrays, dict.fromkeys((tensor.name for tensor in model.endpoint.outputs), True)) == 2 * total


def test_a_small_request_for_an_answer_that_there_is_no_memory_for(serving: Server) -> None:
    """JSON of 60,000 numbers takes a little less than the budget, of 65,000 more."""
    status, said = post(serving, 65_000, binary=False)
    assert (status, "the answer to 65000 rows takes" in said, "ask for fewer rows" in said) == (413, True, True)
    assert serving.repository.find("tiny").statistics.executions == 0  # nothing was computed
    assert post(serving, 65_000, binary=True)[0] == 200
    assert post(serving, 30_000, binary=False)[0] == 200
    until(lambda: serving.handlers.pending == 0)


def test_the_same_over_grpc(folder: Path) -> None:
    server = Server([folder], Settings(limits=Limits(pending=150_000)))

    def asked(rows: int) -> list[triton.InferInput]:
        spectrum = triton.InferInput("spectrum", [rows, WIDTH], "FP32")
        spectrum.set_data_from_numpy(np.zeros((rows, WIDTH), np.float32))
        return [spectrum]

    with running(server, grpc=True) as address, triton.InferenceServerClient(address) as client:
        with pytest.raises(InferenceServerException, match="holds as many bytes of requests and answers"):
            client.infer("tiny", asked(6000))  # 120 kB, and 48 kB of answer
        for _ in range(3):
            assert client.infer("tiny", asked(4000)).as_numpy("probability").shape == (4000, 1)
        until(lambda: server.handlers.pending == 0)


def test_answers_that_nobody_reads_are_held_within_the_budget(serving: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been sent into a connection is the system's, the rest counts until the client reads it or is let go."""
    monkeypatch.setattr("zoo.serving.rest_server.IDLE_SECONDS", 1.0)
    body, headers = body_of(45_000, binary=False)  # an answer of a megabyte
    body = gzip.compress(body)
    lines = ["POST /v2/models/tiny/infer HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
    deaf = []
    for _ in range(6):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", serving.port))
        connection.sendall(request)
        deaf.append(connection)
        assert serving.handlers.pending <= BUDGET + 10**6  # and the body that is being refused
    until(lambda: serving.handlers.pending > 10**6)
    held = [serving.handlers.pending]
    until(lambda: held.append(serving.handlers.pending) or held[-1] == 0)  # after a second they are let go
    assert max(held) <= BUDGET + 10**6
    for connection in deaf:
        connection.close()
    assert post(serving, 10, binary=True)[0] == 200


def test_answers_over_grpc_that_nobody_takes_are_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of clients that no longer read, and of those that answer pings but take no answer; others are served meanwhile."""
    pings = {"grpc.http2.ping_timeout_ms": 500}
    lives = {"grpc.max_connection_age_ms": 600, "grpc.max_connection_age_grace_ms": 300}
    message = MESSAGES["ModelInferRequest"](model_name="tiny")
    message.inputs.add(name="spectrum", datatype="FP32", shape=[2500, WIDTH])
    message.raw_input_contents.append(bytes(4 * 2500 * WIDTH))
    for reads, changed in ((False, pings), (True, lives)):
        for key, value in changed.items():
            monkeypatch.setitem(grpc_server.LIVES, key, value)
        server = Server([folder], Settings(limits=Limits(pending=200_000)))
        with running(server, grpc=True) as address, triton.InferenceServerClient(address) as client:
            spectrum = triton.InferInput("spectrum", [1, WIDTH], "FP32")
            spectrum.set_data_from_numpy(np.zeros((1, WIDTH), np.float32))
            takers = [TakesNothing(address, f"/{SERVICE}/ModelInfer", message.SerializeToString(), reads) for _ in range(3)]
            until(lambda handlers=server.handlers: handlers.pending > 0)
            while server.handlers.pending:
                assert client.infer("tiny", [spectrum]).as_numpy("probability").shape == (1, 1)
            for taker in takers:
                taker.close()


def test_an_answer_in_pieces_arrives_whole(serving: Server) -> None:
    rows = 30_000
    body, headers = body_of(rows, binary=False)
    request = urllib.request.Request(f"http://{rest_address(serving)}/v2/models/tiny/infer", gzip.compress(body), headers)
    with urllib.request.urlopen(request) as response:
        [output] = json.loads(response.read())["outputs"]
    assert output["shape"] == [rows, 1]
    np.testing.assert_allclose(output["data"], tiny_models.predict(np.zeros((rows, WIDTH), np.float32)).ravel(), atol=1e-6)


def test_a_large_request_runs_in_pieces(folder: Path) -> None:
    """Of no more rows than a full batch, and of no more once nobody waits."""
    seen: list[int] = []

    def run(arrays):
        seen.append(len(arrays["x"]))
        return {"y": 2 * arrays["x"], "n": np.full(len(arrays["x"]), 3, np.int64)}

    x = np.arange(25.0).reshape(25, 1)
    outputs = in_pieces(run, {"x": x}, 10)
    assert seen == [10, 10, 5]
    np.testing.assert_array_equal(outputs["y"], 2 * x)
    assert outputs["n"].dtype == np.int64
    with pytest.raises(TimeoutError):
        in_pieces(run, {"x": x}, 10, lambda: len(seen) < 5)
    assert len(seen) == 5

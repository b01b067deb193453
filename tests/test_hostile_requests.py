"""Requests of strangers: every number is bounded before it is used, and nothing that a client sends is the server's fault."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tiny_models
from live_server import running
from typer.testing import CliRunner

from zoo.cli import app
from zoo.errors import InputError
from zoo.serving import tensors
from zoo.serving.batching import Policy
from zoo.serving.limits import Limits
from zoo.serving.messages import DESCRIPTION, MESSAGES, SERVICE
from zoo.serving.server import Server, Settings

WIDTH = tiny_models.WIDTH
BODY = json.dumps({"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH], "data": [0] * WIDTH}]}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server([tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")])
    with running(server):
        yield server


def head(*lines: str, host: bool = True) -> bytes:
    first = ["POST /v2/models/tiny/infer HTTP/1.1", *(["Host: x"] if host else [])]
    return "\r\n".join([*first, *lines, "", ""]).encode()


def length(content: bytes) -> str:
    return f"Content-Length: {len(content)}"


def answers(server: Server, sent: bytes) -> list[int]:
    """The status of each answer until the server closes the connection, which it has to."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(sent)
        statuses = []
        stream = connection.makefile("rb")
        while line := stream.readline():
            assert line.startswith(b"HTTP/1.1 "), line
            statuses.append(int(line.split()[1]))
            headers = http.client.parse_headers(stream)
            stream.read(int(headers["content-length"]))
        return statuses


JUNK = [b"\x00\x01 junk\r\n\r\n", b"JUNK / x\r\n\r\n", b"GET /v2 HTTP/9.9\r\n\r\n", b"GET /v2 HTTP/1.1\r\n\r\n", bytes(70_000)]


@pytest.mark.parametrize("junk", JUNK)
def test_a_complete_request_is_answered_though_junk_follows(server: Server, junk: bytes) -> None:
    one = head(length(BODY)) + BODY
    assert answers(server, one + junk) == [200]
    assert answers(server, one + one + junk) == [200, 200]


def test_a_complete_request_is_answered_though_half_a_request_of_junk_follows(server: Server) -> None:
    one = head(length(BODY)) + BODY
    chunked = head("Transfer-Encoding: chunked") + b"zz\r\n"
    assert answers(server, one + one + chunked) == [200, 200]
    assert answers(server, one + chunked) == [200]


@pytest.mark.parametrize("endless", [b"a: b\r\n" * 1000, b"x" * 6000], ids=["many", "one"])
@pytest.mark.parametrize("begun", [b"0\r\n", b"1;"], ids=["trailers", "extension"])
def test_what_is_around_a_body_has_a_size(server: Server, begun: bytes, endless: bytes) -> None:
    """What follows a body in chunks, and what stands beside the size of a chunk, never ends; it was kept."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(head("Transfer-Encoding: chunked") + begun)
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                connection.sendall(endless)
                time.sleep(0)
            raise AssertionError("it was all taken")


def test_small_chunks_and_trailers_are_no_attack(server: Server) -> None:
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in BODY) + b"0\r\nA: b\r\n\r\n"
    assert answers(server, head("Transfer-Encoding: chunked", "Connection: close") + chunks) == [200]


@pytest.mark.parametrize("follows", [b"junk", gzip.compress(b"another")], ids=["junk", "another"])
def test_nothing_follows_a_compressed_body(server: Server, follows: bytes) -> None:
    content = gzip.compress(BODY)
    assert answers(server, head("Content-Encoding: gzip", "Connection: close", length(content)) + content) == [200]
    content += follows
    assert answers(server, head("Content-Encoding: gzip", "Connection: close", length(content)) + content) == [400]


def test_a_name_without_end_is_compared_with_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It held up everyone for a second a megabyte."""
    monkeypatch.setattr("difflib.get_close_matches", lambda *_, **__: pytest.fail("compared"))
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            infer(MESSAGES["ModelInferRequest"](model_name="tiny" * 10**6).SerializeToString())
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert caught.value.details().startswith("no served model named 'tinytiny")


@pytest.mark.parametrize("named", ["inputs", "outputs"])
def test_a_request_names_no_more_tensors_than_a_model_has(server: Server, named: str) -> None:
    """A million of them would be read one by one."""
    tensor = {"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH], "data": [0] * WIDTH}
    status, said = ask(
        server, json.dumps({"inputs": [tensor]} | {named: [tensor if named == "inputs" else {"name": "x"}] * 2000})
    )
    assert (status, "at most 1000 items" in said["error"]) == (400, True)


def test_a_request_names_its_host_once(server: Server) -> None:
    for lines in (("Connection: close", length(BODY)), ("Host: y", "Host: z", length(BODY))):
        assert answers(server, head(*lines, host=False) + BODY) == [400]
    old = head("Connection: close", length(BODY), host=False).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert answers(server, old + BODY) == [200]


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "gzip", "chunked, chunked", "identity", "xchunked", "chunked\r\nTransfer-Encoding: gzip"]
)
def test_transfer_codings_other_than_chunked_are_not_implemented(server: Server, coding: str) -> None:
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    assert answers(server, head(f"Transfer-Encoding: {coding}") + chunk) in ([501], [400])
    assert answers(server, head("Transfer-Encoding: Chunked", "Connection: close") + chunk) == [200]


def test_gzip_then_chunked_is_501(server: Server) -> None:
    assert answers(server, head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n") == [501]


def ask(server: Server, text: str, binary: bytes = b"", **headers: str) -> tuple[int, Any]:
    """Status and answer of a request whose JSON part is this text."""
    content = text.encode() + binary
    announced = {"Inference-Header-Content-Length": str(len(text))} if binary else {}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", "/v2/models/tiny/infer", content, announced | headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if response.status != 200 else None


NUMBERS = ["-1", "1.5", "1e400", "NaN", "null", "true", '"1"', str(2**63), str(2**64), "1" + "0" * 400, "9" * 5000, "[]", "{}"]
"""What may stand for a number, each of which some conversion does not take."""


INPUTS = '[{"name": "spectrum", "datatype": "FP32", "shape": [1, 5], "data": [0,0,0,0,0]}]}'


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "place",
    [
        '{"parameters": {"timeout": %s}, "inputs": ' + INPUTS,
        '{"parameters": {"priority": %s}, "inputs": ' + INPUTS,
        '{"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [%s, 5], "data": [0,0,0,0,0]}]}',
        '{"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [1, %s], "data": [0,0,0,0,0]}]}',
        '{"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [1, 5], "data": [%s,0,0,0,0]}]}',
        '{"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": [1, 5], "data": [[%s,0.5,0,0,0]]}]}',
        '{"id": %s, "inputs": ' + INPUTS,
    ],
    ids=["timeout", "priority", "rows", "width", "value", "nested value", "id"],
)
def test_every_number_of_a_request_is_bounded(server: Server, place: str, number: str) -> None:
    status, answer = ask(server, place % number)
    assert status in (200, 400), answer
    if number == "1" + "0" * 400:
        assert status == 400


@pytest.mark.parametrize("number", NUMBERS)
def test_sizes_of_binary_tensors_are_bounded(server: Server, number: str) -> None:
    tensor = '{"name": "spectrum", "datatype": "FP32", "shape": [1, 5], "parameters": {"binary_data_size": %s}}'
    assert ask(server, f'{{"inputs": [{tensor % number}]}}', bytes(20))[0] == 400
    assert ask(server, f'{{"inputs": [{tensor % 20}]}}', bytes(20))[0] == 200


@pytest.mark.parametrize("number", [*NUMBERS, "", "0x10", "1_0", "+1", " 1", "\u0661"])
def test_the_length_of_the_json_part_is_bounded(server: Server, number: str) -> None:
    status, _ = ask(server, BODY.decode(), **{"Inference-Header-Content-Length": number.encode().decode("latin-1")})
    assert status == 400


@pytest.mark.timeout(120)
def test_texts_among_numbers_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy would give each of them the length of the longest: 400 GB of a request of 1 MB."""
    data = ["x" * 1_000_000, *(["a"] * 100_000)]
    with pytest.raises(InputError, match="expected numbers, given other values among them"):
        tensors.from_json("x", data, np.dtype("<f4"))
    with pytest.raises(InputError, match="expected numbers"):
        tensors.from_json("x", [data], np.dtype("<f4"))
    with pytest.raises(InputError, match="expected whole numbers, given one that no number of 64 bits holds"):
        tensors.from_json("x", [10**400], np.dtype("<i8"))


def call(server: Server, method: str, content: bytes, *, stream: bool = False, service: str = SERVICE) -> Any:
    """Status, or the raw answers, of a message that nobody has checked."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        make = channel.stream_stream if stream else channel.unary_unary
        asked = make(f"/{service}/{method}", request_serializer=None, response_deserializer=None)
        try:
            return list(asked(iter([content]), timeout=60)) if stream else asked(content, timeout=60)
        except grpc.RpcError as error:
            return error.code()


MALFORMED = [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"\x0b" * 200, b"\x0a\x05ab"]


@pytest.mark.parametrize("content", MALFORMED)
def test_malformed_messages_are_invalid_arguments(server: Server, content: bytes) -> None:
    """Of every method, as the service itself describes them; those that are known are all tried."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    (service,) = (s for f in FileDescriptorSet.FromString(DESCRIPTION.read_bytes()).file for s in f.service)
    here = [m.name for m in service.method if f"{m.name}Request" in MESSAGES and not m.client_streaming]
    tried = 0
    for method in here:
        found = call(server, method, content)
        if found == grpc.StatusCode.UNIMPLEMENTED:
            continue
        tried += 1
        if method not in ("ServerLive", "ServerReady", "ServerMetadata"):
            assert found == grpc.StatusCode.INVALID_ARGUMENT, method
        else:
            assert found == grpc.StatusCode.INVALID_ARGUMENT or isinstance(found, bytes), method
    assert tried >= 11
    assert call(server, "Check", content, service="grpc.health.v1.Health") == grpc.StatusCode.INVALID_ARGUMENT


def test_a_malformed_message_in_a_stream_is_an_answer_of_its_own(server: Server) -> None:
    (answer,) = call(server, "ModelStreamInfer", b"\xff", stream=True)
    message = MESSAGES["ModelStreamInferResponse"].FromString(answer)
    assert message.error_message.startswith("this is no ModelInferRequest")


@pytest.mark.parametrize(
    "timeout", [{"int64_param": -1}, {"int64_param": 2**63 - 1}, {"uint64_param": 2**64 - 1}, {"double_param": math.nan}]
)
def test_a_timeout_over_grpc_is_bounded(server: Server, timeout: dict[str, float]) -> None:
    message = MESSAGES["ModelInferRequest"](model_name="tiny")
    message.inputs.add(name="spectrum", datatype="FP32", shape=[1, WIDTH])
    message.raw_input_contents.append(bytes(4 * WIDTH))
    for name, value in timeout.items():
        setattr(message.parameters["timeout"], name, value)
    found = call(server, "ModelInfer", message.SerializeToString())
    assert isinstance(found, bytes) or found == grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(found, bytes) == (next(iter(timeout.values())) > 0)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"poll": math.nan}, "poll"),
        ({"poll": 0.0}, "poll"),
        ({"poll": math.inf}, "poll"),
        ({"timeout": math.nan}, "timeout"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": math.inf}, "timeout"),
        ({"policy": Policy(max_delay=math.nan)}, "max_delay"),
        ({"policy": Policy(max_batch=0)}, "max_batch"),
        ({"policy": Policy(max_queue=10**30)}, "max_queue"),
        ({"limits": Limits(reading=math.nan)}, "reading"),
        ({"limits": Limits(body=2**31)}, "body"),
        ({"workers": 0}, "workers"),
    ],
)
def test_settings_of_the_server_are_bounded(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: expected .*, given"):
        Settings(**settings)


@pytest.mark.parametrize("option", ["--poll", "--timeout", "--max-delay"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e300"])
def test_options_of_the_command_line_are_bounded(option: str, number: str) -> None:
    result = CliRunner().invoke(app, ["serve", "no-such-model", f"{option}={number}"])
    assert result.exit_code != 0
    assert isinstance(result.exception, InputError | SystemExit), result.exception


HUNG = """
import sys, threading
from zoo.serving import repository, server
look, seen = repository.look, []

def hangs(*arguments):
    if seen:
        print("looking", flush=True)
        threading.Event().wait()
    seen.append(1)
    return look(*arguments)

repository.look = hangs
server.serve([sys.argv[1]], port=0, settings=server.Settings(control="poll", poll=0.05))
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polling_server_can_always_be_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """Though the look at its folder never ends, as in a file system that does not answer."""
    tiny_models.write_tiny_model(tmp_path / "models" / "tiny")
    command = [sys.executable, "-c", HUNG, tmp_path / "models"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "looking\n"
    os.kill(process.pid, number)
    assert process.wait(60) == 0

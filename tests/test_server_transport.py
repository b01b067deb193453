"""What carries REST besides plain HTTP on a port, asked by real clients: offers to upgrade, TLS, Unix sockets, proxies."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
import tiny_models
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from live_server import ended, infer, running

from zoo.errors import InputError
from zoo.serving.server import Server, Settings

WIDTH = tiny_models.WIDTH
X = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)
BODY = json.dumps({"inputs": [{"name": "spectrum", "datatype": "FP32", "shape": X.shape, "data": X.ravel().tolist()}]}).encode()
PATH = "/v2/models/tiny/infer"
OFFERS = {
    "java": ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c"],
    "websocket": ["upgrade: websocket", "connection: keep-alive, upgrade"],
    "unknown": ["Upgrade: a, b/2", "Connection: upgrade"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with running(Server([folder])) as address:
        yield address


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine for itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def assert_right(answer: bytes | dict[str, object]) -> None:
    [output] = (json.loads(answer) if isinstance(answer, bytes) else answer)["outputs"]
    np.testing.assert_allclose(np.array(output["data"]).reshape(-1, 1), tiny_models.predict(X), atol=1e-6)


def read(connection: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


class TestOffersOfOtherProtocols:
    """httptools takes what follows such a head for the other protocol. Java makes one by default: ``test_docs_clients``."""

    @pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("size", [1, 100, 10**6])
    def test_the_body_is_read(self, address: str, offer: list[str], chunked: bool, size: int) -> None:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(BODY)}"
        head = "\r\n".join([f"POST {PATH}?a=b HTTP/1.1", "Host: x", framing, *offer, "", ""]).encode()
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) if chunked else BODY
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            for _ in range(2):  # the connection goes on in HTTP/1.1
                sent = head + body
                for start in range(0, len(sent), size):
                    connection.sendall(sent[start : start + size])
                status, answer = read(connection)
                assert status == 200
                assert_right(answer)

    def test_one_that_is_the_last(self, address: str) -> None:
        lines = [
            f"POST {PATH} HTTP/1.1",
            "Host: x",
            f"Content-Length: {len(BODY)}",
            "Upgrade: h2c",
            "Connection: Upgrade, close",
        ]
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + BODY)
            status, answer = read(connection)
            assert (status, connection.recv(1)) == (200, b"")
            assert_right(answer)

    def test_many_at_once(self, address: str) -> None:
        lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Content-Length: {len(BODY)}"]
        many = 1000 * b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
        last = "\r\n".join([*lines, "Connection: close", "", ""]).encode() + BODY
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(many + last)
            answers = connection.makefile("rb").read()
        assert answers.count(b"HTTP/1.1 200 OK") == 1001

    def test_a_proxy_is_not_what_this_is(self, address: str) -> None:
        connection = http.client.HTTPConnection(address)
        connection.request("CONNECT", "example.org:443")
        response = connection.getresponse()
        assert response.status in (400, 405)
        assert json.loads(response.read())["error"]
        connection.close()

    def test_curl(self, address: str, tmp_path: Path) -> None:
        if (curl := shutil.which("curl")) is None:
            pytest.skip("curl is not here")
        (tmp_path / "body.json").write_bytes(BODY)
        command = [curl, "--http2", "--silent", "--data-binary", f"@{tmp_path / 'body.json'}", f"http://{address}{PATH}"]
        assert_right(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.fixture(scope="module")
def served(folder: Path, certificate: tuple[Path, Path]) -> Iterator[Server]:
    server = Server([folder], Settings(tls_cert=certificate[0], tls_key=certificate[1]))
    with running(server):
        yield server


class TestTls:
    def test_requests_and_urllib(self, served: Server, certificate: tuple[Path, Path]) -> None:
        address = f"https://localhost:{served.port}{PATH}"
        assert_right(requests.post(address, BODY, verify=str(certificate[0]), timeout=30).json())
        context = ssl.create_default_context(cafile=str(certificate[0]))
        with urllib.request.urlopen(address, BODY, context=context) as response:
            assert_right(response.read())

    def test_tritons_clients(self, served: Server, certificate: tuple[Path, Path]) -> None:
        options = {"ssl": True, "ssl_options": {"ca_certs": str(certificate[0])}}
        with triton.InferenceServerClient(f"localhost:{served.port}", **options) as client:
            large = np.tile(X, (5000, 1))
            for x in (X, large):
                given = infer(client, "tiny", {"spectrum": x}).as_numpy("probability")
                np.testing.assert_allclose(given, tiny_models.predict(x), atol=1e-6)
        options = {"ssl": True, "root_certificates": str(certificate[0])}
        with triton_grpc.InferenceServerClient(f"localhost:{served.grpc_port}", **options) as client:
            assert client.is_model_ready("tiny")
        with grpc.insecure_channel(f"localhost:{served.grpc_port}") as channel, pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(0.5)

    def test_who_does_not_trust_it_or_speaks_plainly(self, served: Server) -> None:
        with pytest.raises(requests.exceptions.SSLError):
            requests.post(f"https://localhost:{served.port}{PATH}", BODY, timeout=30)
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.post(f"http://localhost:{served.port}{PATH}", BODY, timeout=30)

    def test_key_and_certificate_in_one_file(self, folder: Path, certificate: tuple[Path, Path], tmp_path: Path) -> None:
        both = tmp_path / "both.pem"
        both.write_bytes(b"".join(path.read_bytes() for path in certificate))
        with running(Server([folder], Settings(tls_cert=both))) as address:
            port = address.partition(":")[2]
            assert_right(requests.post(f"https://localhost:{port}{PATH}", BODY, verify=str(certificate[0]), timeout=30).json())

    def test_files_that_are_none(self, folder: Path, certificate: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "other.pem").write_text("no certificate")
        for settings, words in (
            (Settings(tls_cert=tmp_path / "other.pem", tls_key=certificate[1]), "other.pem"),
            (Settings(tls_cert=tmp_path / "nowhere.pem"), "nowhere.pem"),
            (Settings(tls_cert=certificate[0]), "expected PEM files of a certificate and its key"),
            (Settings(tls_key=certificate[1]), "expected a certificate for the key"),
        ):
            with pytest.raises(InputError, match=words):
                Server([folder], settings)


def over_unix(path: Path) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        status, answer = read(connection)
    assert status == 200
    return json.loads(answer)


def test_command_line(folder: Path, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """A Unix socket in place of a port, and TLS on a port; what is left of a socket is replaced."""
    path = tmp_path / "zoo.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    command = [sys.executable, "-m", "zoo", "serve", str(folder)]
    with subprocess.Popen([*command, "--uds", str(path)], stderr=subprocess.PIPE, text=True) as process, ended(process):
        ready = json.loads(process.stderr.readline())
        assert (ready["uds"], ready["port"]) == (str(path), None)
        assert_right(over_unix(path))
        process.terminate()
        assert process.wait(30) == 0
    tls = ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])]
    with subprocess.Popen([*command, "--port", "0", *tls], stderr=subprocess.PIPE, text=True) as process, ended(process):
        port = json.loads(process.stderr.readline())["port"]
        assert_right(requests.post(f"https://localhost:{port}{PATH}", BODY, verify=str(certificate[0]), timeout=30).json())
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("path", ["file", "nowhere/zoo.sock", "x" * 200])
def test_a_unix_socket_that_cannot_be(folder: Path, tmp_path: Path, path: str) -> None:
    """Whatever is there stays, and gRPC, which has begun by then, ends without a word."""
    (tmp_path / "file").write_text("mine")
    command = [sys.executable, "-m", "zoo", "serve", str(folder), "--uds", str(tmp_path / path), "--grpc-port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("error: REST cannot listen on ")
    assert path in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("ports", [{"port": 80000}, {"port": -1}, {"port": 0, "grpc_port": 80000}])
def test_a_port_that_is_none(folder: Path, ports: dict[str, int]) -> None:
    """In Python; gRPC would take the last 16 bits of 80000 and listen on 14464."""
    server = Server([folder])
    with pytest.raises(InputError, match=r"port: expected 0 to 65535, given (80000|-1)"):
        asyncio.run(server.start(**ports))


@pytest.mark.parametrize(("believed", "client"), [("", "127.0.0.1"), ("127.0.0.1", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")])
def test_proxies(folder: Path, believed: str, client: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "zoo.serving")
    with running(Server([folder], Settings(forwarded_allow_ips=believed, log_requests=True))) as address:
        headers = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}  # what the client itself says, and what the proxy adds
        assert_right(requests.post(f"http://{address}{PATH}", BODY, headers=headers, timeout=30).json())
        end = time.monotonic() + 30
        while not (lines := [record for record in caplog.records if record.message == "request"]) and time.monotonic() < end:
            time.sleep(0.01)
    assert f"'{client}'" in lines[0].fields["client"]

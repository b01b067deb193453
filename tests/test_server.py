"""The Open Inference Protocol over a real socket: Triton's own client, and requests that no client would send."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import tritonclient.http as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import infer, running
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from zoo.errors import IntegrityError, ReproductionError, UnknownNameError, ZooError
from zoo.serving import protocol
from zoo.serving.limits import Limits
from zoo.serving.server import Server, Settings
from zoo.serving.verify import Row, compare

WIDTH = tiny_models.WIDTH
LENGTH = protocol.HEADER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with running(Server([folder])) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture(scope="module")
def connection(address: str) -> Iterator[http.client.HTTPConnection]:
    """One connection for the thousands of requests of a fuzzer."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        yield connection


def spectra(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)


def send(
    address: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    path: str = "/v2/models/tiny/infer",
    method: str = "POST",
) -> tuple[int, object]:
    """Status and JSON of the answer to a request made by hand."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        return ask(connection, body, headers or {}, path, method)


def ask(
    connection: http.client.HTTPConnection,
    body: bytes,
    headers: Mapping[str, str],
    path: str = "/v2/models/tiny/infer",
    method: str = "POST",
) -> tuple[int, object]:
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if content else None


def request(**changes: object) -> dict[str, object]:
    """A valid request for one row, and what a test changes in its only input."""
    tensor = {"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH], "data": [0.5] * WIDTH} | changes
    return {"inputs": [{key: value for key, value in tensor.items() if value is not ...}]}


class TestTritonClient:
    def test_health_and_metadata(self, client: triton.InferenceServerClient) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny")
        assert client.is_model_ready("tiny", "3")
        assert not client.is_model_ready("tiny", "4")
        assert not client.is_model_ready("nobody")
        assert client.get_server_metadata()["extensions"][0] == "binary_tensor_data"
        assert client.get_model_metadata("tiny.encode", "3") == {
            "name": "tiny.encode",
            "versions": ["3"],
            "platform": "onnxruntime_onnx",
            "inputs": [
                {"name": "trajectory", "datatype": "FP32", "shape": [-1, WIDTH]},
                {"name": "time", "datatype": "FP32", "shape": [-1, 1]},
            ],
            "outputs": [
                {"name": "mean", "datatype": "FP32", "shape": [-1, 8]},
                {"name": "log_variance", "datatype": "FP32", "shape": [-1, 8]},
            ],
        }
        assert client.get_model_repository_index() == [
            {"name": "tiny", "version": "3", "state": "READY", "reason": ""},
            {"name": "tiny.encode", "version": "3", "state": "READY", "reason": ""},
        ]

    @pytest.mark.parametrize("binary_out", [True, False])
    @pytest.mark.parametrize("binary_in", [True, False])
    @pytest.mark.parametrize("rows", [0, 1, 7])
    def test_answers_as_numpy_does(
        self, client: triton.InferenceServerClient, rows: int, binary_in: bool, binary_out: bool
    ) -> None:
        outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("log_variance", "mean")]
        inputs = {"time": np.ones((rows, 1)), "trajectory": spectra(rows)}
        result = infer(client, "tiny.encode", inputs, binary=binary_in, outputs=outputs, request_id="run 7")
        mean, log_variance = tiny_models.encode(inputs["trajectory"], inputs["time"])
        np.testing.assert_allclose(result.as_numpy("mean"), mean, atol=1e-6)
        np.testing.assert_allclose(result.as_numpy("log_variance"), log_variance, atol=1e-6)
        response = result.get_response()
        assert (response["id"], response["model_name"], response["model_version"]) == ("run 7", "tiny.encode", "3")

    def test_one_output_as_json_beside_another_as_binary(self, client: triton.InferenceServerClient) -> None:
        outputs = [
            triton.InferRequestedOutput("mean", binary_data=False),
            triton.InferRequestedOutput("log_variance", binary_data=True),
        ]
        inputs = {"trajectory": spectra(), "time": np.ones((3, 1))}
        result = infer(client, "tiny.encode", inputs, outputs=outputs, model_version="3")
        np.testing.assert_array_equal(result.as_numpy("mean") + np.float32(1), result.as_numpy("log_variance"))
        assert "data" in result.get_output("mean")
        assert "data" not in result.get_output("log_variance")

    def test_all_outputs_by_default_as_the_request_says(self, address: str, client: triton.InferenceServerClient) -> None:
        inputs = {"trajectory": spectra(), "time": np.ones((3, 1))}
        response = infer(client, "tiny.encode", inputs).get_response()  # this client then asks for binary
        assert [(output["name"], "data" in output) for output in response["outputs"]] == [
            ("mean", False),
            ("log_variance", False),
        ]
        status, answer = send(address, json.dumps(request()).encode())
        assert status == 200
        assert answer["outputs"][0]["data"] == pytest.approx(tiny_models.predict(np.full((1, WIDTH), 0.5))[0], abs=1e-6)

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_compressed(self, client: triton.InferenceServerClient, algorithm: str) -> None:
        batch = spectra(300)
        result = infer(
            client,
            "tiny",
            {"spectrum": batch},
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        np.testing.assert_allclose(result.as_numpy("probability"), tiny_models.predict(batch), atol=1e-6)

    def test_compresses_only_when_asked(self, address: str) -> None:
        body = json.dumps(request(shape=[300, WIDTH], data=[0.5] * 300 * WIDTH))
        for asked, given_encoding in (("gzip", "gzip"), ("identity", None)):
            connection = http.client.HTTPConnection(address)
            connection.request("POST", "/v2/models/tiny/infer", body, {"Accept-Encoding": asked})
            assert connection.getresponse().headers["Content-Encoding"] == given_encoding
            connection.close()

    def test_refusal_names_the_tensor(self, client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match=r"'spectrum': 2 values are NaN") as caught:
            infer(client, "tiny", {"spectrum": np.where(np.arange(WIDTH) < 2, np.nan, spectra(1))})
        assert caught.value.status() == "400"

    @pytest.mark.parametrize("binary", [True, False])
    def test_opting_out_of_the_checks(self, client: triton.InferenceServerClient, binary: bool) -> None:
        far = {"spectrum": spectra() * 1e3}
        result = infer(client, "tiny", far, binary=binary, parameters={"allow_out_of_range": True})
        np.testing.assert_allclose(result.as_numpy("probability"), tiny_models.predict(far["spectrum"]), atol=1e-6)
        missing = {"spectrum": spectra() * np.nan}
        outputs = [triton.InferRequestedOutput("probability", binary_data=binary)]
        result = infer(client, "tiny", missing, binary=binary, outputs=outputs, parameters={"allow_nonfinite": True})
        assert np.isnan(result.as_numpy("probability")).all()

    def test_many_clients_at_once_with_small_and_large_requests(self, address: str) -> None:
        def ask(rows: int) -> tuple[np.ndarray, np.ndarray]:
            with triton.InferenceServerClient(address) as client:
                answers = [infer(client, "tiny", {"spectrum": spectra(rows)}).as_numpy("probability") for _ in range(5)]
            return spectra(rows), np.stack(answers)

        with ThreadPoolExecutor(8) as pool:
            for batch, answers in pool.map(ask, [1, 4000, 2, 5000, 3, 6000, 4, 7000]):
                np.testing.assert_allclose(answers, np.stack([tiny_models.predict(batch)] * 5), atol=1e-6)

    def test_counts(self, address: str, client: triton.InferenceServerClient) -> None:
        def count(metric: str) -> float:
            connection = http.client.HTTPConnection(address)
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
            connection.close()
            label = f'{metric}{{model="tiny",version="3"}} '
            return next(float(line.removeprefix(label)) for line in lines if line.startswith(label))

        names = ["nv_inference_request_success", "nv_inference_count", "nv_inference_request_failure"]
        before = [count(name) for name in names]
        infer(client, "tiny", {"spectrum": spectra(4)})
        send(address, b"{}")
        assert [count(name) - earlier for name, earlier in zip(names, before, strict=True)] == [1, 4, 1]

    def test_metrics_are_what_prometheus_reads(self, address: str, client: triton.InferenceServerClient) -> None:
        """Types, help and Triton's names, by Prometheus's own parser, which keeps counters without their ending."""
        infer(client, "tiny", {"spectrum": spectra(2)})
        with closing(http.client.HTTPConnection(address)) as connection:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            text = response.read().decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        pending = families.pop("nv_inference_pending_request_count")
        assert pending.type == "gauge"
        assert {"nv_inference_request_success", "nv_inference_exec_count", "zoo_inference_device_exec_count"} <= families.keys()
        for name, family in families.items():
            assert family.type == "counter"
            assert family.documentation
            assert f"# TYPE {name} counter\n" in text
            assert re.search(rf"^{name}{{", text, re.MULTILINE), name  # as Triton writes it: the type is that of the samples
        assert "_total" not in text

    def test_a_raw_request(self, address: str) -> None:
        """One row of the only input and nothing else, and a model that has two inputs."""
        row = spectra(1)
        with closing(http.client.HTTPConnection(address)) as connection:
            connection.request("POST", "/v2/models/tiny/infer", row.tobytes(), {LENGTH: "0"})
            response = connection.getresponse()
            body, length = response.read(), int(response.headers[LENGTH])
            assert response.status == 200
        assert json.loads(body[:length])["outputs"] == [
            {"name": "probability", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": 4}}
        ]
        np.testing.assert_allclose(np.frombuffer(body[length:], "<f4"), tiny_models.predict(row)[0], atol=1e-6)
        for size in (0, 19, 40):
            status, answer = send(address, bytes(size), {LENGTH: "0"})
            assert status == 400
            assert f"expected the 20 bytes of one row in a raw request, given {size}" in answer["error"]
        status, answer = send(address, bytes(24), {LENGTH: "0"}, "/v2/models/tiny.encode/infer")
        assert status == 400
        assert "0 announces the bytes of a single input" in answer["error"]


class TestMalformed:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "request"),
            (b"spectrum", "Invalid JSON"),
            (b"\xff\xfe{}", "Invalid JSON"),
            (b"[" * 100_000, "Invalid JSON"),
            (b"[]", "request"),
            (b"{}", "inputs"),
            (json.dumps({"inputs": []}).encode(), "spectrum"),
            (json.dumps(request(name="spectra")).encode(), "no input named 'spectra'"),
            (json.dumps({"inputs": request()["inputs"] * 2}).encode(), "'spectrum' is given twice"),
            (json.dumps(request(datatype="FP64")).encode(), "'spectrum': expected datatype FP32, given 'FP64'"),
            (json.dumps(request(datatype=...)).encode(), "inputs.0.datatype"),
            (json.dumps(request(shape=[WIDTH])).encode(), "'spectrum': expected shape [batch, 5], given [5]"),
            (json.dumps(request(shape=[])).encode(), "'spectrum': expected shape"),
            (json.dumps(request(shape=[-1, WIDTH])).encode(), "inputs.0.shape.0"),
            (json.dumps(request(shape=[True, WIDTH])).encode(), "inputs.0.shape.0"),
            (json.dumps(request(shape=[10**30, WIDTH])).encode(), "inputs.0.shape.0"),
            (json.dumps(request(shape=[2**62, WIDTH])).encode(), "'spectrum': shape"),
            (json.dumps(request(shape=[0, 10**15])).encode(), "'spectrum': expected shape"),
            (json.dumps(request(shape="1,5")).encode(), "inputs.0.shape"),
            (json.dumps(request(data=[0.5] * 4)).encode(), "'spectrum': shape [1, 5] needs 5 values"),
            (json.dumps(request(data=[[0.5], [0.5] * 4])).encode(), "'spectrum': data is nested unevenly"),
            (json.dumps(request(data=["0.5"] * 5)).encode(), "'spectrum': expected numbers"),
            (json.dumps(request(data=[None] * 5)).encode(), "'spectrum': expected numbers"),
            (json.dumps(request(data=[10**300] * 5)).encode(), "'spectrum': expected numbers"),
            (json.dumps(request(data=[1e300] * 5)).encode(), "'spectrum': expected numbers that float32 holds, given 1e+300"),
            (json.dumps(request(data=[float("nan")] * 5)).encode(), "'spectrum': 5 values are NaN or infinite"),
            (json.dumps(request(data=[1e6] * 5)).encode(), "allow_out_of_range"),
            (json.dumps(request(data=...)).encode(), "'spectrum': expected either data or"),
            (json.dumps(request(parameters={"binary_data_size": 20})).encode(), "'spectrum': expected either data or"),
            (json.dumps(request(data=..., parameters={"shared_memory_region": "a"})).encode(), "shared_memory_region"),
            (json.dumps(request() | {"outputs": [{"name": "spectrum"}]}).encode(), "no output named 'spectrum'"),
            (json.dumps(request() | {"outputs": [{"name": "probability"}] * 2}).encode(), "asked for twice"),
            (
                json.dumps(request() | {"outputs": [{"name": "probability", "parameters": {"classification": 1}}]}).encode(),
                "classification",
            ),
            (json.dumps(request() | {"parameters": {"allow_nonfinite": "yes"}}).encode(), "parameters.allow_nonfinite"),
            (json.dumps(request() | {"id": 7}).encode(), "request id"),
        ],
    )
    def test_json(self, address: str, body: bytes, words: str) -> None:
        status, answer = send(address, body)
        assert status == 400
        assert words in answer["error"]

    @pytest.mark.parametrize(
        ("declared", "sent", "length", "words"),
        [
            (20, 19, None, "'spectrum'"),
            (20, 21, None, "1 bytes follow the last tensor"),
            (19, 19, None, "'spectrum': shape [1, 5] needs 20 bytes"),
            (2**70, 20, None, "binary_data_size"),
            (-20, 20, None, "binary_data_size"),
            (20, 20, "0", "expected the 20 bytes of one row in a raw request"),
            (20, 20, "1", "Invalid JSON"),
            (20, 20, "1000000", "1000000 bytes of JSON announced"),
            (20, 20, "-1", "expected a number of bytes, given '-1'"),
            (20, 20, "9" * 5000, "expected a number of bytes"),
            (20, 20, "\xb2", "expected a number of bytes"),
            (20, 20, "", "expected a number of bytes"),
        ],
    )
    def test_binary(self, address: str, declared: int, sent: int, length: str | None, words: str) -> None:
        text = json.dumps(request(data=..., parameters={"binary_data_size": declared})).encode()
        status, answer = send(address, text + bytes(sent), {LENGTH: str(len(text)) if length is None else length})
        assert status == 400
        assert words in answer["error"]

    @pytest.mark.parametrize("name", ["\ud800", "x" * 100_000, "\x00", "<script>"])
    def test_names_that_cannot_be_printed(self, address: str, name: str) -> None:
        status, answer = send(address, json.dumps(request(name=name)).encode())
        assert status == 400
        assert len(answer["error"]) < 1000

    @pytest.mark.parametrize(
        ("path", "method", "status"),
        [
            ("/v2/models/tin/infer", "POST", 404),
            ("/v2/models/tiny/versions/4/infer", "POST", 404),
            ("/v2/models/tiny.predict", "GET", 404),
            ("/v2/models/tiny/infer", "GET", 405),
            ("/v3", "GET", 404),
            ("/v2/models/%00%ff", "GET", 404),
        ],
    )
    def test_no_such_thing(self, address: str, path: str, method: str, status: int) -> None:
        given_status, answer = send(address, b"{}", path=path, method=method)
        assert given_status == status
        assert answer["error"]

    def test_unknown_model_gets_a_suggestion(self, address: str) -> None:
        assert "did you mean tiny" in send(address, b"{}", path="/v2/models/tinny/infer")[1]["error"]

    def test_too_large(self, folder: Path) -> None:
        large = json.dumps(request(data=[0.5] * 5000)).encode()
        with running(Server([folder], Settings(limits=Limits(body=1000)))) as address:
            assert send(address, json.dumps(request()).encode())[0] == 200
            assert send(address, large)[0] == 413
            assert send(address, gzip.compress(large), {"Content-Encoding": "gzip"})[0] == 413  # 1000 bytes hold a bomb
            assert send(address, json.dumps(request()).encode())[0] == 200

    @pytest.mark.parametrize(
        ("body", "encoding", "status"),
        [
            (b"not compressed", "gzip", 400),
            (gzip.compress(json.dumps(request()).encode(), mtime=0)[:-20], "gzip", 400),
            (b"", "deflate", 400),
            (json.dumps(request()).encode(), "br", 415),
        ],
    )
    def test_broken_compression(self, address: str, body: bytes, encoding: str, status: int) -> None:
        given_status, answer = send(address, body, {"Content-Encoding": encoding})
        assert given_status == status
        assert encoding in answer["error"]

    def test_a_client_that_leaves_in_the_middle(
        self, address: str, client: triton.InferenceServerClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as leaving:
            leaving.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert infer(client, "tiny", {"spectrum": spectra()}).as_numpy("probability").shape == (3, 1)
        time.sleep(0.1)
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []

    @settings(max_examples=100, deadline=None)
    @given(
        prefix=st.integers(0, 200),
        tail=st.binary(max_size=64),
        declared=st.one_of(st.integers(-1, 64), st.integers(), st.none(), st.booleans(), st.text(max_size=5)),
        shape=st.lists(st.one_of(st.integers(-1, 8), st.integers(), st.floats()), max_size=4),
        length=st.one_of(st.integers(-1, 300).map(str), st.text("0123456789 -+.x_", max_size=8)),
    )
    def test_any_binary_request_is_answered_or_refused(
        self,
        connection: http.client.HTTPConnection,
        prefix: int,
        tail: bytes,
        declared: object,
        shape: list[object],
        length: str,
    ) -> None:
        text = json.dumps(request(data=..., shape=shape, parameters={"binary_data_size": declared})).encode()
        for body, header in ((text + tail, str(len(text))), (text[:prefix] + tail, length), (tail, length)):
            status, answer = ask(connection, body, {LENGTH: header})
            assert status in (200, 400)
            assert status == 200 or isinstance(answer["error"], str)

    @settings(max_examples=100, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["inputs", "outputs", "parameters", "id", "name", "shape"]),
            st.recursive(
                st.one_of(
                    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["spectrum", "FP32", "probability"])
                ),
                lambda inner: st.one_of(
                    st.lists(inner, max_size=5),
                    st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), inner, max_size=5),
                ),
                max_leaves=20,
            ),
        )
    )
    def test_any_json_is_answered_or_refused(self, connection: http.client.HTTPConnection, changes: dict[str, object]) -> None:
        for content in (changes, request() | changes, request(**changes)):
            status, answer = ask(connection, json.dumps(content).encode(), {})
            assert status in (200, 400)
            assert status == 200 or isinstance(answer["error"], str)


def test_long_ids_are_not_kept(folder: Path) -> None:
    codec = Server([folder]).repository.find("tiny").codec
    tensor = {"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH], "parameters": {"binary_data_size": 4 * WIDTH}}
    answer = {"probability": np.zeros((1, 1), np.float32)}
    tracemalloc.start()
    for number in range(20):
        text = json.dumps({"id": f"{number}" * 10**5, "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        codec.build(codec.parse(text + bytes(4 * WIDTH), str(len(text))), answer)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10**6


class TestStart:
    def test_an_unknown_model(self) -> None:
        with pytest.raises(UnknownNameError):
            Server(["no-such-model"])

    def test_a_damaged_model(self, tmp_path: Path) -> None:
        folder = tiny_models.write_tiny_model(tmp_path / "tiny")
        (folder / "encode.onnx").write_bytes(b"")
        with pytest.raises(IntegrityError, match=r"encode\.onnx"):
            Server([folder])

    def test_a_model_that_does_not_reproduce_its_test_tensors(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def worse(*arguments: object) -> list[Row]:
            return [row.model_copy(update={"ok": False}) for row in compare(*arguments)]

        monkeypatch.setattr("zoo.serving.verify.compare", worse)
        with pytest.raises(ReproductionError, match="predict/probability"):
            Server([folder])

    def test_two_models_of_one_name(self, folder: Path) -> None:
        with pytest.raises(ZooError, match="the name tiny"):
            Server([folder, folder])


def test_an_internal_error_says_nothing_of_the_inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    with running(Server([folder])) as address:
        monkeypatch.setattr("zoo.serving.protocol.Codec.build", broken)
        status, answer = send(address, json.dumps(request()).encode())
    assert status == 500
    assert "secret" not in answer["error"]

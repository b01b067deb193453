"""gRPC as Triton's clients speak it, and messages that they would not send."""

from __future__ import annotations

import asyncio
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import tritonclient.grpc as triton
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from live_server import running
from triton_layout import add_version, write_repository
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.grpc.aio import InferenceServerClient as AioClient
from tritonclient.utils import InferenceServerException

from zoo.serving import grpc_server, messages
from zoo.serving.batching import Policy
from zoo.serving.limits import Limits
from zoo.serving.server import Server, Settings

WIDTH = tiny_models.WIDTH


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    with running(Server([folder], Settings(limits=Limits(body=2**20))), grpc=True) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        yield client


def spectra(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype(np.float32)


def tensors(**arrays: np.ndarray) -> list[triton.InferInput]:
    inputs = [triton.InferInput(name, list(array.shape), "FP32") for name, array in arrays.items()]
    for tensor, array in zip(inputs, arrays.values(), strict=True):
        tensor.set_data_from_numpy(array.astype(np.float32))
    return inputs


def request(**changes: object) -> service_pb2.ModelInferRequest:
    """A valid request for one row, and what a test changes in its only input."""
    message = service_pb2.ModelInferRequest(model_name="tiny")
    message.inputs.add(**({"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH]} | changes))
    return message


class TestTritonClient:
    def test_health_and_metadata(self, client: triton.InferenceServerClient) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny")
        assert client.is_model_ready("tiny", "3")
        assert not client.is_model_ready("tiny", "4")
        assert not client.is_model_ready("nobody")
        assert client.get_server_metadata().name == "physzoo"
        metadata = client.get_model_metadata("tiny.encode", as_json=True)
        assert metadata["versions"] == ["3"]
        assert metadata["inputs"][0] == {"name": "trajectory", "datatype": "FP32", "shape": ["-1", str(WIDTH)]}
        config = client.get_model_config("tiny").config
        assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 256)
        assert config.input[0].data_type == model_config_pb2.TYPE_FP32
        assert list(config.output[0].dims) == [1]
        index = client.get_model_repository_index().models
        assert [(model.name, model.version, model.state) for model in index] == [
            ("tiny", "3", "READY"),
            ("tiny.encode", "3", "READY"),
        ]

    @pytest.mark.parametrize("rows", [0, 1, 7])
    def test_answers_as_numpy_does(self, client: triton.InferenceServerClient, rows: int) -> None:
        x, time = spectra(rows), np.ones((rows, 1))
        outputs = [triton.InferRequestedOutput(name) for name in ("log_variance", "mean")]
        result = client.infer("tiny.encode", tensors(time=time, trajectory=x), outputs=outputs, request_id="run 7")
        mean, log_variance = tiny_models.encode(x, time)
        np.testing.assert_allclose(result.as_numpy("mean"), mean, atol=1e-6)
        np.testing.assert_allclose(result.as_numpy("log_variance"), log_variance, atol=1e-6)
        response = result.get_response()
        assert (response.id, response.model_name, response.model_version) == ("run 7", "tiny.encode", "3")
        assert [output.name for output in response.outputs] == ["log_variance", "mean"]

    def test_contents_instead_of_raw_bytes(self, client: triton.InferenceServerClient) -> None:
        message = request()
        message.inputs[0].contents.fp32_contents.extend([0.5] * WIDTH)
        answer = client._client_stub.ModelInfer(message)
        given = np.frombuffer(answer.raw_output_contents[0], "<f4")
        np.testing.assert_allclose(given, tiny_models.predict(np.full((1, WIDTH), 0.5))[0], atol=1e-6)

    def test_statistics(self, client: triton.InferenceServerClient) -> None:
        before = client.get_inference_statistics("tiny").model_stats[0]
        client.infer("tiny", tensors(spectrum=spectra(5)))
        after = client.get_inference_statistics("tiny", "3").model_stats[0]
        assert after.inference_count - before.inference_count == 5
        assert after.execution_count - before.execution_count == 1
        assert after.inference_stats.success.count - before.inference_stats.success.count == 1
        assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns
        assert 5 in [batch.batch_size for batch in after.batch_stats]
        assert len(client.get_inference_statistics().model_stats) == 2

    def test_a_stream(self, client: triton.InferenceServerClient) -> None:
        answers: queue.Queue[tuple[triton.InferResult | None, Exception | None]] = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for rows in (1, 2, 3):
            client.async_stream_infer("tiny", tensors(spectrum=spectra(rows)))
        client.async_stream_infer("nobody", tensors(spectrum=spectra(1)))
        for rows in (1, 2, 3):
            result, error = answers.get(timeout=30)
            assert error is None
            np.testing.assert_allclose(result.as_numpy("probability"), tiny_models.predict(spectra(rows)), atol=1e-6)
        assert "nobody" in str(answers.get(timeout=30)[1])
        client.stop_stream()

    def test_aio(self, address: str) -> None:
        async def ask() -> list[np.ndarray]:
            async with AioClient(address) as client:
                answers = [client.infer("tiny", tensors(spectrum=spectra(rows))) for rows in range(1, 30)]
                return [answer.as_numpy("probability") for answer in await asyncio.gather(*answers)]

        for rows, answer in enumerate(asyncio.run(ask()), 1):
            np.testing.assert_allclose(answer, tiny_models.predict(spectra(rows)), atol=1e-6)

    def test_opting_out_of_the_checks(self, client: triton.InferenceServerClient) -> None:
        far = spectra() * 1e3
        result = client.infer("tiny", tensors(spectrum=far), parameters={"allow_out_of_range": True})
        np.testing.assert_allclose(result.as_numpy("probability"), tiny_models.predict(far), atol=1e-6)

    def test_the_deadline_of_a_client(self, address: str, client: triton.InferenceServerClient) -> None:
        result = client.infer("tiny", tensors(spectrum=spectra(1)), timeout=10_000_000, client_timeout=10)
        assert result.as_numpy("probability").shape == (1, 1)


class TestMalformed:
    @pytest.mark.parametrize(
        ("changes", "raw", "words"),
        [
            ({"name": "spectra"}, [bytes(20)], "no input named 'spectra'"),
            ({"datatype": "FP64"}, [bytes(20)], "expected datatype FP32, given 'FP64'"),
            ({"shape": [WIDTH]}, [bytes(20)], "expected shape [batch, 5], given [5]"),
            ({"shape": []}, [bytes(20)], "expected shape"),
            ({"shape": [-1, WIDTH]}, [bytes(20)], "expected shape"),
            ({"shape": [2**62, WIDTH]}, [bytes(20)], "needs"),
            ({}, [bytes(19)], "needs 20 bytes, given 19"),
            ({}, [bytes(20), b""], "expected one for each of 1 inputs, given 2"),
            ({}, [], "needs 5 values in fp32_contents, given 0"),
            ({"shape": [2**60, WIDTH]}, [], "given 0"),
            ({}, [b"\x00\x00\xc0\x7f" * 5], "NaN"),
            ({"contents": service_pb2.InferTensorContents(fp32_contents=[1.0])}, [bytes(20)], "given both"),
            ({"parameters": {"shared_memory_region": service_pb2.InferParameter(string_param="a")}}, [], "shared_memory"),
        ],
    )
    def test_refusals(
        self, client: triton.InferenceServerClient, changes: dict[str, object], raw: list[bytes], words: str
    ) -> None:
        message = request(**changes)
        message.raw_input_contents.extend(raw)
        with pytest.raises(Exception, match="INVALID_ARGUMENT") as caught:
            client._client_stub.ModelInfer(message)
        assert words in caught.value.details()

    def test_parameters(self, client: triton.InferenceServerClient) -> None:
        for name, value, words in (
            ("allow_nonfinite", service_pb2.InferParameter(string_param="yes"), "expected true or false"),
            ("timeout", service_pb2.InferParameter(int64_param=-1), "microseconds"),
            ("timeout", service_pb2.InferParameter(bool_param=True), "microseconds"),
        ):
            message = request()
            message.parameters[name].CopyFrom(value)
            message.raw_input_contents.append(bytes(20))
            with pytest.raises(Exception, match="INVALID_ARGUMENT") as caught:
                client._client_stub.ModelInfer(message)
            assert words in caught.value.details()

    def test_an_unknown_model_output_and_version(self, client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match="did you mean tiny") as caught:
            client.infer("tinny", tensors(spectrum=spectra(1)))
        assert caught.value.status() == "StatusCode.NOT_FOUND"
        with pytest.raises(InferenceServerException, match="served in version 3, not 4"):
            client.infer("tiny", tensors(spectrum=spectra(1)), model_version="4")
        with pytest.raises(InferenceServerException, match="no output named 'p'"):
            client.infer("tiny", tensors(spectrum=spectra(1)), outputs=[triton.InferRequestedOutput("p")])

    def test_too_large(self, client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match="larger than max"):
            client.infer("tiny", tensors(spectrum=spectra(60_000)))
        assert client.is_server_live()

    def test_bytes_that_are_no_message(self, address: str, client: triton.InferenceServerClient) -> None:
        call = client._channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(Exception, match=r"StatusCode\.INVALID_ARGUMENT"):
            call(b"\xff" * 100)
        assert client.infer("tiny", tensors(spectrum=spectra(1))).as_numpy("probability").shape == (1, 1)

    def test_loading_is_not_for_every_client(self, client: triton.InferenceServerClient) -> None:
        for call in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="--model-control explicit"):
                call("tiny")


def test_large_requests_do_not_hold_up_others_and_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()

    def noting(call: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments: (threads.add(threading.current_thread().name), call(*arguments))[1]

    for name in ("_parse", "_build"):
        monkeypatch.setattr(grpc_server, name, noting(getattr(grpc_server, name)))
    server = Server([tiny_models.write_tiny_model(tmp_path / "tiny")], Settings(limits=Limits(body=2**20, pending=900_000)))
    with running(server, grpc=True) as address, triton.InferenceServerClient(address) as client:
        x = spectra(30_000)
        np.testing.assert_allclose(
            client.infer("tiny", tensors(spectrum=x)).as_numpy("probability"), tiny_models.predict(x), atol=1e-6
        )
        assert threads
        assert all(name.startswith("zoo-serving") for name in threads)
        with pytest.raises(InferenceServerException, match="holds as many bytes") as caught:
            client.infer("tiny", tensors(spectrum=spectra(50_000)))
        assert caught.value.status() == "StatusCode.UNAVAILABLE"
        assert server.handlers.pending == 0


def test_explicit_control(tmp_path: Path) -> None:
    folder = write_repository(tmp_path, "1")
    server = Server([tmp_path], Settings(control="explicit", policy=Policy(max_batch=8)))
    with running(server, grpc=True) as address, triton.InferenceServerClient(address) as client:
        assert not client.is_model_ready("tiny")
        assert [model.state for model in client.get_model_repository_index().models] == ["UNAVAILABLE"]
        client.load_model("tiny")
        assert client.infer("tiny", tensors(spectrum=spectra())).get_response().model_version == "1"
        assert client.get_model_config("tiny").config.max_batch_size == 64
        add_version(folder, "2")
        client.load_model("tiny")
        assert client.infer("tiny", tensors(spectrum=spectra())).get_response().model_version == "2"
        for _ in range(2):  # the second time it is as it should be already
            client.unload_model("tiny")
            assert not client.is_model_ready("tiny")
        with pytest.raises(InferenceServerException, match="repository named 'nobody'"):
            client.load_model("nobody")
        shutil.rmtree(folder / "2")
        (folder / "1" / "model.onnx").write_bytes(b"")
        with pytest.raises(InferenceServerException, match=r"model\.onnx"):
            client.load_model("tiny")
        reasons = {model.version: model.reason for model in client.get_model_repository_index().models}
        assert "expected" in reasons["1"]


def test_our_messages_are_triton() -> None:
    """The shipped description is that of the client installed here: a field that Triton adds is to be shipped too."""
    theirs = FileDescriptorSet()
    for module in (model_config_pb2, service_pb2):
        module.DESCRIPTOR.CopyToProto(theirs.file.add())
    assert FileDescriptorSet.FromString(messages.DESCRIPTION.read_bytes()) == theirs

"""Models of sets and graphs, in process and served: free axes, masks, positions, and every dtype of the spec."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import hosted, running
from set_models import CLOUDS, GRAPHS, JETS, MODELS, TIMES, Arrays, SetModel
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

from zoo.errors import InputError, IntegrityError
from zoo.model.axes import Axis
from zoo.model.dtypes import NAMES
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.spec import Endpoint, Tensor, Tolerance
from zoo.serving import Session
from zoo.serving.batching import Batcher, Policy
from zoo.serving.graph import Graph
from zoo.serving.instances import InstanceGroup
from zoo.serving.protocol import HEADER, Codec
from zoo.serving.server import Server, create_app
from zoo.serving.statistics import Statistics
from zoo.serving.tensors import raw_shape
from zoo.serving.verify import verify
from zoo.serving.widening import Widening, can_widen


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    return {name: model.write(root / name) for name, model in MODELS.items()}


@pytest.fixture(scope="module")
def server(folders: dict[str, Path]) -> Iterator[Server]:
    server = Server(list(folders.values()))
    with running(server):
        yield server


@pytest.fixture(scope="module")
def sessions(folders: dict[str, Path]) -> dict[str, Session]:
    return {name: Session(folder) for name, folder in folders.items()}


def on_the_wire(array: np.ndarray) -> np.ndarray:
    """One number a row is a row of one number on the wire."""
    return array[:, None] if array.ndim == 1 else array


def tensors(library: ModuleType, model: SetModel, inputs: Arrays, **how: object) -> list:
    made = []
    for tensor in model.endpoint.inputs:
        array = on_the_wire(inputs[tensor.name])
        made.append(library.InferInput(tensor.name, list(array.shape), NAMES[tensor.dtype].datatype))
        made[-1].set_data_from_numpy(array, **how)
    return made


def assert_same(given: Arrays, expected: Arrays) -> None:
    assert given.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array, strict=True)


def send(server: Server, model: SetModel, body: bytes, length: int | None = None) -> tuple[int, dict]:
    headers = {} if length is None else {HEADER: str(length)}
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v2/models/{model.name}/infer", body, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
class TestSession:
    @pytest.mark.parametrize("seed", range(4))
    def test_answers_as_numpy_does_at_any_length(self, sessions, model: SetModel, seed: int) -> None:
        inputs = model.draw(np.random.default_rng(seed), 3)
        given, expected = sessions[model.name].run(inputs), model.answer(inputs)
        for name, array in expected.items():
            assert given[name].dtype == array.dtype
            np.testing.assert_allclose(given[name], array, rtol=1e-5, atol=1e-6)

    def test_an_empty_batch_has_the_lengths_of_its_inputs(self, sessions, model: SetModel) -> None:
        inputs = model.draw(np.random.default_rng(1), 3)
        given = sessions[model.name].run({name: array[:0] for name, array in inputs.items()})
        assert_same(given, {name: array[:0] for name, array in model.answer(inputs).items()})

    def test_verifies(self, folders, model: SetModel) -> None:
        assert verify(folders[model.name]).ok


def test_padding_changes_nothing(sessions) -> None:
    inputs = JETS.draw(np.random.default_rng(2), 5)
    short = sessions["jet-mean"].run(inputs)
    padded = {name: np.concatenate([a, np.zeros_like(a[:, :1])], axis=1)[:, :16] for name, a in inputs.items()}
    long = sessions["jet-mean"].run(padded)
    np.testing.assert_allclose(short["mean"], long["mean"], atol=1e-6)
    np.testing.assert_array_equal(short["count"], long["count"])


@pytest.mark.parametrize(("output", "change"), [("count", 1), ("forward", True)])
def test_whole_numbers_and_truth_values_are_compared_exactly(folders, output: str, change: object) -> None:
    session = Session(folders["jet-mean"])
    loose = session.spec.model_copy(update={"tolerance": Tolerance(absolute=10.0, relative=1.0)})
    session.folder = session.folder.__class__(**(vars(session.folder) | {"spec": loose}))
    assert verify(session).ok
    run = session.run

    def off_by_one(*arguments: object, **options: object) -> Arrays:
        answers = run(*arguments, **options)
        answers[output] = answers[output].copy()
        answers[output][1:2] ^= change
        return answers

    session.run = off_by_one
    assert [row.output for row in verify(session).rows if not row.ok] == [output]


class TestGraphAndSpec:
    """What a graph says of its tensors is what its spec says."""

    @pytest.mark.parametrize(
        ("side", "tensor", "change", "words"),
        [
            (
                "outputs",
                "count",
                {"dtype": "float32"},
                r"'count'.*float32 of shape \(batch\).*found int64 of shape \(batch\)",
            ),
            ("inputs", "momenta", {"dtype": "float64"}, r"'momenta'.*to be float64.*found float32"),
            ("outputs", "mean", {"axes": [Axis(name="components", size=4)]}, r"'mean'.*\(batch, 4\).*found.*\(batch, 3\)"),
            ("outputs", "mean", {"axes": []}, r"'mean'.*\(batch\).*found.*\(batch, 3\)"),
            (
                "outputs",
                "mean",
                {"axes": [Axis(name="particles", least=1, most=16)]},
                r"'mean'.*\(batch, particles\).*found.*\(batch, 3\)",
            ),
        ],
    )
    def test_names_the_tensor(self, folders, side: str, tensor: str, change: dict, words: str) -> None:
        changed = [t.model_copy(update=change) if t.name == tensor else t for t in getattr(JETS.endpoint, side)]
        endpoint = JETS.endpoint.model_copy(update={side: changed})
        with pytest.raises(IntegrityError, match=words):
            Graph(OnnxBytes.read(folders["jet-mean"] / "predict.onnx"), endpoint)

    def test_a_server_does_not_start_on_it(self, folders, tmp_path: Path) -> None:
        outputs = [t.model_copy(update={"dtype": "int32"}) if t.name == "count" else t for t in JETS.endpoint.outputs]
        wrong = Endpoint(description="wrong", inputs=JETS.endpoint.inputs, outputs=outputs)
        broken = SetModel(JETS.name, wrong, JETS.nodes, JETS.constants, JETS.answer, JETS.draw)
        graph = JETS.graph()
        object.__setattr__(broken, "graph", lambda: graph)
        with pytest.raises(IntegrityError, match=r"'count'.*int32.*found int64"):
            Server([broken.write(tmp_path / "broken")])


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
class TestTritonClients:
    @pytest.mark.parametrize("rows", [0, 1, 5])
    @pytest.mark.parametrize(("sent", "back"), [(True, True), (True, False), (False, True), (False, False)])
    def test_http(self, server: Server, sessions, model: SetModel, rows: int, sent: bool, back: bool) -> None:
        inputs = model.draw(np.random.default_rng(rows), rows)
        outputs = [tritonclient.http.InferRequestedOutput(t.name, binary_data=back) for t in model.endpoint.outputs]
        with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            for _ in range(2):  # the second time the request and the answer are known
                result = client.infer(model.name, tensors(tritonclient.http, model, inputs, binary_data=sent), outputs=outputs)
                given = {t.name: result.as_numpy(t.name) for t in model.endpoint.outputs}
                assert_same(given, {name: on_the_wire(array) for name, array in sessions[model.name].run(inputs).items()})

    @pytest.mark.parametrize("rows", [0, 1, 5])
    def test_grpc(self, server: Server, sessions, model: SetModel, rows: int) -> None:
        inputs = model.draw(np.random.default_rng(rows), rows)
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            result = client.infer(model.name, tensors(tritonclient.grpc, model, inputs))
        given = {t.name: result.as_numpy(t.name) for t in model.endpoint.outputs}
        assert_same(given, {name: on_the_wire(array) for name, array in sessions[model.name].run(inputs).items()})

    def test_grpc_with_values_in_the_field_of_their_datatype(self, server: Server, sessions, model: SetModel) -> None:
        inputs = model.draw(np.random.default_rng(8), 2)
        message = service_pb2.ModelInferRequest(model_name=model.name)
        for tensor in model.endpoint.inputs:
            names, array = NAMES[tensor.dtype], on_the_wire(inputs[tensor.name])
            item = message.inputs.add(name=tensor.name, datatype=names.datatype, shape=array.shape)
            getattr(item.contents, names.contents).extend(array.ravel().tolist())
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            answer = client._client_stub.ModelInfer(message)
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
            expected = sessions[model.name].run(inputs)[output.name]
            np.testing.assert_array_equal(np.frombuffer(raw, expected.dtype), expected.ravel())

    def test_metadata_and_configuration(self, server: Server, model: SetModel) -> None:
        with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            metadata, config = client.get_model_metadata(model.name), client.get_model_config(model.name)
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            by_grpc = client.get_model_config(model.name).config
        for side, kind in (("inputs", "input"), ("outputs", "output")):
            described = zip(getattr(model.endpoint, side), metadata[side], config[kind], getattr(by_grpc, kind), strict=True)
            for tensor, one, two, three in described:
                dims = [-1 if axis.size is None else axis.size for axis in tensor.axes] or [1]
                assert one == {"name": tensor.name, "datatype": NAMES[tensor.dtype].datatype, "shape": [-1, *dims]}
                assert two == {"name": tensor.name, "data_type": NAMES[tensor.dtype].triton, "dims": dims}
                assert (three.data_type, list(three.dims)) == (getattr(model_config_pb2, NAMES[tensor.dtype].triton), dims)


def test_times_near_two_million_days_keep_their_seconds(server: Server) -> None:
    """In float32 they would be rounded to a quarter of a day."""
    inputs = {"time": np.array([2_459_000.5 + 1 / 86400]), "days": np.array([[1, 2, 3]], np.int32)}
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        result = client.infer("later-times", tensors(tritonclient.http, TIMES, inputs, binary_data=False))
    np.testing.assert_array_equal(result.as_numpy("later")[0] - 2_459_000.5, inputs["time"][0] - 2_459_000.5 + [1, 2, 3])


@pytest.mark.parametrize("root_path", ["", "/sets"])
def test_the_asgi_application_of_ray_and_uvicorn(folders, sessions, root_path: str) -> None:
    inputs = JETS.draw(np.random.default_rng(4), 3)
    with (
        hosted(create_app([folders["jet-mean"]]), root_path=root_path) as address,
        tritonclient.http.InferenceServerClient(address) as client,
    ):
        result = client.infer("jet-mean", tensors(tritonclient.http, JETS, inputs))
    assert_same({"mean": result.as_numpy("mean")}, {"mean": sessions["jet-mean"].run(inputs)["mean"]})


def json_request(**changes: object) -> dict[str, object]:
    """A valid request of one jet of two particles; changes are of its momenta, or with ``mask_`` of its mask."""
    momenta = {"name": "momenta", "datatype": "FP32", "shape": [1, 2, 3], "data": [0.5] * 6}
    mask = {"name": "mask", "datatype": "BOOL", "shape": [1, 2], "data": [True, False]}
    momenta |= {name: value for name, value in changes.items() if not name.startswith("mask_")}
    mask |= {name.removeprefix("mask_"): value for name, value in changes.items() if name.startswith("mask_")}
    return {"inputs": [{k: v for k, v in tensor.items() if v is not ...} for tensor in (momenta, mask)]}


def edges_request(**changes: object) -> dict[str, object]:
    features = {"name": "features", "datatype": "FP32", "shape": [1, 2, 4], "data": [0.5] * 8}
    senders = {"name": "senders", "datatype": "INT64", "shape": [1, 3], "data": [0, 1, 1]}
    return {"inputs": [features, senders | changes]}


class TestRefusals:
    @pytest.mark.parametrize(
        ("model", "body", "words"),
        [
            (
                JETS,
                json_request(shape=[1, 17, 3], data=[0.5] * 51),
                "expected shape [batch, particles 1-16, 3], given [1, 17, 3]",
            ),
            (JETS, json_request(shape=[1, 0, 3], data=[]), "expected shape [batch, particles 1-16, 3], given [1, 0, 3]"),
            (JETS, json_request(shape=[1, 2]), "expected shape [batch, particles 1-16, 3], given [1, 2]"),
            (JETS, json_request(shape=[1, 2**62, 3]), "particles 1-16"),
            (JETS, json_request(shape=[2**62, 2, 3]), f"needs {2**62 * 6} values"),
            (JETS, json_request(shape=[1, 1, 3], data=[0.5] * 3), "axis 'particles'"),
            (JETS, json_request(datatype="FP64"), "expected datatype FP32, given 'FP64'"),
            (JETS, json_request(datatype="BOOL"), "expected datatype FP32, given 'BOOL'"),
            (JETS, json_request(mask_datatype="INT32"), "expected datatype BOOL, given 'INT32'"),
            (JETS, json_request(mask_data=[1, 0]), "'mask': expected true and false"),
            (JETS, json_request(mask_data=["true", "false"]), "'mask': expected true and false"),
            (JETS, json_request(data=[True] * 6), "'momenta': expected numbers"),
            (JETS, json_request(data=[[[0.5, 0.5, True], [0.5] * 3]]), "'momenta': expected numbers"),
            (JETS, json_request(data=[1e6, *[0.5] * 5]), "GeV"),
            (GRAPHS, edges_request(data=[0, 1, 2]), "expected positions from 0 to 1 along the axis 'nodes', given 2"),
            (GRAPHS, edges_request(data=[0, 1, -1]), "expected positions from 0 to 1 along the axis 'nodes', given -1"),
            (GRAPHS, edges_request(data=[0, 1, 0.5]), "'senders': expected whole numbers"),
            (GRAPHS, edges_request(data=[0, 1, True]), "'senders': expected whole numbers"),
            (GRAPHS, edges_request(data=[True] * 3), "'senders': expected whole numbers"),
            (GRAPHS, edges_request(data=[0, 1, 2**63]), "'senders': expected"),
            (GRAPHS, edges_request(data=[0, 1, 10**30]), "'senders': expected whole numbers"),
            (GRAPHS, edges_request(shape=[1, 13], data=[0] * 13), "expected shape [batch, edges 1-12], given [1, 13]"),
        ],
    )
    def test_json(self, server: Server, model: SetModel, body: dict, words: str) -> None:
        status, answer = send(server, model, json.dumps(body).encode())
        assert status == 400
        assert words in answer["error"]

    @pytest.mark.parametrize(
        ("declared", "mask", "words"),
        [
            ([1, 2], b"\x01\x00", None),
            ([1, 2], b"\x02\x00", "expected bytes of 0 and 1 for false and true, given 2"),
            ([1, 2], b"\xff\x00", "expected bytes of 0 and 1 for false and true, given 255"),
            ([1, 2], b"\x01", "'mask': shape [1, 2] needs 2 bytes"),
            ([1, 2**62], b"\x01\x00", "particles 1-16"),
            ([2**62, 2], b"\x01\x00", f"needs {2**63} bytes"),
        ],
    )
    def test_binary(self, server: Server, declared: list[int], mask: bytes, words: str | None) -> None:
        request = json_request(mask_data=..., mask_shape=declared, mask_parameters={"binary_data_size": len(mask)})
        text = json.dumps(request).encode()
        for _ in range(2):
            status, answer = send(server, JETS, text + mask, len(text))
            assert status == (200 if words is None else 400)
            assert words is None or words in answer["error"]

    def test_a_known_request_is_checked_as_a_new_one(self, server: Server) -> None:
        """The JSON part is remembered, the bytes are not."""
        request = json_request(
            data=..., parameters={"binary_data_size": 24}, mask_data=..., mask_parameters={"binary_data_size": 2}
        )
        text = json.dumps(request).encode()
        for mask, status in ((b"\x01\x01", 200), (b"\x01\x07", 400), (b"\x00\x01", 200)):
            assert send(server, JETS, text + bytes(24) + mask, len(text))[0] == status

    @pytest.mark.parametrize(
        ("field", "values", "words"),
        [
            ("int_contents", [0, 1], "expected values of INT64 in int64_contents, given int_contents"),
            ("int64_contents", [0], "needs 2 values in int64_contents, given 1"),
            ("int64_contents", [0, 9], "expected positions from 0 to 1"),
        ],
    )
    def test_grpc(self, server: Server, field: str, values: list[int], words: str) -> None:
        message = service_pb2.ModelInferRequest(model_name="edge-features")
        features = message.inputs.add(name="features", datatype="FP32", shape=[1, 2, 4])
        features.contents.fp32_contents.extend([0.5] * 8)
        senders = message.inputs.add(name="senders", datatype="INT64", shape=[1, 2])
        getattr(senders.contents, field).extend(values)
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            with pytest.raises(Exception, match="INVALID_ARGUMENT") as caught:
                client._client_stub.ModelInfer(message)
            assert words in caught.value.details()

    @pytest.mark.parametrize("shape", [[1, 17], [1, 0], [1], [2**62, 2], [1, 2**62], [-1, 2], [1, 2, 2]])
    def test_shapes_over_grpc(self, server: Server, shape: list[int]) -> None:
        message = service_pb2.ModelInferRequest(model_name="jet-mean")
        message.inputs.add(name="mask", datatype="BOOL", shape=shape)
        message.raw_input_contents.append(bytes(2))
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            with pytest.raises(Exception, match="INVALID_ARGUMENT") as caught:
                client._client_stub.ModelInfer(message)
            assert "'mask': " in caught.value.details()

    def test_in_process(self, sessions) -> None:
        with pytest.raises(InputError, match=r"'momenta': expected shape \(batch, particles 1-16, 3\), given \(2, 17, 3\)"):
            sessions["jet-mean"].run({"momenta": np.zeros((2, 17, 3), np.float32), "mask": np.ones((2, 17), bool)})

    @settings(max_examples=60, deadline=None)
    @given(
        shape=st.lists(st.one_of(st.integers(0, 20), st.integers(0, 2**63 - 1)), max_size=4),
        size=st.integers(0, 80),
        content=st.binary(max_size=80),
        datatype=st.sampled_from(["BOOL", "FP32", "INT64", "BYTES", ""]),
    )
    def test_any_shape_is_answered_or_refused(
        self, server: Server, shape: list[int], size: int, content: bytes, datatype: str
    ) -> None:
        changes = {
            "mask_data": ...,
            "mask_shape": shape,
            "mask_datatype": datatype,
            "mask_parameters": {"binary_data_size": size},
        }
        text = json.dumps(json_request(**changes)).encode()
        status, answer = send(server, JETS, text + content, len(text))
        assert status in (200, 400)
        assert status == 200 or isinstance(answer["error"], str)


def test_the_examples_of_the_document_are_answered(server: Server) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/openapi.json") as response:
        document = json.load(response)
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]
    examples = infer["requestBody"]["content"]["application/json"]["examples"]
    assert examples.keys() == MODELS.keys()
    for model in MODELS.values():
        assert send(server, model, json.dumps(examples[model.name]["value"]).encode())[0] == 200
    jets = {tensor["name"]: tensor for tensor in examples["jet-mean"]["value"]["inputs"]}
    assert jets["mask"] == {"name": "mask", "datatype": "BOOL", "shape": [1, 3], "data": [True] * 3}
    tensor = document["components"]["schemas"]["InferRequest"]["properties"]["inputs"]["items"]["properties"]
    assert tensor["datatype"]["enum"] == ["FP32", "FP64", "INT32", "INT64", "BOOL"]


class TestBatches:
    @pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
    @settings(max_examples=5, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), max_batch=st.integers(1, 40))
    def test_many_clients_of_any_length_get_what_a_lone_run_gives(
        self, folders, model: SetModel, seed: int, max_batch: int
    ) -> None:
        graph, statistics = Graph(OnnxBytes.read(folders[model.name] / "predict.onnx"), model.endpoint), Statistics()
        lone: list[tuple[Arrays, Arrays]] = []

        async def caller(batcher: Batcher, number: int) -> None:
            random = np.random.default_rng([seed, number])
            for _ in range(8):
                at_once = [model.draw(random, int(random.integers(0, 4))) for _ in range(random.integers(1, 4))]
                lone.extend(zip(at_once, await asyncio.gather(*(batcher.submit(i, number) for i in at_once)), strict=True))

        async def ask() -> None:
            with ThreadPoolExecutor(2) as pool:
                policy = Policy(max_batch=max_batch)
                widening = Widening(model.endpoint) if can_widen(model.endpoint) else None
                groups = [InstanceGroup(graph.run, pool, 2)]
                batcher = Batcher(model.name, groups, policy, statistics, graph.free.values(), widening)
                await asyncio.wait_for(asyncio.gather(*(caller(batcher, number) for number in range(12))), 60)

        asyncio.run(ask())
        for inputs, answers in lone:
            assert_same(answers, graph.run(inputs))
        assert statistics.queue.count == len(lone)
        assert statistics.pending == 0
        assert max_batch < 10 or statistics.executions < len(lone)

    @pytest.mark.parametrize("model", [JETS, CLOUDS], ids=lambda model: model.name)
    def test_over_the_wire(self, server: Server, sessions, model: SetModel) -> None:
        def ask(number: int) -> list[tuple[Arrays, Arrays]]:
            random = np.random.default_rng(number)
            with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
                asked = [model.draw(random, int(random.integers(1, 4))) for _ in range(6)]
                results = [client.infer(model.name, tensors(tritonclient.http, model, inputs)) for inputs in asked]
            names = [tensor.name for tensor in model.endpoint.outputs]
            return [
                (inputs, {name: result.as_numpy(name) for name in names}) for inputs, result in zip(asked, results, strict=True)
            ]

        with ThreadPoolExecutor(32) as pool:
            for inputs, answers in (pair for pairs in pool.map(ask, range(32)) for pair in pairs):
                expected = sessions[model.name].run(inputs)
                assert_same(answers, {name: on_the_wire(array) for name, array in expected.items()})


def test_a_client_that_sends_every_number_as_float32_is_told(server: Server) -> None:
    wrong = tritonclient.http.InferInput("time", [1, 1], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 1), np.float32))
    with (
        tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client,
        pytest.raises(InferenceServerException, match="expected datatype FP64, given 'FP32'"),
    ):
        client.infer("later-times", [wrong])


@pytest.mark.parametrize(
    ("axes", "size", "shape"),
    [
        ([], 8, [1, 1]),
        ([Axis(name="n", size=3)], 24, [1, 3]),
        ([Axis(name="n", least=1, most=9), Axis(name="c", size=3)], 96, [1, 4, 3]),
        (
            [Axis(name="n", least=1, most=9), Axis(name="c", size=3)],
            100,
            "expected a multiple of 24 bytes in a raw request, given 100",
        ),
        ([Axis(name="n", size=3)], 48, "expected the 24 bytes of one row in a raw request, given 48"),
        ([Axis(name="n", least=1, most=9), Axis(name="m", least=1, most=9)], 8, "the lengths of n and m cannot be told"),
    ],
)
def test_the_shape_of_a_raw_request(axes: list[Axis], size: int, shape: list[int] | str) -> None:
    """As Triton deduces it: one row, and at most one length that its bytes tell."""
    tensor = Tensor(name="x", dtype="float64", axes=axes, unit="1", description="x")
    if isinstance(shape, str):
        with pytest.raises(InputError, match=shape):
            raw_shape(tensor, size)
        return
    assert raw_shape(tensor, size) == shape
    codec = Codec("raw", "1", Endpoint(description="x", inputs=[tensor], outputs=[tensor.model_copy(update={"name": "y"})]))
    row = np.arange(size // 8, dtype="<f8")
    np.testing.assert_array_equal(codec.parse(row.tobytes(), "0").inputs["x"].ravel(), row)


def test_a_raw_request_is_of_an_admitted_length() -> None:
    tensor = Tensor(name="x", axes=[Axis(name="n", least=2, most=4)], unit="1", description="x")
    codec = Codec("raw", "1", Endpoint(description="x", inputs=[tensor], outputs=[tensor.model_copy(update={"name": "y"})]))
    for length in (0, 1, 5):
        with pytest.raises(InputError, match=rf"expected shape \[batch, n 2-4\], given \[1, {length}\]"):
            codec.parse(bytes(4 * length), "0")

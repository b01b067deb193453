"""Every released model through clients that nobody here wrote: the answers of ``Session``."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from live_server import running
from released_models import RELEASED, SMALLEST
from tritonclient.utils import np_to_triton_dtype

from zoo.model.registry import get_spec
from zoo.model.spec import TEST_TENSORS, wire_name
from zoo.model.test_tensors import read_test_tensors
from zoo.serving import Session, batching
from zoo.serving.batching import Policy
from zoo.serving.graph import Graph
from zoo.serving.server import Server, Settings

ENDPOINTS = [(name, endpoint) for name in RELEASED for endpoint in get_spec(name).endpoints]
OPEN = {"allow_nonfinite": True, "allow_out_of_range": True}


class Gate:
    """Graphs run through it, and wait while it is closed."""

    def __init__(self) -> None:
        self.open, self.entered = threading.Event(), threading.Event()
        self.open.set()

    def run(self, graph: Graph, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.entered.set()
        assert self.open.wait(60)
        return RUN(graph, arrays)


RUN = Graph.run


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="module")
def server(gate: Gate) -> Iterator[Server]:
    """Every released model, one batch of each at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Graph, "run", lambda graph, arrays: gate.run(graph, arrays))
        server = Server(settings=Settings(policy=Policy(instances=1)))
    with running(server):
        yield server


@cache
def session(name: str) -> Session:
    return Session(name)


def rows(name: str, endpoint: str, number: int) -> dict[str, np.ndarray]:
    """The first test rows of an endpoint, repeated where there are not enough."""
    spec = session(name).spec
    inputs, _ = read_test_tensors(session(name).folder.path(TEST_TENSORS), spec)[endpoint]
    names = [tensor.name for tensor in spec.endpoints[endpoint].inputs]
    return {name: np.resize(inputs[name], (number, *inputs[name].shape[1:])) for name in names}


def on_the_wire(array: np.ndarray) -> np.ndarray:
    """A number for each row has an axis of its own there."""
    return array[:, None] if array.ndim == 1 else array


def ask_http(server: Server, name: str, arrays: dict[str, np.ndarray], binary: bool) -> dict[str, np.ndarray]:
    with triton_http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        outputs = [triton_http.InferRequestedOutput(n, binary_data=binary) for n in names(client.get_model_metadata(name))]
        result = client.infer(name, http_inputs(arrays, binary), outputs=outputs, parameters=OPEN)
        return {output.name(): result.as_numpy(output.name()) for output in outputs}


def ask_http_aio(server: Server, name: str, arrays: dict[str, np.ndarray], binary: bool) -> dict[str, np.ndarray]:
    async def ask() -> dict[str, np.ndarray]:
        client = triton_http_aio.InferenceServerClient(f"127.0.0.1:{server.port}")
        try:
            outputs = [
                triton_http_aio.InferRequestedOutput(n, binary_data=binary)
                for n in names(await client.get_model_metadata(name))
            ]
            result = await client.infer(name, http_inputs(arrays, binary), outputs=outputs, parameters=OPEN)
            return {output.name(): result.as_numpy(output.name()) for output in outputs}
        finally:
            await client.close()

    return asyncio.run(ask())


def ask_grpc(server: Server, name: str, arrays: dict[str, np.ndarray], _: bool) -> dict[str, np.ndarray]:
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
        outputs = [output.name for output in client.get_model_metadata(name).outputs]
        result = client.infer(name, grpc_inputs(arrays), parameters=OPEN)
        return {output: result.as_numpy(output) for output in outputs}


def ask_grpc_aio(server: Server, name: str, arrays: dict[str, np.ndarray], _: bool) -> dict[str, np.ndarray]:
    async def ask() -> dict[str, np.ndarray]:
        async with triton_grpc_aio.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            outputs = [output.name for output in (await client.get_model_metadata(name)).outputs]
            result = await client.infer(name, grpc_inputs(arrays), parameters=OPEN)
            return {output: result.as_numpy(output) for output in outputs}

    return asyncio.run(ask())


def names(metadata: dict[str, list[dict[str, str]]]) -> list[str]:
    return [output["name"] for output in metadata["outputs"]]


def http_inputs(arrays: dict[str, np.ndarray], binary: bool) -> list[triton_http.InferInput]:
    inputs = [
        triton_http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)) for name, array in arrays.items()
    ]
    for tensor, array in zip(inputs, arrays.values(), strict=True):
        tensor.set_data_from_numpy(array, binary_data=binary)
    return inputs


def grpc_inputs(arrays: dict[str, np.ndarray]) -> list[triton_grpc.InferInput]:
    inputs = [
        triton_grpc.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)) for name, array in arrays.items()
    ]
    for tensor, array in zip(inputs, arrays.values(), strict=True):
        tensor.set_data_from_numpy(array)
    return inputs


CLIENTS = {
    "http-binary": (ask_http, True),
    "http-json": (ask_http, False),
    "http-aio-binary": (ask_http_aio, True),
    "http-aio-json": (ask_http_aio, False),
    "grpc": (ask_grpc, True),
    "grpc-aio": (ask_grpc_aio, True),
}


def assert_one_row_is_answered_bit_for_bit(server: Server, client: str, name: str, endpoint: str) -> None:
    ask, binary = CLIENTS[client]
    arrays = rows(name, endpoint, 1)
    expected = session(name).run(arrays, endpoint, **OPEN)
    sent = {tensor: on_the_wire(array) for tensor, array in arrays.items()}
    given = ask(server, wire_name(name, endpoint), sent, binary)
    assert given.keys() == expected.keys()
    for output, array in expected.items():
        np.testing.assert_array_equal(given[output], on_the_wire(array), strict=True)


@pytest.mark.parametrize(
    ("name", "endpoint", "client"),
    [(*served, client) for served, client in zip(ENDPOINTS, itertools.cycle(CLIENTS), strict=False)],
)
def test_every_endpoint_over_one_client(server: Server, client: str, name: str, endpoint: str) -> None:
    """The clients in turn, since what a client does with bytes does not depend on whose they are."""
    assert_one_row_is_answered_bit_for_bit(server, client, name, endpoint)


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("client", CLIENTS)
def test_one_model_of_a_family_over_every_client(server: Server, client: str, name: str) -> None:
    assert_one_row_is_answered_bit_for_bit(server, client, name, get_spec(name).default_endpoint)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("name", SMALLEST)
def test_joined_requests_are_each_answered_within_the_tolerance(
    server: Server, gate: Gate, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client its own rows; the first is at the model while the others arrive, so that the server joins them."""
    monkeypatch.setattr(batching, "_INLINE_NS", 0)  # a graph that waits on the event loop would keep the others out
    endpoint, tolerance = get_spec(name).default_endpoint, get_spec(name).tolerance
    arrays = rows(name, endpoint, 6)
    parts = [{key: array[i : i + 1 + i % 2] for key, array in arrays.items()} for i in range(5)]
    [statistics] = [it for (served, _), it in server.repository.statistics.items() if served == wire_name(name, endpoint)]
    executions = statistics.executions
    gate.entered.clear()
    gate.open.clear()

    async def ask() -> list[triton_http.InferResult]:
        client = triton_http_aio.InferenceServerClient(f"127.0.0.1:{server.port}", conn_limit=5)

        def call(part: dict[str, np.ndarray]) -> asyncio.Task[triton_http.InferResult]:
            return asyncio.ensure_future(client.infer(wire_name(name, endpoint), http_inputs(part, True), parameters=OPEN))

        try:
            calls = [call(parts[0])]
            await until(gate.entered.is_set)
            calls += map(call, parts[1:])
            await until(lambda: statistics.pending == 4)
            gate.open.set()
            return await asyncio.gather(*calls)
        finally:
            gate.open.set()
            await client.close()

    for part, result in zip(parts, asyncio.run(asyncio.wait_for(ask(), 60)), strict=True):
        for output, array in session(name).run(part, endpoint, **OPEN).items():
            given = result.as_numpy(output)
            np.testing.assert_allclose(given, on_the_wire(array), rtol=tolerance.relative, atol=tolerance.absolute)
    assert statistics.executions == executions + 2

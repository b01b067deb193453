"""gRPC's own tools: health as Kubernetes' probes ask for it, and reflection as grpcurl does, by the library's stubs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from live_server import running
from triton_layout import write_repository

from zoo.serving.server import Server, Settings

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


@pytest.fixture
def server(tmp_path: Path) -> Server:
    write_repository(tmp_path, "1")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.pbtxt").write_text("{")
    return Server([tmp_path], Settings(control="explicit"))


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with running(server, grpc=True) as address, grpc.insecure_channel(address) as channel:
        yield channel


def check(channel: grpc.Channel, service: str = "") -> int:
    return HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=60).status


def load(channel: grpc.Channel, name: str, method: str = "Load") -> None:
    """Through a message that the server's reflection describes, as grpcurl makes it."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    described = pool.FindServiceByName("inference.GRPCInferenceService").FindMethodByName(f"RepositoryModel{method}")
    request = json_format.ParseDict({"model_name": name}, message_factory.GetMessageClass(described.input_type)())
    channel.unary_unary(f"/{described.containing_service.full_name}/{described.name}")(request.SerializeToString())


def test_check(channel: grpc.Channel) -> None:
    assert check(channel) == check(channel, "inference.GRPCInferenceService") == SERVING
    assert check(channel, "tiny") == NOT_SERVING  # it is there and not loaded
    assert check(channel, "broken") == NOT_SERVING
    with pytest.raises(grpc.RpcError, match="no model named 'nobody'") as caught:
        check(channel, "nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    load(channel, "tiny")
    assert check(channel, "tiny") == SERVING


def test_watch(server: Server) -> None:
    """Each change once, and the end of the server is one, which an open stream does not hold up."""
    watched: dict[str, list[int]] = {}

    def watch(service: str) -> None:
        answers = stub.Watch(HealthCheckRequest(service=service), timeout=60)
        watched[service] = [int(next(answers).status)]
        seen[service].set()
        watched[service] += [int(answer.status) for answer in answers]

    seen = {name: threading.Event() for name in ("", "tiny", "later")}
    with ThreadPoolExecutor(3) as pool:
        with running(server, grpc=True) as address:
            channel = grpc.insecure_channel(address)
            stub = HealthStub(channel)
            watching = [pool.submit(watch, name) for name in seen]
            assert all(event.wait(60) for event in seen.values())
            load(channel, "tiny")
            load(channel, "tiny", "Unload")
        for one in watching:
            one.result(60)
        channel.close()
    assert watched[""] == [SERVING, NOT_SERVING]
    assert watched["tiny"][0] == watched["tiny"][-1] == NOT_SERVING
    assert watched["later"] == [HealthCheckResponse.SERVICE_UNKNOWN]


def test_reflection(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    services = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "inference.GRPCInferenceService"}
    assert set(database.get_services()) == services
    pool = DescriptorPool(database)
    assert pool.FindMessageTypeByName("inference.ModelInferRequest").fields_by_name["raw_input_contents"].number == 7
    assert pool.FindServiceByName("grpc.health.v1.Health").FindMethodByName("Watch").server_streaming


def test_health_over_asyncio(server: Server) -> None:
    async def ask(address: str) -> int:
        async with grpc.aio.insecure_channel(address) as channel:
            return int((await HealthStub(channel).Check(HealthCheckRequest())).status)

    with running(server, grpc=True) as address:
        assert asyncio.run(ask(address)) == SERVING
        server.handlers.ready = False
        assert asyncio.run(ask(address)) == NOT_SERVING

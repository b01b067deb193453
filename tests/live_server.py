"""A server on a real socket, and Triton's own client to ask it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import tritonclient.http as triton
import uvicorn

from zoo.serving.asgi import AsgiApp
from zoo.serving.server import Server

try:
    from uvloop import new_event_loop  # as zoo serve does
except ImportError:
    from asyncio import new_event_loop


@contextmanager
def running(server: Server, *, grpc: bool = False) -> Iterator[str]:
    """Serve on a free port; gives ``host:port`` of REST, or of gRPC."""
    ready, loop = threading.Event(), new_event_loop()

    async def live() -> None:
        await server.start(port=0, grpc_port=0)
        ready.set()

    def run() -> None:
        loop.run_until_complete(live())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(30)
        yield f"127.0.0.1:{server.grpc_port if grpc else server.port}"
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Nothing is left running, whatever fails: leaving a ``Popen`` waits for it."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


@contextmanager
def hosted(app: AsgiApp, **options: str) -> Iterator[str]:
    """Host the ASGI application in uvicorn, with its options; gives ``host:port``."""
    # asyncio turns off Nagle's algorithm, worth 40 ms a request, only on a socket that says it is TCP
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    host = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, **options))
    thread = threading.Thread(target=host.run, kwargs={"sockets": [listening]})
    thread.start()
    while not host.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        host.should_exit = True
        thread.join()


def infer(
    client: triton.InferenceServerClient,
    model: str,
    inputs: Mapping[str, np.ndarray],
    *,
    binary: bool = True,
    outputs: list[triton.InferRequestedOutput] | None = None,
    **options: object,
) -> triton.InferResult:
    """Ask a server through Triton's client."""
    tensors = []
    for name, array in inputs.items():
        tensors.append(triton.InferInput(name, list(array.shape), "FP32"))
        tensors[-1].set_data_from_numpy(array.astype(np.float32), binary_data=binary)
    return client.infer(model, tensors, outputs=outputs, **options)

"""A server on a real socket, and Triton's own client to ask it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import tritonclient.http as triton
import uvicorn
from starlette.applications import Starlette


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """Serve an application on a free port; gives ``host:port``."""
    # asyncio turns off Nagle's algorithm, worth 40 ms a request, only on a socket that says it is TCP
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
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

"""Minutes under load: no answer lost or mixed up, memory flat, whatever else lies in the folder and whoever else asks.

``make soak`` takes ten minutes of it, ``--minutes`` says how long.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
from hostile_graphs import loop, put_in
from live_server import ended
from triton_layout import add_version, write_repository

from zoo.serving.protocol import HEADER

WIDTH = tiny_models.WIDTH
HTTP_CLIENTS, GRPC_CLIENTS = 12, 4
LOAD = 0.8


class Load:
    """Clients that each check each answer against its own input, at a share of the rate that they reach unthrottled."""

    def __init__(self, http: str, grpc: str) -> None:
        self.http, self.grpc = http, grpc
        self.asked = self.answered = self.wrong = 0
        self.pause = 0.0

    def check(self, number: int, x: np.ndarray, result: object) -> None:
        given, response = result.as_numpy("probability"), result.get_response()
        self.answered += 1
        same = (response["id"] if isinstance(response, dict) else response.id) == str(number)
        if not same or given.shape != (len(x), 1) or not np.allclose(given, tiny_models.predict(x), atol=1e-6):
            self.wrong += 1

    async def run(self, seconds: float) -> float:
        """Requests a second."""
        before, end = self.answered, time.monotonic() + seconds
        callers = [self.ask_http(number, end) for number in range(HTTP_CLIENTS)]
        callers += [self.ask_grpc(number, end) for number in range(GRPC_CLIENTS)]
        await asyncio.gather(*callers)
        return (self.answered - before) / seconds

    async def ask_http(self, number: int, end: float) -> None:
        client = triton_http.InferenceServerClient(self.http)
        try:
            await self.ask(number, end, client, triton_http.InferInput)
        finally:
            await client.close()

    async def ask_grpc(self, number: int, end: float) -> None:
        async with triton_grpc.InferenceServerClient(self.grpc) as client:
            await self.ask(number, end, client, triton_grpc.InferInput)

    async def ask(self, number: int, end: float, client: object, input_type: type) -> None:
        random = np.random.default_rng(number)
        while time.monotonic() < end:
            x = random.normal(size=(random.choice([1, 1, 1, 7, 33, 64]), WIDTH)).astype(np.float32)
            tensor = input_type("spectrum", list(x.shape), "FP32")
            tensor.set_data_from_numpy(x)
            self.asked += 1
            number = self.asked
            self.check(number, x, await client.infer("tiny", [tensor], request_id=str(number)))
            if self.pause:
                await asyncio.sleep(random.exponential(self.pause))


def never_reads(port: int) -> socket.socket:
    """A client that asks for a megabyte of JSON, again and again, and reads none of it."""
    rows = 30_000
    tensor = {
        "name": "spectrum",
        "datatype": "FP32",
        "shape": [rows, WIDTH],
        "parameters": {"binary_data_size": 4 * rows * WIDTH},
    }
    text = json.dumps({"inputs": [tensor]}).encode()
    head = ["POST /v2/models/large/infer HTTP/1.1", "Host: x", f"{HEADER}: {len(text)}"]
    body = text + bytes(4 * rows * WIDTH)
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
    return connection


def resident(process: int) -> int:
    """Bytes of memory that the process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak(tmp_path: Path, minutes: float) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is read from /proc")
    folder = write_repository(tmp_path, "1")
    hostile = tiny_models.write_tiny_model(tmp_path.parent / f"{tmp_path.name}-hostile", name="hostile", endpoints=("predict",))
    tiny_models.write_tiny_model(tmp_path / "large", name="large", endpoints=("predict",))  # takes any number of rows
    neighbors: list[socket.socket] = []
    command = [sys.executable, "-m", "zoo", "serve", str(tmp_path), "--port", "0", "--grpc-port", "0"]
    command += ["--model-control", "poll", "--poll", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, ended(process):
        ready = json.loads(process.stderr.readline())
        load = Load(f"127.0.0.1:{ready['port']}", f"127.0.0.1:{ready['grpc_port']}")
        seconds = 60 * minutes

        async def soak() -> tuple[list[float], list[int]]:
            idle = 1 / LOAD - 1  # at full load a caller waits all of the time, at 80% of the rate it pauses for a fifth of it
            shares, sizes = [], []
            for part in range(8):
                load.pause = 0.0
                full = await load.run(seconds / 40)  # each time, as a machine may have other work by now
                load.pause = idle * (HTTP_CLIENTS + GRPC_CLIENTS) / full
                shares.append(await load.run(seconds / 10) / full)
                idle = max(0.0, idle + (1 - LOAD / shares[-1]) / LOAD)  # less to do, sooner answers
                sizes.append(resident(process.pid))
                add_version(folder, str(part + 2), folder / "1")
                if part == 0:
                    put_in(hostile, loop(10**18)).rename(tmp_path / "hostile")
                    (tmp_path / "broken").mkdir()
                    (tmp_path / "broken" / "model.json").write_text("[1:1:1")
                neighbors.append(never_reads(ready["port"]))
            return shares, sizes

        shares, sizes = asyncio.run(soak())
        for neighbor in neighbors:
            neighbor.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        rest = [json.loads(line) for line in process.stderr]
    print(f"{load.answered} requests at {[round(share, 2) for share in shares]} of the full rate")
    print(f"resident {[round(size / 2**20) for size in sizes]} MiB")
    assert (load.wrong, load.asked - load.answered) == (0, 0)
    said = [line["message"] for line in rest if line["level"] == "error"]
    assert all(message.startswith(("hostile version", "broken version")) for message in said), said
    assert max(sizes[4:]) < 1.05 * max(sizes[:4])
    assert LOAD - 0.2 < np.median(shares) < LOAD + 0.15  # or it was another load than it says

"""Serving an MLP 2500-64-64-1: ours over REST and gRPC against ONNX Runtime alone, in rounds, interleaved.

    python benchmarks/serving.py [--rounds 5] [--seconds 3] [--out benchmarks/results/serving.json]

The server is a process of its own on a free port, the load comes from ``serving_load.py``, each answer is compared with its
own input's. Medians over the rounds, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from zoo.card import write_card
from zoo.spec import TEST_TENSORS, Data, Endpoint, File, ModelSpec, Tensor

WIDTHS = (2500, 64, 64, 1)
ROWS = 2048
LOADS = {
    "rest, batch 1, 1 connection": ("rest", 1, 1),
    "rest, batch 1, 32 connections": ("rest", 1, 32),
    "rest, batch 256, 4 connections": ("rest", 256, 4),
    "grpc, batch 1, 1 connection": ("grpc", 1, 1),
    "grpc, batch 1, 32 connections": ("grpc", 1, 32),
}
LOAD = Path(__file__).with_name("serving_load.py")


def write_model(folder: Path) -> Path:
    """The model's folder, and ``rows.npz`` with inputs and what ONNX Runtime answers to each row."""
    folder.mkdir()
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        last = layer == len(WIDTHS) - 2
        weights.append(numpy_helper.from_array((random.normal(size=(inputs, outputs)) / inputs**0.5).astype("f4"), f"w{layer}"))
        weights.append(numpy_helper.from_array(np.zeros(outputs, "f4"), f"b{layer}"))
        nodes.append(helper.make_node("Gemm", [name, f"w{layer}", f"b{layer}"], [f"a{layer}"]))
        name = "y" if last else f"h{layer}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"a{layer}"], [name]))
    described = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", w]) for n, w in (("x", WIDTHS[0]), ("y", 1))]
    graph = helper.make_graph(nodes, "mlp", described[:1], described[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), folder / "predict.onnx")
    x = random.normal(size=(ROWS, WIDTHS[0])).astype("f4")
    session = onnxruntime.InferenceSession(folder / "predict.onnx", providers=["CPUExecutionProvider"])
    y = np.concatenate([session.run(["y"], {"x": row})[0] for row in np.split(x, ROWS)])
    np.savez(folder / TEST_TENSORS, **{"predict/in/x": x[:8], "predict/out/y": y[:8]})
    files = [
        File(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
    ]
    tensors = [Tensor(name=name, shape=[width], unit="1", description="noise") for name, width in (("x", WIDTHS[0]), ("y", 1))]
    spec = ModelSpec(
        name="mlp",
        family="mlp",
        config={},
        task="benchmark",
        summary="Random weights.",
        endpoints={"predict": Endpoint(description="random", inputs=tensors[:1], outputs=tensors[1:])},
        data=Data(source="none", description="none", simulator="none", seed=0, rows={}),
        metrics=[],
        files=files,
        physzoo_version="0.1.0",
    )
    write_card(folder / "README.md", spec)
    np.savez(folder / "rows.npz", x=x, y=y)
    return folder


def raw(folder: Path, rows: int, seconds: float) -> dict[str, float]:
    """ONNX Runtime alone, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "predict.onnx", options, providers=["CPUExecutionProvider"])
    with np.load(folder / "rows.npz") as stored:
        x = stored["x"][:rows]
    latencies = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        session.run(["y"], {"x": x})
        latencies.append(time.perf_counter() - start)
    rate = len(latencies) / seconds
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    used = 1e6 * statistics.mean(latencies)
    return {
        "requests_per_second": rate,
        "rows_per_second": rate * rows,
        "p50_ms": p50,
        "p99_ms": p99,
        "server_us_per_request": used,
    }


@contextmanager
def server(folder: Path) -> Iterator[tuple[dict[str, str], int]]:
    """``zoo serve`` in a process of its own; the address of each protocol, and the process."""
    addresses = {protocol: f"127.0.0.1:{_free_port()}" for protocol in ("rest", "grpc")}
    ports = {protocol: address.rpartition(":")[2] for protocol, address in addresses.items()}
    command = [sys.executable, "-m", "zoo.cli", "serve", str(folder), "--port", ports["rest"], "--grpc-port", ports["grpc"]]
    process = subprocess.Popen(command)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://{addresses['rest']}/v2/health/ready", timeout=1):
                    break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.05)
        yield addresses, process.pid
    finally:
        process.terminate()
        process.wait()


def load(protocol: str, address: str, folder: Path, rows: int, connections: int, seconds: float) -> dict[str, float]:
    """One run of the load generator."""
    command = [sys.executable, str(LOAD), protocol, address, "mlp", "x", "y", str(folder / "rows.npz")]
    command += ["--rows", str(rows), "--connections", str(connections), "--seconds", str(seconds)]
    answer: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    if answer.pop("wrong"):
        raise SystemExit(f"wrong answers: {protocol}, batch {rows}, {connections} connections")
    return answer


def _processor_seconds(process: int) -> float:
    """Processor time of a process so far, which does not depend on what else the machine does."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def main() -> None:
    """Run the rounds, print medians, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    measured: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_model(Path(temporary) / "mlp")
        with server(folder) as (addresses, process):
            for _ in range(options.rounds):
                for rows in (1, 256):
                    measured.setdefault(f"ONNX Runtime, batch {rows}", []).append(raw(folder, rows, options.seconds))
                for name, (protocol, rows, connections) in LOADS.items():
                    before = _processor_seconds(process)
                    run = load(protocol, addresses[protocol], folder, rows, connections, options.seconds)
                    used = _processor_seconds(process) - before
                    run["server_us_per_request"] = 1e6 * used / run.pop("requests")
                    measured.setdefault(name, []).append(run)
    print(f"{'':34}{'requests/s':>24}{'rows/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'server us':>11}")
    for name, runs in measured.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        rates = [run["requests_per_second"] for run in runs]
        spread = f"{median['requests_per_second']:.0f} ({min(rates):.0f}-{max(rates):.0f})"
        times = f"{median['p50_ms']:9.3f}{median['p99_ms']:9.3f}{median['server_us_per_request']:11.0f}"
        print(f"{name:34}{spread:>24}{median['rows_per_second']:10.0f}{times}")
    if options.out:
        machine = {"processor": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
        versions = {name: version(name) for name in ("onnxruntime", "uvicorn", "grpcio", "numpy")}
        result = {"machine": machine, "python": platform.python_version(), "versions": versions, "runs": measured}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

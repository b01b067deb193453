"""Serving an MLP 2500-64-64-1: ours over REST and gRPC, ONNX Runtime alone, MLServer, KServe and Ray Serve, in turns.

Beside them a server without a model shows what the sockets, the load generator and grpcio take by themselves.

    python benchmarks/serving.py [--peers mlserver,kserve,ray] [--out benchmarks/results/serving.json]

In each round every server is started by itself, on free ports, and asked by ``serving_load.py``, which compares each answer
with its own input's. Tensors travel as bytes, but for MLServer's REST, which takes JSON only; so ours is asked in JSON too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from interleaved import compare
from onnx import TensorProto, helper, numpy_helper
from serving_servers import PEERS, SPOKEN, found, install, nothing, ours, peer, processor_seconds, running

from zoo.model.axes import fixed_axes
from zoo.model.model_json import write_spec
from zoo.model.spec import TEST_TENSORS, Data, Endpoint, File, ModelSpec, Tensor
from zoo.serving import Session

OURS = "zoo serve"
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
    files = [File.of(path) for path in sorted(folder.iterdir())]
    tensors = [
        Tensor(name=name, axes=fixed_axes(name, [width]), unit="1", description="noise")
        for name, width in (("x", WIDTHS[0]), ("y", 1))
    ]
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
    write_spec(folder, spec)
    np.savez(folder / "rows.npz", x=x, y=y)
    return folder


def write_constant(folder: Path) -> Path:
    """A folder with ``rows.npz`` only, of zeros for answers, for the server without a model."""
    folder.mkdir()
    x = np.random.default_rng(0).normal(size=(ROWS, WIDTHS[0])).astype("f4")
    np.savez(folder / "rows.npz", x=x, y=np.zeros((ROWS, 1), "f4"))
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


def load(protocol: str, address: str, folder: Path, rows: int, connections: int, seconds: float) -> dict[str, float]:
    """One run of the load generator."""
    command = [sys.executable, str(LOAD), protocol, address, "mlp", "x", "y", str(folder / "rows.npz")]
    command += ["--rows", str(rows), "--connections", str(connections), "--seconds", str(seconds)]
    answer: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    if answer.pop("wrong"):
        raise SystemExit(f"wrong answers: {protocol}, batch {rows}, {connections} connections")
    return answer


def in_process(folder: Path) -> dict[str, dict]:
    """``Session.run`` against what ONNX Runtime itself takes: one thread, inputs and outputs bound once."""
    results = {}
    session = Session(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    bare = onnxruntime.InferenceSession(folder / "predict.onnx", options, providers=["CPUExecutionProvider"])
    with np.load(folder / "rows.npz") as stored:
        rows = stored["x"]
    for batch in (1, 256):
        x = rows[:batch]
        binding = bare.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_shape_and_type([batch, 1], np.float32))
        ways = {
            "io_binding": lambda binding=binding: bare.run_with_iobinding(binding),
            "ORT run": lambda x=x: bare.run(["y"], {"x": x}),
            "Session.run": lambda x=x: session.run({"x": x}),
        }
        title = f"in process, batch {batch}"
        results[title] = compare(title, ways)
    return results


def ask(command: list[str], spoken: Sequence[str], folder: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Start a server and put it under each load that it takes."""
    runs = {}
    with running(command) as (addresses, process):
        for name, (protocol, rows, connections) in LOADS.items():
            used = "json" if protocol == "rest" and "json" in spoken else protocol
            if used not in spoken:
                continue
            before = processor_seconds(process)
            run = load(used, addresses[used], folder, rows, connections, seconds)
            run["server_us_per_request"] = 1e6 * (processor_seconds(process) - before) / run.pop("requests")
            runs[name] = run
    return runs


def report(rounds: list[dict[str, dict[str, dict[str, float]]]]) -> dict[str, dict[str, dict[str, float | list[float]]]]:
    """Print and return medians over the rounds, and rates in units of ours in the same round, with the extremes."""
    summary: dict[str, dict[str, dict[str, float | list[float]]]] = {}
    print(f"{'':50}{'requests/s':>22}{'rows/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'server us':>11}{'of ours':>22}")
    for load_name in [f"ONNX Runtime, batch {rows}" for rows in (1, 256)] + list(LOADS):
        for who in rounds[0].get(load_name, {}):
            runs = [each[load_name][who] for each in rounds]
            rates = [run["requests_per_second"] for run in runs]
            median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            reference = OURS if OURS in rounds[0][load_name] else who
            ratios = [
                rate / each[load_name][reference]["requests_per_second"] for rate, each in zip(rates, rounds, strict=True)
            ]
            summary.setdefault(load_name, {})[who] = median | {
                "requests_per_second_range": [min(rates), max(rates)],
                "of_ours": statistics.median(ratios),
                "of_ours_range": [min(ratios), max(ratios)],
            }
            spread = f"{median['requests_per_second']:.0f} ({min(rates):.0f}-{max(rates):.0f})"
            times = f"{median['p50_ms']:9.3f}{median['p99_ms']:9.3f}{median['server_us_per_request']:11.0f}"
            ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
            print(f"{load_name:33}{who:17}{spread:>22}{median['rows_per_second']:9.0f}{times}{ratio:>22}")
    return summary


def main() -> None:
    """Run the rounds, print medians, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peers", help=f"of {','.join(PEERS)}; all that are installed by default, others are installed")
    parser.add_argument("--venvs", type=Path, default=Path(".venv/peers"), help="folder with an environment for each peer")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    peers = found(options.venvs) if options.peers is None else list(filter(None, options.peers.split(",")))
    for name in set(peers) - set(found(options.venvs)):
        install(name, options.venvs)
    rounds: list[dict[str, dict[str, dict[str, float]]]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_model(Path(temporary) / "mlp")
        constant = write_constant(Path(temporary) / "constant")
        servers = {
            OURS: (ours(folder), ("rest", "grpc"), folder),
            f"{OURS}, JSON": (ours(folder), ("json",), folder),
            "without a model": (nothing(constant), ("rest", "grpc"), constant),
        }
        servers |= {name: (peer(name, options.venvs, folder), SPOKEN[name], folder) for name in peers}
        bare = in_process(folder)
        for _ in range(options.rounds):
            rounds.append({})
            for rows in (1, 256):
                rounds[-1][f"ONNX Runtime, batch {rows}"] = {"one thread": raw(folder, rows, options.seconds)}
            for who, (command, spoken, rows_of) in servers.items():
                for name, run in ask(command, spoken, rows_of, options.seconds).items():
                    rounds[-1].setdefault(name, {})[who] = run
    summary = report(rounds)
    if options.out:
        machine = {"processor": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
        versions = {name: version(name) for name in ("onnxruntime", "uvicorn", "httptools", "uvloop", "grpcio", "numpy")}
        setting = {
            "machine": machine,
            "python": platform.python_version(),
            "versions": versions,
            "peers": [PEERS[n] for n in peers],
        }
        options.out.write_text(json.dumps(setting | {"in process": bare, "median": summary, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()

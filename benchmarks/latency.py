"""One classifier, four ways to ask it, interleaved: what the checks of a Session cost, and what Keras would.

    python benchmarks/latency.py

Prints microseconds per call (median over rounds) and the ratio to bare ONNX Runtime with its spread over rounds, and writes
benchmarks/results/latency.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnxruntime
import tensorflow as tf

import zoo
from zoo.loading import read_test_tensors
from zoo.serving import Session
from zoo.spec import TEST_TENSORS
from zoo.store import locate

NAME = "mlp-cmb-feature"
ROUNDS = 15
BATCHES = (1, 256)


def ways(batch: int) -> dict[str, Callable[[], object]]:
    folder = locate(NAME)
    rows = read_test_tensors(folder.path(TEST_TENSORS), folder.spec)["predict"][0]["spectrum"]
    x = np.resize(rows, (batch, rows.shape[1]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    bare = onnxruntime.InferenceSession(folder.path("predict.onnx"), options, providers=["CPUExecutionProvider"])
    session, model = Session(NAME), zoo.load(NAME)
    function = tf.function(model, input_signature=[tf.TensorSpec([None, x.shape[1]])])
    tensor = tf.constant(x)
    return {
        "ONNX Runtime": lambda: bare.run(["probability"], {"spectrum": x}),
        "Session": lambda: session.run({"spectrum": x}),
        "tf.function": lambda: function(tensor).numpy(),
        "model(x)": lambda: model(x).numpy(),
    }


def per_call(function: Callable[[], object], budget: float = 0.1) -> float:
    """Seconds per call, over as many calls as fit into the budget."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < budget or not calls:
        function()
        calls += 1
    return elapsed / calls


def main() -> None:
    results: dict[str, dict] = {}
    for batch in BATCHES:
        asked = ways(batch)
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(ROUNDS + 1):
            for name, function in asked.items():
                taken[name].append(per_call(function))
        for name, values in taken.items():
            ratios = [a / b for a, b in zip(values[1:], taken["ONNX Runtime"][1:], strict=True)]  # the first warms up
            low, middle, high = np.percentile(ratios, [10, 50, 90])
            results[f"{name}, batch {batch}"] = {
                "median_us": statistics.median(values[1:]) * 1e6,
                "ratio": middle,
                "ratio_10_90": [low, high],
            }
            print(
                f"{name:14s} batch {batch:4d}  {results[f'{name}, batch {batch}']['median_us']:10.1f} us  {middle:7.2f}x",
                end="",
            )
            print(f"  ({low:.2f} to {high:.2f})")
    about = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    about |= {package: version(package) for package in ("physzoo", "onnxruntime", "tensorflow", "keras")}
    path = Path(__file__).parent / "results" / "latency.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"versions": about, "rounds": ROUNDS, "model": NAME, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()

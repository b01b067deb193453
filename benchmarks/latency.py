"""One classifier, four ways to ask it, interleaved: what the checks of a Session cost, and what Keras would.

    python benchmarks/latency.py

Prints microseconds per call (median over rounds) and the ratio to ONNX Runtime with io_binding with its spread over rounds, and
writes benchmarks/results/latency.json.
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnxruntime
import tensorflow as tf
from interleaved import about, compare, write

import zoo
from zoo.loading import read_test_tensors
from zoo.model.spec import TEST_TENSORS
from zoo.model.store import locate
from zoo.serving import Session

NAME = "mlp-cmb-feature"
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
    binding = bare.io_binding()

    def bound() -> np.ndarray:
        binding.bind_cpu_input("spectrum", x)
        binding.bind_output("probability")
        bare.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]

    return {
        "io_binding": bound,
        "ONNX Runtime": lambda: bare.run(["probability"], {"spectrum": x}),
        "Session": lambda: session.run({"spectrum": x}),
        "tf.function": lambda: function(tensor).numpy(),
        "model(x)": lambda: model(x).numpy(),
    }


def main() -> None:
    results = {f"batch {batch}": compare(f"batch {batch}", ways(batch)) for batch in BATCHES}
    write("latency.json", {"versions": about("onnxruntime", "tensorflow", "keras"), "model": NAME, "results": results})


if __name__ == "__main__":
    main()

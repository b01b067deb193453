"""Latents of a batch: ONNX Runtime, a Session and Keras, interleaved.

    python benchmarks/encode.py [NAME...]

By default every released model with an endpoint `encode`. Two threads each. Prints microseconds per call (median over rounds)
and the ratio to bare ONNX Runtime with its spread, and writes benchmarks/results/encode.json.
"""

from __future__ import annotations

import argparse
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

BATCHES = (1, 64, 1024)
THREADS = 2


def ways(name: str, batch: int) -> dict[str, Callable[[], object]]:
    folder = locate(name)
    ((tensor, rows),) = read_test_tensors(folder.path(TEST_TENSORS), folder.spec)["encode"][0].items()
    x = np.resize(rows, (batch, *rows.shape[1:]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    bare = onnxruntime.InferenceSession(folder.path("encode.onnx"), options, providers=["CPUExecutionProvider"])
    session, model = Session(name, threads=THREADS), zoo.load(name)
    function = tf.function(model.encode, input_signature=[tf.TensorSpec([None, *x.shape[1:]])])
    given = tf.constant(x)
    return {
        "ONNX Runtime": lambda: bare.run(None, {tensor: x}),
        "Session": lambda: session.run({tensor: x}, "encode"),
        "tf.function": lambda: function(given)[0].numpy(),
        "model.encode": lambda: model.encode(x)[0].numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models")
    names = parser.parse_args().names or [n for n in zoo.list_models() if "encode" in zoo.get_spec(n).endpoints]
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    results = {
        name: {f"batch {batch}": compare(f"{name}, batch {batch}", ways(name, batch)) for batch in BATCHES} for name in names
    }
    write("encode.json", {"versions": about("onnxruntime", "tensorflow", "keras"), "threads": THREADS, "results": results})


if __name__ == "__main__":
    main()

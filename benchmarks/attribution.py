"""Integrated gradients: ours, batched along rows and steps, against a loop over rows, interleaved.

    python benchmarks/attribution.py [--rounds N]

1,000 CMB spectra through mlp-cmb-feature and 100 cubes of 24^3 through cnn3d-halo-mass, 64 steps, two threads. The loop is what
captum and xplique do when a row is explained at a time: the path of one row is one batch; its gradient comes from a compiled
function, so that the ratio is of batching alone. Prints seconds (median over rounds) and the ratio to ours with its spread, and
writes benchmarks/results/attribution.json.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import interleaved
import numpy as np
import tensorflow as tf
from interleaved import about, compare, write

import zoo
from zoo.loading import read_test_tensors
from zoo.model.spec import TEST_TENSORS

STEPS, THREADS = 64, 2
ROWS = {"mlp-cmb-feature": 1000, "cnn3d-halo-mass": 100}


def ways(name: str, rows: int) -> dict[str, Callable[[], np.ndarray]]:
    """Ours and the loop, each rows (n, ...) -> attributions."""
    model = zoo.load(name)
    ((tensor, given),) = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)["predict"][0].items()
    x = np.resize(given, (rows, *given.shape[1:]))
    start = np.broadcast_to(model.baseline(tensor), x.shape[1:]).astype(np.float32)
    answer = model.logits if hasattr(model, "logits") else lambda points: model.distribution(points)[0][:, None]
    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    column = (-1,) + (1,) * (x.ndim - 1)
    alpha, weight = ((nodes + 1) / 2).reshape(column).astype(np.float32), (weights / 2).reshape(column).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([STEPS, *x.shape[1:]])])
    def gradient(points):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            value = answer(points)[:, 0]
        return tape.gradient(value, points)

    def one(row: np.ndarray) -> np.ndarray:
        return (row - start) * np.sum(weight * gradient(start + alpha * (row - start)).numpy(), axis=0)

    return {
        "ours": lambda: zoo.explain(model, x, steps=STEPS, allow_out_of_range=True).values,
        "row by row": lambda: np.stack([one(row) for row in x]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="after the first, which warms up")
    interleaved.ROUNDS = parser.parse_args().rounds
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    results = {}
    for name, rows in ROWS.items():
        both = ways(name, rows)
        np.testing.assert_allclose(both["ours"](), both["row by row"](), atol=1e-3)
        results[name] = {"rows": rows, "steps": STEPS, **compare(f"{name}, {rows} rows", both)}
    write("attribution.json", {"versions": about("tensorflow", "keras"), "threads": THREADS, "results": results})


if __name__ == "__main__":
    main()

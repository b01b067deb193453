"""Coupling spline flows of the same size: ours against BayesFlow, zuko and nflows, interleaved; and ONNX against tf.function.

    pip install torch zuko nflows && pip install --no-deps bayesflow
    python benchmarks/flows.py

Six variables, a context of eight, four couplings, two hidden layers of 64, eight bins, two threads each, the same rows. A
training step is log-probability, gradient and Adam, compiled as each library's users would. Prints microseconds (median over
rounds) and how many times longer than ours each takes, with its spread over rounds; writes benchmarks/results/flows.json.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx
from interleaved import about, compare, write

from zoo.model.registry import get_family

THREADS = 2
VARIABLES, CONTEXT, COUPLINGS, HIDDEN, BINS = 6, 8, 4, [64, 64], 8
TRAINING_BATCHES, BATCHES = (128, 1024), (1, 128, 8192)

tf.config.threading.set_intra_op_parallelism_threads(THREADS)


def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, VARIABLES), dtype=np.float32), rng.standard_normal((n, CONTEXT), dtype=np.float32)


def in_keras(log_prob: Callable, variables: Callable[[], list], n: int) -> tuple[Callable, Callable]:
    """A training step and an evaluation of a Keras model on the TensorFlow backend."""
    x, c = map(tf.constant, rows(n))
    log_prob(x, c)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables())

    @tf.function(jit_compile=True)  # as Keras' fit does for both, its jit_compile being "auto"
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob(x, c))
        optimizer.apply(tape.gradient(loss, variables()), variables())
        return loss

    evaluate = tf.function(log_prob)
    return lambda: step().numpy(), lambda: evaluate(x, c).numpy()


def ours(n: int) -> tuple[Callable, Callable]:
    flow = get_family("nsf")(dimensions=VARIABLES, context=CONTEXT, transforms=COUPLINGS, hidden=HIDDEN, bins=BINS)
    return in_keras(flow.log_prob, lambda: flow.trainable_variables, n)


def bayesflow(n: int) -> tuple[Callable, Callable]:
    import bayesflow as bf

    flow = bf.networks.CouplingFlow(
        depth=COUPLINGS // 2,  # of two couplings each
        transform="spline",
        use_actnorm=False,
        subnet_kwargs={"widths": HIDDEN, "dropout": 0.0, "residual": False, "activation": "relu"},
        transform_kwargs={"bins": BINS},
    )
    flow.build((n, VARIABLES), (n, CONTEXT))
    return in_keras(lambda x, c: flow.log_prob(x, conditions=c), lambda: flow.trainable_variables, n)


def in_torch(log_prob: Callable, parameters: list, n: int) -> tuple[Callable, Callable]:
    import torch

    torch.set_num_threads(THREADS)
    x, c = map(torch.from_numpy, rows(n))
    optimizer = torch.optim.Adam(parameters, 1e-4)

    def step():
        optimizer.zero_grad()
        loss = -log_prob(x, c).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    def evaluate():
        with torch.no_grad():
            return log_prob(x, c).numpy()

    return step, evaluate


def zuko(n: int) -> tuple[Callable, Callable]:
    import zuko

    flow = zuko.flows.NSF(VARIABLES, CONTEXT, bins=BINS, transforms=COUPLINGS, hidden_features=HIDDEN, passes=2)
    return in_torch(lambda x, c: flow(c).log_prob(x), list(flow.parameters()), n)


def nflows(n: int) -> tuple[Callable, Callable]:
    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform, ReversePermutation

    class Net(torch.nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            widths = [inputs + CONTEXT, *HIDDEN]
            layers = [layer for a, b in pairwise(widths) for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())]
            self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], outputs))

        def forward(self, x, context):
            return self.layers(torch.cat([x, context], dim=1))

    mask = [i % 2 for i in range(VARIABLES)]
    transforms = []
    for _ in range(COUPLINGS):
        coupling = PiecewiseRationalQuadraticCouplingTransform(mask, Net, num_bins=BINS, tails="linear", tail_bound=4.0)
        transforms += [coupling, ReversePermutation(VARIABLES)]
    flow = Flow(CompositeTransform(transforms), StandardNormal([VARIABLES]))
    return in_torch(lambda x, c: flow.log_prob(x, context=c), list(flow.parameters()), n)


def onnx_against_tensorflow(family: str, config: dict, endpoint: str, n: int) -> dict[str, Callable[[], object]]:
    flow = get_family(family)(dimensions=VARIABLES, transforms=COUPLINGS, hidden=HIDDEN, **config)
    x, _ = rows(n)
    for weight in flow.trainable_weights:
        weight.assign(np.random.default_rng(0).normal(0, 0.1, weight.shape))
    function = tf.function(getattr(flow, endpoint), input_signature=[tf.TensorSpec([None, VARIABLES], name="x")])
    graph, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=13)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tensor = tf.constant(x)
    return {"ONNX Runtime": lambda: session.run(None, {"x": x}), "tf.function": lambda: function(tensor).numpy()}


def main() -> None:
    results: dict[str, dict] = {"training step": {}, "log_prob": {}, "ONNX Runtime against tf.function": {}}
    libraries = {"ours": ours, "bayesflow": bayesflow, "zuko": zuko, "nflows": nflows}
    for n in TRAINING_BATCHES:
        ways = {name: make(n)[0] for name, make in libraries.items()}
        results["training step"][str(n)] = compare(f"training step, batch {n}", ways)
    for n in BATCHES:
        ways = {name: make(n)[1] for name, make in libraries.items()}
        results["log_prob"][str(n)] = compare(f"log_prob, batch {n}", ways)
    kinds = {
        "realnvp": ("realnvp", {}),
        "maf": ("maf", {}),
        "nsf, couplings": ("nsf", {"bins": BINS}),
        "nsf, autoregressive": ("nsf", {"bins": BINS, "autoregressive": True}),
    }
    for kind, (family, config) in kinds.items():
        for endpoint in ("log_prob", "sample"):
            for n in BATCHES:
                title = f"{kind}, {endpoint}, batch {n}"
                found = compare(title, onnx_against_tensorflow(family, config, endpoint, n))
                results["ONNX Runtime against tf.function"][title] = found
    packages = ("keras", "tensorflow", "onnxruntime", "tf2onnx", "torch", "bayesflow", "zuko", "nflows")
    write("flows.json", {"versions": about(*packages), "threads": THREADS, "results": results})


if __name__ == "__main__":
    main()

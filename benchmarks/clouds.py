"""Taggers on particle clouds, one jet at a time and in batches, beside ParticleNet of weaver-core that torch has exported.

    python -m venv weaver
    weaver/bin/pip install torch onnx onnxscript && weaver/bin/pip install --no-deps weaver-core
    python benchmarks/clouds.py --weaver weaver/bin/python [NAME...]

By default all released models with a free axis of particles, those of ZOO_PATH too. weaver-core's network has as many
convolutions, neighbors, layers, inputs and classes as the first ParticleNet among them, and random weights, which take as long.
Both run in ONNX Runtime in this process, in turns, on one thread. Ours start from momenta and PDG codes, weaver-core's from
features that are ready, as its data loader makes them. Prints microseconds (median over rounds), the ratio to weaver-core with
its spread over rounds, and jets a second in batches; writes benchmarks/results/clouds.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import about, compare, write

WEAVER = "weaver-core"
CASES = [(1, 50), (1, 128), (256, 50)]
"""Jets in a batch, and particles of each."""


def export_weaver(path: Path, config: dict[str, Any]) -> None:
    """Export ParticleNet of weaver-core; run by a Python that has it."""
    from importlib.metadata import version

    import torch
    from weaver.nn.model.ParticleNet import ParticleNet

    network = ParticleNet(
        input_dims=config["features"],
        num_classes=config["classes"],
        conv_params=[(config["neighbors"], tuple(units)) for units in config["channels"]],
        fc_params=[(units, 0.1) for units in config["hidden"]],
        use_fusion=False,
        for_inference=True,
    ).eval()
    given = (torch.randn(2, 2, 40), torch.randn(2, config["features"], 40), torch.ones(2, 1, 40, dtype=torch.bool))
    names = ["pf_points", "pf_features", "pf_mask"]
    axes = {name: {0: "N", 2: "P"} for name in names}
    torch.onnx.export(
        network, given, path, input_names=names, output_names=["softmax"], dynamic_axes=axes, opset_version=17, dynamo=False
    )
    weights = sum(parameter.numel() for parameter in network.parameters())
    print(json.dumps({"weights": weights, "versions": {name: version(name) for name in (WEAVER, "torch")}}))


def session(graph: str | Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def ours(name: str, jets: int, particles: int) -> Callable[[], object]:
    """The released graph on jets whose particles are all real, made of test rows."""
    from zoo.export.rows import resized
    from zoo.loading import read_test_tensors
    from zoo.model.spec import TEST_TENSORS, onnx_file
    from zoo.model.store import locate

    folder = locate(name)
    endpoint = folder.spec.default_endpoint
    described = folder.spec.endpoint(endpoint)
    rows, _ = read_test_tensors(folder.path(TEST_TENSORS), folder.spec)[endpoint]
    (mask,) = {tensor.mask for tensor in described.inputs if tensor.mask}
    longest = int(rows[mask].sum(axis=1).argmax())
    real = {key: array[longest : longest + 1, rows[mask][longest]] for key, array in rows.items()}
    given = resized(
        described,
        {key: np.repeat(array, jets, axis=0) for key, array in real.items()},
        {described.inputs[0].axes[0].name: particles},
    )
    rng = np.random.default_rng(0)
    given = {
        key: array * rng.normal(1, 1e-3, array.shape).astype("f4") if array.dtype.kind == "f" else array
        for key, array in given.items()
    }
    ready = session(folder.path(onnx_file(endpoint)))
    output = described.outputs[0].name
    return lambda: ready.run([output], given)


def theirs(graph: Path, features: int, jets: int, particles: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    given = {
        "pf_points": rng.normal(0, 0.2, (jets, 2, particles)).astype("f4"),
        "pf_features": rng.normal(0, 1, (jets, features, particles)).astype("f4"),
        "pf_mask": np.ones((jets, 1, particles), bool),
    }
    ready = session(graph)
    return lambda: ready.run(["softmax"], given)


def size_of(name: str) -> dict[str, Any]:
    """What weaver-core's network is to have, of a ParticleNet of ours."""
    import zoo

    config = zoo.get_spec(name).config
    model = zoo.load(name)
    return {
        "features": model.seen,
        "classes": max(2, config["outputs"]),
        **{key: config[key] for key in ("channels", "hidden", "neighbors")},
        "weights": int(sum(np.prod(weight.shape) for weight in model.trainable_weights)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--weaver", help="a Python that has weaver-core, torch and onnx")
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.theirs is not None:
        export_weaver(asked.theirs, json.loads(asked.config))
        return
    import zoo

    specs = {name: zoo.get_spec(name) for name in zoo.list_models()}
    names = asked.names or [name for name, spec in specs.items() if "particle" in spec.endpoint(spec.default_endpoint).free]
    like = next((name for name in names if zoo.get_spec(name).family == "particle-net"), None)
    if like is None or asked.weaver is None:
        parser.error("expected --weaver PYTHON and a ParticleNet among the models, whose size weaver-core's network is to have")
    with tempfile.TemporaryDirectory() as folder:
        graph, size = Path(folder) / "weaver.onnx", size_of(like)
        command = [asked.weaver, __file__, "--theirs", str(graph), "--config", json.dumps(size)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        results = {}
        for jets, particles in CASES:
            title = f"{jets} jets of {particles} particles"
            ways = {WEAVER: theirs(graph, size["features"], jets, particles)}
            ways |= {name: ours(name, jets, particles) for name in names}
            results[title] = compare(title, ways)
            for found in results[title].values():
                found["jets_per_second"] = jets / found["median_us"] * 1e6
    versions = about("onnxruntime") | told.pop("versions")
    write("clouds.json", {"versions": versions, "like": like, "size": size, WEAVER: told, "results": results})


if __name__ == "__main__":
    main()

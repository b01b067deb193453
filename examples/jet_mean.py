"""A model of sets, made by hand to try clients with: the mean momentum of the particles of a jet.

    python examples/jet_mean.py jet-mean
    zoo serve jet-mean --grpc-port 8001

The number of particles is free, from 1 to 64, and a mask says which of them are real. The graph is written down as text, its
test tensors come from NumPy. Takes ``pip install 'physzoo[cpu,serve]' onnx``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

from zoo.model.axes import Axis
from zoo.model.model_json import write_spec
from zoo.model.spec import TEST_TENSORS, Data, Endpoint, File, ModelSpec, Tensor, onnx_file

GRAPH = """
<ir_version: 7, opset_import: ["": 13]>
jet_mean (float[batch, particles, 3] momenta, bool[batch, particles] mask) => (float[batch, 3] mean)
<int64[1] one = {1}, int64[1] two = {2}, float[1] zero = {0}, float[1] least = {1}> {
    real = Unsqueeze(mask, two)
    kept = Where(real, momenta, zero)
    total = ReduceSum<keepdims = 0>(kept, one)
    ones = Cast<to = 1>(mask)
    number = ReduceSum<keepdims = 1>(ones, one)
    divisor = Max(number, least)
    mean = Div(total, divisor)
}
"""
PARTICLES = Axis(name="particles", least=1, most=64)
COMPONENTS = Axis(name="components", size=3, labels=["px", "py", "pz"], units=["GeV", "GeV", "GeV"])
PREDICT = Endpoint(
    description="the mean momentum of the particles that are real",
    inputs=[
        Tensor(
            name="momenta",
            axes=[PARTICLES, COMPONENTS],
            unit="GeV",
            description="of each particle",
            mask="mask",
            low=-1e3,
            high=1e3,
        ),
        Tensor(name="mask", dtype="bool", axes=[PARTICLES], unit="1", description="which particles are real"),
    ],
    outputs=[Tensor(name="mean", axes=[COMPONENTS], unit="GeV", description="mean momentum")],
)


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    mask = random.random((4, 10)) < 0.8
    momenta = random.normal(size=(4, 10, 3)).astype(np.float32)
    mean = (momenta * mask[..., None]).sum(1, dtype=np.float64) / mask.sum(1, keepdims=True)
    tensors = {"predict/in/momenta": momenta, "predict/in/mask": mask, "predict/out/mean": mean.astype(np.float32)}
    np.savez(folder / TEST_TENSORS, **tensors)
    onnx.save(onnx.parser.parse_model(GRAPH), folder / onnx_file("predict"))
    spec = ModelSpec(
        name=folder.name,
        family="by-hand",
        config={},
        task="regression",
        summary="The mean momentum of the particles of a jet.",
        endpoints={"predict": PREDICT},
        data=Data(source="none", description="nothing was trained", simulator="none", seed=1, rows={}),
        metrics=[],
        files=[File.of(folder / name) for name in (onnx_file("predict"), TEST_TENSORS)],
        physzoo_version="0.1.0",
    )
    write_spec(folder, spec)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "jet-mean"))

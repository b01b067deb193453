"""Small families for what arrays of one size and float32 cannot say: sets with masks, graphs with positions, other dtypes.

They are known to the registry once this module is imported. ``released`` builds one with a spec and random weights, ``rows``
makes inputs for it of any sizes, and ``write_folder`` makes the folder of a released model of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.layers import Standardize
from zoo.model.axes import Axis
from zoo.model.registry import register_family
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

FEATURES = 3
PARTICLE = Axis(name="particle", least=1, most=12)
NODE, EDGE = Axis(name="node", least=2, most=9), Axis(name="edge", least=1, most=20)


def _dense(inputs: int, units: int, name: str, activation: str | None = None) -> keras.layers.Dense:
    layer = keras.layers.Dense(units, activation=activation, name=name)
    layer.build((None, None, inputs))
    return layer


@register_family("deep-set")
class DeepSet(ZooModel):
    """A network of the mean over those particles of a set that are real.

    Parameters
    ----------
    features : int
        The numbers of a particle.
    hidden : int
        The units of the hidden layer.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer", "inspect": "inspect"}

    def __init__(self, features: int = FEATURES, hidden: int = 6, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config: dict[str, Any] = {"features": features, "hidden": hidden}
        self.standardize = Standardize((features,), name="standardize")
        self.particle = _dense(features, hidden, "particle", "tanh")
        self.score = _dense(hidden, 1, "score")
        self.head = _dense(hidden, 1, "head")
        self.built = True

    def call(self, inputs):
        return self.answer(*inputs)

    def answer(self, particles, mask):
        """Particles (batch, particle, features) and mask (batch, particle) -> mass (batch, 1)."""
        real = ops.cast(mask, "float32")[..., None]
        total = ops.sum(self.particle(self.standardize(particles)) * real, axis=1)
        return self.head(total / ops.maximum(ops.sum(real, axis=1), 1.0))

    def inspect(self, particles, mask):
        """The same inputs -> score (batch, particle), high (batch, particle) of bool and count (batch, 1) of int64."""
        score = self.score(self.particle(self.standardize(particles)))[..., 0]
        score = ops.where(mask, score, ops.zeros_like(score))
        return score, score > 0.0, ops.sum(ops.cast(mask, "int64"), axis=1, keepdims=True)

    def objective(self, target, answer):
        return ops.mean(ops.square(answer - target), axis=-1)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"particles": [self.standardize, self.particle, self.score], "head": [self.head]}

    def adapt(self, inputs, target) -> None:
        self.standardize.adapt(inputs["particles"][inputs["mask"]])


@register_family("edge-network")
class EdgeNetwork(ZooModel):
    """A network of pairs of nodes, the ends of edges, and of the sum over those edges that are real.

    Parameters
    ----------
    features : int
        The numbers of a node.
    hidden : int
        The units of the hidden layer.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer"}
    opset_reason: ClassVar[dict[int, str]] = {11: "tf2onnx takes rows of a batch by position from opset 13 on"}

    def __init__(self, features: int = FEATURES, hidden: int = 6, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config: dict[str, Any] = {"features": features, "hidden": hidden}
        self.edge = _dense(2 * features, hidden, "edge", "tanh")
        self.score = _dense(hidden, 1, "score")
        self.head = _dense(hidden, 1, "head")
        self.built = True

    def call(self, inputs):
        return self.answer(*inputs)[0]

    def answer(self, nodes, edges, edge_mask):
        """Nodes (batch, node, features), edges (batch, edge, 2) and their mask -> energy (batch, 1), score (batch, edge)."""
        ends = [ops.take_along_axis(nodes, edges[..., end : end + 1], axis=1) for end in (0, 1)]
        state = self.edge(ops.concatenate(ends, axis=-1)) * ops.cast(edge_mask, "float32")[..., None]
        return self.head(ops.sum(state, axis=1)), self.score(state)[..., 0]

    def objective(self, target, answer):
        return ops.mean(ops.square(answer - target), axis=-1)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"edges": [self.edge, self.score], "head": [self.head]}


@register_family("clock")
class Clock(ZooModel):
    """Phase and number of a cycle, of times that float32 cannot hold.

    Parameters
    ----------
    period : float
        The length of a cycle in days.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer"}

    def __init__(self, period: float = 0.25, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config = {"period": period}
        self.origin = Standardize((1,), name="origin")
        self.built = True

    def call(self, inputs):
        return self.answer(*inputs)[0]

    def answer(self, time, delay):
        """Time in days (batch, 1) of float64 and a delay in cycles of int32 -> time in the cycle of float64, cycle of int32."""
        cycle = ops.floor((time + ops.cast(self.origin.mean, "float64")) / self.config["period"])
        return time - cycle * self.config["period"], ops.cast(cycle, "int32") + delay

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"origin": [self.origin]}


def _number(name: str, axes: list[Axis], description: str, **more: Any) -> Tensor:
    return Tensor(name=name, axes=axes, description=description, **({"unit": "1"} | more))


_FEATURE = Axis(name="feature", size=FEATURES, labels=["pt", "eta", "phi"], units=["GeV", "1", "rad"])
_ONE, _ENDS = Axis(name="answer", size=1), Axis(name="end", size=2)
_SET = [
    _number("particles", [PARTICLE, _FEATURE], "particles of a jet", low=[0.0, -6.0, -6.0], high=[99.0, 6.0, 6.0], mask="mask"),
    _number("mask", [PARTICLE], "which particles are real", dtype="bool"),
]
_GRAPH = [
    _number("nodes", [NODE, _FEATURE], "hits in a tracker", low=-9.0, high=9.0, unit="cm"),
    _number("edges", [EDGE, _ENDS], "the two ends of each edge", dtype="int64", index_of="node", mask="edge_mask"),
    _number("edge_mask", [EDGE], "which edges are real", dtype="bool"),
]
_CLOCK = [
    _number("time", [_ONE], "Julian date", dtype="float64", unit="d", low=2.4e6, high=2.5e6),
    _number("delay", [_ONE], "cycles to be added", dtype="int32", low=0, high=9),
]
ENDPOINTS = {
    "deep-set": {
        "predict": Endpoint(
            description="mass of a jet", inputs=_SET, outputs=[_number("mass", [_ONE], "mass of the jet", unit="GeV")]
        ),
        "inspect": Endpoint(
            description="what the network makes of each particle",
            inputs=_SET,
            outputs=[
                _number("score", [PARTICLE], "score of each particle", mask="mask"),
                _number("high", [PARTICLE], "whether the score is above zero", dtype="bool", mask="mask"),
                _number("count", [_ONE], "real particles", dtype="int64"),
            ],
        ),
    },
    "edge-network": {
        "predict": Endpoint(
            description="energy of a graph and score of each edge",
            inputs=_GRAPH,
            outputs=[
                _number("energy", [_ONE], "energy of the graph", unit="GeV"),
                _number("score", [EDGE], "score of each edge", mask="edge_mask"),
            ],
        )
    },
    "clock": {
        "predict": Endpoint(
            description="place in a cycle",
            inputs=_CLOCK,
            outputs=[
                _number("phase", [_ONE], "time since the cycle began", dtype="float64", unit="d"),
                _number("cycle", [_ONE], "cycles since the origin", dtype="int32"),
            ],
        )
    },
}
"""Family -> its endpoints."""
SETS = ("deep-set", "edge-network")
SIZES = {"deep-set": {"particle": 5}, "edge-network": {"node": 4, "edge": 7}, "clock": {}}
"""Family -> the sizes of its test tensors."""


def rows(family: str, n: int = 4, seed: int = 0, **sizes: int) -> dict[str, np.ndarray]:
    """Inputs of ``predict`` for n rows, with free axes of the sizes given; from one element to all of them are real."""
    rng = np.random.default_rng(seed)
    sizes = SIZES[family] | sizes

    def mask(size: int) -> np.ndarray:
        return np.arange(size) < rng.integers(1, size + 1, (n, 1))

    if family == "clock":
        time = 2_450_000.0 + rng.uniform(0, 1000, (n, 1))
        return {"time": time, "delay": rng.integers(0, 9, (n, 1), dtype=np.int32)}
    if family == "deep-set":
        size = sizes["particle"]
        features = rng.normal(0, 1, (n, size, FEATURES)).astype(np.float32)
        features[..., 0] = rng.exponential(9.0, (n, size))
        real = mask(size)
        return {"particles": np.where(real[..., None], features.clip(-6, 99), 0), "mask": real}
    nodes = rng.normal(0, 1, (n, sizes["node"], FEATURES)).astype(np.float32)
    edges = rng.integers(0, sizes["node"], (n, sizes["edge"], 2))
    return {"nodes": nodes, "edges": edges, "edge_mask": mask(sizes["edge"])}


def released(family: str) -> ZooModel:
    """A model of a family with random weights and a spec, as if it were released under ``tiny-<family>``."""
    from zoo.model.registry import get_family

    keras.utils.set_random_seed(1)
    model = get_family(family)()
    model.adapt(rows(family, 50), np.zeros((50, 1), np.float32))
    model.spec = ModelSpec(
        name=f"tiny-{family}",
        family=family,
        config=model.config,
        task="test",
        summary="A network made up for tests",
        endpoints=ENDPOINTS[family],
        data=Data(source="numbers", description="random", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )
    return model


def write_folder(family: str, folder: Path) -> Path:
    """Write the folder of a released model of a family, graphs and all, which takes TensorFlow and some seconds."""
    from zoo.workflows.folder import write_model_folder

    model = released(family)
    write_model_folder(model, model.spec, folder, model.example(rows(family), np.random.default_rng(0)))
    return folder

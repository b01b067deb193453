"""Clouds of particles made up for tests, small networks of them, and their endpoints as a recipe would have them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.data.dataset import Rows
from zoo.families.clouds.kinds import CODES
from zoo.model.axes import Axis
from zoo.model.registry import get_family
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

PARTICLE = Axis(name="particle", least=1, most=400)
COMPONENT = Axis(name="component", size=3, labels=["pt", "y", "phi"], units=["GeV", "1", "rad"])
COMMON = [22, 211, -211, 130, 321, -321, 2212, 2112]
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "efn": ("deep-sets", {"particle": [8, 6], "jet": [7], "sees": "direction"}),
    "pfn": ("deep-sets", {"particle": [8, 6], "jet": [7], "sees": "momentum", "outputs": 3}),
    "pfn-id": ("deep-sets", {"particle": [8, 6], "jet": [7], "activation": "swish"}),
    "particle-net": ("particle-net", {"channels": [[4, 5], [6, 7]], "hidden": [5], "neighbors": 3}),
    "particle-net-static": (
        "particle-net",
        {"channels": [[4, 5], [6, 7]], "hidden": [5], "neighbors": 7, "dynamic": False, "identity": False, "outputs": 3},
    ),
    "particle-transformer": (
        "particle-transformer",
        {"width": 8, "heads": 2, "blocks": 1, "class_blocks": 1, "pair": [5], "outputs": 3},
    ),
}
"""Small networks: the family and the config of each."""


def clouds(n: int, particles: int = 12, seed: int = 0, least: int = 1) -> dict[str, np.ndarray]:
    """Jets of two kinds, in turns: few hard particles near the axis, many soft ones farther away."""
    rng = np.random.default_rng(seed)
    wide = np.arange(n) % 2 == 1
    mean = np.where(wide, 0.8, 0.5)[:, None] * particles
    count = np.clip(rng.poisson(mean), least, particles)
    real = np.arange(particles) < count
    pt = np.sort(rng.exponential(1.0, (n, particles)) ** 2 * real, axis=1)[:, ::-1]
    pt = 500.0 * pt / np.maximum(pt.sum(axis=1, keepdims=True), 1e-9)
    direction = rng.normal(0, 1, (n, particles, 2)) * np.where(wide, 0.2, 0.1)[:, None, None]
    axis = np.stack([rng.uniform(-1.7, 1.7, n), rng.uniform(-np.pi, np.pi, n)], axis=-1)
    direction = direction + axis[:, None]
    direction[..., 1] = (direction[..., 1] + np.pi) % (2 * np.pi) - np.pi
    momenta = np.concatenate([pt[..., None], direction], axis=-1)
    return {
        "particles": np.where(real[..., None], momenta, 0).astype(np.float32),
        "identity": np.where(real, rng.choice(COMMON, (n, particles)), 0).astype(np.int32),
        "real": real,
    }


def seen_by(name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a network of ``CONFIGS`` takes of them."""
    _, config = CONFIGS[name]
    sees = config.get("sees", "identity") == "identity" and config.get("identity", True)
    return {key: array for key, array in inputs.items() if sees or key != "identity"}


def rows(name: str, n: int = 24, **how: Any) -> Rows:
    """Jets with their class, for a network of ``CONFIGS``."""
    inputs = seen_by(name, clouds(n, **how))
    return Rows(inputs, (np.arange(n) % 2)[:, None].astype(np.float32), np.arange(n))


def endpoints(name: str) -> dict[str, Endpoint]:
    """The endpoints of a network of ``CONFIGS``."""
    family, config = CONFIGS[name]
    high = [2000.0, 6.0, 4.0]
    particles = Tensor(
        name="particles",
        axes=[PARTICLE, COMPONENT],
        unit="GeV, 1, rad",
        description="particles of a jet",
        low=[0.0, -6.0, -4.0],
        high=high,
        mask="real",
    )
    identity = Tensor(
        name="identity",
        axes=[PARTICLE],
        dtype="int32",
        unit="1",
        description="PDG code of each particle",
        values=list(CODES),
        mask="real",
    )
    real = Tensor(name="real", axes=[PARTICLE], dtype="bool", unit="1", description="which elements are particles")
    known = {"particles": particles, "identity": identity, "real": real}
    inputs = list(seen_by(name, known).values())  # type: ignore[type-var, arg-type]
    outputs = config.get("outputs", 1)
    labels = ["gluon"] if outputs == 1 else ["quark", "gluon", "top"]
    width = {"deep-sets": 7, "particle-net": 5, "particle-transformer": 8}[family]
    found = {
        "predict": _endpoint(inputs, "probability", [Axis(name="class", size=outputs, labels=labels)]),
        "embed": _endpoint(inputs, "embedding", [Axis(name="feature", size=width)]),
    }
    if config.get("sees") == "direction":
        plane = Axis(name="direction", size=2, labels=["dy", "dphi"], units=["1", "rad"])
        point = Tensor(name="direction", axes=[plane], unit="1", description="direction from the axis", low=-4.0, high=4.0)
        found["filters"] = _endpoint([point], "filter", [Axis(name="latent", size=6)])
    if family == "particle-transformer":
        axes = [PARTICLE, Axis(name="block", size=1), Axis(name="head", size=2)]
        found["attention"] = _endpoint(inputs, "attention", axes, mask="real")
    return found


def _endpoint(inputs: list[Tensor], name: str, axes: list[Axis], **more: Any) -> Endpoint:
    return Endpoint(description=name, inputs=inputs, outputs=[Tensor(name=name, axes=axes, unit="1", description=name, **more)])


def released(name: str) -> Any:
    """A network of ``CONFIGS`` with random weights and a spec, as if it were released under ``tiny-<name>``."""
    keras.utils.set_random_seed(1)
    family, config = CONFIGS[name]
    model = get_family(family)(**config)
    data = rows(name, 60)
    model.adapt(data.inputs, data.target)
    model.spec = ModelSpec(
        name=f"tiny-{name}",
        family=family,
        config=model.config,
        task="classification",
        summary="A network made up for tests",
        endpoints=endpoints(name),
        data=Data(source="numbers", description="random", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )
    return model

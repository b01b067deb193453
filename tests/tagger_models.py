"""A small family of taggers on particle clouds, and jets for it; known to the registry once this module is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.model.axes import Axis
from zoo.model.registry import get_family, register_family
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

PARTICLE = Axis(name="particle", least=1, most=150)
MOMENTUM = Axis(name="component", size=3, labels=["pt", "y", "phi"], units=["GeV", "1", "rad"])
KINDS = [22, 211, -211, 321, -321, 130, 2112, -2112, 2212, -2212, 11, -11, 13, -13]
CLASSES = ["quark", "gluon", "W", "Z", "top"]
TAGGERS: dict[str, dict[str, Any]] = {"binary": {}, "classes": {"outputs": 5}, "momenta": {"identity": False}}
"""A model with identities of two classes, one of five, and one that sees momenta alone."""


@register_family("tiny-tagger")
class TinyTagger(ZooModel):
    """A network of the mean over particles of what is seen of each about the jet's axis.

    Parameters
    ----------
    outputs : int
        The number of probabilities.
    identity : bool
        Whether the PDG code is seen.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "answer"}

    def __init__(self, outputs: int = 1, identity: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config: dict[str, Any] = {"outputs": outputs, "identity": identity}
        self.particle = keras.layers.Dense(12, activation="tanh", name="particle")
        self.particle.build((None, None, 5 + len(KINDS) * identity))
        self.head = keras.layers.Dense(outputs, name="head")
        self.head.build((None, 12))
        self.built = True

    def call(self, inputs):
        return self.answer(*inputs)

    def answer(self, particles, *others):
        """Momenta (batch, particle, 3), codes and mask (batch, particle) -> probabilities (batch, outputs)."""
        *identity, real = others
        here = ops.cast(real, "float32")
        pt, y, phi = (ops.where(real, particles[..., i], 0.0) for i in range(3))
        share = pt / ops.maximum(ops.sum(pt, axis=1, keepdims=True), 1e-9)
        seen = [ops.log(ops.maximum(pt, 1e-3)), share, y, ops.sin(phi), ops.cos(phi)]
        seen += [ops.cast(ops.equal(identity[0], kind), "float32") for kind in KINDS] if identity else []
        each = self.particle(ops.stack(seen, axis=-1)) * here[..., None]
        logits = self.head(ops.sum(each, axis=1) / ops.maximum(ops.sum(here, axis=1, keepdims=True), 1.0))
        return ops.sigmoid(logits) if self.config["outputs"] == 1 else ops.softmax(logits)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {"particle": [self.particle], "head": [self.head]}


def jets(n: int, particles: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    """Jets of 500 GeV of one to all particles, about axes in all directions, soft and slow particles among them."""
    rng = np.random.default_rng(seed)
    real = np.arange(particles) < rng.integers(1, particles + 1, (n, 1))
    pt = np.sort(rng.exponential(1.0, (n, particles)) ** 3 * real, axis=1)[:, ::-1] + 0.05 * real
    pt *= 500 / pt.sum(axis=1, keepdims=True)
    axis = np.stack([rng.uniform(-2.4, 2.4, n), rng.uniform(-np.pi, np.pi, n)], axis=-1)
    direction = rng.normal(0, 0.2, (n, particles, 2)) + axis[:, None]
    direction[..., 1] = (direction[..., 1] + np.pi) % (2 * np.pi) - np.pi
    momenta = np.concatenate([pt[..., None], direction], axis=-1)
    return {
        "particles": np.where(real[..., None], momenta, 0).astype(np.float32),
        "identity": np.where(real, rng.choice(KINDS, (n, particles)), 0).astype(np.int32),
        "real": real,
    }


def endpoint(outputs: int = 1, identity: bool = True) -> Endpoint:
    """``predict`` of a tagger."""
    labels = CLASSES if outputs > 1 else ["gluon"]
    inputs = [
        Tensor(name="particles", axes=[PARTICLE, MOMENTUM], unit="GeV, 1, rad", description="momenta", mask="real"),
        Tensor(name="identity", axes=[PARTICLE], dtype="int32", unit="1", description="PDG codes", mask="real"),
        Tensor(name="real", axes=[PARTICLE], dtype="bool", unit="1", description="which elements are particles"),
    ]
    classes = Axis(name="class", size=outputs, labels=labels)
    return Endpoint(
        description="what a jet comes from",
        inputs=[tensor for tensor in inputs if identity or tensor.name != "identity"],
        outputs=[Tensor(name="probability", axes=[classes], unit="1", description="probability")],
    )


def tagger(name: str) -> TinyTagger:
    """A model of ``TAGGERS`` with random weights and a spec."""
    keras.utils.set_random_seed(3)
    config = TAGGERS[name]
    model = get_family("tiny-tagger")(**config)
    model.spec = ModelSpec(
        name=f"tiny-{name}",
        family="tiny-tagger",
        config=model.config,
        task="classification",
        summary="A tagger made up for tests",
        endpoints={"predict": endpoint(**config)},
        data=Data(source="numbers", description="random", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )
    return model


def inputs_of(name: str, n: int, **how: int) -> dict[str, np.ndarray]:
    """Jets as a model of ``TAGGERS`` takes them."""
    wanted = {tensor.name for tensor in endpoint(**TAGGERS[name]).inputs}
    return {key: array for key, array in jets(n, **how).items() if key in wanted}


def write_folder(name: str, folder: Path) -> Path:
    """The folder of a released model of ``TAGGERS``."""
    from zoo.workflows.folder import write_model_folder

    model = tagger(name)
    write_model_folder(model, model.spec, folder, {"predict": tuple(inputs_of(name, 16).values())})
    return folder

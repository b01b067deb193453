"""What the software of an experiment must know of a model on particle clouds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx

from zoo.errors import ExportError, option
from zoo.model.axes import Axis
from zoo.model.spec import ModelSpec, Tensor

MOMENTUM = {"pt": "GeV", "y": "1", "phi": "rad"}
"""Label and unit of the numbers of a particle: transverse momentum, rapidity and azimuth, in this order."""
CODES = (11, -11, 13, -13, 22, 211, -211, 130)
"""What a detector tells apart, as PDG codes: other charged hadrons are called pions, other neutral ones long-lived kaons."""


@dataclass(frozen=True)
class Cloud:
    """A tagger of jets: which of its tensors are momenta, identities and mask, and what it tells apart.

    Attributes
    ----------
    model : str
        The model's name.
    revision : str
        Its revision.
    endpoint : str
        The endpoint that answers.
    particles : Tensor
        Transverse momentum, rapidity and azimuth of each particle.
    identity : Tensor or None
        The PDG code of each particle; None where the model does not ask for it.
    real : Tensor
        The mask that says which particles are there.
    output : Tensor
        The probabilities.
    classes : tuple of str
        What the probabilities are of; a model of one probability has two classes, of which it answers for the second.
    """

    model: str
    revision: str
    endpoint: str
    particles: Tensor
    identity: Tensor | None
    real: Tensor
    output: Tensor
    classes: tuple[str, ...]

    @property
    def axis(self) -> Axis:
        """The free axis of the particles."""
        return self.particles.axes[0]

    @property
    def inputs(self) -> list[Tensor]:
        """The model's inputs: momenta, identities where it asks for them, and mask."""
        return [self.particles, *([self.identity] if self.identity else []), self.real]

    @property
    def which_jets(self) -> str:
        """What a page says of the jets that the model is for: a graph refuses no others."""
        jet = self.particles.jet
        trained = jet.words if jet else "particles of a simulation, within the range on its card"
        return f"The model was trained on {trained};\n  jets of another radius or momentum are not refused here."


@dataclass(frozen=True)
class Jet:
    """The particles of one jet: momenta (k, 3) as pt [GeV], rapidity, phi [rad], and PDG codes (k,)."""

    momenta: np.ndarray
    identity: np.ndarray


class Form(Protocol):
    """How one experiment's software loads a tagger."""

    folder: str
    """The folder of its files within the export."""
    file: str
    """The name of the graph."""
    empty: str
    """What is answered for a jet without particles: "zeros", or "answer" for what the model says of padding alone."""

    def opset(self, asked: int) -> int:
        """The opset of the graph, where another was asked for by the user."""

    def graph(self, cloud: Cloud, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model's graph with inputs and outputs as the software has them."""

    def files(self, cloud: Cloud) -> dict[str, str]:
        """The texts beside the graph, by file name."""

    def inputs(self, cloud: Cloud, jet: Jet) -> dict[str, np.ndarray]:
        """What the software would hand to the graph for a jet."""

    def seen(self, cloud: Cloud, jet: Jet) -> Jet:
        """What of a jet the model is to see, worked out in float64."""

    def probabilities(self, cloud: Cloud, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The probability of each class (classes,), from what the graph answers."""


def read_cloud(spec: ModelSpec, target: str) -> Cloud | None:
    """Read a model's spec as that of a tagger on particle clouds; None where no axis is free, so that it is none.

    Parameters
    ----------
    spec : ModelSpec
        The spec of the model.
    target : str
        The target's name, for messages.

    Returns
    -------
    Cloud or None
        The tagger, or None for a model of fixed sizes.

    Raises
    ------
    ExportError
        The model has a free axis and yet is no tagger: its particles have no mask, their numbers are other ones or in other
        units, or its classes have no names.
    """
    name = spec.default_endpoint
    endpoint = spec.endpoint(name)
    if not endpoint.free:
        return None

    def refuse(expected: str, given: object) -> ExportError:
        return ExportError(
            f"{spec.name}, endpoint {name!r}: not for {target}: expected {expected}, given {given}; export without"
            f" {option('target')} for software of your own"
        )

    described = [f"{t.name} {t.dtype} ({', '.join(axis.name for axis in t.axes)})" for t in endpoint.inputs]
    momenta = [t for t in endpoint.inputs if t.dtype == "float32" and len(t.axes) == 2 and t.axes[0].free]
    if len(momenta) != 1 or len(endpoint.free) != 1:
        raise refuse("a jet as one free number of particles, each with its momentum", ", ".join(described))
    (particles,) = momenta
    if particles.mask is None:
        raise refuse(f"a mask that says which of {particles.name} are real", "none")
    given = _momentum(particles)
    if given != MOMENTUM:
        raise refuse(f"as the numbers of a particle {_words(MOMENTUM)}", _words(given))
    others = [t for t in endpoint.inputs if t.name not in (particles.name, particles.mask)]
    codes = [t for t in others if t.dtype == "int32" and t.axes == particles.axes[:1] and t.index_of is None]
    if len(others) > 1 or codes != others:
        raise refuse("beside momenta and mask at most the PDG code of each particle, as int32", ", ".join(described))
    output = endpoint.outputs[0]
    return Cloud(
        model=spec.name,
        revision=spec.revision,
        endpoint=name,
        particles=particles,
        identity=codes[0] if codes else None,
        real=next(t for t in endpoint.inputs if t.name == particles.mask),
        output=output,
        classes=_classes(output, refuse),
    )


def _momentum(tensor: Tensor) -> dict[str, str]:
    axis = tensor.axes[-1]
    labels = axis.labels or []
    return dict(zip(labels, axis.units or [tensor.unit] * len(labels), strict=True))


def _words(quantities: Mapping[str, str]) -> str:
    return ", ".join(f"{name} [{unit}]" for name, unit in quantities.items()) or "numbers without labels"


def _classes(output: Tensor, refuse) -> tuple[str, ...]:
    sizes = [axis.size for axis in output.axes]
    if output.dtype != "float32" or len(sizes) > 1 or None in sizes:
        raise refuse("as first output the probabilities of a jet", f"{output.name} of shape {tuple(sizes)}")
    labels = output.labels
    if sizes in ([], [1]):
        (label,) = labels or [output.name]
        return (f"not_{label}", label)
    if labels is None:
        raise refuse(f"the names of the classes as labels of {output.name}", "none")
    return tuple(labels)

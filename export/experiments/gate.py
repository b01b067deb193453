"""The gate of an experiment's graph: whether it sees what is in a jet, and answers as the model does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from zoo.atomic import write_whole
from zoo.errors import ExportError, ParityError
from zoo.export.experiments.cloud import CODES, MOMENTUM, Cloud, Form, Jet
from zoo.export.experiments.nodes import front
from zoo.export.onnx import to_onnx
from zoo.export.parity import ParityReport, answers, compare, onnx_function
from zoo.export.rows import Tensors, in_range_rows
from zoo.families.base import EndpointModel
from zoo.model.spec import LIBRARIES, ModelSpec, Tolerance

CLOSE = 1e-5
"""Relative difference of a transverse momentum, and difference of an angle, that float32 may make of an experiment's variables;
rapidity loses more digits the farther forward a particle is."""


def write_tagger(
    model: EndpointModel, spec: ModelSpec, cloud: Cloud, form: Form, test_inputs: Tensors, folder: Path, opset: int, rows: int
) -> tuple[onnx.ModelProto, ParityReport]:
    """Write a model as one experiment's software loads it, if it answers as the model does.

    Parameters
    ----------
    model : EndpointModel
        The model.
    spec : ModelSpec
        Its spec.
    cloud : Cloud
        What the spec says of the tagger.
    form : Form
        The experiment's form.
    test_inputs : Tensors
        Inputs of the test tensors, of which jets are made.
    folder : Path
        The exported folder, of which the tagger becomes a folder.
    opset : int
        The opset that was asked for.
    rows : int
        The number of jets that are compared.

    Returns
    -------
    tuple of ModelProto and ParityReport
        The graph, and how close it is to the model.

    Raises
    ------
    ExportError
        The model does not know the PDG codes that a detector tells apart.
    ParityError
        The graph sees other particles than the jet has, or answers otherwise than the model.
    """
    known = (cloud.identity.values if cloud.identity else None) or CODES
    if missing := [str(code) for code in CODES if code not in known]:
        raise ExportError(
            f"{spec.name}: not for {form.folder}: expected a model that knows all PDG codes that a detector tells apart, given"
            f" one without {', '.join(missing)}"
        )
    graph = form.graph(cloud, to_onnx(model, spec, cloud.endpoint, form.opset(opset)))
    report = check_tagger(model, spec, cloud, form, graph, jets_of(cloud, test_inputs, rows))
    place = folder / form.folder
    place.mkdir()
    write_whole(place / form.file, graph.SerializeToString(deterministic=True))
    for name, text in form.files(cloud).items():
        write_whole(place / name, text)
    return graph, report


def jets_of(cloud: Cloud, test_inputs: Tensors, n: int, seed: int = 0) -> list[Jet]:
    """Jets of any number of particles, the first without any, made of test rows by leaving out particles or repeating them."""
    rng = np.random.default_rng(seed)
    given = in_range_rows(test_inputs, n)
    jets = [Jet(np.zeros((0, 3), np.float32), np.zeros(0, np.int32))]
    for row in range(n - 1):
        real = np.flatnonzero(given[cloud.real.name][row])
        kept = np.sort(rng.permutation(real)[: rng.integers(1, len(real) + 1)]) if len(real) else real
        if row < len(_LENGTHS) and len(real):
            kept = np.resize(real, min(_LENGTHS[row], cloud.axis.most or _LENGTHS[row]))
        momenta = given[cloud.particles.name][row][kept]
        identity = given[cloud.identity.name][row][kept] if cloud.identity is not None else np.zeros(len(kept), np.int32)
        jets.append(Jet(momenta, identity))
    return jets


_LENGTHS = (*range(1, 41), 64, 128)
"""Lengths that are tried for sure: salt looks at each up to 39."""


def check_tagger(
    model: EndpointModel, spec: ModelSpec, cloud: Cloud, form: Form, graph: onnx.ModelProto, jets: list[Jet]
) -> ParityReport:
    """Compare an experiment's graph with the model, jet by jet.

    What its nodes in front make of the experiment's variables is compared with the particles of the jet; what the whole graph
    answers, with the model's answer for just these.

    Raises
    ------
    ParityError
        Naming the jet and the number that is farthest off.
    """
    where = f"{spec.name} for {form.folder}"
    names = [tensor.name for tensor in cloud.inputs]
    whole = onnx_function(graph.SerializeToString())
    inner = onnx_function(front(graph, names).SerializeToString())
    feeds = [form.inputs(cloud, jet) for jet in jets]
    taken = [inner(feed) for feed in feeds]
    for number, (jet, found) in enumerate(zip(jets, taken, strict=True)):
        _expect_seen(f"{where}, jet {number}", cloud, form.seen(cloud, jet), found)
    given = np.stack([form.probabilities(cloud, whole(feed)) for feed in feeds])
    expected = _answers(model, spec, cloud, taken)
    if form.empty == "zeros":
        expected[[not found[cloud.real.name].any() for found in taken]] = 0.0
    tolerance = cloud.output.tolerance if isinstance(cloud.output.tolerance, Tolerance) else spec.tolerance
    output = compare(f"{where}, output {cloud.output.name!r}", LIBRARIES[model.library], given, expected, tolerance, spared=0)
    return ParityReport(endpoint=f"{form.folder}/{form.file}", tolerance=spec.tolerance, outputs={cloud.output.name: output})


def _expect_seen(where: str, cloud: Cloud, expected: Jet, found: Mapping[str, np.ndarray]) -> None:
    real = found[cloud.real.name][0]
    if real.sum() != len(expected.momenta):
        raise ParityError(f"{where}: expected {len(expected.momenta)} particles, the graph sees {real.sum()}")
    momenta = found[cloud.particles.name][0][real].astype(np.float64)
    pt, y, _ = expected.momenta.T
    difference = np.abs(momenta - expected.momenta)
    difference[:, 2] = np.minimum(difference[:, 2], 2 * np.pi - difference[:, 2])
    allowed = CLOSE * np.stack([pt, np.cosh(y) ** 2 + 1, np.full(len(pt), 2.0)], axis=-1)
    if (difference > allowed).any():
        row, what = np.unravel_index((difference - allowed).argmax(), difference.shape)
        raise ParityError(
            f"{where}: the graph sees {momenta[row, what]:.8g} as {list(MOMENTUM)[what]} of particle {row},"
            f" expected {expected.momenta[row, what]:.8g}"
        )
    if cloud.identity is not None and (found[cloud.identity.name][0][real] != expected.identity).any():
        raise ParityError(
            f"{where}: the graph sees the PDG codes {found[cloud.identity.name][0][real]}, expected {expected.identity}"
        )


def _answers(model: EndpointModel, spec: ModelSpec, cloud: Cloud, taken: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """The model's probabilities (n, classes) of jets that are padded to the longest."""
    longest = max(found[cloud.real.name].shape[1] for found in taken)
    rows = {}
    for tensor in cloud.inputs:
        arrays = [found[tensor.name] for found in taken]
        rows[tensor.name] = np.concatenate(
            [np.pad(a, [(0, 0), (0, longest - a.shape[1]), *[(0, 0)] * (a.ndim - 2)]) for a in arrays]
        )
    probability = answers(model, spec, cloud.endpoint, rows)[cloud.output.name].reshape(len(taken), -1)
    return probability if probability.shape[1] > 1 else np.concatenate([1 - probability, probability], axis=1)

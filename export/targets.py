"""Where a graph is to run, what each place accepts, and the check that a graph keeps to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import onnx
from onnx import helper, numpy_helper

from zoo.errors import ExportError, UnknownNameError
from zoo.export.experiments.athena import Athena
from zoo.export.experiments.cloud import Form
from zoo.export.experiments.cmssw import Cmssw
from zoo.export.nodes import walk
from zoo.model.spec import DType
from zoo.registration import entry_points, load_entry_point

GROUP = "zoo.targets"
"""Entry point group of the packages that add targets."""
ML = "ai.onnx.ml"
OPSET = 13
"""Opset that is written unless another is asked for; IR version 7, which ONNX Runtime reads from 1.6 on."""

# hls4ml 1.3 registers handlers for these (converters/onnx/{core,merge,reshape,pooling,convolution}.py) and skips the last two;
# qonnx makes initializers of Constant and, by its GemmToMatMul, two nodes of Gemm. HardSigmoid is broken, says its source.
_ACTIVATIONS = {"Relu", "Tanh", "Sigmoid", "LeakyRelu", "ThresholdedRelu", "Elu", "Selu", "PRelu", "Softmax", "Softsign"}
_MERGES = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Concat"}
_POOLS = {"AveragePool", "MaxPool", "GlobalMaxPool", "GlobalAveragePool"}
_HLS4ML = frozenset(
    {"Softplus", "MatMul", "Gemm", "Conv", "BatchNormalization", "Transpose", "Reshape", "Flatten", "Resize", "Pad", "Constant"}
    | (_ACTIVATIONS | _MERGES | _POOLS)
    | {"Dropout", "Identity"}
)

Rule = Callable[[onnx.NodeProto, "_Graph"], str | None]


TARGETS: dict[str, Target] = {}
"""Targets by name: ours, and those that installed packages have registered so far; ``find_target`` looks for others too."""


@dataclass(frozen=True)
class Target:
    """What a place to run accepts.

    Attributes
    ----------
    name : str
        The name on the command line.
    runtime : str
        What runs there, for messages.
    max_opset : int
        The highest version of ``ai.onnx``.
    max_ml_opset : int or None
        The highest version of ``ai.onnx.ml``; None where it is not known at all.
    max_ir : int
        The highest version of the file format.
    batch : int, optional
        The rows of every call; None leaves the batch free.
    free_axes : bool
        Whether axes other than the batch may be free.
    dtypes : frozenset of str
        The dtypes that inputs and outputs may have.
    operators : frozenset of str, optional
        The only operators of ``ai.onnx`` that run there; None for all.
    rule : callable, optional
        A function of a node and its graph that says what is wrong with the node, or None.
    form : Form, optional
        How a tagger on particle clouds is loaded there; None where it has the inputs and outputs of its card.
    """

    name: str
    runtime: str
    max_opset: int
    max_ml_opset: int | None
    max_ir: int
    batch: int | None = None
    free_axes: bool = True
    dtypes: frozenset[str] = frozenset(get_args(DType))
    operators: frozenset[str] | None = None
    rule: Rule | None = None
    form: Form | None = None


def register_target(target: Target) -> Target:
    """Make a target known by its name.

    A plugin calls it in a module that its entry point in the group ``zoo.targets`` names, which has the target's name.

    Parameters
    ----------
    target : Target
        What the place accepts.

    Returns
    -------
    Target
        The target that was given.

    Raises
    ------
    ValueError
        Another target has that name.
    """
    if TARGETS.setdefault(target.name, target) != target:
        raise ValueError(f"two targets are named {target.name!r}: {TARGETS[target.name].runtime} and {target.runtime}")
    return target


def find_target(name: str) -> Target:
    """Look a target up, among ours and those of installed packages.

    Raises
    ------
    UnknownNameError
        There is no such target; the nearest names are suggested.
    """
    theirs = {entry_point.name: entry_point for entry_point in entry_points(GROUP)}
    if name not in TARGETS and name in theirs:
        load_entry_point(theirs[name])
    if name not in TARGETS:
        raise UnknownNameError("export target", name, TARGETS.keys() | theirs.keys())
    return TARGETS[name]


def fit(proto: onnx.ModelProto, target: Target, where: str) -> onnx.ModelProto:
    """Copy a graph, give it the target's batch and check it against the target.

    Raises
    ------
    ExportError
        What :func:`check` raises.
    """
    fitted = onnx.ModelProto()
    fitted.CopyFrom(proto)
    if target.batch is not None:
        for value in (*fitted.graph.input, *fitted.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = target.batch
        onnx.checker.check_model(fitted, full_check=True)
    check(fitted, target, where)
    return fitted


def check(proto: onnx.ModelProto, target: Target, where: str, *, batch: bool = True) -> None:
    """Check that a graph keeps to what a target accepts.

    Parameters
    ----------
    where : str
        Model and endpoint, for the message.
    batch : bool
        Whether the first axis of inputs and outputs is the batch.

    Raises
    ------
    ExportError
        Naming the first tensor of a dtype or size that cannot be there, or the first offending node, its operator and why it
        does not run there; or the file's IR version, an operator set, a batch or external data.
    """
    where = f"{where}: not for {target.name} ({target.runtime})"
    opsets = {used.domain: used.version for used in proto.opset_import}
    highest = {"": target.max_opset} | ({ML: target.max_ml_opset} if target.max_ml_opset else {})
    _check_tensors(proto, target, where)
    graph = _Graph(proto)
    for place, node in enumerate(graph.nodes()):
        if reason := _fault(node, graph, target, opsets, highest):
            name = node.name or (node.output[0] if node.output else "without a name")
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise ExportError(f"{where}: node {place}, {operator} {name!r}: {reason}")
    if proto.ir_version > target.max_ir:
        raise ExportError(
            f"{where}: IR version {proto.ir_version}, expected at most {target.max_ir}: export with a lower opset"
        )
    for domain, version in opsets.items():
        if version > highest.get(domain, 0):
            raise ExportError(
                f"{where}: operator set {domain or 'ai.onnx'} {version}, expected {_at_most(domain, highest)}:"
                " export with a lower opset"
            )
    for value in (*proto.graph.input, *proto.graph.output) if batch else ():
        dimensions = value.type.tensor_type.shape.dim
        rows = dimensions[0].dim_value if dimensions else None
        if rows != (target.batch or 0):
            expected = "a free one" if target.batch is None else target.batch
            raise ExportError(f"{where}: tensor {value.name!r}: expected as batch {expected}, given {rows or 'a free one'}")
    for tensor in proto.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ExportError(f"{where}: {tensor.name!r} lies in a file of its own, expected one file with all weights")


def _check_tensors(proto: onnx.ModelProto, target: Target, where: str) -> None:
    """Refuse inputs and outputs of dtypes and sizes that the target cannot have."""
    for value in (*proto.graph.input, *proto.graph.output):
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        if dtype not in target.dtypes:
            raise ExportError(
                f"{where}: tensor {value.name!r} is {dtype}, expected {' or '.join(sorted(target.dtypes))}: leave the endpoint"
                " out, or write one without masks and positions"
            )
        free = [dimension.dim_param for dimension in value.type.tensor_type.shape.dim[1:] if not dimension.dim_value]
        if free and not target.free_axes:
            raise ExportError(
                f"{where}: the axis {free[0]!r} of tensor {value.name!r} is free, expected every size to be known: leave the"
                " endpoint out, or release a model of a fixed size"
            )


def _fault(node: onnx.NodeProto, graph: _Graph, target: Target, opsets: dict[str, int], highest: dict[str, int]) -> str | None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if domain not in highest:
        return f"operators of {domain} do not run there"
    if target.rule and (reason := target.rule(node, graph)):
        return reason
    if domain == "" and target.operators is not None and node.op_type not in target.operators:
        return "no such operator there: write it with others, or leave the endpoint out (--endpoint names those to export)"
    try:
        since = onnx.defs.get_schema(node.op_type, opsets.get(domain, 0), domain).since_version
    except onnx.defs.SchemaError:
        return f"no operator of {domain or 'ai.onnx'} {opsets.get(domain)}"
    if since > highest[domain]:
        return f"this form came with operator set {since}, expected {_at_most(domain, highest)}: export with a lower opset"
    return None


def _at_most(domain: str, highest: dict[str, int]) -> str:
    return f"at most {highest[domain]}" if domain in highest else "none"


class _Graph:
    """A graph's nodes, and what is known of its tensors."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._graph = onnx.shape_inference.infer_shapes(proto).graph
        self.constants = {tensor.name: tensor for tensor in self._graph.initializer}
        for node in self._graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].type == onnx.AttributeProto.TENSOR:
                self.constants[node.output[0]] = node.attribute[0].t
        values = (*self._graph.input, *self._graph.output, *self._graph.value_info)
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}

    def nodes(self) -> Iterator[onnx.NodeProto]:
        """All nodes, each before those in the bodies of its loops and branches."""
        return walk(self._graph)

    @cached_property
    def rounds(self) -> bool:
        """Whether some of its numbers are rounded, as those in fixed point are, and cut off by Max and Min."""
        return any(node.op_type == "Floor" for node in self.nodes())

    def rank(self, name: str) -> int | None:
        """Dimensions of a tensor, the batch counted; None where nothing says so."""
        return len(self.constants[name].dims) if name in self.constants else self._ranks.get(name)


def _hls4ml_rule(node: onnx.NodeProto, graph: _Graph) -> str | None:
    """What hls4ml's handlers and its backends refuse of the operators that they have, and what goes by another way."""
    if node.op_type in {"Floor", "Max", "Min"} and graph.rounds:
        return "rounds: firmware of a network whose bits are trained comes from zoo.export.fixed_point"
    given = [name for name in node.input if name]
    computed = [name for name in given if name not in graph.constants]
    if node.op_type in {"MatMul", "Gemm"} and len(computed) != 1:
        return f"a product of {len(computed)} computed tensors; a dense layer has one input, its weights are constants"
    if node.op_type == "Gemm":
        ordinary = {"alpha": 1.0, "beta": 1.0, "transA": 0}
        odd = [a.name for a in node.attribute if a.name in ordinary and helper.get_attribute_value(a) != ordinary[a.name]]
        if odd:
            return f"{', '.join(odd)} changed; a dense layer has none of these"
    if node.op_type == "Reshape":
        if given[1] not in graph.constants:
            return "a shape that is computed; expected a constant one"
        if numpy_helper.to_array(graph.constants[given[1]]).size > 4:
            return "more than three dimensions beside the batch"
    if node.op_type in {"Max", "Min"} and len(computed) < len(given):
        return "compares with a constant, for which there is no layer; expected two computed tensors"
    if node.op_type in _MERGES and len(given) > 2:
        return f"joins {len(given)} tensors, expected two"
    rank = graph.rank(node.input[0]) if given else None
    if node.op_type in {"Conv", "Concat", "Transpose"} and rank is not None and rank > 4:
        return f"{rank - 1} dimensions beside the batch, expected at most three"
    return None


# CMSSW took ONNX Runtime 1.10.0 for 12_4 (cms-sw/cmsdist pull request 7695, 2022), then 1.14.1 (8397, 2023), 1.17.1
# (9046, 2024), 1.20.1 (9625, 2025) and 1.26.0 (10615, 2026). 1.10 knows ai.onnx 15, ai.onnx.ml 2 and IR version 7
# (its table of versions); older releases are no longer where new models go.
register_target(
    Target("cmssw", "ONNX Runtime 1.10 or newer, CMSSW 12_4 on", max_opset=15, max_ml_opset=2, max_ir=7, form=Cmssw())
)
# Athena finds ONNX Runtime in ATLAS's LCG layer (find_package(onnxruntime) in its AthOnnx packages); which version is
# not to be read there. 1.14.1, of early 2023, knows ai.onnx 18 and ai.onnx.ml 3 and refuses IR versions above 8
# (microsoft/onnxruntime issue 15874).
register_target(Target("athena", "ONNX Runtime 1.14 or newer", max_opset=18, max_ml_opset=3, max_ir=8, form=Athena()))
# Triton 23.04 builds its backend with ONNX Runtime 1.14.1 (README of onnxruntime_backend), 25.03 with 1.20.1. Dynamic
# batching needs a free batch.
register_target(Target("triton", "ONNX Runtime 1.14 or newer, Triton 23.04 on", max_opset=18, max_ml_opset=3, max_ir=8))
# hls4ml 1.3 reads ONNX that qonnx has cleaned up, with every shape known: an event at a time on the chip. qonnx
# runs graphs with ONNX Runtime 1.16 or newer, and sees operators of ai.onnx alone beside its own.
register_target(
    Target(
        "hls4ml",
        "hls4ml 1.3 with qonnx 1.0",
        max_opset=18,
        max_ml_opset=None,
        max_ir=8,
        batch=1,
        free_axes=False,
        dtypes=frozenset({"float32"}),
        operators=_HLS4ML,
        rule=_hls4ml_rule,
    )
)
# onnxruntime-web's WebAssembly is ONNX Runtime's CPU engine with all operators (its README). It refused IR version 9 up
# to 1.15 (microsoft/onnxruntime issue 16638). 1.14.0, 1.22.0 and 1.30.0 ran all released graphs (physzoo.mjs: 1.22 on).
register_target(Target("web", "onnxruntime-web 1.14 or newer, WebAssembly", max_opset=18, max_ml_opset=3, max_ir=8))

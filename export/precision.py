"""A float32 graph with its large matrices in float16 or int8.

Only products with constant matrices change, and what lies between two of them. Inputs and outputs, the scaling next to them and
the arithmetic of splines stay float32: an input of 7,700 muK^2 would lose its third digit, and a knot its neighbor.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.errors import ExportError
from zoo.export.nodes import inputs_of

PRODUCTS = ("MatMul", "Gemm", "Conv")
MIN_SIZE = 1024
"""Numbers of a matrix that is worth it: smaller ones, first and last layers mostly, carry precision and no bytes."""
LARGEST_FLOAT16 = 65504.0
_BATCH = 256
_LIGHT = frozenset(
    {"Add", "Mul", "Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "MaxPool", "AveragePool"}
    | {"GlobalAveragePool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat"}
)
"""What may take float16 between two products: activations, pooling, shapes."""


def to_float16(proto: onnx.ModelProto, where: str, *, emulated: bool = False) -> onnx.ModelProto:
    """A copy that multiplies in float16.

    ONNX Runtime's own converter rounds each tensor between two float32 operators to float16, the inputs too, and leaves casts
    in an order that the checker refuses. And its CPU has no float16 products: it computes such a graph in float32.

    Parameters
    ----------
    where : str
        Model and endpoint, for messages.
    emulated : bool
        Whether to store and compute in float32, each float16 number rounded: the answers of a GPU, on any CPU.

    Raises
    ------
    ExportError
        When no product is large enough to be worth it.
    """
    new = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = new.graph
    constants = _constants(graph)
    chosen = _in_float16(graph, constants)
    if not any(graph.node[place].op_type in PRODUCTS for place in chosen):
        raise _nothing_to_gain(where, "float16")
    outputs = {value.name for value in graph.output}
    wide = {name for place, node in enumerate(graph.node) if place not in chosen for name in inputs_of(node)} | outputs
    made: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []

    def rounded(source: str, target: str) -> None:
        if not emulated:
            nodes.append(helper.make_node("Cast", [source], [target], target, to=TensorProto.FLOAT16))
            return
        nodes.append(helper.make_node("Cast", [source], [f"{target}_bits"], f"{target}_bits", to=TensorProto.FLOAT16))
        nodes.append(helper.make_node("Cast", [f"{target}_bits"], [target], target, to=TensorProto.FLOAT))

    def narrow(name: str) -> str:
        if name not in made:
            made[name] = f"{name}_float16"
            if name in constants:
                array = constants[name].astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(array.astype(np.float32) if emulated else array, made[name]))
            else:
                rounded(name, made[name])
        return made[name]

    for place, node in enumerate(graph.node):
        if place not in chosen:
            nodes.append(node)
            continue
        changed = onnx.NodeProto.FromString(node.SerializeToString())
        changed.input[:] = [name if _is_shape(name, constants, graph) else narrow(name) for name in node.input]
        (name,) = node.output
        made[name] = f"{name}_float16"
        changed.output[0] = f"{name}_exact" if emulated else made[name]
        nodes.append(changed)
        if emulated:
            rounded(changed.output[0], made[name])
        if name in wide:
            nodes.append(helper.make_node("Cast", [made[name]], [name], f"{name}_float32", to=TensorProto.FLOAT))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    onnx.checker.check_model(new, full_check=True)
    return new


def to_int8(proto: onnx.ModelProto, where: str, rows: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A copy that multiplies in int8, by static quantization with a scale for each column of a matrix.

    Matrices take 7 of the 8 bits: sums of products with 8 saturate on CPUs without VNNI, and a graph is to answer alike
    everywhere. What dense layers give stays float32; convolutions give int8, as ONNX Runtime runs no others in integers.

    Parameters
    ----------
    where : str
        Model and endpoint, for messages.
    rows : mapping of str to ndarray
        Typical inputs by name, (n, *shape), from which the ranges of activations are taken.

    Raises
    ------
    ExportError
        When the opset is below 13, or no product is large enough to be worth it.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    opset = next(used.version for used in proto.opset_import if not used.domain)
    if opset < 13:
        raise ExportError(f"{where}: int8 takes opset 13 or higher, given {opset}")

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = _batches(rows)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    source = onnx.ModelProto.FromString(proto.SerializeToString())
    for place, node in enumerate(source.graph.node):
        node.name = f"{place}_{node.op_type}"  # the quantizer takes nodes by names that tell them apart
    names = [node.name for node in _heavy(source.graph, _constants(source.graph))]
    if not names:
        raise _nothing_to_gain(where, "int8")
    with tempfile.TemporaryDirectory() as folder, _no_advice():
        given, made = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(source, given)
        quantize_static(
            given,
            made,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=names,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        )
        quantized = onnx.load(made)
    new = onnx.ModelProto.FromString(proto.SerializeToString())
    for ours, theirs in ((new.graph.node, quantized.graph.node), (new.graph.initializer, quantized.graph.initializer)):
        del ours[:]
        ours.extend(theirs)
    onnx.checker.check_model(new, full_check=True)
    return new


def _nothing_to_gain(where: str, precision: str) -> ExportError:
    return ExportError(
        f"{where}: {precision} is for products with matrices of at least {MIN_SIZE:,} numbers, and it has none:"
        " export it in float32, or leave the endpoint out"
    )


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The constants in float32."""
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == TensorProto.FLOAT}


def _heavy(graph: onnx.GraphProto, constants: Mapping[str, np.ndarray]) -> list[onnx.NodeProto]:
    """Products with large constant matrices, other than those of zeros and ones, which only sum and pick."""

    def is_heavy(matrix: np.ndarray | None) -> bool:
        return matrix is not None and matrix.size >= MIN_SIZE and not np.isin(matrix, (-1, 0, 1)).all()

    return [node for node in graph.node if node.op_type in PRODUCTS and is_heavy(constants.get(node.input[1]))]


def _in_float16(graph: onnx.GraphProto, constants: Mapping[str, np.ndarray]) -> set[int]:
    """Places of the nodes that take float16: heavy products, and light nodes all of whose neighbors do."""

    def fits(node: onnx.NodeProto) -> bool:
        return all(np.abs(constants[name]).max(initial=0) <= LARGEST_FLOAT16 for name in node.input if name in constants)

    heavy = {node.output[0] for node in _heavy(graph, constants) if fits(node)}
    products = {place for place, node in enumerate(graph.node) if node.output[0] in heavy}
    chosen = products | {place for place, node in enumerate(graph.node) if node.op_type in _LIGHT and fits(node)}
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    users: dict[str, set[int]] = {value.name: {-1} for value in graph.output}
    for place, node in enumerate(graph.node):
        for name in inputs_of(node):
            users.setdefault(name, set()).add(place)
    fixed = {tensor.name for tensor in graph.initializer}
    while True:
        lonely = {
            place
            for place in chosen - products
            if any(makers.get(name, -1) not in chosen for name in graph.node[place].input if name not in fixed)
            or any(not users.get(name, {-1}) <= chosen for name in graph.node[place].output)
        }
        if not lonely:
            return chosen
        chosen -= lonely


def _is_shape(name: str, constants: Mapping[str, np.ndarray], graph: onnx.GraphProto) -> bool:
    """Whether an input is left out or is a constant of whole numbers, such as a shape."""
    return not name or (name not in constants and any(tensor.name == name for tensor in graph.initializer))


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in inputs_of(node)}
    kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _batches(rows: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(next(iter(rows.values()))), _BATCH):
        yield {name: array[start : start + _BATCH] for name, array in rows.items()}


@contextmanager
def _no_advice() -> Iterator[None]:
    """The quantizer warns of a preparation that our graphs have behind them."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

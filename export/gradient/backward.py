"""The backward pass of an ONNX graph, as further nodes of the same graph.

Reverse-mode differentiation over the standard operations that an exported forward graph is made of. The batch and the
free axes apart, every shape of the backward pass is known while it is written: from running the graph at two sizes of what is
free, as ONNX's own inference does not follow shapes that a graph computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.errors import ExportError
from zoo.export.nodes import inputs_of
from zoo.export.parity import onnx_function

Dim = int | None
"""Size of a dimension, None where it is only known when the graph runs."""
Rule = Callable[["Backward", onnx.NodeProto, list[str]], Sequence[str | None]]
"""Makes the adjoint of each input of a node and the adjoints of its outputs, None for one that ``needs`` does not name."""
RULES: dict[str, Rule] = {}
"""Rule of each operation; ``zoo.export.gradient.rules`` fills it."""
CONSTANT = frozenset(
    {
        "Shape",
        "Size",
        "ConstantOfShape",
        "Constant",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Equal",
        "And",
        "Or",
        "Xor",
        "Not",
        "Sign",
        "Floor",
        "Ceil",
        "Round",
        "ArgMax",
        "ArgMin",
        "IsNaN",
        "IsInf",
        "Range",
        "EyeLike",
        "NonZero",
    }
)
"""Operations whose derivative is zero wherever there is one."""
LEAST_OPSET = 11


def rule(*operations: str) -> Callable[[Rule], Rule]:
    """Decorate the rule of these operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return register


def differentiate(
    model: onnx.ModelProto,
    output: str,
    inputs: Sequence[str],
    seed: str | None,
    where: str,
    free: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, str]:
    """Add the gradient of an output with respect to inputs to a graph.

    Parameters
    ----------
    model : ModelProto
        The graph, with ``output`` among its tensors; nodes and constants are appended.
    output : str
        The float32 tensor (batch, ...) that is differentiated.
    inputs : sequence of str
        Float32 inputs of the graph.
    seed : str or None
        The tensor of the shape of ``output`` by which its elements are weighted before they are summed; None for ones.
    where : str
        The start of messages.
    free : mapping of str to tuple of int
        Two sizes that each free dimension but the batch may have, by its name.

    Returns
    -------
    dict of str to str
        Name of the tensor (batch, ...) that holds the gradient of each input; zero where the output does not depend on it.

    Raises
    ------
    ExportError
        Naming the node, for an operation without a rule or one whose shapes are not known; or the opset is below 11.
    """
    import zoo.export.gradient.rules  # noqa: F401 - fills RULES

    return Backward(model, where, free or {}).run(output, inputs, seed)


class Backward:
    """A backward pass as it is written: what is known of the forward graph, and the nodes so far."""

    def __init__(self, model: onnx.ModelProto, where: str, free: Mapping[str, tuple[int, int]]) -> None:
        self.graph, self.where = model.graph, where
        self.opset = next(used.version for used in model.opset_import if not used.domain)
        if self.opset < LEAST_OPSET:
            raise ExportError(f"{where}: gradients are written for opset {LEAST_OPSET} and up, given {self.opset}")
        self._values: dict[str, np.ndarray] = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant":
                self._values[node.output[0]] = numpy_helper.to_array(helper.get_node_attr_value(node, "value"))
        self._shapes, self._floats = _shapes(model, free)
        self._names = {name for node in self.graph.node for name in node.output} | self._shapes.keys() | self._values.keys()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._node: onnx.NodeProto | None = None
        self._depends: set[str] = set()

    def run(self, output: str, inputs: Sequence[str], seed: str | None) -> dict[str, str]:
        """Write the pass, and name the adjoint of each input."""
        nodes = list(self.graph.node)
        self._depends = set(inputs)
        for node in nodes:
            if node.op_type not in CONSTANT and any(map(self.needs, inputs_of(node))):
                self._depends.update(self._floats.intersection(node.output))
        adjoints: dict[str, list[str]] = {}
        if output in self._depends:
            adjoints[output] = [seed or self.filled(output, 1.0)]
        for node in reversed(nodes):
            given = [self._sum(adjoints.pop(name, [])) for name in node.output]
            if not any(given):
                continue
            self._node = node
            outputs = [adjoint or self.filled(name, 0.0) for name, adjoint in zip(node.output, given, strict=True)]
            if node.domain or node.op_type not in RULES:
                raise self.refusal("has no gradient here")
            found = RULES[node.op_type](self, node, outputs)
            for name, adjoint in zip(node.input, found, strict=False):
                if adjoint is not None and self.needs(name):
                    adjoints.setdefault(name, []).append(adjoint)
        return {name: self._sum(adjoints.get(name, [])) or self.filled(name, 0.0) for name in inputs}

    def needs(self, name: str) -> bool:
        """Whether a tensor depends on an input in a way that has a derivative."""
        return name in self._depends

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output, and name that."""
        name = self._free(f"gradient_{kind}")
        self.graph.node.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Name of a constant, made where there is none of the same value."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._free("gradient_constant")
            self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
            self._constants[key], self._values[name] = name, array
        return self._constants[key]

    def is_constant(self, name: str) -> bool:
        """Whether the value of a tensor is known."""
        return name in self._values

    def value(self, name: str) -> np.ndarray:
        """Value of a tensor that is constant; ExportError for another."""
        if name not in self._values:
            raise self.refusal(f"has {name!r} where a constant is expected")
        return self._values[name]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Attribute of the node that is being differentiated."""
        assert self._node is not None
        return helper.get_node_attr_value(self._node, name) if self._has(name) else default

    def axes(self, position: int) -> list[int] | None:
        """Axes of a reduction: an attribute, or from some opset on an input; None where they are left out."""
        assert self._node is not None
        if self._has("axes"):
            return list(self.attribute("axes"))
        given = self._node.input[position : position + 1]
        return self.value(given[0]).tolist() if given and given[0] else None

    def shape(self, name: str) -> list[Dim]:
        """Shape of a tensor of the forward graph."""
        return list(self._values[name].shape) if name in self._values else self._shapes[name]

    def sizes(self, name: str, axes: Sequence[int]) -> list[int]:
        """Lengths along axes; ExportError for a free one."""
        shape = self.shape(name)
        found = [shape[axis] for axis in axes]
        if None in found:
            raise self.refusal(f"needs the size of {name!r} along axes {list(axes)}, which is free")
        return [size for size in found if size is not None]

    def filled(self, name: str, number: float) -> str:
        """A tensor of the shape of another, all elements the same."""
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [number])
        return self.op("ConstantOfShape", self.op("Shape", name), value=value)

    def reshaped(self, adjoint: str, name: str) -> str:
        """Give a tensor the shape of one with as many elements."""
        shape = self.shape(name)
        if shape.count(None) > 1:
            return self.op("Reshape", adjoint, self.op("Shape", name))
        return self.op("Reshape", adjoint, self.constant([-1 if size is None else size for size in shape], np.int64))

    def summed(self, adjoint: str, axes: Sequence[int], keep: bool) -> str:
        """Sum over axes."""
        if self.opset < 13:
            return self.op("ReduceSum", adjoint, axes=list(axes), keepdims=int(keep))
        return self.op("ReduceSum", adjoint, self.constant(axes, np.int64), keepdims=int(keep))

    def unsqueezed(self, adjoint: str, axes: Sequence[int]) -> str:
        """Put in axes of size one."""
        if self.opset < 13:
            return self.op("Unsqueeze", adjoint, axes=list(axes))
        return self.op("Unsqueeze", adjoint, self.constant(axes, np.int64))

    def shared(self, adjoint: str, name: str, axes: Sequence[int]) -> str:
        """Divide by the number of elements of a tensor along axes."""
        sizes = [self.shape(name)[axis] for axis in axes]
        if None not in sizes:
            return self.op("Mul", adjoint, self.constant(1 / math.prod(size or 1 for size in sizes)))
        along = self.op("Gather", self.op("Shape", name), self.constant(axes, np.int64))
        count = self.op("Cast", self.op("ReduceProd", along, keepdims=0), to=TensorProto.FLOAT)
        return self.op("Div", adjoint, count)

    def unbroadcast(self, adjoint: str, name: str, broadcast: Sequence[Dim]) -> str:
        """Sum an adjoint of the shape ``broadcast`` over the axes along which ``name`` was repeated."""
        own = self.shape(name)
        new = len(broadcast) - len(own)
        if new:
            adjoint = self.summed(adjoint, range(new), keep=False)
        repeated = [axis for axis, size in enumerate(own) if size == 1 and broadcast[new + axis] != 1]
        return self.summed(adjoint, repeated, keep=True) if repeated else adjoint

    def repeated(self, adjoint: str, name: str, axes: Sequence[int], kept: bool) -> str:
        """Repeat what a reduction over ``axes`` of ``name`` left, in the shape of ``name``."""
        shape = self.shape(name)
        if not kept:
            short = [1 if axis in axes else size for axis, size in enumerate(shape)]
            if short.count(None) > 1:
                adjoint = self.unsqueezed(adjoint, axes)
            else:
                adjoint = self.op("Reshape", adjoint, self.constant([-1 if size is None else size for size in short], np.int64))
        target = [shape[axis] if axis in axes else 1 for axis in range(len(shape))]
        if None in target:
            return self.op("Expand", adjoint, self.op("Shape", name))
        return self.op("Expand", adjoint, self.constant(target, np.int64))

    def refusal(self, reason: str) -> ExportError:
        """An error that names the node at hand."""
        assert self._node is not None
        node = self._node
        return ExportError(
            f"{self.where}: no gradient: operation {node.op_type} ({node.name or node.output[0]}) {reason};"
            " export without explain, or write the layer with other operations"
        )

    def _sum(self, adjoints: list[str]) -> str:
        """Sum of the contributions to one tensor, "" for none."""
        if len(adjoints) < 2:
            return adjoints[0] if adjoints else ""
        return self.op("Add" if len(adjoints) == 2 else "Sum", *adjoints)

    def _has(self, attribute: str) -> bool:
        assert self._node is not None
        return any(found.name == attribute for found in self._node.attribute)

    def _free(self, stem: str) -> str:
        name = next(name for name in _numbered(stem) if name not in self._names)
        self._names.add(name)
        return name


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    count = 1
    while True:
        yield f"{stem}_{count}"
        count += 1


def _shapes(model: onnx.ModelProto, free: Mapping[str, tuple[int, int]]) -> tuple[dict[str, list[Dim]], set[str]]:
    """Shape of each tensor outside loops and branches, and the names of those that hold floats."""
    whole = onnx.ModelProto.FromString(model.SerializeToString())
    del whole.graph.output[:]
    made = [name for node in whole.graph.node for name in node.output if name]
    whole.graph.output.extend(map(helper.make_empty_tensor_value_info, made))
    run = onnx_function(whole.SerializeToString())
    found = []
    for few_or_many, batch in enumerate((2, 3)):
        sizes = {name: pair[few_or_many] for name, pair in free.items()}
        inputs = {given.name: _zeros(given.type.tensor_type, batch, sizes) for given in whole.graph.input}
        found.append(inputs | run(inputs))
    few, more = found

    def shape(name: str) -> list[Dim]:
        return [size if size == other else None for size, other in zip(few[name].shape, more[name].shape, strict=True)]

    return {name: shape(name) for name in few}, {name for name, array in few.items() if array.dtype == np.float32}


def _zeros(tensor: onnx.TypeProto.Tensor, batch: int, sizes: Mapping[str, int]) -> np.ndarray:
    shape = [dim.dim_value or sizes.get(dim.dim_param, batch) for dim in tensor.shape.dim]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))

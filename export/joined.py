"""Products with two constant matrices after one another, as one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

PRODUCTS = {"MatMul", "Gemm"}


def join_products(graph: onnx.GraphProto) -> None:
    """Multiply two constant matrices where nothing lies between them, such as a whitening and the first layer after it.

    In training the first stays as it is and the second is learned; a runtime needs but their product, which is smaller.

    Parameters
    ----------
    graph : GraphProto
        The graph, which is changed.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    replaced: set[str] = set()
    kept = {value.name for value in graph.output}
    for node in [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]:
        users = [user for user in graph.node if node.output[0] in user.input]
        if len(users) != 1 or node.output[0] in kept or not _is_product(users[0], node.output[0], constants):
            continue
        (user,) = users
        first, second = (numpy_helper.to_array(constants[name]) for name in (node.input[1], user.input[1]))
        if first.ndim != 2 or second.ndim != 2:
            continue
        product = (first.astype(np.float64) @ second.astype(np.float64)).astype(second.dtype)
        constants[f"{user.input[1]}/joined"] = numpy_helper.from_array(product, f"{user.input[1]}/joined")
        graph.initializer.append(constants[f"{user.input[1]}/joined"])
        replaced |= {node.input[1], user.input[1]}
        user.input[0], user.input[1] = node.input[0], f"{user.input[1]}/joined"
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input} | kept
    for tensor in [tensor for tensor in graph.initializer if tensor.name in replaced - used]:
        graph.initializer.remove(tensor)


def _is_product(node: onnx.NodeProto, computed: str, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node multiplies what was computed by a constant matrix as it stands, and at most adds something."""
    plain = all(attribute.f == 1 if attribute.name in ("alpha", "beta") else attribute.i == 0 for attribute in node.attribute)
    return node.op_type in PRODUCTS and plain and node.input[0] == computed and node.input[1] in constants

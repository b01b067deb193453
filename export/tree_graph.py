"""Boosted trees of scikit-learn as an ONNX graph, by skl2onnx."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx

from zoo.errors import ExportError, ZooError
from zoo.families.boosted_trees import BoostedTrees
from zoo.model.spec import ModelSpec, Tensor

ML_VERSION = 1
"""Of the operators in ai.onnx.ml: the first has all that these trees need, and old runtimes know it."""


def convert_trees(model: BoostedTrees, spec: ModelSpec, endpoint: str, opset: int, where: str) -> onnx.ModelProto:
    """The graph of an endpoint, its tensors named as in the spec.

    Raises
    ------
    ZooError
        When skl2onnx is not installed.
    ExportError
        When the spec's tensors are not those of the trees, or skl2onnx fails.
    """
    if find_spec("skl2onnx") is None:
        raise ZooError("export of trees needs skl2onnx, which is not installed: pip install 'physzoo[export,cpu]'")
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    described = spec.endpoint(endpoint)
    if endpoint not in model.endpoints:
        raise ExportError(
            f"{spec.name}: the card names the endpoint {endpoint!r}, {type(model).__name__} has {', '.join(model.endpoints)}"
        )
    _expect_one(where, "input", described.inputs, model.config["inputs"])
    _expect_one(where, "output", described.outputs, 1)
    (given,), (answer,) = described.inputs, described.outputs
    if given.name == answer.name:
        raise ExportError(f"{where}: {given.name} names an input and an output; a graph needs two names")
    try:
        proto = convert_sklearn(
            model.regressor,
            endpoint,
            initial_types=[(given.name, FloatTensorType([None, *given.shape]))],
            target_opset={"": opset, "ai.onnx.ml": ML_VERSION},
            custom_conversion_functions={type(model.regressor): _convert},
        )
    except Exception as error:  # skl2onnx raises whatever went wrong inside
        raise ExportError(f"{where}: skl2onnx failed: {str(error).splitlines()[0]}") from error
    (node,) = proto.graph.node
    node.output[0] = proto.graph.output[0].name = answer.name
    return proto


def _expect_one(where: str, kind: str, tensors: list[Tensor], width: int) -> None:
    shapes = {tensor.name: (tensor.dtype, *tensor.shape) for tensor in tensors}
    if list(shapes.values()) != [("float32", width)]:
        raise ExportError(f"{where}: boosted trees have one {kind}, float32 of shape (batch, {width}); the card names {shapes}")


def _convert(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_regressor_converter

    convert_sklearn_random_forest_regressor_converter(scope, operator, _WholeNumbers(container))


class _WholeNumbers:
    """skl2onnx's container; skl2onnx 1.20 gives it False where protobuf 7 takes nothing but 0."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> None:
        """Add a node, its attributes' truth values as whole numbers."""
        for name, values in attributes.items():
            if isinstance(values, list):
                attributes[name] = [int(value) if isinstance(value, bool | np.bool_) else value for value in values]
        self._container.add_node(*arguments, **attributes)

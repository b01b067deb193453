"""Boosted trees of scikit-learn as an ONNX graph, by skl2onnx."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ExportError, ZooError
from zoo.model.spec import Endpoint, Tensor

if TYPE_CHECKING:
    from onnx import ModelProto
    from sklearn.ensemble import HistGradientBoostingRegressor

ML_VERSION = 1
"""Version of the operators in ai.onnx.ml: the first has all that these trees need, and old runtimes know it."""


def convert_trees(
    regressor: HistGradientBoostingRegressor, inputs: int, endpoint: str, described: Endpoint, opset: int
) -> ModelProto:
    """Convert a regressor to a graph, its tensors named as in the spec.

    Parameters
    ----------
    regressor : HistGradientBoostingRegressor
        The fitted trees.
    inputs : int
        The number of input elements.
    endpoint : str
        The name of the graph.
    described : Endpoint
        The spec's endpoint, of one input and one output.
    opset : int
        The version of ONNX's operators.

    Returns
    -------
    ModelProto
        The graph.

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

    _expect_one("input", described.inputs, inputs)
    _expect_one("output", described.outputs, 1)
    (given,), (answer,) = described.inputs, described.outputs
    try:
        proto: ModelProto = convert_sklearn(
            regressor,
            endpoint,
            initial_types=[(given.name, FloatTensorType([None, inputs]))],
            target_opset={"": opset, "ai.onnx.ml": ML_VERSION},
            custom_conversion_functions={type(regressor): _convert},
        )
    except Exception as error:  # skl2onnx raises whatever went wrong inside
        raise ExportError(f"skl2onnx failed: {str(error).splitlines()[0]}") from error
    (node,) = proto.graph.node
    node.output[0] = proto.graph.output[0].name = answer.name
    return proto


def _expect_one(kind: str, tensors: list[Tensor], width: int) -> None:
    shapes = {tensor.name: (tensor.dtype, *tensor.shape) for tensor in tensors}
    if list(shapes.values()) != [("float32", width)]:
        raise ExportError(f"boosted trees have one {kind}, float32 of shape (batch, {width}); the card names {shapes}")


def _convert(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_regressor_converter

    convert_sklearn_random_forest_regressor_converter(scope, operator, _WholeNumbers(container))


class _WholeNumbers:
    """Container of skl2onnx, of which version 1.20 gives it False where protobuf 7 takes nothing but 0."""

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

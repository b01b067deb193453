"""Triton's configuration of one served endpoint: made from the spec, checked against the graph and Triton's own rules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from zoo.atomic import write_whole
from zoo.errors import ExportError, ZooError
from zoo.model.dtypes import NAMES, little_endian
from zoo.model.spec import Endpoint, Tensor, wire_name

if find_spec("tritonclient") is None or find_spec("grpc") is None:
    raise ZooError("a model repository needs tritonclient[grpc], which is not installed: pip install 'physzoo[export,cpu]'")

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

CONFIG = "config.pbtxt"
WARM_UP = "warmup"
"""The folder in which Triton looks for the data of a warm-up."""
FREE = -1
"""Triton's word for a dimension that may have any size."""
MAX_ROWS = 4096
BATCH_BYTES = 16 * 2**20
_WARM_UP_ROWS = (1, 32)
_TYPES = {dtype: triton.DataType.Value(names.triton) for dtype, names in NAMES.items()}


def model_config(
    model: str, endpoint: str, described: Endpoint, sizes: Mapping[str, int] | None = None, kind: str = "KIND_AUTO"
) -> triton.ModelConfig:
    """Make the configuration of an endpoint.

    Rows of several requests become one batch as soon as an instance is free, with no delay; every version in the folder
    is served, and the highest answers requests that name none. One instance, on the CPU with one thread: small models gain
    nothing from more; of ``KIND_GPU``, and of ``KIND_AUTO`` where there is a GPU, one on each. A free axis is -1, and Triton
    joins only requests of equal sizes. Triton has no tensor that is a number a row, shape (batch,): such a one has shape
    (batch, 1) on the wire.

    Parameters
    ----------
    model : str
        The name of the model.
    endpoint : str
        The name of the endpoint.
    described : Endpoint
        The endpoint in the spec.
    sizes : mapping of str to int, optional
        The sizes of free axes in the rows of the warm-up; by default the smallest.
    kind : str
        Triton's word for where instances run.

    Returns
    -------
    ModelConfig
        Triton's own message.
    """
    sizes = {name: axis.least or 1 for name, axis in described.free.items()} | dict(sizes or {})
    config = triton.ModelConfig(
        name=wire_name(model, endpoint),
        backend="onnxruntime",
        max_batch_size=_max_batch_size(described),
        instance_group=[triton.ModelInstanceGroup(count=1, kind=triton.ModelInstanceGroup.Kind.Value(kind))],
    )
    config.version_policy.all.SetInParent()
    config.dynamic_batching.SetInParent()
    config.parameters["intra_op_thread_count"].string_value = "1"
    for tensor in described.inputs:
        _describe(config.input.add(), tensor)
    for tensor in described.outputs:
        output = config.output.add()
        _describe(output, tensor)
        if tensor.labels:
            output.label_filename = label_file(tensor)
    for rows in _WARM_UP_ROWS:
        if rows <= config.max_batch_size:
            warm_up = config.model_warmup.add(name=f"batch of {rows}", batch_size=rows, count=1)
            for tensor in described.inputs:
                given = warm_up.inputs[tensor.name]
                given.data_type = _TYPES[tensor.dtype]
                given.dims.extend(tensor.sized(sizes) or [1])
                given.input_data_file = tensor.name
    return config


def write_config(config: triton.ModelConfig, described: Endpoint, rows: Mapping[str, np.ndarray], folder: Path) -> None:
    """Write ``config.pbtxt``, the labels and the data of the warm-up, one row of each input, into a model's folder."""
    write_whole(folder / CONFIG, text_format.MessageToString(config))
    for tensor in described.outputs:
        if tensor.labels:
            write_whole(folder / label_file(tensor), "".join(f"{label}\n" for label in tensor.labels))
    (folder / WARM_UP).mkdir()
    for tensor in described.inputs:
        write_whole(folder / WARM_UP / tensor.name, rows[tensor.name][0].astype(little_endian(tensor.dtype)).tobytes())


def read_config(folder: Path) -> triton.ModelConfig:
    """The configuration in a model's folder; ExportError where it is none."""
    path = folder / CONFIG
    try:
        config: triton.ModelConfig = text_format.Parse(path.read_text(), triton.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ExportError(f"{path} is no model configuration: {error}") from error
    return config


def check_config(folder: Path, graph: Path) -> None:
    """Check that a model's folder holds what its configuration says, and that the graph takes and gives it.

    Raises
    ------
    ExportError
        Naming the tensor or file, what was expected and what was found.
    """
    config, where = read_config(folder), folder / CONFIG
    if config.name != folder.name:
        raise ExportError(f"{where}: expected the name of its folder, {folder.name}, found {config.name!r}")
    proto = onnx.load(graph, load_external_data=False).graph
    for kind, described, values in (("input", config.input, proto.input), ("output", config.output, proto.output)):
        found = {value.name: _graph_facts(value) for value in values}
        expected = {tensor.name: _config_facts(tensor) for tensor in described}
        if found != expected:
            raise ExportError(f"{where}: describes as {kind} {expected}, the graph {graph.name} has {found}")
        for tensor in described:
            if not tensor.dims or any(size < 1 and size != FREE for size in tensor.dims):
                raise ExportError(
                    f"{where}: {kind} {tensor.name!r}: expected at least one dimension, each above zero or {FREE}"
                )
    for output in config.output:
        if output.label_filename and len((folder / output.label_filename).read_text().splitlines()) != output.dims[-1]:
            raise ExportError(f"{folder / output.label_filename}: expected {output.dims[-1]} labels, one a line")
    for sample in config.model_warmup:
        for name, given in sample.inputs.items():
            path = folder / WARM_UP / given.input_data_file
            expected_bytes = math.prod(given.dims) * _bytes_each(given.data_type)
            if path.stat().st_size != expected_bytes:
                raise ExportError(f"{path}: expected {expected_bytes} bytes, one row of {name}")


def same_tensors(one: triton.ModelConfig, other: triton.ModelConfig) -> bool:
    """Whether two configurations have the same inputs and outputs."""
    return [_facts(t) for t in (*one.input, *one.output)] == [_facts(t) for t in (*other.input, *other.output)]


def label_file(tensor: Tensor) -> str:
    """File with the labels of an output's classes."""
    return f"{tensor.name}_labels.txt"


def _describe(message: triton.ModelInput | triton.ModelOutput, tensor: Tensor) -> None:
    message.name, message.data_type = tensor.name, _TYPES[tensor.dtype]
    message.dims.extend(tensor.wire_shape)
    if not tensor.shape:  # Triton's way to say (batch,): dims may not be empty, the graph's shape beyond the batch is
        message.reshape.SetInParent()


def _max_batch_size(described: Endpoint) -> int:
    """A power of two, so that a batch of inputs and outputs as long as they may be stays below ``BATCH_BYTES``."""
    most = {name: axis.most or 1 for name, axis in described.free.items()}
    row = sum(np.dtype(tensor.dtype).itemsize * math.prod(tensor.sized(most)) for tensor in described.tensors)
    return min(MAX_ROWS, 2 ** max(0, int(math.log2(BATCH_BYTES / row))))


def _facts(tensor: triton.ModelInput | triton.ModelOutput) -> tuple[object, ...]:
    return tensor.name, tensor.data_type, tuple(tensor.dims), tensor.HasField("reshape")


def _graph_facts(value: onnx.ValueInfoProto) -> list[object]:
    """Type and dimensions of a graph's tensor, as ``["FP32", -1, 3]``: a dimension that is free is -1."""
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    dims = [dimension.dim_value if dimension.HasField("dim_value") else FREE for dimension in tensor.shape.dim]
    return [triton.DataType.Name(_TYPES[dtype]) if dtype in _TYPES else dtype, *dims]


def _config_facts(tensor: triton.ModelInput | triton.ModelOutput) -> list[object]:
    """The same of a tensor in a configuration, the batch first, which Triton leaves out."""
    dims = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
    return [triton.DataType.Name(tensor.data_type), FREE, *dims]


def _bytes_each(data_type: int) -> int:
    """Bytes of an element; 0 of a type that no model of ours has."""
    return next((np.dtype(dtype).itemsize for dtype, known in _TYPES.items() if known == data_type), 0)

"""An endpoint as a project for hls4ml: firmware in fixed point, and its emulation in C++ on this machine.

What hls4ml would do by itself is not enough for these models. It puts the standardization of an input on the chip as one
multiplication and one sum, a small difference of large numbers; here that stays with the host. And it gives every tensor the
same integer bits; here each has those that its range needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from zoo.atomic import whole_file
from zoo.errors import ExportError, InputError, ZooError
from zoo.export.targets import TARGETS, fit
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, onnx_file
from zoo.model.store import locate

if TYPE_CHECKING:
    from hls4ml.model import ModelGraph
    from qonnx.core.modelwrapper import ModelWrapper

SCALING = "scaling.npz"
"""File of the project with mean and scale of each input, for the host."""
TABLE = 4096
"""Entries of the table of a sigmoid over -8 to 8; hls4ml's own 1024 are steps of up to 0.004 in a probability."""

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Scaling:
    """What the host does with an input: (x - mean) / scale, element by element."""

    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((x - self.mean) / self.scale, dtype=np.float32)


@dataclass(frozen=True)
class HlsProject:
    """A written project.

    Attributes
    ----------
    model : ModelGraph
        The model of hls4ml, for synthesis (``build``) and reports.
    endpoint : Endpoint
        The endpoint as the card has it; its tensors are the ports, in their order.
    scaling : dict of str to Scaling
        What the host does with each input, by its name.
    """

    model: ModelGraph
    endpoint: Endpoint
    scaling: dict[str, Scaling]

    def compile(self) -> None:
        """Compile the emulation with g++: some seconds to a minute."""
        self.model.compile()

    def run(self, inputs: Tensors) -> dict[str, np.ndarray]:
        """What the emulation answers, after :meth:`compile`; inputs out of range saturate.

        Parameters
        ----------
        inputs : Tensors
            Inputs by name, (n, *shape) in the card's units.

        Raises
        ------
        InputError
            What ``Session.run`` refuses, but for the trained range.
        """
        checked = InputCheck(self.endpoint)(inputs, allow_out_of_range=True)
        ports = [scale(checked[name]) for name, scale in self.scaling.items()]
        answers = self.model.predict(ports[0] if len(ports) == 1 else ports)
        outputs = self.endpoint.outputs
        answers = [answers] if len(outputs) == 1 else answers
        return {t.name: a.reshape(len(ports[0]), *t.fixed_shape) for t, a in zip(outputs, answers, strict=True)}


def to_hls(
    source: str | Path,
    folder: str | Path,
    rows: Tensors,
    *,
    endpoint: str | None = None,
    width: int = 16,
    reuse_factor: int = 1,
    **options: Any,
) -> HlsProject:
    """Write an hls4ml project of one endpoint.

    Inputs, weights and what each layer hands on have ``width`` bits, rounded and saturated; sums are exact. Integer bits
    follow from the weights and from the rows, with one bit to spare.

    Parameters
    ----------
    source : str or Path
        Name or folder of a model, such as ``zoo export --target hls4ml`` writes.
    folder : str or Path
        Folder of the project, to be made.
    rows : Tensors
        Typical inputs by name, (n, *shape) in the card's units, from which ranges are taken.
    endpoint : str, optional
        Endpoint of the project; by default predict, or the first where there is none.
    width : int
        Number of bits of a number, 4 to 32.
    reuse_factor : int
        Number of products that share a multiplier; above 1 with hls4ml's strategy "Resource".
    **options : object
        Options of hls4ml's ``convert_from_onnx_model``: backend (by default "Vitis"), part, clock_period, io_type.

    Raises
    ------
    ExportError
        When the folder exists, or the graph does not suit hls4ml.
    InputError
        The width is out of range, or rows do not suit the endpoint.
    ZooError
        Either hls4ml or qonnx is not installed.
    """
    expect_installed("a project for hls4ml", {"hls4ml": "hls4ml", "qonnx": "qonnx"})
    from hls4ml.converters import convert_from_onnx_model
    from hls4ml.utils import config_from_onnx_model

    if not 4 <= width <= 32:
        raise InputError(f"expected a width of 4 to 32 bits, given {width}")
    origin = locate(source)
    endpoint = endpoint or origin.spec.default_endpoint
    where = f"{origin.spec.name}, endpoint {endpoint!r}"
    described = origin.spec.endpoint(endpoint)
    typical = InputCheck(described)(rows, allow_out_of_range=True)
    if not len(next(iter(typical.values()))):
        raise InputError(f"{where}: expected typical inputs, given no row")
    expect_new(folder)
    proto = fit(onnx.load_from_string(origin.read(onnx_file(endpoint)).getvalue()), TARGETS["hls4ml"], where)
    scaling = split_scaling(proto.graph)
    clean = _clean(proto)
    scaled = [scale(typical[name]) for name, scale in scaling.items()]
    backend = options.pop("backend", "Vitis")
    config = config_from_onnx_model(clean.model, backend=backend, default_reuse_factor=reuse_factor)
    config["Model"]["Strategy"] = "Latency" if reuse_factor == 1 else "Resource"
    _set_types(config, clean.model.graph, _ranges(clean.model, scaled), width)
    model = convert_from_onnx_model(
        clean,
        output_dir=str(folder),
        project_name=f"{origin.spec.name}_{endpoint}".replace("-", "_"),
        backend=backend,
        hls_config=config,
        **options,
    )
    model.write()
    write_scaling(scaling, folder)
    return HlsProject(model, described, scaling)


def expect_installed(what: str, packages: Mapping[str, str]) -> None:
    """ZooError unless modules can be imported that something needs, which are given with the names of their packages."""
    for module, package in packages.items():
        if find_spec(module) is None:
            raise ZooError(f"{what} needs {package}, which is not installed: pip install 'physzoo[export,cpu,hls]'")


def expect_new(folder: str | Path) -> None:
    """ExportError where a folder is there already."""
    if Path(folder).exists():
        raise ExportError(f"{folder} exists: choose a new folder")


def write_scaling(scaling: Mapping[str, Scaling], folder: str | Path) -> None:
    """Write what the host does with each input into the folder of a project."""
    with whole_file(Path(folder) / SCALING) as file:
        np.savez(file, **{f"{name}/{key}": array for name, one in scaling.items() for key, array in vars(one).items()})


def split_scaling(graph: onnx.GraphProto) -> dict[str, Scaling]:
    """Take sums and products of an input with constants off the start of a graph, and return them: input -> scaling."""
    constants = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    found = {}
    for value in graph.input:
        shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim[1:]]
        factor, offset, name = np.ones(shape), np.zeros(shape), value.name
        while step := _scaling_step(graph, name, constants):
            constant = np.broadcast_to(constants[step.input[1]], [1, *shape])[0]
            if step.op_type in {"Mul", "Div"}:
                by = constant if step.op_type == "Mul" else 1 / constant
                factor, offset = factor * by, offset * by
            else:
                offset = offset + (constant if step.op_type == "Add" else -constant)
            graph.node.remove(step)
            name = step.output[0]
        for node in graph.node:
            node.input[:] = [value.name if given == name else given for given in node.input]
        found[value.name] = Scaling(mean=-offset / factor, scale=1 / factor)
    return found


def _scaling_step(graph: onnx.GraphProto, name: str, constants: dict[str, np.ndarray]) -> onnx.NodeProto | None:
    users = [node for node in graph.node if name in node.input]
    if len(users) != 1 or any(value.name == users[0].output[0] for value in graph.output):
        return None
    (node,) = users
    affine = node.op_type in {"Sub", "Mul", "Add", "Div"} and node.input[0] == name
    return node if affine and node.input[1] in constants else None


def _clean(proto: onnx.ModelProto) -> ModelWrapper:
    """Give a graph the form that hls4ml reads: shapes known, names its own, products apart from sums."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    return cleanup_model(cleanup_model(ModelWrapper(proto)).transform(GemmToMatMul()))


def _ranges(proto: onnx.ModelProto, rows: list[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every computed tensor on some rows."""
    open_graph = onnx.ModelProto()
    open_graph.CopyFrom(proto)
    known = {value.name for value in open_graph.graph.output}
    for node in proto.graph.node:
        open_graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name not in known)
    session = onnxruntime.InferenceSession(open_graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    ports = [value.name for value in session.get_inputs()]
    ranges = {port: (float(array.min()), float(array.max())) for port, array in zip(ports, rows, strict=True)}
    for row in range(len(rows[0])):
        values = session.run(names, {port: array[row : row + 1] for port, array in zip(ports, rows, strict=True)})
        for name, value in zip(names, values, strict=True):
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = (min(low, float(value.min())), max(high, float(value.max())))
    return ranges


def fixed(width: int, low: float, high: float, spare: int = 0) -> str:
    """Name in hls4ml of a type of some bits that holds a range: unsigned where it may be, rounding and saturating."""
    signed = low < 0
    largest = max(-low, high, 2.0**-width)
    integer = math.floor(math.log2(largest)) + 1 + signed + spare
    return f"{'' if signed else 'u'}fixed<{width},{integer},RND,SAT>"


def _set_types(config: dict, graph: onnx.GraphProto, ranges: dict[str, tuple[float, float]], width: int) -> None:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    users = {name: node for node in graph.node for name in node.input}

    def covering(*arrays: np.ndarray) -> str:
        return fixed(width, min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays))

    config["Model"]["Precision"]["default"] = covering(*constants.values(), np.array([-1.0]))
    layers = config["LayerName"]
    for value in graph.input:
        layers[value.name]["Precision"]["result"] = fixed(width, *ranges[value.name], spare=1)
    for node in graph.node:
        precision = layers[node.name]["Precision"]
        if node.op_type == "MatMul" and node.input[1] in constants:
            # hls4ml joins the sum that follows to the product only where the type of the result is its own to choose.
            precision["weight"] = covering(constants[node.input[1]])
            following = users.get(node.output[0])
            if following is not None and following.op_type == "Add" and following.input[1] in constants:
                precision["bias"] = covering(constants[following.input[1]])
        elif node.op_type == "Sigmoid":
            # Beyond 8 a table stays at its ends. With ten bits they round to 0 and 1, as a swish needs them.
            layers[node.name]["TableSize"] = TABLE
            layers[node.name]["table_t"] = precision["result"] = f"ufixed<{min(width, 11)},{int(width > 10)},RND,SAT>"
        else:
            precision["result"] = fixed(width, *ranges[node.output[0]], spare=1)

"""What a model is, as data: the content of its ``model.json``.

Everything downstream of a family - loading, export, serving, the command line - reads only this. The module needs
pydantic alone, so that a list of models or a server starts without Keras.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from zoo.model.axes import Axis, Strict, TensorName
from zoo.model.jet import Jet
from zoo.model.limit import Limit

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+([-_.][a-z0-9]+)*$", max_length=80)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bound = float | list[float] | None
DType = Literal["float32", "float64", "int32", "int64", "bool"]
Library = Literal["keras", "sklearn"]
Precision = Literal["float32", "float16", "int8"]
LIBRARIES: dict[Library, str] = {"keras": "Keras", "sklearn": "scikit-learn"}
"""Name for people of each library of models, by its name on the Hugging Face Hub."""
FORMAT: Literal[2] = 2
"""Version of the spec; folders of format 1 are read by ``zoo.model.format1``."""


Accepted = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tolerance(Strict):
    """Largest accepted difference, ``|a - b| <= absolute + relative |b|``."""

    absolute: Accepted = 1e-5
    relative: Accepted = 1e-5

    def at(self, element: Sequence[int]) -> tuple[float, float]:
        """Give ``absolute`` and ``relative`` of one element of a row, by its position along each axis."""
        return self.absolute, self.relative


class ElementTolerance(Strict):
    """Largest accepted difference of each element of the last axis: a time in days beside an amplitude of 1e-20."""

    absolute: list[Accepted]
    relative: list[Accepted]

    def at(self, element: Sequence[int]) -> tuple[float, float]:
        """Give ``absolute`` and ``relative`` of one element of a row, by its position along each axis."""
        return self.absolute[element[-1]], self.relative[element[-1]]


class Tensor(Strict):
    """One named tensor of an endpoint; the first axis, the batch, is left out of ``axes``."""

    name: TensorName
    axes: list[Axis] = []
    """Axes after the batch; none for one number a row."""
    dtype: DType = "float32"
    unit: str
    """The physical unit, "1" for dimensionless; where an axis has ``units``, these words describe them together."""
    description: str
    low: Bound = None
    """Lower end of the trained range: one number, or one for each element of the last axis."""
    high: Bound = None
    """Upper end of the trained range, of the same form as ``low``."""
    mask: TensorName | None = None
    """Name of the boolean input that says which elements are real; the others are padding and change no answer."""
    index_of: TensorName | None = None
    """Name of the axis along which the whole numbers of this tensor count positions, from 0."""
    values: Annotated[list[int], Field(min_length=1)] | None = None
    """The only whole numbers that stand for something, such as codes of particles; others are outside what was trained on."""
    whole: Annotated[list[int], Field(min_length=1)] | None = None
    """Elements of the last axis, from 0, that are whole numbers, such as counts; fractions are outside what was trained on."""
    guards: Literal[True] | None = None
    """True of an output, such as an energy, that tells inputs which are each in its range and together unlike the training's.

    Its ``low`` and ``high`` are those of the answers to the training rows, and an answer beyond them is refused. The range of
    another output says only what it can be, as of a probability.
    """
    jet: Jet | None = None
    """Which jets the model was trained on, where the elements are their particles; None of other tensors."""
    tolerance: Tolerance | ElementTolerance | None = None
    """Tolerance of this output, where the model's is not meant for it."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Tensor:
        names = [axis.name for axis in self.axes]
        if len(set(names)) < len(names):
            raise ValueError(f"tensor {self.name}: two of its axes have one name: {', '.join(names)}")
        for bound in (self.low, self.high):
            if bound is not None and self.dtype == "bool":
                raise ValueError(f"tensor {self.name}: a bool tensor has no trained range")
            if isinstance(bound, list) and (not self.axes or len(bound) != self.axes[-1].size):
                raise ValueError(f"tensor {self.name}: {len(bound)} bounds for a last axis of shape {self.shape}")
        if self.low is not None and self.high is not None:
            size = self.axes[-1].size if self.axes else None
            lows, highs = (bound if isinstance(bound, list) else [bound] * (size or 1) for bound in (self.low, self.high))
            if any(low > high for low, high in zip(lows, highs, strict=True)):
                raise ValueError(f"tensor {self.name}: its lower bound lies above its upper one")
        if isinstance(self.tolerance, ElementTolerance):
            for numbers in (self.tolerance.absolute, self.tolerance.relative):
                if not self.axes or len(numbers) != self.axes[-1].size:
                    raise ValueError(f"tensor {self.name}: {len(numbers)} tolerances for a last axis of shape {self.shape}")
        if self.index_of is not None and self.dtype not in ("int32", "int64"):
            raise ValueError(f"tensor {self.name}: positions along {self.index_of!r} are int32 or int64, not {self.dtype}")
        if self.values is not None:
            if self.dtype not in ("int32", "int64"):
                raise ValueError(f"tensor {self.name}: values that are listed are int32 or int64, not {self.dtype}")
            if not self.unbounded or self.index_of is not None:
                raise ValueError(f"tensor {self.name}: expected values, a range or index_of, given two of them")
            if any(abs(value) >= 2**31 for value in self.values):
                raise ValueError(f"tensor {self.name}: expected values that int32 holds")
        if self.whole is not None:
            size = self.axes[-1].size if self.axes else None
            in_order = sorted(set(self.whole)) == self.whole
            if size is None or self.mask is not None or not self.dtype.startswith("float") or not in_order:
                raise ValueError(f"tensor {self.name}: whole are elements of a fixed last axis of floating-point numbers")
            if self.whole[0] < 0 or self.whole[-1] >= size:
                raise ValueError(f"tensor {self.name}: expected elements from 0 to {size - 1} as whole, given {self.whole}")
        if self.guards and (not self.dtype.startswith("float") or self.mask is not None):
            raise ValueError(f"tensor {self.name}: what guards is an output of floating-point numbers without a mask")
        if self.jet is not None:
            self.jet.expect_particles(self.name, self.dtype, self.axes, self.mask)
        return self

    @property
    def floats(self) -> Literal["float32", "float64"]:
        """Precision in which numbers of this tensor are read: float64 where it is one, else float32."""
        return "float64" if self.dtype == "float64" else "float32"

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """What a terminal shows of it, on a line: whole, it would be the ranges and labels of every element."""
        for name in ("name", "shape", "dtype", "unit", "description"):
            yield name, getattr(self, name)

    @property
    def shape(self) -> list[int | None]:
        """Sizes of the axes after the batch; None where an axis is free."""
        return [axis.size for axis in self.axes]

    @property
    def fixed_shape(self) -> list[int]:
        """Sizes of the axes after the batch, of a tensor whose axes are all fixed.

        Raises
        ------
        ValueError
            An axis is free.
        """
        return self.sized({})

    @property
    def free(self) -> dict[str, Axis]:
        """Axes without a fixed size, by name."""
        return {axis.name: axis for axis in self.axes if axis.free}

    @property
    def labels(self) -> list[str] | None:
        """Labels of the elements of the last axis, None where it has none."""
        return self.axes[-1].labels if self.axes else None

    @property
    def unbounded(self) -> bool:
        """Whether no trained range is known."""
        return self.low is None and self.high is None

    @property
    def wire_shape(self) -> list[int]:
        """Shape of a row on the wire: -1 where it is free, and [1] for one number, since Triton has no rows without an axis."""
        return [-1 if axis.size is None else axis.size for axis in self.axes] or [1]

    def sized(self, sizes: Mapping[str, int]) -> list[int]:
        """Shape of a row whose free axes have these sizes.

        Raises
        ------
        ValueError
            No size is given for a free axis.
        """
        shape = [sizes.get(axis.name) if axis.size is None else axis.size for axis in self.axes]
        if missing := [axis.name for axis, size in zip(self.axes, shape, strict=True) if size is None]:
            raise ValueError(f"tensor {self.name}: no size is known of its free axes {', '.join(missing)}")
        return [size for size in shape if size is not None]

    def unit_of(self, element: Sequence[int]) -> str:
        """Unit of one element of a row, by its position along each axis."""
        for axis, position in zip(self.axes, element, strict=True):
            if axis.units is not None:
                return axis.units[position]
        return self.unit


class Endpoint(Strict):
    """A named function of a model: one ONNX file, one SavedModel signature, one served model."""

    description: str
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Tensor] = Field(min_length=1)

    @model_validator(mode="after")
    def _tensors_agree(self) -> Endpoint:
        inputs = {tensor.name: tensor for tensor in self.inputs}
        axes: dict[str, Axis] = {}
        for tensor in self.tensors:
            for axis in tensor.axes:
                known = axes.setdefault(axis.name, axis)
                if (known.size, known.least, known.most) != (axis.size, axis.least, axis.most):
                    raise ValueError(f"axis {axis.name}: {known.length} in one tensor, {axis.length} in {tensor.name}")
            if tensor.mask is not None:
                mask = inputs.get(tensor.mask)
                if mask is None or mask.dtype != "bool":
                    raise ValueError(f"tensor {tensor.name}: expected a bool input as its mask, given {tensor.mask!r}")
                if [axis.name for axis in mask.axes] != [axis.name for axis in tensor.axes[: len(mask.axes)]]:
                    raise ValueError(f"tensor {tensor.name}: the axes of its mask {tensor.mask} are not its own first ones")
                if tensor.jet is not None and len(mask.axes) != 1:
                    raise ValueError(f"tensor {tensor.name}: expected a mask of particles, of one axis, given {tensor.mask!r}")
        if guards := [tensor.name for tensor in self.inputs if tensor.guards]:
            raise ValueError(f"tensor {guards[0]}: expected an output as what guards, given an input")
        for tensor in self.tensors:
            if tensor.index_of is not None and tensor.index_of not in axes:
                raise ValueError(f"tensor {tensor.name}: no axis {tensor.index_of!r} along which it could count positions")
        if unknown := {name for tensor in self.outputs for name in tensor.free} - self.free.keys():
            raise ValueError(f"no input has the free axes {', '.join(sorted(unknown))} of the outputs")
        return self

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """What a terminal shows of it, on a line."""
        yield "description", self.description
        for side in ("inputs", "outputs"):
            yield side, {tensor.name: tensor.shape for tensor in getattr(self, side)}

    @property
    def tensors(self) -> list[Tensor]:
        """All inputs, then all outputs."""
        return [*self.inputs, *self.outputs]

    @property
    def free(self) -> dict[str, Axis]:
        """Free axes of the inputs, by name."""
        return {name: axis for tensor in self.inputs for name, axis in tensor.free.items()}

    def row_values(self, sizes: Mapping[str, int] | None = None) -> int:
        """Numbers in the inputs and outputs of one row; free axes are as long as they may be, or have the ``sizes`` given."""
        most = {name: axis.most or 1 for name, axis in self.free.items()} | dict(sizes or {})
        return sum(math.prod(tensor.sized(most)) for tensor in chain(self.inputs, self.outputs))


class File(Strict):
    """One file of a model's folder."""

    path: str
    sha256: Sha256
    bytes: int

    @classmethod
    def of(cls, path: Path) -> File:
        """What a card says about a file that is there."""
        content = path.read_bytes()
        return cls(path=path.name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

    @model_validator(mode="after")
    def _stays_inside(self) -> File:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.path):
            raise ValueError(f"file path {self.path!r} must be a plain file name inside the model's folder")
        return self


def _shown(value: float) -> float:
    """A number with six digits, as many as any test set is worth."""
    return float(f"{value:.6g}")


class Metric(Strict):
    """A number measured on held-out data by ``zoo release``, with what one needs to judge it."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    """The 95% interval; how it was made stands in ``detail``."""
    n: int
    seeds: int = 1
    split: str = "test"
    baseline: float | None = None
    baseline_name: str | None = None
    detail: str = ""

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """What a terminal shows of it, on a line: how it was measured stands in ``detail``."""
        yield "name", self.name
        for name in ("value", "interval", "baseline"):
            if (given := getattr(self, name)) is not None:
                yield name, tuple(map(_shown, given)) if name == "interval" else _shown(given)
        yield "n", self.n

    def _repr_markdown_(self) -> str:
        """What a notebook shows: value and interval in as many digits as they are worth, and what was measured."""
        from zoo.model.metric_text import value_text

        beside = "" if self.baseline is None else f", beside {self.baseline:.4g} ({self.baseline_name})"
        return f"**{self.name}** {value_text(self)}{beside}, n = {self.n:,}. {self.detail}".rstrip()


class Data(Strict):
    """Where the training data come from."""

    source: str
    description: str
    simulator: str
    seed: int
    parameters: dict[str, JsonValue] = {}
    """What the data set was made with, so that the same rows can be made again; of a user's rows, how they were read."""
    rows: dict[str, int]
    """Rows of each split."""
    groups: dict[str, int] = {}
    """Independent simulations of each split, where several rows share one."""
    fields: list[Name] | None = None
    """Fields of physics that the rows are of, the widest first; None where nobody says."""
    license: str | None = None
    """License of a user's rows in their words, "unknown" where they have not said it; None of rows that a recipe makes."""
    citation: str | None = None
    """What is to be cited for a user's rows."""


class Difference(Strict):
    """How far the answers of a graph of lower precision are from those in float32, in the unit of the output."""

    largest: float
    median: float


class Reduced(Strict):
    """What graphs of lower precision cost."""

    precision: Literal["float16", "int8"]
    rows: int
    """Number of rows over which the differences were taken: test rows and mixtures of them."""
    calibration: str | None = None
    """Rows from which the ranges of activations in int8 were taken."""
    differences: dict[str, dict[str, Difference]]
    """The difference of each output, by endpoint and output."""


class FixedPoint(Strict):
    """Fewest bits of fixed point in which an FPGA answers as well, by a stated rule."""

    tool: str
    width: int
    metric: str
    relative_change: float
    """Relative change of the metric on test rows, against float32."""
    interval: tuple[float, float]


class Export(Strict):
    """What the released ONNX files are and where they were run."""

    opset: int = 13
    ir_version: int = 7
    runtimes: list[str] = []
    parity: dict[str, float] = {}
    """Largest absolute difference of each endpoint from the model in its own library."""
    reduced: Reduced | None = None
    """What lower precision costs; None for graphs in float32."""
    fixed_point: FixedPoint | None = None
    """Fewest bits of fixed point by endpoint, where they were measured."""


class Lineage(Strict):
    """What a fine-tuned model started from."""

    parent: str
    revision: str
    hub: str | None = None
    """The repository that the parent came from, ``owner/name`` on the Hugging Face Hub; None where it came from elsewhere."""
    data_sha256: Sha256 | None = None
    """The sha256 of the data that the model was fine-tuned on."""


class ModelSpec(Strict):
    """One revision of one model."""

    format: Literal[2] = FORMAT
    name: Name
    revision: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=80)] = "1"
    family: Name
    library: Library = "keras"
    """What the model is made with, which its family says."""
    config: dict[str, JsonValue]
    """Keyword arguments of the family: plain data, nothing in it is ever evaluated or imported."""
    task: Name
    summary: str
    endpoints: dict[Name, Endpoint] = Field(min_length=1)
    data: Data
    metrics: list[Metric]
    limit: Limit | None = None
    """How far the model is from the best that its data allow; None where nobody has said."""
    notes: list[str] | None = None
    """What one must know beside the numbers, such as that intervals are too narrow; the card says it."""
    verdict: list[str] | None = None
    """What its training came to, in sentences with their numbers; None where it was not said."""
    files: list[File]
    tolerance: Tolerance = Tolerance()
    export: Export = Export()
    lineage: Lineage | None = None
    earlier_revisions: dict[str, Sha256] = {}
    """The sha256 of the ``model.json`` of each earlier revision, by which a mirror's copy is trusted."""
    physzoo_version: str

    @model_validator(mode="after")
    def _files_stand_once(self) -> ModelSpec:
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            raise ValueError("files: a file is listed twice")
        return self

    @model_validator(mode="after")
    def _limit_was_measured(self) -> ModelSpec:
        if self.limit is not None:
            self.limit.value(self.metrics)
        return self

    def file(self, path: str) -> File | None:
        """The entry of one file, None where the model has no such file."""
        return next((file for file in self.files if file.path == path), None)

    @property
    def units(self) -> set[str]:
        """Units of all tensors and of what they name."""
        tensors = [tensor for endpoint in self.endpoints.values() for tensor in endpoint.tensors]
        named = {unit for tensor in tensors for axis in tensor.axes for unit in axis.units or ()}
        return named | {tensor.unit for tensor in tensors}

    def _repr_markdown_(self) -> str:
        """What a notebook shows: what the model is for, how it is asked, and its first numbers, in the words of its card."""
        from zoo.model.card_sections import SECTIONS

        return "\n".join([f"### {self.name}\n", *(section(self, self.name) for section in SECTIONS.values())])

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """What a terminal shows of it, on a line: whole, it would be the ranges of every element."""
        for name in ("name", "revision", "family", "task", "summary"):
            yield name, getattr(self, name)
        yield "endpoints", list(self.endpoints)

    @property
    def default_endpoint(self) -> str:
        """``predict`` where there is one, else the first."""
        return "predict" if "predict" in self.endpoints else next(iter(self.endpoints))

    @property
    def guards(self) -> set[str]:
        """Names of the outputs that guard."""
        return {tensor.name for endpoint in self.endpoints.values() for tensor in endpoint.outputs if tensor.guards}

    def tolerance_of(self, tensor: Tensor) -> Tolerance | ElementTolerance:
        """The tensor's own tolerance, or the model's."""
        return tensor.tolerance or self.tolerance

    def endpoint(self, name: str) -> Endpoint:
        """One endpoint; UnknownNameError with suggestions otherwise."""
        from zoo.errors import UnknownNameError

        if name not in self.endpoints:
            raise UnknownNameError(f"endpoint of {self.name}", name, self.endpoints)
        return self.endpoints[name]


CARD = "README.md"
SPEC = "model.json"
RANGES = "ranges.npz"
FIGURES = "figures"
WEIGHTS = "model.weights.h5"
TEST_TENSORS = "test_tensors.npz"
REFERENCE = "reference.npz"
"""File name of what simulated observations are like, beside a posterior that was learned from them."""
METRICS = "metrics.json"
OUTSIDE = "outside/"
"""What the names of metrics begin with that are of rows outside a classifier's classes; then what they are, and the metric."""
PUBLISHED = "published: "
"""What the name of a baseline begins with that is a number from the literature, of other data."""
SERVED_GRAPH = "model.onnx"
"""File name of a graph in a version's folder of a model repository."""


def onnx_file(endpoint: str) -> str:
    """File name of an endpoint's ONNX graph."""
    return f"{endpoint}.onnx"


def wire_name(model: str, endpoint: str) -> str:
    """The name under which an endpoint is served: ``predict`` under the model's own, others as ``<model>.<endpoint>``."""
    return model if endpoint == "predict" else f"{model}.{endpoint}"

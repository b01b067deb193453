"""What a model is, as data: the ``physzoo:`` block of its card.

Everything downstream of a family - loading, export, serving, the command line - reads only this. The module needs
pydantic alone, so that a list of models or a server starts without Keras.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+([-_.][a-z0-9]+)*$", max_length=80)]
TensorName = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$", max_length=60)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bound = float | list[float] | None
Library = Literal["keras", "sklearn"]
Precision = Literal["float32", "float16", "int8"]
LIBRARIES: dict[Library, str] = {"keras": "Keras", "sklearn": "scikit-learn"}
"""Library of a model, as the Hugging Face Hub calls it -> its name for people."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tolerance(Strict):
    """Largest accepted difference |a - b| <= absolute + relative |b|."""

    absolute: float = 1e-5
    relative: float = 1e-5


class Tensor(Strict):
    """One named tensor of an endpoint; the first axis, the batch, is left out of ``shape``."""

    name: TensorName
    shape: list[Annotated[int, Field(gt=0)]]
    dtype: Literal["float32"] = "float32"
    unit: str
    """The physical unit, "1" for dimensionless."""
    description: str
    low: Bound = None
    high: Bound = None
    """Trained range: one number, or one per element of the last axis."""
    labels: list[str] | None = None
    """Of the elements of the last axis, where they are classes."""
    tolerance: Tolerance | None = None
    """Of this output, where the model's is not meant for it."""

    @model_validator(mode="after")
    def _lists_fit(self) -> Tensor:
        for what, given in (("bounds", self.low), ("bounds", self.high), ("labels", self.labels)):
            if isinstance(given, list) and (not self.shape or len(given) != self.shape[-1]):
                raise ValueError(f"tensor {self.name}: {len(given)} {what} for a last axis of shape {self.shape}")
        return self

    @property
    def unbounded(self) -> bool:
        """Whether no trained range is known."""
        return self.low is None and self.high is None

    @property
    def wire_shape(self) -> list[int]:
        """Of a row on the wire, where one number is a row of one: Triton has no rows without an axis."""
        return self.shape or [1]


class Endpoint(Strict):
    """A named function of a model: one ONNX file, one SavedModel signature, one served model."""

    description: str
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Tensor] = Field(min_length=1)


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


class Metric(Strict):
    """A number measured on held-out data by ``zoo release``, with what one needs to judge it."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    """95% interval; how it was made stands in ``detail``."""
    n: int
    seeds: int = 1
    split: str = "test"
    baseline: float | None = None
    baseline_name: str | None = None
    detail: str = ""


class Data(Strict):
    """Where the training data come from."""

    source: str
    description: str
    simulator: str
    seed: int
    rows: dict[str, int]
    """Rows of each split."""
    groups: dict[str, int] = {}
    """Independent simulations of each split, where several rows share one."""


class Difference(Strict):
    """How far the answers of a graph of lower precision are from those in float32, in the unit of the output."""

    largest: float
    median: float


class Reduced(Strict):
    """What graphs of lower precision cost."""

    precision: Literal["float16", "int8"]
    rows: int
    """Over which the differences were taken: test rows and mixtures of them."""
    calibration: str | None = None
    """Rows from which the ranges of activations in int8 were taken."""
    differences: dict[str, dict[str, Difference]]
    """Endpoint -> output -> difference."""


class FixedPoint(Strict):
    """Fewest bits of fixed point in which an FPGA answers as well, by a stated rule."""

    tool: str
    width: int
    metric: str
    relative_change: float
    """Of the metric on test rows, against float32."""
    interval: tuple[float, float]


class Export(Strict):
    """What the released ONNX files are and where they were run."""

    opset: int = 13
    ir_version: int = 7
    runtimes: list[str] = []
    parity: dict[str, float] = {}
    """Largest absolute difference of each endpoint from the model in its own library."""
    reduced: Reduced | None = None
    """None for graphs in float32."""
    fixed_point: FixedPoint | None = None
    """Where it was measured."""


class Lineage(Strict):
    """What a fine-tuned model started from."""

    parent: str
    revision: str
    data_sha256: Sha256 | None = None
    """Of the data it was fine-tuned on."""


class ModelSpec(Strict):
    """One revision of one model."""

    name: Name
    revision: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")] = "1"
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
    files: list[File]
    tolerance: Tolerance = Tolerance()
    export: Export = Export()
    lineage: Lineage | None = None
    earlier_revisions: dict[str, Sha256] = {}
    """sha256 of the card of each earlier revision, by which a mirror's copy is trusted."""
    physzoo_version: str

    def file(self, path: str) -> File | None:
        """The entry of one file, None where the model has no such file."""
        return next((file for file in self.files if file.path == path), None)

    @property
    def default_endpoint(self) -> str:
        """``predict`` where there is one, else the first."""
        return "predict" if "predict" in self.endpoints else next(iter(self.endpoints))

    def tolerance_of(self, tensor: Tensor) -> Tolerance:
        """The tensor's own tolerance, or the model's."""
        return tensor.tolerance or self.tolerance

    def endpoint(self, name: str) -> Endpoint:
        """One endpoint; UnknownNameError with suggestions otherwise."""
        from zoo.errors import UnknownNameError

        if name not in self.endpoints:
            raise UnknownNameError(f"endpoint of {self.name}", name, self.endpoints)
        return self.endpoints[name]


WEIGHTS = "model.weights.h5"
TEST_TENSORS = "test_tensors.npz"
METRICS = "metrics.json"
SERVED_GRAPH = "model.onnx"
"""File name of a graph in a version's folder of a model repository."""


def onnx_file(endpoint: str) -> str:
    """File name of an endpoint's ONNX graph."""
    return f"{endpoint}.onnx"


def wire_name(model: str, endpoint: str) -> str:
    """The name under which an endpoint is served: ``predict`` under the model's own, others as ``<model>.<endpoint>``."""
    return model if endpoint == "predict" else f"{model}.{endpoint}"

"""A spec <-> ``model.json``, the only place of each number of a model, with its arrays in ``ranges.npz``.

A folder without a ``model.json`` whose card has a ``physzoo:`` block is of format 1 and is read as such. Nothing here needs
more than pydantic, but for the arrays, which take NumPy.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from zoo.atomic import whole_file
from zoo.errors import IntegrityError, fault
from zoo.model import ranges
from zoo.model.integrity import InMemory, read, read_bounded
from zoo.model.metric_text import metric_unit
from zoo.model.spec import CARD, RANGES, SPEC, File, Metric, ModelSpec, Name

MAX_BYTES = 2**21
_FRONT = 2**20
"""Bytes of a card that are looked through for its spec."""
MAX_DEPTH = 32
"""How deep lists and objects may be nested."""
_CONTROL = re.compile(
    rb"\\u00(?:0[^9ad]|1.|7f|[89].)|\\u20(?:2[a-e]|6[6-9])"
    rb"|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]",
    re.IGNORECASE,
)
"""What moves the cursor of a terminal, or turns the direction of writing, as JSON has it; all but ends of lines and tabs."""


class _Part(BaseModel):
    """Part of a spec, of which a list reads a few fields."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _WithUnit(_Part):
    unit: str


class _Endpoint(_Part):
    inputs: list[_WithUnit] = []
    outputs: list[_WithUnit] = []


class _Sized(_Part):
    bytes: int


class _Runs(_Part):
    runtimes: list[str] = []


class Summary(_Part):
    """What a list of models says of one."""

    name: Name
    revision: str
    family: Name
    task: Name
    summary: str
    metric: Metric | None = None
    """The first metric, None for a model without one."""
    endpoints: dict[str, _Endpoint] = {}
    files: list[_Sized] = []
    export: _Runs = _Runs()

    @property
    def bytes(self) -> int:
        """Bytes of the files that the spec lists."""
        return sum(file.bytes for file in self.files)

    @property
    def unit(self) -> str:
        """Unit of the metric, as far as it is known."""
        sides = [side for endpoint in self.endpoints.values() for side in (endpoint.inputs, endpoint.outputs)]
        return "" if self.metric is None else metric_unit(self.metric, {tensor.unit for side in sides for tensor in side})


def is_model_folder(folder: Path) -> bool:
    """Whether a folder holds a model: a ``model.json``, or the card of format 1, which any other ``README.md`` is not."""
    if (folder / SPEC).is_file():
        return True
    card = folder / CARD
    if not card.is_file():
        return False
    with card.open("rb") as file:
        start = file.read(_FRONT)
    return (
        start.removeprefix(b"\xef\xbb\xbf").startswith(b"---") and re.search(rb"^physzoo\s*:", start, re.MULTILINE) is not None
    )


def described_in(folder: Path) -> Path:
    """The file of a model's folder that holds its spec: ``model.json``, or the card of format 1."""
    card = folder / CARD
    return card if card.is_file() and not (folder / SPEC).is_file() else folder / SPEC


def read_spec(folder: str | Path, find: Callable[[File], InMemory] | None = None, sha256: str | None = None) -> ModelSpec:
    """The spec of a model's folder.

    Parameters
    ----------
    folder : str or Path
        The folder, of format 2 or 1.
    find : callable, optional
        Gives ``ranges.npz`` as its hash says that it is; by default that in the folder.
    sha256 : str, optional
        The hash of ``model.json``, where it is known.

    Returns
    -------
    ModelSpec
        The whole spec, arrays included.

    Raises
    ------
    IntegrityError
        Naming the file and what is wrong: no such file, one that is too large, no plain JSON, a value that the spec does not
        allow, or a file that is not the one described.
    """
    folder = Path(folder)
    path = described_in(folder)
    if path.name == CARD:
        from zoo.model.format1 import read_card

        return read_card(path)
    if folder.is_dir() and not os.path.lexists(path):
        raise IntegrityError(f"{path}: there is no such file: {folder} is not the folder of a model")
    fields = _read(path, _parsed, sha256)

    def arrays() -> dict[str, list[float]]:
        file = _file(path, fields)
        return ranges.read_ranges(read(folder / RANGES, file, folder) if find is None else find(file))

    try:
        ranges.put_back(fields, arrays)
        return ModelSpec.model_validate(fields)
    except ValueError as error:
        raise IntegrityError(f"{path} is not a valid spec: {reasons(error)}") from error


def read_summary(folder: Path) -> Summary:
    """What a list of models says of a folder; of format 2 only ``model.json`` is read.

    Raises
    ------
    IntegrityError
        What a list needs is wrong, as :func:`read_spec` says.
    """
    path = described_in(folder)
    fields = read_spec(folder).model_dump() if path.name == CARD else _read(path, _parsed_fast)
    metrics = fields.get("metrics")
    try:
        return Summary.model_validate({**fields, "metric": metrics[0] if isinstance(metrics, list) and metrics else None})
    except ValidationError as error:
        raise IntegrityError(f"{path} is not a valid spec: {reasons(error)}") from error


def write_spec(folder: str | Path, spec: ModelSpec) -> ModelSpec:
    """Write ``model.json``, and ``ranges.npz`` where the spec has arrays.

    Parameters
    ----------
    folder : str or Path
        The model's folder, which is there.
    spec : ModelSpec
        What is written. Its entry of ``ranges.npz`` among the files is made anew.

    Returns
    -------
    ModelSpec
        The spec as it was written.

    Raises
    ------
    IntegrityError
        A number is NaN or infinite; the files are what they were then.
    """
    folder = Path(folder)
    fields = spec.model_dump(mode="json", exclude_none=True)
    arrays = ranges.taken_out(fields)
    files = [file for file in spec.files if file.path != RANGES]
    try:
        _refuse_nonfinite(fields)
        refuse_control(folder / SPEC, json.dumps(fields).encode())
        content = ranges.to_bytes(arrays) if arrays else None
    except IntegrityError as error:
        raise IntegrityError(f"{folder / SPEC}: {error}") from error
    if content is None:
        (folder / RANGES).unlink(missing_ok=True)
    else:
        with whole_file(folder / RANGES) as stream:
            stream.write(content)
        files = sorted([*files, File.of(folder / RANGES)], key=lambda file: file.path)
    fields["files"] = [file.model_dump() for file in files]
    with whole_file(folder / SPEC, "w") as stream:
        json.dump(fields, stream, indent=1, allow_nan=False)
        stream.write("\n")
    return spec.model_copy(update={"files": files})


def reasons(error: ValueError) -> str:
    """The first five reasons for which a value is not valid, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    told = error.errors(include_url=False, include_input=False)
    found = [fault(one) for one in told]
    return "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")


def _read(path: Path, parse: Callable[[bytes], Any], sha256: str | None = None) -> dict[str, Any]:
    content = read_bounded(path, MAX_BYTES)
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise IntegrityError(f"{path} changed while it was read: open the model again")
    refuse_control(path, content)
    try:
        fields = parse(content)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise IntegrityError(f"{path} is not plain JSON: {error}") from error
    if not isinstance(fields, dict):
        raise IntegrityError(f"{path}: expected an object, found {type(fields).__name__}")
    return fields


def refuse_control(path: Path, content: bytes) -> None:
    """Refuse JSON whose texts would write more than themselves on a terminal, where lists and errors show them.

    Parameters
    ----------
    path : Path
        The file, for the message.
    content : bytes
        The JSON.

    Raises
    ------
    IntegrityError
        A control character stands in it.
    """
    if (found := _CONTROL.search(content)) is not None:
        raise IntegrityError(f"{path}: expected text without control characters, found {found[0]!r}")


def _parsed(content: bytes) -> Any:
    fields = json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
    _refuse_deep(fields)
    return fields


def _parsed_fast(content: bytes) -> Any:
    """The same of plain JSON, in a fifth of the time; of a key that stands twice, the last value."""
    return from_json(content, allow_inf_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"a key stands twice among {', '.join(fields)}")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _refuse_deep(value: Any, depth: int = 0) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, dict | list):
                _refuse_deep(item, depth + 1)


def _refuse_nonfinite(value: Any, where: str = "") -> None:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_nonfinite(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, float) and not math.isfinite(value):
        raise IntegrityError(f"{where}: expected a finite number, given {value}")


def _file(path: Path, fields: dict[str, Any]) -> File:
    """The entry of ``ranges.npz``, which is needed before the whole is validated."""
    found = fields.get("files")
    for entry in found if isinstance(found, list) else []:
        if isinstance(entry, dict) and entry.get("path") == RANGES:
            return File.model_validate(entry)
    raise IntegrityError(f"{path} names arrays and lists no {RANGES} that would hold them")

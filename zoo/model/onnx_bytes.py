"""The bytes of an ONNX graph that ONNX Runtime may be given: those whose sha256 agreed, and none that name other files.

A graph is read as protobuf writes it, without the onnx library, field by field to the last nesting: a search for bytes would
miss one that is written in another of the ways that protobuf reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import IntegrityError

_DEEPEST = 100
"""Messages within messages, as many as protobuf itself reads."""
_MOST_NODES = 2_000_000
"""Nodes of a graph whose functions are written out; the largest of a released model has a few thousand."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Name = tuple[bytes, bytes, bytes]

MESSAGES: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
}
"""The fields of each message of onnx.proto that may hold a tensor or a node, by number."""
_NAMED = {"NodeProto": (7, 4, 8), "FunctionProto": (10, 1, 13)}
"""Domain, operator and overload of a node, and of a function what its calls name it by."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_FUNCTIONS = 25
_WHERE = b"location"
"""The key under which a tensor that lies elsewhere says where, without which ONNX Runtime takes none."""


@dataclass(frozen=True, eq=False)
class OnnxBytes:
    """A graph as ONNX Runtime is given it.

    Attributes
    ----------
    path : Path
        Where it was read, for messages.
    content : bytes
        All of it.
    """

    path: Path
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        try:
            _check(self.content)
        except ValueError as error:
            raise IntegrityError(f"{self.path}: {error}") from error

    @property
    def may_loop(self) -> bool:
        """Whether how long it runs may depend on what it is given, as of a graph with a loop."""
        return any(word in self.content for word in (b"Loop", b"Scan", b"SequenceMap"))

    @classmethod
    def read(cls, path: Path) -> OnnxBytes:
        """The graph in a file that this process has written itself, whose hash nobody compares."""
        return cls(path, path.read_bytes())


def _check(content: bytes) -> None:
    """ValueError where a graph names other files, grows without bound, or is none that protobuf would read.

    However a message is written, the bytes of its text lie together: a graph without the word has no tensor that is elsewhere.
    """
    parts = list(_fields(memoryview(content)))
    if _WHERE not in content and all(number != _FUNCTIONS for number, _ in parts):
        return
    nodes: dict[_Name, int] = {}
    functions: dict[_Name, dict[_Name, int]] = {}
    for number, value in parts:
        if (kind := MESSAGES["ModelProto"].get(number)) is None or isinstance(value, int):
            continue
        if kind != "FunctionProto":
            _count(value, kind, nodes, 1)
            continue
        called: dict[_Name, int] = {}
        _count(value, kind, called, 1)
        functions[_name(value, kind)] = called
    if functions and _written_out(nodes, functions, {}, ()) > _MOST_NODES:
        raise ValueError(f"its functions are more than {_MOST_NODES} nodes written out: no graph of a model")


def _count(message: memoryview, kind: str, nodes: dict[_Name, int], depth: int) -> None:
    """Count the nodes in a message by domain and operator; ValueError for a tensor that lies elsewhere."""
    if depth > _DEEPEST:
        raise ValueError(f"messages are nested more than {_DEEPEST} deep")
    within = MESSAGES.get(kind, {})
    if kind == "NodeProto":
        name = _name(message, kind)
        nodes[name] = nodes.get(name, 0) + 1
    for number, value in _fields(message):
        if kind == "TensorProto":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                raise ValueError(
                    "it keeps weights in other files, which no sha256 covers: save it with save_as_external_data=False"
                )
        elif number in within and not isinstance(value, int):
            _count(value, within[number], nodes, depth + 1)


def _written_out(
    nodes: Mapping[_Name, int],
    functions: Mapping[_Name, Mapping[_Name, int]],
    known: dict[_Name, int],
    within: tuple[_Name, ...],
) -> int:
    """How many nodes there are once each call of a function is replaced by what the function holds."""
    total = 0
    for name, times in nodes.items():
        if name in within:
            raise ValueError(f"its function {name[1].decode(errors='replace')!r} calls itself")
        if name in functions and name not in known:
            if len(within) > _DEEPEST:
                raise ValueError(f"functions call each other more than {_DEEPEST} deep")
            known[name] = _written_out(functions[name], functions, known, (*within, name))
        total += times * known.get(name, 1)
    return total


def _name(message: memoryview, kind: str) -> _Name:
    """Domain, name and overload of a node or a function; of each the last one counts, as in protobuf."""
    found = dict.fromkeys(_NAMED[kind], b"")
    for number, value in _fields(message):
        if number in found and not isinstance(value, int):
            found[number] = bytes(value)
    domain, name, overload = found.values()
    return b"" if domain == b"ai.onnx" else domain, name, overload


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field of a message, in order, whole numbers as such; ValueError where it is none."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            whole, at = _varint(message, at)
            yield number, whole
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"it is no ONNX graph: a field of wire type {wire}, which onnx.proto has none of")
        if size > end - at or not number:
            raise ValueError("it is no ONNX graph: a field ends beyond its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number of at most ten bytes, of which protobuf keeps 64 bits, and where the next field begins."""
    value = 0
    for position in range(10):
        if at + position >= len(message):
            break
        byte = message[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + position + 1
    raise ValueError("it is no ONNX graph: a number does not end")

"""Folders of format 1, whose spec was a ``physzoo:`` block in the front matter of the card, read as format 2.

Cards may come from anyone, so that of YAML only plain data are read: no tags, anchors or deep nesting, and as numbers what JSON
calls numbers. YAML 1.1 reads ``1:1:1`` to the base 60, in a time that grows as the square of the length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from zoo.errors import IntegrityError
from zoo.model.axes import fixed_axes
from zoo.model.card import split
from zoo.model.model_json import MAX_DEPTH, reasons, refuse_control
from zoo.model.spec import ModelSpec


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # a class that not all builds have
    yaml_implicit_resolvers: ClassVar[dict[str | None, list[Any]]] = {}


for _tag, _pattern in {
    "null": r"~|null|",
    "bool": r"true|false",
    "int": r"[-+]?(0|[1-9][0-9]{0,17})",
    "float": r"[-+]?([0-9]{1,20}(\.[0-9]{0,20}([eE][-+]?[0-9]{1,3})?|[eE][-+]?[0-9]{1,3})|\.inf)|\.nan",
}.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), None)
"""What of an unquoted word is no text; whatever else looks like a number or a date to YAML is."""


def read_card(path: Path) -> ModelSpec:
    """The spec in the front matter of a card of format 1.

    Parameters
    ----------
    path : Path
        The card.

    Returns
    -------
    ModelSpec
        The spec, as of format 2.

    Raises
    ------
    IntegrityError
        Naming the card and what is wrong: no such file, too large, no front matter, no ``physzoo:`` block, YAML that is more
        than plain data (tags, anchors, deep nesting), or a value that the spec does not allow.
    """
    block = _front_matter(path).get("physzoo")
    if not isinstance(block, dict):
        raise IntegrityError(f"{path}: expected a model.json beside it, or a 'physzoo:' block in its front matter; found none")
    refuse_control(path, json.dumps(block, default=str).encode())
    try:
        return ModelSpec.model_validate(to_format_2(block))
    except ValueError as error:
        raise IntegrityError(f"{path}: the physzoo block is not a valid spec: {reasons(error)}") from error


def _front_matter(path: Path) -> dict[str, Any]:
    text = split(path)[0]
    try:
        _refuse_unplain(text)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - the C build of the safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: the front matter is not plain YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"{path}: expected a mapping as front matter, found {type(content).__name__}")
    return content


def _refuse_unplain(text: str) -> None:
    """Refuse anchors, which can expand a few lines without bound, and deep nesting, which overflows libyaml's stack."""
    event: Any
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.YAMLError(f"tags, anchors and aliases are not accepted, line {event.start_mark.line + 2}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep, line {event.start_mark.line + 2}")


def to_format_2(block: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec of format 2, from those of format 1.

    A tensor of format 1 has a ``shape`` of fixed sizes and may have ``labels`` of its last axis; its axes get names made of
    the tensor's. Values of another kind than expected pass as they are, for the validation of the spec to name.

    Parameters
    ----------
    block : mapping
        The ``physzoo:`` block of a card.

    Returns
    -------
    dict
        Fields for ``ModelSpec.model_validate``.
    """
    endpoints = block.get("endpoints")
    if not isinstance(endpoints, Mapping):
        return dict(block)
    return {**block, "endpoints": {name: _endpoint(endpoint) for name, endpoint in endpoints.items()}}


def _endpoint(endpoint: Any) -> Any:
    if not isinstance(endpoint, Mapping):
        return endpoint
    sides = {
        side: [_tensor(t) for t in endpoint[side]] for side in ("inputs", "outputs") if isinstance(endpoint.get(side), list)
    }
    return {**endpoint, **sides}


def _tensor(tensor: Any) -> Any:
    if not isinstance(tensor, Mapping) or not isinstance(tensor.get("shape"), list):
        return tensor
    fields = {key: value for key, value in tensor.items() if key not in ("shape", "labels")}
    shape, labels = tensor["shape"], tensor.get("labels")
    if not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"tensor {tensor.get('name')}: expected a shape of whole numbers above zero, given {shape}")
    if labels is not None and (not shape or len(labels) != shape[-1]):
        raise ValueError(f"tensor {tensor.get('name')}: {len(labels)} labels for a last axis of shape {shape}")
    return {
        **fields,
        "axes": [axis.model_dump(exclude_none=True) for axis in fixed_axes(str(tensor.get("name")), shape, labels)],
    }

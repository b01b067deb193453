"""Folders of format 1, whose spec was a ``physzoo:`` block in the front matter of the card, read as format 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.model.axes import fixed_axes


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

"""Folders of format 1, as physzoo 0.1.0 wrote them: one ``README.md`` whose front matter holds the spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from zoo.model.model_json import read_spec
from zoo.model.spec import CARD, RANGES, SPEC


def to_format_1(folder: Path) -> Path:
    """Make a folder of format 2 whose axes all have a fixed size one of format 1; returns it."""
    spec = read_spec(folder)
    block = spec.model_dump(mode="json", exclude_none=True)
    del block["format"], block["data"]["parameters"]
    block["files"] = [file for file in block["files"] if file["path"] != RANGES]
    for endpoint in block["endpoints"].values():
        for tensor in [*endpoint["inputs"], *endpoint["outputs"]]:
            _with_shape(tensor)
    front = {"library_name": spec.library, "physzoo": block, "model-index": [{"name": spec.name, "results": []}]}
    (folder / CARD).write_text(f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {spec.name}\n\nA person's words.\n")
    (folder / SPEC).unlink()
    (folder / RANGES).unlink(missing_ok=True)
    return folder


def _with_shape(tensor: dict[str, Any]) -> None:
    axes = tensor.pop("axes", [])
    tensor["shape"] = [axis["size"] for axis in axes]
    if axes and "labels" in axes[-1]:
        tensor["labels"] = axes[-1]["labels"]

"""Examples in docstrings say what really comes out; those marked +SKIP train, export or need what is not here."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"zoo": "zoo", "training": "zoo.training", "export": "zoo.export", "serving": "zoo.serving"}


def modules() -> list[str]:
    """Names of the modules that hold an example which is to be run."""
    found = []
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            examples = doctest.DocTestParser().get_examples(path.read_text(encoding="utf-8"))
            if any(doctest.SKIP not in example.options for example in examples):
                inner = [part for part in path.relative_to(ROOT / folder).with_suffix("").parts if part != "__init__"]
                found.append(".".join([package, *inner]))
    return found


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed

"""Examples in docstrings: what can run alone gives what it says, and what needs files or a training is called as it can be."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from page_blocks import expect_calls

import zoo
import zoo.export
import zoo.serving

ROOT = Path(__file__).parents[1]
WINGS = {"zoo": "zoo", "training": "zoo.training", "export": "zoo.export", "serving": "zoo.serving"}


def examples() -> Iterator[tuple[str, str]]:
    """Module and docstring of each that has an example."""
    for folder, package in WINGS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            if ">>>" not in text:
                continue
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            module = ".".join([package, *(part for part in parts if part != "__init__")])
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    docstring = ast.get_docstring(node) or ""
                    if ">>>" in docstring:
                        yield pytest.param(module, docstring, id=f"{module}.{getattr(node, 'name', '')}".rstrip("."))


@pytest.mark.parametrize(("module", "docstring"), list(examples()))
def test_examples_run(module, docstring):
    names = {**vars(importlib.import_module(module)), "zoo": zoo, "np": np}
    test = doctest.DocTestParser().get_doctest(docstring, dict(names), module, None, 0)
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=lambda text: pytest.fail(text))
    assert failed.failed == 0
    for example in test.examples:
        expect_calls(example.source, names)

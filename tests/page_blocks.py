"""Blocks of a page of docs, run as its readers run them."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any

import pytest

from zoo.errors import ZooError


def run(block: str, names: dict[str, object]) -> None:
    """Run a block statement by statement; one with ``# refused: ...`` must raise, and say that."""
    lines = block.splitlines()
    for statement in ast.parse(block).body:
        text = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        code = compile(text, "your-data.md", "exec")
        if refused := re.search(r"# refused: (.*)", text):
            with pytest.raises(ZooError, match=re.escape(refused[1])):
                exec(code, names)
        else:
            exec(code, names)


def expect_calls(code: str, names: Mapping[str, Any]) -> None:
    """Bind the arguments of each call to what is called, where it is one of the names or inside one; TypeError otherwise.

    What stands for the reader's own, such as a flow that was trained, is not called.
    """
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        first, *rest = called.split(".")
        if first in names and re.fullmatch(r"[\w.]+", called):  # and no method of what another call answers
            function = functools.reduce(getattr, rest, names[first])
            inspect.signature(function).bind(*node.args, **{one.arg: None for one in node.keywords if one.arg})

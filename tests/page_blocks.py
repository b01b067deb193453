"""Blocks of a page of docs, run as its readers run them."""

from __future__ import annotations

import ast
import re

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

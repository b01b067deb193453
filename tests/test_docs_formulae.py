"""Blocks of docs/formulae.md run as they stand, the first of them once its model is released."""

from __future__ import annotations

import re
from pathlib import Path

import zoo

PAGE = Path(__file__).parents[1] / "docs" / "formulae.md"
MODEL = "transformer-formulae"


def test_blocks_run(capsys):
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if MODEL not in block or MODEL in zoo.list_models():
            exec(compile(block, PAGE.name, "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[-3] == "['/', 'x1', 'sqrt', '-', 'C', '/', 'pow2', 'x2', 'pow2', 'x3'] [1.]"
    assert said[-2] == "True"
    assert said[-1] == "{'points': (4, 200, 5), 'real': (4, 200), 'tokens': (4, 24), 'known': (4, 24)} (4, 24)"

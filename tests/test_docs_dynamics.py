"""Blocks of docs/dynamics.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "dynamics.md"


def test_blocks_run(capsys, unverified):
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("(1, 100, 4) ")
    assert said[1].startswith("output 'energy': 1 values lie outside the trained range, the first at (0, 0): expected")
    energy, high = said[2].split()
    assert float(energy) > float(high.strip("[]"))
    assert said[3] == "{'state': (20, 4), 'parameters': (20, 4)} (20, 2)"
    assert float(said[4]) < 0.1
    assert float(said[5]) < 1e-5
    assert said[6] == "(20, 5, 4)"

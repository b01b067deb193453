"""Blocks of docs/formulae.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "formulae.md"


def test_blocks_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("0.5*x1*x2**2")
    assert "stiffness" in said[1]
    assert (tmp_path / "my-formula" / "predict.onnx").is_file()
    assert said[-3] == "['/', 'x1', 'sqrt', '-', 'C', '/', 'pow2', 'x2', 'pow2', 'x3'] [1.]"
    assert said[-2] == "True"
    assert said[-1] == "{'points': (4, 200, 5), 'real': (4, 200), 'tokens': (4, 24), 'known': (4, 24)} (4, 24)"

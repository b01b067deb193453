"""Every Python block of docs/particles.md runs, and what it says is refused is refused in these words."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from page_blocks import run

pytestmark = pytest.mark.pages

pytest.importorskip("fastjet")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "particles.md").read_text()


def test_every_block(tmp_path, monkeypatch):
    runpy.run_path(str(ROOT / "examples" / "jets.py"))["write_root"](tmp_path / "jets.root")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        run(block, names)
    assert names["cloud"]["particles"].shape[::2] == (100, 3)
    assert len(names["features"]) == 16
    assert names["probability"].shape == (100, 5)
    assert names["quark"].shape == (3000, 1)
    assert (tmp_path / "particles.png").stat().st_size > 10_000

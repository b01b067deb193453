"""Every Python block of docs/particles.md runs, and what it says is refused is refused in these words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_blocks import run

pytestmark = pytest.mark.pages

pytest.importorskip("fastjet")

PAGE = (Path(__file__).parents[1] / "docs" / "particles.md").read_text()


def test_every_block():
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        run(block, names)
    assert names["cloud"]["particles"].shape[::2] == (100, 3)
    assert len(names["features"]) == 16
    assert names["probability"].shape == (100, 5)

"""Every block of docs/your-simulator.md runs, and what it says is refused is refused in these words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_blocks import run
from tiny_flows import without_xla

pytestmark = [pytest.mark.pages, pytest.mark.filterwarnings("ignore:posterior does not mean")]

for library in ("arviz", "astropy", "getdist", "pandas"):
    pytest.importorskip(library)

PAGE = (Path(__file__).parents[1] / "docs" / "your-simulator.md").read_text()


def test_every_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with without_xla():
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            run(block, names)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "posterior.png", "ranks.png", "coverage.png", "predictive.png",
    }  # fmt: skip

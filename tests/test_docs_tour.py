"""Blocks of docs/tour.md and docs/gpu.md run as they stand, and each call in the tour's tables is one that can be made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_blocks import expect_calls

import zoo
import zoo.data.nbody.features
from zoo import interpret

DOCS = Path(__file__).parents[1] / "docs"
TOUR = (DOCS / "tour.md").read_text()
CALLS = sorted({call for line in TOUR.splitlines() if line.startswith("| `") for call in re.findall(r"`(\w[^`]*\(.+?)`", line)})


@pytest.mark.parametrize("page", [pytest.param("tour.md", marks=pytest.mark.pages), "gpu.md"])
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        exec(compile(block, page, "exec"), names)
    assert page != "tour.md" or (tmp_path / "why.png").stat().st_size > 5_000


@pytest.mark.parametrize("call", CALLS)
def test_calls_of_the_tour_can_be_made(call):
    expect_calls(call, {"zoo": zoo, "interpret": interpret})


def test_the_tour_has_many():
    assert len(CALLS) > 15

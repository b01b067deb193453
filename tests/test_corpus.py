"""What strangers handed in and what ``make fuzz`` found, tried again; and a little of what it would try next."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz import TARGETS, changed, seeds


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_is_more_than_refused(tmp_path: Path, kind: str) -> None:
    rng = random.Random(20181)
    with TARGETS[kind](tmp_path) as (valid, attempt):
        found = seeds(kind)
        assert found, f"no seeds of {kind}"
        for content in [valid, *found, *(changed(valid, [valid, *found], rng) for _ in range(30)), valid]:
            attempt(content)

"""Every block of docs/unfolding.md runs, and what it says is refused is refused in these words."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import ok
from page_blocks import run

from zoo.interpret.ratios import classifiers

pytestmark = pytest.mark.pages

pytest.importorskip("pandas")

PAGE = (Path(__file__).parents[1] / "docs" / "unfolding.md").read_text()


def test_every_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = classifiers.trees().set_params(max_iter=20, learning_rate=0.3)
    monkeypatch.setattr(classifiers, "trees", lambda: quick)
    names: dict = {}
    for kind, block in re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.DOTALL):
        if kind == "python":
            run(block, names)
            continue
        for level in ("data", "simulated", "truth"):
            names[level].to_csv(f"{level}.csv", index=False)
        assert "width" in ok(*shlex.split(block)[1:])
    unfolded, hidden = names["unfolded"], names["hidden"]
    mean = np.average(unfolded.observables["mass"], weights=unfolded.weights)
    assert abs(mean - hidden["mass"].mean()) < 0.3 * abs(names["truth"]["mass"].mean() - hidden["mass"].mean())
    assert {path.name for path in tmp_path.glob("**/*.png")} == {"unfolded.png", "closure.png"}

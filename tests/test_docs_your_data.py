"""Every block of docs/your-data.md runs, and what it says is refused is refused in these words."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import ok
from page_blocks import run

pytestmark = pytest.mark.pages

for library in ("astropy", "pandas"):
    pytest.importorskip(library)

PAGE = (Path(__file__).parents[1] / "docs" / "your-data.md").read_text()
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.DOTALL)


def test_every_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            run(block, names)
            continue
        for command in block.splitlines():
            said = ok(*shlex.split(command)[1:])
            if "--json" in command:
                np.testing.assert_allclose(json.loads(said)["spectrum"], names["expected"], rtol=1e-5)
    samples = np.load(tmp_path / "nsf-cmb-posterior-observed.npz")
    center, width = np.mean(names["drawn"], axis=0), np.std(names["drawn"], axis=0)
    inferred = np.array([samples[name].mean() for name in samples.files])
    assert (np.abs(inferred - center) < 0.2 * width).all()

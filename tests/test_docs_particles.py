"""Every Python block of docs/particles.md runs, and what it says is refused is refused in these words."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from page_blocks import run
from typer.testing import CliRunner

from zoo.cli import app
from zoo.data.shipped_files import shipped_file

pytestmark = pytest.mark.pages

pytest.importorskip("fastjet")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "particles.md").read_text()


def test_every_block(tmp_path, monkeypatch):
    runpy.run_path(str(ROOT / "examples" / "jets.py"))["write_root"](tmp_path / "jets.root")
    (tmp_path / "qg").mkdir()
    shutil.copy(shipped_file("jets-quark-gluon.h5"), tmp_path / "qg" / "jets-00000.h5")  # as one that was simulated
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        run(block, names)
    assert names["cloud"]["particles"].shape[::2] == (100, 3)
    assert len(names["features"]) == 16
    assert names["probability"].shape == (100, 5)
    assert names["answer"].shape == (3000, 1)
    assert names["quarks"].shape == (1500, 1)
    assert np.mean(names["quarks"]) > 0.1 + np.mean(names["answer"])
    command = ["predict", "pfn-quark-gluon", "--input", "simulated.npz", "--json"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert names["quark"].shape == (3000, 1)
    assert (tmp_path / "particles.png").stat().st_size > 10_000

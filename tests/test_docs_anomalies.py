"""Every block of docs/anomalies.md runs, what it says is refused is refused, and it finds what is hidden and nothing else."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from command_line import ok
from page_blocks import run

pytestmark = [pytest.mark.pages, pytest.mark.filterwarnings("ignore:the posterior|the numbers:UserWarning")]

pytest.importorskip("pandas")

PAGE = (Path(__file__).parents[1] / "docs" / "anomalies.md").read_text()


def test_every_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for kind, block in re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.DOTALL):
        if kind == "python":
            run(block, names)
            continue
        names["data"].to_csv("events.csv", index=False)
        assert "events of mass" in ok(*shlex.split(block)[1:])
    assert names["excess"].significance > 3
    assert abs(names["nothing"].significance) < 3
    data, interesting = names["data"], names["interesting"]
    assert (interesting.index >= len(data) - 150).mean() > 0.2, "those that were hidden stand last"
    assert {path.name for path in tmp_path.glob("**/anomalies.*")} == {"anomalies.png", "anomalies.npz"}

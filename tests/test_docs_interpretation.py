"""Every block and command of docs/interpretation.md, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("tf2onnx")
from typer.testing import CliRunner

from zoo.cli import app
from zoo.interpret import methods
from zoo.interpret.methods import registered

pytestmark = pytest.mark.pages

PAGE = Path(__file__).parents[1] / "docs" / "interpretation.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_every_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(methods, "_methods", dict(registered()))  # the page registers one of its own
    names: dict[str, object] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, PAGE.name, "exec"), names)
            continue
        for program, *arguments in map(shlex.split, block.splitlines()):
            assert program == "zoo"
            result = CliRunner().invoke(app, arguments, catch_exceptions=False)
            assert result.exit_code == 0, result.output
    assert names["explanation"].completeness_error.max() < 0.05  # type: ignore[attr-defined]
    assert names["answers"].keys() >= {"probability", "logits"}  # type: ignore[attr-defined]
    assert len(list(tmp_path.glob("figures/*.png"))) == sum(
        block.count("zoo explain ") for kind, block in BLOCKS if kind == "bash"
    )
    assert all((tmp_path / name).stat().st_size > 5_000 for name in re.findall(r'savefig\("(.+?)"\)', PAGE.read_text()))


def test_the_table_has_every_attribution_method_and_the_page_its_figures() -> None:
    text = PAGE.read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == registered("attribution").keys()
    figures = [PAGE.parent / name for name in re.findall(r"!\[.+?\]\((.+?)\)", text)]
    assert figures
    assert all(path.stat().st_size < 150_000 for path in figures)

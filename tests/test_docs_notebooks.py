"""Notebooks of docs/notebooks: short, listed, and run; by the site where it is built, and here otherwise."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
from page_blocks import expect_calls

import zoo
from zoo import interpret

NOTEBOOKS = sorted(path for path in (Path(__file__).parents[1] / "docs" / "notebooks").glob("*.md") if path.stem != "index")
MOST = 24
"""Cells of a notebook, with those of text."""


def cells(path: Path) -> list[str]:
    """Code of each cell."""
    return re.findall(r"^```\{code-cell\}\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_short_listed_and_calls_what_there_is(path):
    body = path.read_text().split("---\n", 2)[2]
    assert len(re.split(r"^```\{code-cell\}\n.*?^```$", body, flags=re.DOTALL | re.MULTILINE)) + len(cells(path)) <= MOST
    assert f"{{nb-download}}`{path.stem}.ipynb`" in body
    assert f"\n{path.stem}\n" in path.with_name("index.md").read_text()
    for cell in cells(path):
        ast.parse(cell)  # with await at the top level, as in a notebook
        expect_calls(cell, {"zoo": zoo, "interpret": interpret})


@pytest.mark.pages
@pytest.mark.skipif(shutil.which("npm") is not None, reason="where npm is, make docs runs them")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells(path)])
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()

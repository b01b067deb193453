"""examples/fields.py in its short form: new boxes, where a map tells its cosmology, a network retrained for thinner slabs."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run_script
from quick_training import eagerly

import zoo

pytestmark = pytest.mark.pages

EXAMPLE = Path(__file__).parents[1] / "examples" / "fields.py"


def test_short_form(tmp_path):
    with eagerly():
        printed = run_script(EXAMPLE, tmp_path, "--short")
    for words in (
        "96 maps of 8 simulations",
        "rms errors on 48 held-out maps",
        "from scratch",
        "fine-tuned",
        "a map of 64 x 256 cells",
    ):
        assert words in printed
    assert zoo.load(tmp_path / "my-thin-slabs").spec.lineage.parent == "cnn2d-cosmology"
    for figure in ("fields.png", "where.png"):
        assert (tmp_path / figure).stat().st_size > 15_000

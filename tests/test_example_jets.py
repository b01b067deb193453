"""examples/jets.py in its short form: a ROOT file, tags, the particles behind one, and a tagger retrained for a detector."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run_script
from quick_training import eagerly

import zoo

pytestmark = pytest.mark.pages

pytest.importorskip("uproot")

EXAMPLE = Path(__file__).parents[1] / "examples" / "jets.py"


def test_short_form(tmp_path):
    with eagerly():
        printed = run_script(EXAMPLE, tmp_path, "--short")
    for words in ("3000 jets", "area under the ROC curve on 80 held-out jets", "from scratch", "my-tagger", "verdict:"):
        assert words in printed
    assert zoo.load(tmp_path / "my-tagger").spec.lineage.parent == "pfn-quark-gluon"
    for figure in ("jets.png", "particles.png"):
        assert (tmp_path / figure).stat().st_size > 20_000

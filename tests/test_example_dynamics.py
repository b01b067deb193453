"""examples/dynamics.py in its short form: a rollout beside the true law, and friction learned from observed angles."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run_script
from quick_training import eagerly

import zoo

pytestmark = pytest.mark.pages

EXAMPLE = Path(__file__).parents[1] / "examples" / "dynamics.py"


def test_short_form(tmp_path):
    with eagerly():
        printed = run_script(EXAMPLE, tmp_path, "--short")
    for words in (
        "after 5 s the energy was never off by more than 0.",
        "from scratch",
        "force beside the Lagrangian",
        "verdict:",
    ):
        assert words in printed
    assert zoo.load(tmp_path / "my-pendulum").spec.lineage.parent == "lnn-double-pendulum"
    assert (tmp_path / "dynamics.png").stat().st_size > 20_000

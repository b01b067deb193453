"""examples/fine_tune.py in its short form: a model, its graphs and the figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run_script
from quick_training import eagerly

from zoo.serving.verify import verify

pytestmark = pytest.mark.pages

EXAMPLE = Path(__file__).parents[1] / "examples" / "fine_tune.py"


def test_short_form(tmp_path):
    with eagerly():
        printed = run_script(EXAMPLE, tmp_path, "--short")
    for words in ("warning: ", "error on 20 held-out pendulums, in m", "from scratch", "my-pendulum without Keras"):
        assert words in printed
    assert verify(tmp_path / "onnx").ok
    assert (tmp_path / "fine_tuning.png").stat().st_size > 20_000

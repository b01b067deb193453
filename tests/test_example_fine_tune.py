"""examples/fine_tune.py in its short form: a model, its graphs and the figure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from zoo.serving.verify import verify

EXAMPLE = Path(__file__).parents[1] / "examples" / "fine_tune.py"


def test_short_form(tmp_path):
    result = subprocess.run(
        [sys.executable, str(EXAMPLE), str(tmp_path), "--short"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    for words in ("warning: ", "error on 20 held-out pendulums, in m", "from scratch", "my-pendulum without Keras"):
        assert words in result.stdout
    assert verify(tmp_path / "onnx").ok
    assert (tmp_path / "fine_tuning.png").stat().st_size > 20_000

"""The tutorial examples/load.py, in its short form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
SCRIPT = Path(__file__).parents[1] / "examples" / "load.py"


def test_short_form(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "load"), "--short"]
    environment = {key: value for key, value in os.environ.items() if key != "PLANCK"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    for words in (
        "classifiers: logistic-cmb-feature, mlp-cmb-feature",
        "spectrum [215] in muK^2, trained from",
        "in K^2 instead of muK^2: InputError: input 'spectrum':",
        "NaN: InputError",
        "TT alone: InputError: input 'spectrum': expected shape (batch, 215), given (16, 83)",
        "another name: InputError",
        "a name that is nearly right: UnknownNameError",
        "one bit of the weights is wrong: IntegrityError",
    ):
        assert words in ran.stdout
    answers = next(line for line in ran.stdout.splitlines() if line.startswith("probability of a feature")).split()
    assert abs(float(answers[-4].rstrip(",")) - float(answers[-1])) <= 1e-5
    assert (tmp_path / "load" / "load.png").stat().st_size > 10_000
    assert [path.name for path in (tmp_path / "load").iterdir()] == ["load.png"]

"""The tutorial examples/load.py, in its short form."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run_script

pytestmark = pytest.mark.pages

pytest.importorskip("tensorflow")
SCRIPT = Path(__file__).parents[1] / "examples" / "load.py"


def test_short_form(tmp_path, monkeypatch):
    monkeypatch.delenv("PLANCK", raising=False)
    printed = run_script(SCRIPT, tmp_path / "load", "--short")
    for words in (
        "classifiers: logistic-cmb-early-dark-energy, logistic-cmb-lensing, logistic-cmb-neff, logistic-cmb-oscillation",
        "spectrum [215] in muK^2, trained from",
        "in K^2 instead of muK^2: InputError: input 'spectrum':",
        "NaN: InputError",
        "TT alone: InputError: input 'spectrum': expected shape (batch, 215), given (16, 83)",
        "another name: InputError",
        "a name that is nearly right: UnknownNameError",
        "one bit of the weights is wrong: IntegrityError",
    ):
        assert words in printed
    answers = next(line for line in printed.splitlines() if line.startswith("probability of a feature")).split()
    assert abs(float(answers[-4].rstrip(",")) - float(answers[-1])) <= 1e-5
    assert (tmp_path / "load" / "load.png").stat().st_size > 10_000
    assert [path.name for path in (tmp_path / "load").iterdir()] == ["load.png"]

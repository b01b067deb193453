"""examples/interpret.py in its short form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import run_script

pytestmark = pytest.mark.pages

pytest.importorskip("tensorflow")

EXAMPLE = Path(__file__).parents[1] / "examples" / "interpret.py"


def test_planted_feature_is_found(tmp_path: Path) -> None:
    printed = run_script(EXAMPLE, tmp_path, "--short")
    changes = {
        method: (float(inside), float(elsewhere))
        for method, inside, elsewhere in re.findall(r"(\w+) +change inside +(\S+), elsewhere +(\S+) of logit", printed)
    }
    assert changes.keys() == {"integrated_gradients", "occlusion"}
    for inside, elsewhere in changes.values():
        assert inside > 4 * abs(elsewhere)
    before, after = map(float, re.search(r"from (\S+) to (\S+)", printed).groups())
    assert sum(changes["integrated_gradients"]) == pytest.approx(after - before, abs=0.02)  # nothing is lost on the way
    names = {"planted", "agreement", "deletion", "randomization", "halo-mass"}
    assert {path.stem for path in tmp_path.glob("*.png") if path.stat().st_size > 5_000} == names

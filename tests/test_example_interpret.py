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
        method: tuple(map(float, numbers))
        for method, *numbers in re.findall(
            r"(\w+) +a bin changes by (\S+) inside, (\S+) elsewhere, all by (\S+) of logit", printed
        )
    }
    assert changes.keys() == {"integrated_gradients", "occlusion"}
    for inside, elsewhere, _ in changes.values():
        assert inside > 2.5 * elsewhere
    before, after = map(float, re.search(r"from (\S+) to (\S+)", printed).groups())
    assert changes["integrated_gradients"][2] == pytest.approx(after - before, abs=0.02)  # nothing is lost on the way
    names = {"planted", "agreement", "deletion", "randomization", "halo-mass"}
    assert {path.stem for path in tmp_path.glob("*.png") if path.stat().st_size > 5_000} == names

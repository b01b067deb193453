"""examples/formulae.py in its short form: what networks compute as formulae, and a model of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run_script

import zoo

pytestmark = pytest.mark.pages

EXAMPLE = Path(__file__).parents[1] / "examples" / "formulae.py"


def test_short_form(tmp_path):
    printed = run_script(EXAMPLE, tmp_path, "--short")
    lines = {line.partition(" = ")[0]: line for line in printed.splitlines() if " = " in line}
    assert {"pendulum, latent 0", "pendulum, latent 2", "halo, latent 0", "halo, latent 2", "universe, growth"} <= lines.keys()
    for name, words in (("pendulum, latent 0", "damping"), ("pendulum, latent 2", "stiffness"), ("halo, latent 0", "log_mass")):
        assert words in lines[name]
    assert "R^2 1.000" in lines["universe, growth"]
    assert "ONNX Runtime gives the formulae of the pendulums" in printed
    model = zoo.load(tmp_path / "pendulum-latents")
    (tensor,) = model.spec.endpoint("predict").inputs
    assert dict(zip(tensor.labels, tensor.axes[0].units, strict=True)) == {"damping": "kg/s", "stiffness": "kg/s^2"}
    assert (tmp_path / "formulae.png").stat().st_size > 20_000

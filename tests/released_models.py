"""The released models, for tests that are parametrized over them."""

from __future__ import annotations

import re

import pytest

import zoo
from zoo.model.spec import Metric

RELEASED = zoo.list_models()


def _size(name: str) -> int:
    return sum(file.bytes for file in zoo.get_spec(name).files if file.path.endswith(".onnx"))


SMALLEST = sorted({zoo.get_spec(name).family: name for name in sorted(RELEASED, key=_size, reverse=True)}.values())
"""The model of every family whose graphs have the fewest bytes."""
BIG = [
    "bvae-shapes3d",
    "diffusion-maps",
    "ive-halo-mass",
    "nsf-cmb-posterior-ensemble",
    "transformer-formulae",
    "unet-displacement",
]
"""Models of more than 5 MB, whose files are in packages/physzoo-models-large."""
ONE_A_FAMILY = [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.slow) for name in RELEASED]
"""One of every family, and with the marker slow the others, which take minutes together."""
LARGE = {
    "beta-vae",
    "cnn3d",
    "displacement-unet",
    "flow-ensemble",
    "hamiltonian",
    "lagrangian",
    "map-diffusion",
    "nsf",
    "realnvp",
    "symbolic-transformer",
}
"""Families whose released graphs take from many seconds to minutes to make; tiny networks of them go through the same code by
default."""
ONE_A_SMALL_FAMILY = [
    name if name in SMALLEST and zoo.get_spec(name).family not in LARGE else pytest.param(name, marks=pytest.mark.slow)
    for name in RELEASED
]
"""One of every family but those, and with the marker slow the others."""


def bounds(released: Metric) -> tuple[float, float]:
    """Bounds of a number that is measured anew: its interval, wider by three deviations among the released seeds."""
    spread = re.search(r"over \d+ seeds: \S+ \+- ([\d.]+)", released.detail)
    slack = 3 * float(spread[1]) + 1e-4 if spread else 1e-3 * abs(released.value)
    low, high = released.interval
    return low - slack, high + slack

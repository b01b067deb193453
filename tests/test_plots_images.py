"""Colors of maps whose values are skewed."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import SymLogNorm

from zoo.interpret.plots.images import _both_signs, _powers


def test_colors_are_logarithmic_where_a_few_values_are_far_above_all_others():
    rng = np.random.default_rng(0)
    even, skewed = rng.normal(size=(20, 20)), np.exp(2.5 * rng.normal(size=(20, 20))) - 1
    assert not isinstance(_both_signs(even), SymLogNorm)
    assert _powers(_both_signs(even)) is None
    norm = _both_signs(skewed)
    assert isinstance(norm, SymLogNorm)
    assert norm.vmax == -norm.vmin == np.abs(skewed).max()
    ticks = _powers(norm)
    assert ticks == sorted(ticks)
    assert 0.0 in ticks
    assert min(abs(tick) for tick in ticks if tick) >= norm.linthresh
    assert not isinstance(_both_signs(np.zeros((3, 3))), SymLogNorm)

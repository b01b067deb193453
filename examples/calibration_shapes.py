"""What wrong posteriors and probabilities look like in the plots that judge them.

    python examples/calibration_shapes.py FIGURE

The truth is known here: a normal posterior of one parameter, and answers of a classifier, that are right, too sure, not sure
enough, or shifted.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure
from scipy.special import expit, logit

from zoo.interpret import reliability
from zoo.interpret.plots.style import BLUE, GRAY, panels, styled

ROWS, DRAWS = 4000, 99
WRONG = {"right": (1.0, 0.0), "too sure": (0.6, 0.0), "not sure enough": (1.6, 0.0), "shifted": (1.0, 0.6)}
"""Width and shift of each posterior, in widths of the right one."""


@styled
def figure(seed: int = 0) -> Figure:
    """A column for each fault: ranks of the truth, expected coverage, reliability."""
    rng = np.random.default_rng(seed)
    drawn, axes = panels(3, len(WRONG), (12.0, 8.4))
    truth = rng.standard_normal(ROWS)
    probability = rng.beta(1.2, 1.2, ROWS)
    right = rng.random(ROWS) < probability
    levels = np.linspace(0, 1, 51)
    for place, (fault, (width, shift)) in enumerate(WRONG.items()):
        draws = width * rng.standard_normal((ROWS, DRAWS)) + shift
        ranks, coverage, bars = axes[:, place]
        counts, edges = np.histogram((draws < truth[:, None]).sum(axis=1), 20, (0, DRAWS + 1))
        ranks.stairs(counts / (ROWS / 20), edges, color=BLUE, fill=True, alpha=0.5)
        band = 1.96 * np.sqrt(20 / ROWS * (1 - 1 / 20))
        ranks.axhspan(1 - band, 1 + band, color=GRAY, alpha=0.3)
        ranks.set(title=fault, xlabel="rank of the truth among draws", ylim=(0, 3))
        distance = np.abs(draws - draws.mean(axis=1, keepdims=True))
        inside = np.abs(truth[:, None] - draws.mean(axis=1, keepdims=True)) > np.quantile(distance, levels, axis=1).T
        coverage.plot(levels, 1 - inside.mean(axis=0), color=BLUE)
        coverage.plot([0, 1], [0, 1], color=GRAY, linestyle=":")
        coverage.set(xlabel="credible level", xlim=(0, 1), ylim=(0, 1))
        found = reliability(expit(logit(probability) / width + shift), right, bins=10)
        bars.plot(found.predicted, found.observed, "o-", color=BLUE)
        bars.plot([0, 1], [0, 1], color=GRAY, linestyle=":")
        bars.set(xlabel="mean probability that is given", xlim=(0, 1), ylim=(0, 1))
    for ax, label in zip(
        axes[:, 0], ("rows, over expectation", "share of truths inside", "share that is of the class"), strict=True
    ):
        ax.set_ylabel(label)
    return drawn


if __name__ == "__main__":
    figure().savefig(sys.argv[1], dpi=100)

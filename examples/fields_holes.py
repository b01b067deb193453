"""Fill holes of maps: a star's halo or a missing exposure, by maps that diffusion-maps could have drawn around what is seen.

    python examples/fields_holes.py [--maps 24] [--fills 15]

At each level of the noise, cells that are seen are replaced by themselves with noise of that level, and each level is repeated,
so that what is filled in comes to agree with what is around it (Lugmayr et al. 2022, arXiv:2201.09865). Whether fills are as
likely as the truth is looked at with test maps whose hole is known: the rank of the mean density of the hole among the fills.
Draws docs/figures/fields_holes.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import zoo
from zoo.data.dataset import get_dataset
from zoo.interpret.plots.style import GRAY, SEQUENTIAL, panels, styled
from zoo.progress import track

FLOOR = 0.05
"""What the model adds to densities before it takes logarithms."""
LEVELS = np.geomspace(40.0, 0.03, 24)
"""Deviations of the noise, in deviations of the logarithm of the density."""
SPREAD = 1.1
"""About that deviation, which the first level has to exceed by far, and no more."""
REPEATS = 10
"""How often each level is gone through: with four, means of fills of smooth Gaussian maps are half a deviation off."""
HOLE = slice(22, 42)
"""Rows and columns that are not seen: 31 Mpc/h a side."""

Denoise = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def filled(denoise: Denoise, overdensity: np.ndarray, seen: np.ndarray, theta: np.ndarray, seed: int) -> np.ndarray:
    """Maps whose unseen cells are drawn given the others and the parameters.

    Parameters
    ----------
    denoise : callable
        The endpoint ``denoise``: of noisy logarithms (n, s, s), deviations (n,) of the noise and parameters (n, 2), the mean.
    overdensity : ndarray of shape (n, s, s)
        The maps; what unseen cells hold plays no part.
    seen : ndarray of shape (s, s)
        Truth values of the cells that are seen.
    theta : ndarray of shape (n, 2)
        Omega_m and sigma_8 of each map.
    seed : int
        Seed of the noise.
    """
    rng = np.random.default_rng(seed)
    known = np.log(np.where(seen, 1 + overdensity, 1) + FLOOR).astype(np.float32)
    levels = (SPREAD * LEVELS).astype(np.float32)

    def noise() -> np.ndarray:
        return rng.standard_normal(known.shape, dtype=np.float32)

    y = levels[0] * noise()
    for level, after in track(list(pairwise(levels)), "levels of noise"):
        for repeat in range(REPEATS):
            y = np.where(seen, known + level * noise(), y)
            clean = denoise(y, np.full(len(y), level), theta)
            y = clean + after / level * (y - clean)
            if repeat < REPEATS - 1:
                y = y + np.sqrt(level**2 - after**2) * noise()
    y = np.where(seen, known, denoise(y, np.full(len(y), levels[-1]), theta))
    found: np.ndarray = np.maximum(np.exp(y) - FLOOR, 0) - 1
    return found


@styled
def figure(maps: np.ndarray, seen: np.ndarray, fills: np.ndarray, ranks: np.ndarray, bins: int = 8) -> Figure:
    """Three maps, their holes, two fills of each; and the ranks of all."""
    shown = 3
    drawn, axes = panels(shown, 5, (13.0, 7.4))
    low, high = np.quantile(np.log10(1 + maps + FLOOR), [0.005, 0.995])
    for row, one, two in zip(axes, maps, fills, strict=False):
        for ax, values in zip(row, (one, np.where(seen, one, np.nan), two[0], two[1]), strict=False):
            ax.imshow(np.log10(1 + values + FLOOR), cmap=SEQUENTIAL, vmin=low, vmax=high, origin="lower")
            ax.set(xticks=[], yticks=[])
        row[4].set_visible(False)
    for ax, title in zip(axes[0], ("simulated", "seen", "filled", "filled otherwise"), strict=False):
        ax.set_title(title)
    axes[0][4].set_visible(True)
    axes[0][4].hist(ranks, bins=np.linspace(0, 1, bins + 1), color=GRAY)
    axes[0][4].axhline(len(ranks) / bins, color="black", lw=1)
    axes[0][4].set(xlabel="rank of the true mean of the hole", ylabel="maps", title=f"{len(ranks)} maps")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=24)
    parser.add_argument("--fills", type=int, default=15)
    given = parser.parse_args()
    model, rows = zoo.load("diffusion-maps"), get_dataset("field-maps", pairs=True).rows("test")
    first = np.unique(rows.group, return_index=True)[1][: given.maps]
    maps, theta = rows.inputs["overdensity"][first], rows.inputs["theta"][first]
    seen = np.ones(maps.shape[1:], bool)
    seen[HOLE, HOLE] = False
    graph = tf.function(model.denoise)
    fills = np.stack(
        [filled(lambda *some: graph(*some).numpy(), maps, seen, theta, seed) for seed in range(given.fills)], axis=1
    )
    truth, found = maps[:, ~seen].mean(axis=1), fills[:, :, ~seen].mean(axis=2)
    ranks = ((found < truth[:, None]).sum(axis=1) + 0.5) / (given.fills + 1)
    error = np.sqrt(np.mean((found.mean(axis=1) - truth) ** 2))
    print(f"mean of the hole: error {error:.3f}, deviation of fills {found.std(axis=1).mean():.3f}, of holes {truth.std():.3f}")
    print(f"ranks: {np.histogram(ranks, np.linspace(0, 1, 9))[0].tolist()}")
    out = Path(__file__).parents[1] / "docs" / "figures" / "fields_holes.png"
    figure(maps, seen, fills, ranks).savefig(out, dpi=110, bbox_inches="tight")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()

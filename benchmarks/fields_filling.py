"""Holes of maps of matter filled by diffusion-maps, beside what stood there and beside Gaussian fields.

    python benchmarks/fields_filling.py [--cosmologies 16] [--draws 10]

Cosmologies at random in the range of the model, none of its training's fields, a box each, of which two maps have a hole of 20
by 20 cells, 31 Mpc/h. The logarithm of the density in the hole is judged: errors of the mean of the fills beside the deviations
that these have, in cells and in their means over 10 by 10 and all cells; the energy score (Gneiting & Raftery 2007), lowest for
the true distribution; steps across the edge; and cells below a fifth of the mean. The other way to fill a hole is what surveys
do: a Gaussian logarithm of the mean and power of that cosmology, of six boxes of its own, given what is seen (Hoffman & Ribak
1991). Intervals by bootstrap over boxes. Writes benchmarks/results/fields_filling.json and docs/figures/fields_filling.png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg
from interleaved import about, write
from maps_together import NAMES, maps_of_box, simulator_of

import zoo
from zoo.data.fields.design import RANGES
from zoo.families.fields.convolutions import FLOOR
from zoo.progress import track

SEED = 43_000_000
"""Seed of the first initial field, beyond those of the sets that train and of other benchmarks."""
BOXES, MAPS, SIDE = 7, (0, 6), 64
"""Boxes of each cosmology, the first of which is filled; which of its maps; cells along a side."""
FIRST, HOLE = 22, 20
"""Where the hole begins along each axis, and its side, in cells."""
BLOCKS = {"cells": 1, "10 by 10 cells": 10, "all cells": HOLE}
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "fields_filling.png"


def logarithms(theta: np.ndarray, number: int) -> np.ndarray:
    """Logarithm of density and floor of all maps of the boxes of a cosmology, (boxes, maps, y, x)."""
    config, first = simulator_of(theta), SEED + BOXES * number
    return np.log(1 + np.stack([maps_of_box(config, first + box) for box in range(BOXES)]) + FLOOR)


def gaussian_fills(known: np.ndarray, maps: np.ndarray, hole: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Draws (n, draws, y, x) of a Gaussian field of the mean and power of known maps (m, y, x), given what is seen of maps."""
    power = np.square(np.abs(np.fft.fft2(known - known.mean()))).mean(axis=0) / SIDE**2
    length = np.round(np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2)), 6)
    _, shell = np.unique(length, return_inverse=True)
    shell = shell.reshape(length.shape)
    power = (np.bincount(shell.ravel(), power.ravel()) / np.bincount(shell.ravel()))[shell]
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    covariance = np.fft.ifft2(power).real[(y[:, None] - y) % SIDE, (x[:, None] - x) % SIDE]
    inside, outside = hole.ravel(), ~hole.ravel()
    weights = scipy.linalg.solve(covariance[np.ix_(outside, outside)], covariance[np.ix_(outside, inside)], assume_a="pos")
    noise = np.random.default_rng(seed).standard_normal((len(maps), draws, SIDE, SIDE))
    drawn = np.fft.ifft2(np.sqrt(power) * np.fft.fft2(noise)).real.reshape(len(maps), draws, -1)
    seen = (maps - known.mean()).reshape(len(maps), 1, -1)
    found = np.repeat(maps[:, None], draws, axis=1)
    found[:, :, hole] = known.mean() + drawn[:, :, inside] + (seen - drawn)[:, :, outside] @ weights
    return found


def judged(fills: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of each map (n,), of fills (n, draws, y, x) of logarithms and the true ones (n, y, x)."""
    n, draws = fills.shape[:2]
    part = slice(FIRST, FIRST + HOLE)
    given, truth = fills[:, :, part, part], true[:, part, part]
    found = {}
    for name, size in BLOCKS.items():
        shape = (HOLE // size, size, HOLE // size, size)
        means, right = given.reshape(n, draws, *shape).mean(axis=(3, 5)), truth.reshape(n, *shape).mean(axis=(2, 4))
        found[f"squared error, {name}"] = np.square(means.mean(axis=1) - right).mean(axis=(1, 2))
        found[f"expected, {name}"] = (1 + 1 / draws) * means.var(axis=1, ddof=1).mean(axis=(1, 2))
    flat, right = given.reshape(n, draws, -1), truth.reshape(n, 1, -1)
    apart = np.linalg.norm(flat[:, :, None] - flat[:, None], axis=-1).sum(axis=(1, 2)) / (draws * (draws - 1))
    found["energy score"] = np.linalg.norm(flat - right, axis=-1).mean(axis=1) - apart / 2
    steps = [np.abs(one[..., FIRST, part] - one[..., FIRST - 1, part]).mean(axis=-1) for one in (fills, true)]
    found["step across the edge"], found["true step"] = steps[0].mean(axis=1), steps[1]
    below = np.log(0.2 + FLOOR)
    found["cells below a fifth"], found["true cells below a fifth"] = (
        (one < below).mean(axis=tuple(range(1, one.ndim))) for one in (given, truth)
    )
    return found


def summary(found: dict[str, np.ndarray]) -> dict[str, float]:
    """What all maps say, of the numbers of each."""
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    numbers = {}
    for name in BLOCKS:
        numbers[f"error, {name}"] = np.sqrt(mean[f"squared error, {name}"])
        numbers[f"error over expected, {name}"] = np.sqrt(mean[f"squared error, {name}"] / mean[f"expected, {name}"])
    numbers["energy score"] = mean["energy score"]
    numbers["step over the true one"] = mean["step across the edge"] / mean["true step"]
    numbers["cells below a fifth"], numbers["true cells below a fifth"] = (
        mean["cells below a fifth"],
        mean["true cells below a fifth"],
    )
    return numbers


def with_intervals(
    found: dict[str, np.ndarray],
    box: np.ndarray,
    summary: Callable[[dict[str, np.ndarray]], dict[str, float]] = summary,
    draws: int = 1000,
) -> dict[str, dict]:
    """A summary of the numbers of each map, with 95% intervals by bootstrap over boxes (n,)."""
    rng, boxes = np.random.default_rng(0), np.unique(box)
    again = []
    for _ in range(draws):
        rows = np.concatenate([np.flatnonzero(box == one) for one in rng.choice(boxes, len(boxes))])
        again.append(summary({name: values[rows] for name, values in found.items()}))
    return {
        name: {
            "value": round(float(value), 4),
            "interval": np.round(np.quantile([one[name] for one in again], [0.025, 0.975]), 4).tolist(),
        }
        for name, value in summary(found).items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cosmologies", type=int, default=16)
    parser.add_argument("--draws", type=int, default=10)
    asked = parser.parse_args()
    low, high = np.transpose([RANGES[name] for name in NAMES])
    theta = low + (high - low) * np.random.default_rng(5).random((asked.cosmologies, len(NAMES)))
    hole = np.zeros((SIDE, SIDE), bool)
    hole[FIRST : FIRST + HOLE, FIRST : FIRST + HOLE] = True
    true, other = [], []
    for number, one in enumerate(track(theta, "simulations and Gaussian fields")):
        first, *others = logarithms(one, number)
        true.append(first[list(MAPS)])
        other.append(gaussian_fills(np.concatenate(others), true[-1], hole, asked.draws, number))
    logarithm, box = np.concatenate(true), np.repeat(np.arange(asked.cosmologies), len(MAPS))
    holed = np.where(hole, np.nan, np.exp(logarithm) - FLOOR - 1)
    started = time.perf_counter()
    filled = zoo.fill_maps(holed, theta=theta[box], draws=asked.draws)
    taken = time.perf_counter() - started
    ways = {"diffusion-maps": np.log(1 + filled.maps + FLOOR), "Gaussian": np.concatenate(other)}
    numbers = {way: judged(fills, logarithm) for way, fills in ways.items()}
    lower = {"score": numbers["diffusion-maps"]["energy score"] - numbers["Gaussian"]["energy score"]}
    content = {
        "about": about("numpy", "keras", "tensorflow"),
        "maps": len(logarithm),
        "boxes": asked.cosmologies,
        "draws": asked.draws,
        "seconds a fill": round(taken / (len(logarithm) * asked.draws), 2),
        "ways": {way: with_intervals(found, box) for way, found in numbers.items()},
        "energy score, difference": with_intervals(lower, box, lambda found: {"score": float(np.mean(found["score"]))})[
            "score"
        ],
    }
    write("fields_filling.json", content)
    filled.plot().savefig(FIGURE, dpi=120)


if __name__ == "__main__":
    main()

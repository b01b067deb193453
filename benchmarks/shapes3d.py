"""Images of Shapes3D a second: on the grid, in small and large batches, with one thread and two; and between grid points.

    python benchmarks/shapes3d.py

Writes benchmarks/results/shapes3d.json. The lights of the grid's geometries are cast first; how long that takes is printed.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import numpy as np
from interleaved import about, compare, write

from zoo.data.shapes3d import FACTORS, SHAPES, grid_factors, render
from zoo.data.shapes3d.factors import GRID

BATCHES = (64, 1024)
DRAWN = 8192
"""Images before the same come again, so that their light is not in the processor's cache."""
BETWEEN = 32


def main() -> None:
    render(grid_factors(np.array([0])))  # compiled
    start = time.perf_counter()
    render(grid_factors(np.arange(480)))
    casting = time.perf_counter() - start
    print(f"the grid's 480 geometries: {casting:.2f} s")
    rng = np.random.default_rng(0)
    results: dict[str, dict] = {}
    with ThreadPoolExecutor(2) as pool:
        for size in BATCHES:
            drawn = cycle([grid_factors(rng.integers(GRID, size=size)) for _ in range(2 * DRAWN // size)])
            found = compare(
                f"2 x {size} images of the grid",
                {
                    "one thread": lambda drawn=drawn: [render(factors) for factors in islice(drawn, 2)],
                    "two threads": lambda drawn=drawn: list(pool.map(render, islice(drawn, 2))),
                },
            )
            results[f"2 x {size}"] = _with_rates(found, 2 * size)
    low, high = np.array([(factor.low, factor.high) for factor in FACTORS]).T
    between = rng.uniform(low, high, (BETWEEN, len(FACTORS)))
    between[:, 4] = rng.integers(len(SHAPES), size=BETWEEN)
    found = compare(f"{BETWEEN} images between grid points", {"one thread": lambda: render(between)})
    results[f"{BETWEEN} between"] = _with_rates(found, BETWEEN)
    write("shapes3d.json", {"versions": about("numpy", "numba"), "casting_s": casting, "images": results})


def _with_rates(found: dict[str, dict], images: int) -> dict[str, dict]:
    for name, way in found.items():
        way["images_per_s"] = images / way["median_us"] * 1e6
        print(f"  {name:14s} {way['images_per_s']:10.0f} images/s")
    return found


if __name__ == "__main__":
    main()

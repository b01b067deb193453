"""Time of the mutual information of 3 latents with 10 quantities at 16 radii, 5,000 rows, by either estimator.

    python benchmarks/information.py [--jobs 2]

The quantities are Gaussian, skewed, curved or bimodal functions of the latents with noise. Writes
benchmarks/results/information.json.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from interleaved import about, write

from zoo.interpret.latents.information import mutual_information_matrix

LATENTS, QUANTITIES, ROWS = 3, 10 * 16, 5000


def quantities(latents: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Name -> (rows,), four kinds in turns."""
    found = {}
    for i in range(QUANTITIES):
        linear = latents @ rng.uniform(-1, 1, LATENTS)
        noisy = linear + rng.uniform(0.3, 1.5) * rng.standard_normal(ROWS)
        quieter = linear + 0.4 * rng.standard_normal(ROWS)
        kinds = (noisy, np.exp(noisy), quieter + 0.5 * latents[:, 1] ** 2, quieter + 2 * (rng.uniform(size=ROWS) < 0.2))
        found[f"quantity {i}"] = kinds[i % 4]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((ROWS, LATENTS))
    first, second = {f"latent {i}": column for i, column in enumerate(latents.T)}, quantities(latents, rng)
    seconds = {}
    for estimator in ("neighbors", "mixture"):
        start = time.perf_counter()
        pairs = len(mutual_information_matrix(first, second, estimator=estimator, jobs=jobs))
        seconds[estimator] = round(time.perf_counter() - start, 1)
        print(f"{estimator}: {pairs} pairs in {seconds[estimator]} s", flush=True)
    content = {"about": about("numpy", "scipy", "scikit-learn"), "pairs": pairs, "rows": ROWS, "jobs": jobs, "seconds": seconds}
    write("information.json", content)


if __name__ == "__main__":
    main()

"""How a flow should see a parameter of a uniform prior: by the logit of its share of the interval, or by about its probit.

    python benchmarks/bounded_priors.py [--seeds 3] [--simulations 10000]

Two parameters of a uniform prior from 0 to 1 are measured with Gaussian noise, so that the posterior is a normal that is cut at
both ends. Flows of either scale are trained on the same simulations, in turns. Writes benchmarks/results/bounded_priors.json:
how far log densities are below the exact ones in the mean (nat), of all rows and of those within 0.02 of an end.
"""

from __future__ import annotations

import argparse
import warnings
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from interleaved import about, write
from scipy import stats

import zoo

PRIOR = {name: {"distribution": "uniform", "low": 0.0, "high": 1.0} for name in ("a", "b")}
NOISES = (0.3, 1.0)
"""Deviations of the noise, in widths of the prior."""
ROWS, NEAR = 4000, 0.02


def exact_log_density(theta: np.ndarray, x: np.ndarray, noise: float) -> np.ndarray:
    """Log density (n,) of the exact posterior of parameters (n, 2) given data (n, 2)."""
    inside = np.log(stats.norm.cdf((1 - x) / noise) - stats.norm.cdf(-x / noise))
    found: np.ndarray = (stats.norm.logpdf(theta, x, noise) - inside).sum(axis=1)
    return found


def of_rows(flow: Any, noise: float) -> dict[str, float]:
    """How far log densities of fresh rows are below the exact ones."""
    rng = np.random.default_rng(5)
    theta = rng.random((ROWS, 2))
    x = theta + rng.normal(0, noise, theta.shape)
    short = exact_log_density(theta, x, noise) - flow.log_density(theta, x, allow_out_of_range=True)
    near = np.minimum(theta, 1 - theta).min(axis=1) < NEAR
    return {"all": round(float(short.mean()), 4), "near": round(float(short[near].mean()), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--simulations", type=int, default=10_000)
    given = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # of observations beyond the simulated ones, which a normal has at times
    found: dict[str, list[dict[str, Any]]] = {}
    for noise in NOISES:

        def simulator(theta, rng, noise=noise):
            return theta + rng.normal(0, noise, theta.shape)

        for seed in range(given.seeds):
            for kind in ("logit", "probit"):
                scales = [{"map": kind, "low": 0.0, "high": 1.0}] * 2
                with TemporaryDirectory() as folder:
                    flow = zoo.train_npe(
                        simulator,
                        PRIOR,
                        given.simulations,
                        folder=f"{folder}/{kind}",
                        seed=seed,
                        vectorized=True,
                        changes={"config.scales": scales},
                    )
                    row = {"seed": seed, "short of exact, nat": of_rows(flow, noise)}
                found.setdefault(f"noise {noise}, {kind}", []).append(row)
    write("bounded_priors.json", {"about": about("keras", "tensorflow"), "simulations": given.simulations, "flows": found})


if __name__ == "__main__":
    main()

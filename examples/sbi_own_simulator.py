"""Inference with a simulator of your own: a decaying signal on a background, measured by counting.

    python examples/sbi_own_simulator.py [folder]
    zoo train examples/sbi_own_simulator.yaml      # the same from a recipe

Trains p(amplitude, lifetime, background | counts) on 10,000 simulations, then holds one posterior against the exact one, which
three parameters allow to compute on a grid. About a minute on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TIME = np.linspace(0.25, 9.75, 20)
"""Centers of the 20 bins, each 0.5 us wide."""
WIDTH = 0.5
PRIOR = {
    "amplitude": {"distribution": "loguniform", "low": 20, "high": 500, "unit": "1/us"},
    "lifetime": {"distribution": "uniform", "low": 0.5, "high": 5, "unit": "us"},
    "background": {"distribution": "uniform", "low": 1, "high": 20, "unit": "1/us"},
}


def expected(theta: np.ndarray) -> np.ndarray:
    """Mean counts per bin: (..., 3) -> (..., 20)."""
    amplitude, lifetime, background = np.moveaxis(np.asarray(theta)[..., None], -2, 0)
    # The mean over a bin, not the value at its center.
    decayed = lifetime * (np.exp(-(TIME - WIDTH / 2) / lifetime) - np.exp(-(TIME + WIDTH / 2) / lifetime))
    return amplitude * decayed + background * WIDTH


def simulate(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts of 20 bins (20,) for amplitude, lifetime and background (3,)."""
    return rng.poisson(expected(theta))


def exact_posterior(counts: np.ndarray, cells: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (3,) of each parameter, on a grid over the prior's box, twice as fine as it must be."""
    edges = [np.linspace(law["low"], law["high"], cells + 1) for law in PRIOR.values()]
    edges[0] = np.geomspace(PRIOR["amplitude"]["low"], PRIOR["amplitude"]["high"], cells + 1)  # even steps of equal prior
    centers = np.meshgrid(*[(edge[1:] + edge[:-1]) / 2 for edge in edges], indexing="ij")
    theta = np.stack(centers, axis=-1).reshape(-1, 3)
    mean = expected(theta)
    log_likelihood = np.sum(counts * np.log(mean) - mean, axis=-1)
    weight = np.exp(log_likelihood - log_likelihood.max())
    weight /= weight.sum()
    average = weight @ theta
    return average, np.sqrt(weight @ (theta - average) ** 2)


def main(folder: Path) -> None:
    from zoo.workflows.npe import train_npe

    flow = train_npe(simulate, PRIOR, simulations=10_000, folder=folder)
    for metric in flow.spec.metrics:
        print(f"{metric.name:45s} {metric.value:8.4g}  ({metric.baseline_name}: {metric.baseline:.4g})")
    truth = np.array([150.0, 2.0, 8.0])
    counts = simulate(truth, np.random.default_rng(0))
    drawn = flow.draw(20_000, counts)
    mean, deviation = exact_posterior(counts)
    print("\nparameter     truth     flow                exact posterior")
    for i, name in enumerate(PRIOR):
        flow_says = f"{drawn[:, i].mean():8.2f} +- {drawn[:, i].std():6.2f}"
        print(f"{name:12s} {truth[i]:6.1f}  {flow_says}  {mean[i]:8.2f} +- {deviation[i]:6.2f}")
    print(f"\ncalibration plots in {folder}.run/plots, the model for zoo.load and zoo serve in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("decay"))

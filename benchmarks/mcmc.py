"""Hamiltonian Monte Carlo alone and with a flow's global moves, where the modes of the target are far apart.

    python benchmarks/mcmc.py

Both start from the same wide positions, which say nothing about the weights of the modes. Prints the weight of one mode over
five seeds beside its exact value, and writes benchmarks/results/mcmc.json and mcmc.png.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from interleaved import RESULTS, about, write

from zoo.interpret import flow_mcmc
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled

SEEDS = range(5)
CHAINS = 100
DRAWS = 2000
WAYS = {"HMC alone": 0, "flow-assisted": 10}
"""Global moves in each cycle of ten local ones."""


@dataclass(frozen=True)
class Target:
    """A density with two modes.

    Attributes
    ----------
    log_prob : callable
        The log density (n,) at points (n, D), as a TensorFlow function.
    start : callable
        Makes positions (chains, D) of a generator and the number of chains.
    in_mode : callable
        Whether each sample of (n, D) is in the first mode, (n,).
    weight : float
        The exact probability of that mode.
    """

    log_prob: Callable[[Any], Any]
    start: Callable[[np.random.Generator, int], np.ndarray]
    in_mode: Callable[[np.ndarray], np.ndarray]
    weight: float


def mixture(dimensions: int, weight: float = 0.3, distance: float = 10.0) -> Target:
    """Two unit Gaussians with ``distance`` between their means along each axis; starts uniform over twice that distance."""
    mean = np.full((1, dimensions), distance / 2, np.float32)

    def log_prob(x):
        first, second = (-0.5 * tf.reduce_sum((x - m) ** 2, axis=1) for m in (-mean, mean))
        return tf.reduce_logsumexp([first + np.log(weight), second + np.log(1 - weight)], axis=0)

    return Target(
        log_prob,
        lambda rng, chains: rng.uniform(-distance, distance, size=(chains, dimensions)),
        lambda x: x.sum(axis=1) < 0,
        weight,
    )


SITES, COUPLING, BETA, FIELD = 16, 0.1, 20.0, 0.035


def double_well_field() -> Target:
    """A field on a line with a double well at each site: the stochastic Allen-Cahn model of Gabrié et al. (2022).

    With spacing s = 1 / (SITES + 1) and f = 0 at both ends, U = BETA sum a / (2 s) (f' - f)^2 + s / (4 a) (1 - f^2)^2 - s h f;
    the field h, not in the paper, makes the weights of the two modes differ. Starts are free fields without the wells.
    The exact weight is an integral over a chain: products of the transfer matrix on a grid.
    """
    s = 1 / (SITES + 1)

    def log_prob(f):
        ends = tf.pad(f, [[0, 0], [1, 1]])
        gradient = COUPLING / (2 * s) * tf.reduce_sum((ends[:, 1:] - ends[:, :-1]) ** 2, axis=1)
        well = tf.reduce_sum(s / (4 * COUPLING) * (1 - f**2) ** 2 - s * FIELD * f, axis=1)
        return -BETA * (gradient + well)

    grid = np.linspace(-2.5, 2.5, 1001)
    site = np.exp(-BETA * (s / (4 * COUPLING) * (1 - grid**2) ** 2 - s * FIELD * grid))
    bond = np.exp(-BETA * COUPLING / (2 * s) * (grid[:, None] - grid) ** 2)
    left = np.exp(-BETA * COUPLING / (2 * s) * grid**2)
    right = left.copy()
    middle = SITES // 2
    for _ in range(middle):
        left = bond @ (site * left)
        left /= left.sum()
    for _ in range(SITES - 1 - middle):
        right = bond @ (site * right)
        right /= right.sum()
    marginal = left * site * right
    precision = BETA * COUPLING / s * (2 * np.eye(SITES) - np.eye(SITES, k=1) - np.eye(SITES, k=-1))
    free = np.linalg.cholesky(np.linalg.inv(precision))
    return Target(
        log_prob,
        lambda rng, chains: 2 * rng.normal(size=(chains, SITES)) @ free.T,
        lambda x: x[:, middle] < 0,
        float(marginal[grid < 0].sum() / marginal.sum()),
    )


TARGETS = {
    "two Gaussians, 2-D": mixture(2),
    "two Gaussians, 5-D": mixture(5),
    f"double-well field, {SITES} sites": double_well_field(),
}


def run(target: Target, global_steps: int, seed: int) -> dict[str, float]:
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    chains = flow_mcmc(
        target.log_prob, target.start(np.random.default_rng(seed), CHAINS), draws=DRAWS, global_steps=global_steps, seed=seed
    )
    return {
        "seed": seed,
        "weight": float(target.in_mode(chains.flat).mean()),
        "r_hat": float(chains.r_hat.max()),
        "ess": float(chains.ess.min()),
        "local_acceptance": chains.local_acceptance,
        "global_acceptance": chains.global_acceptance if global_steps else None,
        "seconds": time.perf_counter() - start,
    }


@styled
def figure(results: dict[str, dict]) -> Any:
    """Weight of the first mode over its exact value, a point a seed."""
    drawn, axes = panels(1, len(results), (3.3 * len(results), 3.8), sharey=True)
    for ax, (name, found) in zip(axes[0], results.items(), strict=True):
        ax.axhspan(0.95, 1.05, color="0.88", label="within 5%")
        ax.axhline(1, color=GRAY, linestyle="--", linewidth=1, label="exact")
        for at, (way, color) in enumerate(zip(WAYS, (RED, BLUE), strict=True)):
            ratio = [one["weight"] / found["exact"] for one in found[way]]
            ax.plot(at + np.linspace(-0.15, 0.15, len(ratio)), ratio, "o", color=color)
        ax.set_xticks(range(len(WAYS)), list(WAYS))
        ax.set(title=f"{name}\nexact weight {found['exact']:.3f}", xlim=(-0.5, len(WAYS) - 0.5))
    axes[0, 0].set_ylabel("weight of the first mode / exact")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return drawn


def main() -> None:
    results: dict[str, dict] = {}
    for name, target in TARGETS.items():
        results[name] = {"exact": target.weight, **{way: [] for way in WAYS}}
        for seed in SEEDS:
            for way, global_steps in WAYS.items():
                found = run(target, global_steps, seed)
                results[name][way].append(found)
                print(
                    f"{name:28} {way:14} seed {seed}: weight {found['weight']:.4f} (exact {target.weight:.4f}), "
                    f"R-hat {found['r_hat']:.3f}, ESS {found['ess']:.0f}, {found['seconds']:.0f} s",
                    flush=True,
                )
    versions = about("tensorflow", "keras", "tensorflow-probability")
    write("mcmc.json", {"versions": versions, "chains": CHAINS, "draws": DRAWS, "results": results})
    figure(results).savefig(RESULTS / "mcmc.png")


if __name__ == "__main__":
    main()

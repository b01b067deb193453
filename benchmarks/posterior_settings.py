"""What decides the settings of ``train_npe``: log density of simulations that no training saw, with and without each.

    python benchmarks/posterior_settings.py [--simulations 1000 ...] [--seeds 0 1 ...]

Seven tasks of the simulation-based inference benchmark, of which neither observations nor reference posteriors are looked at.
A minute for each training on one core, less for 1,000 simulations. Goes on where it was killed
(benchmarks/results/posterior_settings.json).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import yaml
from interleaved import RESULTS, about, write

from zoo.data.sbi.datum import Datum
from zoo.data.sbi.priors.as_prior import as_prior
from zoo.data.sbi.tasks import TASKS
from zoo.data.sbi.x_scales import chosen_scales
from zoo.training.fit import fit
from zoo.training.npe_recipe import npe_recipe
from zoo.training.recipe import load_recipe

NAME = "posterior_settings.json"
HELD_OUT, TEST = 4000, 60
"""Simulations that the density is asked at, and those of a recipe, which nothing here reads."""
SETTINGS = {
    "as they are": {},
    "no linear part": {"config.linear": False},
    "no warm-up": {"optimizer.warmup_epochs": 0},
    "neither": {"config.linear": False, "optimizer.warmup_epochs": 0},
}


class GaussianMixture:
    """Two normals around the parameters, one ten times as wide."""

    prior = as_prior({name: {"distribution": "uniform", "low": -10, "high": 10} for name in ("theta_1", "theta_2")})

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return theta + np.where(rng.random(len(theta)) < 0.5, 1.0, 0.1)[:, None] * rng.normal(size=theta.shape)


class GaussianLinearUniform:
    """A normal around ten parameters within a box."""

    prior = as_prior({f"theta_{i}": {"distribution": "uniform", "low": -1, "high": 1} for i in range(1, 11)})

    def simulate(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return theta + np.sqrt(0.1) * rng.normal(size=theta.shape)


ALL = {**TASKS, "gaussian-mixture": GaussianMixture, "gaussian-linear-uniform": GaussianLinearUniform}


def held_out(name: str, simulations: int, seed: int, changes: dict) -> dict:
    """Mean log density (nat) of parameters that were held out, and at which epoch it was found."""
    task = ALL[name]()
    rng = np.random.default_rng([seed, 77])
    theta = task.prior.sample(simulations + HELD_OUT, rng)
    x = np.asarray(task.simulate(theta, rng), np.float64)
    x = x[:, np.ptp(x[:simulations], axis=0) > 0]
    rows = slice(simulations + TEST)
    data = {"source": "simulations", "parameters": {"file": "rows.npz", "prior": task.prior.plain(), "test": TEST}}
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        np.savez(folder / "rows.npz", theta=theta[rows], x=x[rows])
        recipe = npe_recipe(
            "settings", task.prior, data, simulations, Datum((x.shape[1],)), context_scales=chosen_scales(x[:simulations]),
            seed=seed, changes=changes,
        )  # fmt: skip
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True)))
        flow, history = fit(load_recipe(folder / "recipe.yaml"), folder / "run", seed, title=f"{name}, {simulations:,}")
    found = flow.log_density(theta[simulations:], x[simulations:], allow_out_of_range=True)
    losses = history["val_loss"]
    return {"log_prob": float(np.mean(found)), "epoch": int(np.argmin(losses)) + 1, "epochs": len(losses)}


def summary(runs: dict[str, dict]) -> dict:
    """Mean over seeds, and the standard deviation of one."""
    values = [run["log_prob"] for run in runs.values()]
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", nargs="*", type=int, default=[1000, 10_000])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    path = RESULTS / NAME
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    said = {"versions": about("keras", "tensorflow", "numpy"), "held out": HELD_OUT, "results": results}
    for simulations in asked.simulations:
        for seed in asked.seeds:
            for name in ALL:
                for words, changes in SETTINGS.items():
                    entry = results.setdefault(f"{name}, {simulations}", {}).setdefault(words, {"runs": {}})
                    if str(seed) not in entry["runs"]:
                        entry["runs"][str(seed)] = held_out(name, simulations, seed, changes)
                        entry |= summary(entry["runs"])
                        write(NAME, said)
                        print(f"{name}, {simulations:,}, {words}: {entry['mean']:.3f}", flush=True)


if __name__ == "__main__":
    main()

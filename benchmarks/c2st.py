"""Our posteriors against the reference posteriors of sbibm, by its classifier test, beside the published figures.

    pip install --no-deps sbibm            # for its files alone; nothing of it is imported
    python benchmarks/c2st.py [task ...] [--simulations 1000 10000 100000]

Trains the released recipe at each budget, then compares 10,000 draws for each of sbibm's 10 observations with its 10,000
reference draws. Neither observations nor references are looked at before: settings that differ between budgets were chosen by
the loss on the tenth of the budget that is held out. Goes on where it was killed (runs/c2st, benchmarks/results/c2st.json).
All of it takes about three hours on one core, most of it in the classifiers of gaussian-linear.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from interleaved import about

from zoo.atomic import whole_file
from zoo.interpret.posteriors.c2st import c2st
from zoo.training.fit import fit
from zoo.training.recipe import load_recipe

RESULTS = Path(__file__).parent / "results" / "c2st.json"
BUDGETS = (1000, 10_000, 100_000)
OBSERVATIONS, DRAWS = 10, 10_000

PUBLISHED = {
    "two-moons": {"NPE": [0.725, 0.606, 0.542], "SNPE": [0.643, 0.554, 0.530], "NLE": [0.773, 0.713, 0.668]},
    "gaussian-linear": {"NPE": [0.694, 0.552, 0.506], "SNPE": [0.652, 0.544, 0.507], "NLE": [0.650, 0.555, 0.515]},
    "slcp": {"NPE": [0.975, 0.901, 0.831], "SNPE": [0.965, 0.845, 0.666], "NLE": [0.946, 0.771, 0.699]},
}
"""Means over the 10 observations at 1,000, 10,000 and 100,000 simulations: sbi-benchmark/results, main_paper.csv."""

SETTINGS: dict[str, dict[int, dict]] = {
    "two-moons": {
        1000: {"batch_size": 50, "epochs": 100, "optimizer.learning_rate": 2e-3, "optimizer.weight_decay": 0.3},
        10_000: {"batch_size": 128, "optimizer.weight_decay": 0.1},
    },
    "gaussian-linear": {
        1000: {
            "batch_size": 50,
            "epochs": 30,
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 3.0,
            "config.transforms": 4,
            "config.bins": 8,
            "config.hidden": [64, 64],
        },
        10_000: {"batch_size": 128, "optimizer.weight_decay": 3.0, "config.hidden": [256, 256]},
    },
    "slcp": {
        1000: {"batch_size": 50, "epochs": 40, "optimizer.learning_rate": 2e-3, "optimizer.weight_decay": 1.0},
        10_000: {"batch_size": 128, "optimizer.learning_rate": 6e-3, "optimizer.weight_decay": 0.5},
    },
}
"""What differs from the released recipe at smaller budgets, chosen by the validation loss."""


def reference(task: str, observation: int) -> tuple[np.ndarray, np.ndarray]:
    """One of sbibm's observations (C,) and its reference draws (10,000, D)."""
    found = importlib.util.find_spec("sbibm")
    if found is None or found.origin is None:
        raise SystemExit("this needs the files of sbibm: pip install --no-deps sbibm")
    folder = Path(found.origin).parent / "tasks" / task.replace("-", "_") / "files" / f"num_observation_{observation}"
    read = [np.loadtxt(folder / name, delimiter=",", skiprows=1, ndmin=2) for name in FILES]
    return read[0][0], read[1]


FILES = ("observation.csv", "reference_posterior_samples.csv.bz2")


def measure(task: str, simulations: int, results: dict) -> None:
    """Train, then fill in ``results`` observation by observation, writing each."""
    recipe = load_recipe(f"nsf-sbi-{task}").changed({"data.parameters.simulations": simulations})
    changes = SETTINGS[task].get(simulations, {})
    recipe = recipe.changed(changes)
    key = f"{task}, {simulations}"
    entry = results.setdefault(key, {"c2st": []})
    if entry.get("settings", changes) != changes:
        raise SystemExit(f"{RESULTS} holds {key} with other settings: delete the entry, or restore the settings")
    flow, history = fit(recipe, Path("runs") / "c2st" / f"{task}-{simulations}", title=key)
    entry |= {"settings": changes, "validation_loss": min(history["val_loss"]), "epochs": len(history["val_loss"])}
    for observation in range(len(entry["c2st"]) + 1, OBSERVATIONS + 1):
        x, exact = reference(task, observation)
        entry["c2st"].append(c2st(exact, flow.draw(DRAWS, x, seed=observation)))
        summarize(task, simulations, entry)
        write(results)
        print(f"{key}: observation {observation} {entry['c2st'][-1]:.3f}, mean {entry['mean']:.3f}", flush=True)


def summarize(task: str, simulations: int, entry: dict) -> None:
    """Mean and its standard error over observations, beside the published means."""
    values = np.array(entry["c2st"])
    entry["mean"] = float(values.mean())
    entry["standard_error"] = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    entry["published"] = {name: column[BUDGETS.index(simulations)] for name, column in PUBLISHED[task].items()}


def write(results: dict) -> None:
    versions = about("keras", "tensorflow", "scikit-learn", "numpy", "sbibm")
    with whole_file(RESULTS, "w") as file:
        json.dump({"versions": versions, "observations": OBSERVATIONS, "draws": DRAWS, "results": results}, file, indent=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(PUBLISHED), metavar="task")
    parser.add_argument("--simulations", nargs="*", type=int, choices=BUDGETS, default=BUDGETS)
    asked = parser.parse_args()
    results = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else {}
    for task in asked.tasks:
        for simulations in asked.simulations:
            measure(task, simulations, results)
    for key, entry in results.items():
        published = "  ".join(f"{name} {value:.3f}" for name, value in entry["published"].items())
        print(f"{key:24s} {entry['mean']:.3f} +- {entry['standard_error']:.3f}   published: {published}")


if __name__ == "__main__":
    main()

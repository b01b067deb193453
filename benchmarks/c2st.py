"""Our posteriors against the reference posteriors of sbibm, by its classifier test, beside the published figures.

    pip install --no-deps sbibm            # for its files alone; nothing of it is imported
    python benchmarks/c2st.py [--methods npe nle ...] [--tasks sir ...] [--simulations 1000 ...] [--observations 1 2 ...]

Trains at each budget, then compares 10,000 draws for each of sbibm's 10 observations with its 10,000 reference draws. Neither
observations nor references are looked at before: settings are the library's own for that many simulations, whatever the task.
The method ``recipe`` is that of a released model, where a task has one, with what differs between budgets chosen by the loss
on the tenth of the budget that is held out. Goes on where it was killed (runs/c2st, benchmarks/results/c2st.json), and writes a
table beside the published figures (benchmarks/results/c2st.md).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import joblib
import numpy as np
from interleaved import about

import zoo
from zoo.atomic import whole_file
from zoo.data.sbi.dataset import training_rows
from zoo.data.sbi.simulating.simulations import simulate
from zoo.data.sbi.tasks import get_task
from zoo.interpret.posteriors.c2st import c2st
from zoo.interpret.posteriors.likelihood import LikelihoodPosterior
from zoo.training.fit import fit
from zoo.training.recipe import load_recipe
from zoo.workflows.nle import train_nle
from zoo.workflows.npe import train_npe

HERE = Path(__file__).parent
RESULTS, TABLE = HERE / "results" / "c2st.json", HERE / "results" / "c2st.md"
RUNS = Path("runs") / "c2st"
BUDGETS = (1000, 10_000, 100_000)
OBSERVATIONS, DRAWS = 10, 10_000
TEST = 200
"""Simulations beyond the budget, for what a card says of calibration."""

PUBLISHED = {
    "two-moons": {"NPE": [0.725, 0.606, 0.542], "SNPE": [0.643, 0.554, 0.530], "NLE": [0.773, 0.713, 0.668]},
    "gaussian-linear": {"NPE": [0.694, 0.552, 0.506], "SNPE": [0.652, 0.544, 0.507], "NLE": [0.650, 0.555, 0.515]},
    "slcp": {"NPE": [0.975, 0.901, 0.831], "SNPE": [0.965, 0.845, 0.666], "NLE": [0.946, 0.771, 0.699]},
    "sir": {"NPE": [0.815, 0.680, 0.585], "SNPE": [0.638, 0.561, 0.575], "NLE": [0.761, 0.748, 0.730]},
    "lotka-volterra": {"NPE": [0.999, 0.997, 0.981], "SNPE": [0.990, 0.953, 0.928], "NLE": [0.994, 0.956, 0.952]},
}
"""Means over the 10 observations at 1,000, 10,000 and 100,000 simulations: sbi-benchmark/results, main_paper.csv."""

RELEASED: dict[str, dict[int, dict]] = {
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

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "npe": ("NPE", {}),
    "recipe": ("NPE", {}),
    "ensemble": ("NPE", {"members": 5}),
    "flow-matching": ("NPE", {"family": "flow-matching"}),
    "tsnpe": ("SNPE", {"rounds": 5}),
    "nle": ("NLE", {}),
}
"""The published column that a method stands beside, and what it asks of ``train_npe``."""
LINEAR = ("npe", "ensemble", "tsnpe")
"""Methods whose flows start from a linear regression now; cells from before are marked in the table."""
MARK = "†"


@dataclass
class Cell:
    """One method, task and budget."""

    method: str
    task: str
    simulations: int

    @property
    def key(self) -> str:
        return f"{self.task}, {self.simulations}"

    @cached_property
    def simulator(self) -> Varying:
        return Varying(self.task, self.simulations)

    @property
    def of_released_recipe(self) -> bool:
        return self.method == "recipe"

    @property
    def settings(self) -> dict:
        return RELEASED[self.task].get(self.simulations, {}) if self.of_released_recipe else METHODS[self.method][1]

    def samples(self, observation: int, x: np.ndarray) -> np.ndarray:
        """DRAWS draws from the posterior of one observation x (C,)."""
        if self.method == "tsnpe":  # a model for each observation
            flow = self._model(observation=self.simulator.seen(x), folder=f"observation-{observation}")
        else:
            flow = self._amortized
        x = x if self.of_released_recipe else self.simulator.seen(x)
        return flow.draw(DRAWS, x, seed=observation, allow_out_of_range=True)

    @cached_property
    def _amortized(self) -> Any:
        if self.of_released_recipe:
            recipe = load_recipe(f"nsf-sbi-{self.task}").changed({"data.parameters.simulations": self.simulations})
            return fit(recipe.changed(self.settings), RUNS / self.method / f"{self.task}-{self.simulations}", title=self.key)[0]
        return self._model(folder="model")

    def _model(self, *, folder: str, **options: Any) -> Any:
        """The model in a folder, trained where there is none yet."""
        path = RUNS / self.method / f"{self.task}-{self.simulations}" / folder
        prior = get_task(self.task).prior
        train = train_nle if self.method == "nle" else train_npe
        if path.exists():
            flow = zoo.load(path)
        else:
            options = {**METHODS[self.method][1], **options}
            flow = train(
                self.simulator, prior, self.simulations, folder=path, test=TEST, vectorized=True, jobs=1, **options
            )  # fmt: skip
        return LikelihoodPosterior(flow, prior) if self.method == "nle" else flow


class Varying:
    """A task's simulator, without numbers that are the same in all training simulations: the library refuses them."""

    def __init__(self, task: str, simulations: int) -> None:
        self.task = get_task(task)
        found = simulate(self.task.simulate, self.task.prior, simulations + TEST, vectorized=True, jobs=1)
        self.columns = np.ptp(found.x[: training_rows(simulations)], axis=0) > 0

    def seen(self, x: np.ndarray) -> np.ndarray:
        return x[..., self.columns]

    def __call__(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.seen(self.task.simulate(theta, rng))


def reference(task: str, observation: int) -> tuple[np.ndarray, np.ndarray]:
    """One of sbibm's observations (C,) and its reference draws (10,000, D)."""
    found = importlib.util.find_spec("sbibm")
    if found is None or found.origin is None:
        raise SystemExit("this needs the files of sbibm: pip install --no-deps sbibm")
    folder = Path(found.origin).parent / "tasks" / task.replace("-", "_") / "files" / f"num_observation_{observation}"
    read = [np.loadtxt(folder / name, delimiter=",", skiprows=1, ndmin=2) for name in FILES]
    return read[0][0], read[1]


FILES = ("observation.csv", "reference_posterior_samples.csv.bz2")


def measure(cell: Cell, observations: list[int], results: dict, jobs: int) -> None:
    """Train, draw, and fill in ``results`` observation by observation, writing each."""
    entry = results.setdefault(cell.method, {}).setdefault(cell.key, {"c2st": {}})
    if entry.get("settings", cell.settings) != cell.settings:
        raise SystemExit(f"{RESULTS} holds {cell.method}, {cell.key} with other settings: delete it, or restore the settings")
    missing = [observation for observation in observations if str(observation) not in entry["c2st"]]
    entry["settings"] = cell.settings
    if cell.method in LINEAR and not entry["c2st"]:
        entry["linear"] = True
    start = time.perf_counter()
    for several in batches(missing, 2 * jobs):  # few at once, so that a killed run loses little
        read = [reference(cell.task, observation) for observation in several]
        pairs = [(exact, cell.samples(observation, x)) for observation, (x, exact) in zip(several, read, strict=True)]
        found = joblib.Parallel(n_jobs=jobs, return_as="generator")(joblib.delayed(c2st)(*pair) for pair in pairs)
        for observation, value in zip(several, found, strict=True):
            entry["c2st"][str(observation)] = value
            entry["seconds"] = entry.get("seconds", 0.0) + time.perf_counter() - start
            start = time.perf_counter()
            summarize(cell, entry)
            write(results)
            print(f"{cell.method}, {cell.key}: observation {observation} {value:.3f}, mean {entry['mean']:.3f}", flush=True)


def batches(values: list[int], size: int) -> Iterator[list[int]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def summarize(cell: Cell, entry: dict) -> None:
    """Mean and its standard error over observations, beside the published mean."""
    values = np.array(list(entry["c2st"].values()))
    entry["mean"] = float(values.mean())
    entry["standard_error"] = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    entry["published"] = {name: column[BUDGETS.index(cell.simulations)] for name, column in PUBLISHED[cell.task].items()}


def write(results: dict) -> None:
    versions = about("keras", "tensorflow", "scikit-learn", "numpy", "sbibm")
    with whole_file(RESULTS, "w") as file:
        json.dump({"versions": versions, "observations": OBSERVATIONS, "draws": DRAWS, "results": results}, file, indent=1)
    with whole_file(TABLE, "w") as file:
        file.write(table(results))


def table(results: dict) -> str:
    """All means in Markdown: ours with the standard error, and in parentheses the published one of the same kind."""
    lines = [
        "| task | simulations | " + " | ".join(METHODS) + " |",
        "|---|---|" + "---|" * len(METHODS),
    ]
    for task in PUBLISHED:
        for budget in BUDGETS:
            cells = [_in_words(results.get(method, {}).get(f"{task}, {budget}"), method) for method in METHODS]
            if any(cells):
                lines.append(f"| {task} | {budget:,} | " + " | ".join(cells) + " |")
    lines += ["", f"{MARK} measured before flows of `train_npe` started from a linear regression."]
    return "\n".join(lines) + "\n"


def _in_words(entry: dict | None, method: str) -> str:
    if not entry or not entry["c2st"]:
        return ""
    error = "" if entry["standard_error"] is None else f" ± {entry['standard_error']:.3f}"
    partly = "" if len(entry["c2st"]) == OBSERVATIONS else f", {len(entry['c2st'])} observations"
    before = MARK if method in LINEAR and "linear" not in entry else ""
    return f"{entry['mean']:.3f}{error}{before} ({entry['published'][METHODS[method][0]]:.3f}{partly})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--tasks", nargs="*", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--simulations", nargs="*", type=int, choices=BUDGETS, default=BUDGETS)
    parser.add_argument(
        "--observations", nargs="*", type=int, choices=range(1, OBSERVATIONS + 1), default=range(1, OBSERVATIONS + 1)
    )
    parser.add_argument("--jobs", type=int, default=2, help="classifiers at once, which change no value")
    asked = parser.parse_args()
    results = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else {}
    for simulations in asked.simulations:
        for task in asked.tasks:
            for method in asked.methods:
                if method == "recipe" and task not in RELEASED:
                    continue
                measure(Cell(method, task, simulations), list(asked.observations), results, asked.jobs)
    write(results)
    print(table(results))


if __name__ == "__main__":
    main()

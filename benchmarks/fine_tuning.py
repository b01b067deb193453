"""What pretraining is worth: a released model fine-tuned on n rows of a new problem, against the same network from scratch.

    zoo simulate cmb-feature --feature linear --cosmologies 400 --seed 20182 --out runs/cmb-linear
    python benchmarks/fine_tuning.py [task ...] [--cmb runs/cmb-linear/spectra.npz]

For each n and seed, n training rows and n / 4 validation rows are drawn, on which alone training stops; the test rows are the
same for all and in other simulations. An epoch has 480 rows at least, few rows many times. Both are trained for as many epochs
at most and with the same patience. Goes on where it was killed. ``halo-mass`` needs twenty simulations of another cosmology,
``tops`` 37 files of jets; they are made where they are not in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from interleaved import RESULTS, about
from matplotlib.figure import Figure

import zoo
from zoo.atomic import whole_file
from zoo.data.cmb.feature import CMBFeature
from zoo.data.dataset import Dataset, Rows, Split
from zoo.data.jets.dataset import JetClouds
from zoo.data.nbody.halo_mass import HaloMass
from zoo.data.pendulum import Pendulum
from zoo.data.sbi.dataset import Pairs
from zoo.data.sbi.simulating.simulations import Simulations
from zoo.data.sbi.tasks.two_moons import TwoMoons
from zoo.training.checks import check
from zoo.training.comparison import statistics
from zoo.training.fine_tune import FineTuning, fine_tune, untrained

FILE = RESULTS / "fine_tuning.json"
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "fine_tuning.png"
RUNS = Path("runs") / "fine-tuning"
TEST_ROWS = 2000
EPOCH_ROWS, EPOCHS, PATIENCE = 480, 40, 6
MOST_ROWS = 1_200_000
"""Rows that a training may see, those of all its epochs."""
SEEDS = 3
RATES = {"head": 1e-3, "all": 3e-4}
"""Learning rate of each way to unfreeze; from scratch it is 1e-3."""


@dataclass(frozen=True)
class Task:
    """A released model and a problem that it was not trained for.

    Attributes
    ----------
    statistic : str
        A metric of the test rows, of those that ``zoo finetune`` writes on a card.
    """

    model: str
    what: str
    statistic: str
    unit: str
    data: Callable[[str | None], Dataset]
    sizes: tuple[int, ...] = (30, 100, 300, 1000)
    ways: tuple[str, ...] = ("head", "all")
    test_rows: int = TEST_ROWS
    settings: dict[str, Any] = field(default_factory=dict)
    """How the fine-tuning differs, beside what is unfrozen: a new head, another batch."""


class NoisyPendulum(Pendulum):
    """Pendulums observed with an error of 0.1 m; what is asked for is the displacement itself."""

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """As of `Pendulum`, the same training rows each epoch."""
        found = super().rows(split)
        noise = np.random.default_rng([self.seed, 7, list(self.sizes).index(split)]).normal(
            0, 0.1, found.inputs["trajectory"].shape
        )
        return replace(found, inputs=found.inputs | {"trajectory": found.inputs["trajectory"] + noise.astype(np.float32)})


class ShiftedTwoMoons(Pairs):
    """Two moons whose crescents are wider and elsewhere: x -> 1.3 x + (0.1, -0.1)."""

    description, simulator, seed = "two moons, x -> 1.3 x + (0.1, -0.1)", "own", 71

    def __init__(self) -> None:
        task, rng = TwoMoons(), np.random.default_rng(self.seed)
        drawn = [task.prior.sample(n, rng) for n in (20_000, TEST_ROWS)]
        found = [Simulations(theta, 1.3 * task.simulate(theta, rng) + np.array([0.1, -0.1])) for theta in drawn]
        super().__init__(*found, task.prior)


TASKS = {
    "pendulum": Task(
        "ive-pendulum",
        "pendulums observed with an error of 0.1 m",
        "rmse",
        "m",
        lambda _: NoisyPendulum(5000, 2000, 2000, seed=71),
    ),
    "two-moons": Task(
        "nsf-sbi-two-moons",
        "two moons scaled by 1.3 and shifted",
        "loss",
        "nat",
        lambda _: ShiftedTwoMoons(),
        (100, 1000),
        ("all",),
    ),
    "cmb-feature": Task(
        "mlp-cmb-feature",
        "features that oscillate in k instead of ln k",
        "auc",
        "1",
        lambda path: CMBFeature(seed=71, path=path),
    ),
    "halo-mass": Task(
        "cnn3d-halo-mass",
        "halos of another cosmology",
        "rmse",
        "dex",
        lambda _: HaloMass(
            12, 4, 4, first_seed=820, particles=500, seed=71, nbody={"cosmology": {"sigma8": 0.70, "omega_m": 0.26}}
        ),
        sizes=(100, 300, 1000),
        ways=("all",),
    ),
    "tops": Task(
        "particlenet-jets",
        "tops beside QCD at 600 GeV, which are two classes",
        "auc",
        "1",
        lambda _: JetClouds("top", train=25, validation=7, test=5),
        (1000, 10_000, 100_000),
        ("all",),
        20_000,
        {"outputs": 1, "task": "classification", "batch_size": 64},
    ),
}


class Few:
    """Some rows of a data set, the same each epoch."""

    def __init__(self, splits: dict[Split, Rows], dataset: Dataset, n: int, seed: int) -> None:
        self.description, self.simulator, self.seed, self.units = dataset.description, dataset.simulator, seed, dataset.units
        self._rows = {
            "train": _repeated(splits["train"].some(n, seed)),
            "validation": splits["validation"].some(max(20, n // 4), seed),
            "test": splits["test"],
        }

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        """One split."""
        return self._rows[split]


def _repeated(rows: Rows) -> Rows:
    index = np.tile(np.arange(len(rows)), -(-EPOCH_ROWS // len(rows)))
    inputs = {name: array[index] for name, array in rows.inputs.items()}
    return Rows(inputs, rows.target[index], rows.group[index])


def measure(name: str, task: Task, path: str | None, results: dict) -> None:
    """Fill in ``results`` run by run, writing each."""
    parent, dataset = zoo.load(task.model), task.data(path)
    splits = {split: dataset.rows(split) for split in ("train", "validation", "test")}
    splits["test"] = splits["test"].some(task.test_rows)
    entry = results.setdefault(name, {"model": task.model, "what": task.what, "statistic": task.statistic, "unit": task.unit})
    entry["test_rows"], entry["test_simulations"] = len(splits["test"]), len(np.unique(splits["test"].group))
    same_head = "outputs" not in task.settings
    entry["before"] = value_of(parent, splits["test"], task.statistic) if same_head else None
    runs = entry.setdefault("runs", {})
    for n in task.sizes:
        for seed in range(SEEDS):
            key = f"{n}, seed {seed}"
            if key in runs:
                continue
            few = Few(splits, dataset, n, seed)
            found = {}
            for way in task.ways:
                how = {"unfreeze": way, "learning_rate": RATES[way], "patience": PATIENCE, **task.settings}
                settings = FineTuning(**how, epochs=min(EPOCHS, MOST_ROWS // n), seed=seed)
                _, network = untrained(parent, settings)
                checked = check(few, network, parent.spec)
                folder = RUNS / name / f"{n}-{seed}-{way}"
                tuned = fine_tune(parent, network, few, settings, checked, folder)
                found[way] = value_of(tuned.model, splits["test"], task.statistic)
                found["scratch"] = value_of(tuned.scratch, splits["test"], task.statistic)
                shutil.rmtree(folder)
            runs[key] = found
            write(results)
            print(f"{name} {key}: {before(entry)}, {found}", flush=True)


def before(entry: dict) -> str:
    """What the model was worth before, in words."""
    return "new classes" if entry["before"] is None else f"{entry['before']:.4g} before"


def value_of(model: zoo.families.base.ZooModel, rows: Rows, statistic: str) -> float:
    """One statistic of a model on all rows."""
    compute, values, _ = statistics(model, rows)[statistic]
    return compute(values, rows.weight)


def write(results: dict) -> None:
    """What is known so far."""
    with whole_file(FILE, "w") as file:
        json.dump({"versions": about("keras", "tensorflow", "numpy"), "results": results}, file, indent=1)


def summary(entry: dict) -> dict[str, dict[int, list[float]]]:
    """Way -> n -> values of the seeds."""
    found: dict[str, dict[int, list[float]]] = {}
    for key, values in entry["runs"].items():
        for way, value in values.items():
            found.setdefault(way, {}).setdefault(int(key.split(",")[0]), []).append(value)
    return found


def draw(results: dict) -> Figure:
    """A panel for each task: mean over seeds, the extremes as bars."""
    ways = {"scratch": ("from scratch", "C0"), "head": ("fine-tuned, head", "C1"), "all": ("fine-tuned, all blocks", "C2")}
    names = {"auc": "area under the ROC curve", "rmse": "rms error", "loss": "negative log density"}
    figure = Figure(figsize=(9, 3.4 * -(-len(results) // 2)), layout="constrained")
    for number, entry in enumerate(results.values()):
        axes = figure.add_subplot(-(-len(results) // 2), 2, number + 1)
        found = summary(entry)
        for way, (label, color) in ways.items():
            if way in found:
                n = np.array(sorted(found[way]))
                mean, low, high = (np.array([of(found[way][each]) for each in n]) for of in (np.mean, min, max))
                axes.errorbar(n, mean, [mean - low, high - mean], marker="o", capsize=3, label=label, color=color)
        low, high = axes.get_ylim()
        unit = "" if entry["unit"] == "1" else f" {entry['unit']}"
        if entry["before"] is None:
            pass
        elif 2 * low - high < entry["before"] < 2 * high - low:
            axes.axhline(entry["before"], color="0.5", linestyle="--", label="not fine-tuned")
        else:
            axes.text(0.97, 0.93, f"not fine-tuned: {entry['before']:.3g}{unit}", transform=axes.transAxes, ha="right")
        label = names[entry["statistic"]] + (f" [{unit.strip()}]" if unit else "")
        axes.set(xscale="log", xlabel="training rows", ylabel=label)
        axes.set_title(f"{entry['model']}: {entry['what']}", fontsize=8)
    figure.axes[0].legend(fontsize=8)
    return figure


def main() -> None:
    """Measure, print means over seeds, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="task")
    parser.add_argument("--cmb", help="file of spectra with a linear feature, for cmb-feature")
    asked = parser.parse_args()
    results = json.loads(FILE.read_text())["results"] if FILE.exists() else {}
    for name in asked.tasks:
        if name == "cmb-feature" and asked.cmb is None:
            raise SystemExit("cmb-feature needs --cmb: see the first lines of this file")
        measure(name, TASKS[name], asked.cmb, results)
    for name, entry in results.items():
        print(f"{name}: {entry['statistic']} on {entry['test_rows']} test rows, {before(entry)}")
        for way, values in summary(entry).items():
            means = "  ".join(f"{n}: {np.mean(v):.4g} ({min(v):.4g} to {max(v):.4g})" for n, v in sorted(values.items()))
            print(f"  {way:8} {means}")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    draw(results).savefig(FIGURE, dpi=120)


if __name__ == "__main__":
    main()

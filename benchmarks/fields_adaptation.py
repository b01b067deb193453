"""What a network on maps of one simulator answers to those of another, before and after it saw some of these without labels.

    python benchmarks/fields_adaptation.py [--runs runs/fields_adaptation]

cnn2d-cosmology, which smooths what it sees, and the same network without smoothing, on fields with direct forces (P3M) and with
more and lighter particles. Adapted by deep CORAL (Sun & Saenko 2016, arXiv:1607.01719): training goes on for a few epochs, with
labels of the training's maps, and with a term that makes the last layer's numbers have the same means and covariances on maps
of both simulators. Simulations of the other one, over a hypercube of their own, have no labels. How much the term
counts is chosen without labels of theirs, too. Judged on the test simulations that both simulators made of the same initial
fields. Writes benchmarks/results/fields_adaptation.json and docs/figures/fields_adaptation.png.
"""

from __future__ import annotations

import argparse
import json
from functools import cache, partial
from itertools import count, product
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from interleaved import about, write
from matplotlib.figure import Figure

import zoo
from zoo.atomic import whole_file
from zoo.data.dataset import Rows, Split, get_dataset
from zoo.data.fields.dataset import FieldMaps
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.training.fit import EpochData, trained
from zoo.training.metrics import Units, mean, measured, rms
from zoo.training.recipe import load_recipe

NETWORK = "cnn2d-cosmology"
LABELS = {"omega_m": r"$\Omega_m$", "sigma8": r"$\sigma_8$"}
OTHERS = {"finer": {"particles": 96, "cells": 64}, "direct-forces": {"softening": 0.1, "steps": 90}}
"""What the other simulators do differently."""
UNLABELED = {"finer": 100, "direct-forces": 50}
"""Simulations of each without labels, which take 6 s and half a minute of a core."""
HYPERCUBE = {"seed": 20214, "simulations": 100}
NARROW = 0.3
"""Largest Omega_m of the simulations of a target that is not spread as the training is."""
WEIGHTS = (0.0, 10.0, 100.0)
"""How much the alignment counts; with none training only goes on."""
COST = 0.03
"""By how many nat at most the loss of the validation split may grow beyond that of the first weight."""
EPOCHS, RATE, BATCH = 3, 3e-4, 64


def only(rows: Rows, keep: np.ndarray) -> Rows:
    """Rows where ``keep`` is True."""
    return Rows({name: values[keep] for name, values in rows.inputs.items()}, rows.target[keep], rows.group[keep])


class Narrow(FieldMaps):
    """Maps whose cosmologies are not spread as the training's are."""

    def _views(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        views, number = super()._views(split)
        keep = self.config.design()[number, 0] < NARROW
        return views[keep], number[keep]


def networks(folder: Path) -> dict[str, ZooModel]:
    """The released network, and one that is not smoothed, trained by the same recipe."""
    recipe = load_recipe(NETWORK).changed({"config.smoothing": 0.0})
    return {"smoothed": zoo.load(NETWORK), "unsmoothed": trained(recipe, folder / "unsmoothed", 0, title="unsmoothed").load()}


def last_layer(network: ZooModel, maps: tf.Tensor) -> tf.Tensor:
    """The numbers before the last layer, (n, units)."""
    return network.hidden(network.features(maps))


def misalignment(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """How far means and covariances of the rows of both are apart, in deviations of the first."""
    center = tf.reduce_mean(first, axis=0)
    deviation = tf.sqrt(tf.reduce_mean((first - center) ** 2, axis=0) + 1e-6)
    first, second = (first - center) / deviation, (second - center) / deviation
    apart = tf.reduce_mean(tf.reduce_mean(second, axis=0) ** 2)

    def covariance(rows: tf.Tensor) -> tf.Tensor:
        rows = rows - tf.reduce_mean(rows, axis=0)
        return tf.matmul(rows, rows, transpose_a=True) / len(rows)

    return apart + tf.reduce_mean((covariance(first) - covariance(second)) ** 2)


def adapted(network: ZooModel, source: FieldMaps, target: FieldMaps | None, weight: float, title: str) -> ZooModel:
    """A copy of a network that trains on with labels of the source, and without those of the target where there is one."""
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    variables = copy.trainable_variables
    steps = EPOCHS * (len(source.rows("train")) // BATCH)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps))

    @tf.function
    def step(maps: tf.Tensor, truth: tf.Tensor, others: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(copy.objective(truth, copy(maps)))
            loss += weight * misalignment(last_layer(copy, maps), last_layer(copy, others))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    unlabeled = None if target is None else (batch[0] for epoch in count() for batch in EpochData(target, BATCH, 1, epoch))
    for epoch in range(EPOCHS):
        for maps, truth, *_ in EpochData(source, BATCH, 0, epoch):
            others = maps if unlabeled is None else next(unlabeled)
            step(*(tf.convert_to_tensor(values) for values in (maps, truth, others)))
        print(f"{title}: epoch {epoch + 1} of {EPOCHS}", flush=True)
    return copy


def answers(network: ZooModel, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations (n, 2)."""
    means, deviations = np.split(in_batches(network, rows.inputs["overdensity"]), 2, axis=1)
    return means, deviations


def judged(network: ZooModel, ours: Rows, others: Rows, validation: Rows) -> dict[str, object]:
    """What the network answers to the same universes of both simulators."""
    (own, _), (theirs, deviation) = answers(network, ours), answers(network, others)
    units = Units.of(others)
    found: dict[str, object] = {}
    for i, name in enumerate(LABELS):
        ways = {
            "shift": (mean, theirs[:, i] - own[:, i]),
            "shift in deviations": (mean, (theirs[:, i] - own[:, i]) / deviation[:, i]),
            "error": (rms, theirs[:, i] - others.target[:, i]),
            "error on ours": (rms, own[:, i] - ours.target[:, i]),
        }
        found[name] = {}
        for way, (statistic, values) in ways.items():
            metric = measured(f"{way} {name}", statistic, [values], units, "")
            found[name] |= {way: [round(one, 4) for one in (metric.value, *(metric.interval or ()))]}
    truth = validation.target
    found["validation loss"] = round(float(np.mean(network.objective(truth, np.hstack(answers(network, validation))))), 4)
    return found


def chosen(rows: dict[str, dict]) -> str:
    """The largest weight whose loss on labeled maps is hardly larger than without alignment."""
    first = next(iter(rows.values()))["validation loss"]
    return [weight for weight, row in rows.items() if row["validation loss"] <= first + COST][-1]


@styled
def figure(found: dict[str, dict]) -> Figure:
    """How far answers are shifted, by how much the alignment counts."""
    drawn, axes = panels(1, len(LABELS), (10.0, 3.8))
    looks = {"smoothed": (BLUE, "o-"), "unsmoothed": (RED, "s--")}
    for ax, (name, label) in zip(axes[0], LABELS.items(), strict=True):
        for network, other in product(looks, OTHERS):
            (color, line), of = looks[network], found[network][other]
            some = [of["before"], *of["weights"].values()]
            value, low, high = np.array([row[name]["shift in deviations"] for row in some]).T
            filled = color if other == "finer" else "white"
            style = {"color": color, "mfc": filled, "capsize": 3, "label": f"{network}, {other}"}
            ax.errorbar(range(len(some)), value, [value - low, high - value], fmt=line, **style)
        ax.axhline(0, color=GRAY, lw=1)
        ax.set_xticks(range(1 + len(WEIGHTS)), ["before", *(f"{weight:g}" for weight in WEIGHTS)])
        ax.set(xlabel="weight of the alignment", ylabel=f"shift of {label} [deviations of a map]")
    axes[0][0].legend()
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/fields_adaptation"))
    given = parser.parse_args()
    source = get_dataset("field-maps")
    ours, validation = source.rows("test"), source.rows("validation")
    found: dict[str, dict] = {}
    for name, network in networks(given.runs).items():
        found[name] = {}
        carried_on = cache(partial(adapted, network, source, None, 0.0, f"{name}, carried on"))
        for other, design in OTHERS.items():
            test = get_dataset("field-maps", **load_recipe(NETWORK).evaluation.also_on[other]).rows("test")
            same = only(ours, np.isin(ours.group, test.group))
            unlabeled = {"train": UNLABELED[other], "validation": 0, "test": 0, "design": {**design, **HYPERCUBE}}
            found[name][other] = {"before": judged(network, same, test, validation), "weights": {}}
            cases = {f"{weight:g}": (weight, FieldMaps(**unlabeled)) for weight in WEIGHTS if weight}
            if other == "finer":
                cases["narrow"] = (WEIGHTS[-1], Narrow(**unlabeled))
            ways = {
                case: partial(adapted, network, source, target, weight, f"{name}, {other}, {case}")
                for case, (weight, target) in cases.items()
            }
            for case, way in {"0": carried_on, **ways}.items():
                path = given.runs / f"{name}-{other}-{case}.json"
                if not path.exists():
                    with whole_file(path) as file:
                        file.write(json.dumps(judged(way(), same, test, validation)).encode())
                found[name][other]["weights"][case] = json.loads(path.read_text())
                print(name, other, case, found[name][other]["weights"][case], flush=True)
            of = found[name][other]
            of["narrow"] = of["weights"].pop("narrow", None)
            of["chosen"] = chosen(of["weights"])
    figure(found).savefig(
        Path(__file__).parents[1] / "docs" / "figures" / "fields_adaptation.png", dpi=110, bbox_inches="tight"
    )
    write("fields_adaptation.json", {"about": about("keras", "tensorflow"), "fields": found})


if __name__ == "__main__":
    main()

"""Which cells of a map tell cnn2d-cosmology of Omega_m and sigma_8, of voids, of halos or between.

    python benchmarks/fields_inside.py [--simulations 1000]

On maps of simulations of another hypercube than the training's, one each. Four views: how much of the gradient falls on
cells of which density; what is left of the answer when the densest or the emptiest cells of a map are made alike; which
summaries of a map the last hidden layer knows; and how much information summaries share with both answers and with the
parameters. Writes benchmarks/results/fields_inside.json and docs/figures/fields_inside.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from interleaved import about, write
from matplotlib.figure import Figure

import zoo
from zoo.data.dataset import get_dataset
from zoo.data.fields.features import THRESHOLDS, features
from zoo.families.batches import in_batches
from zoo.families.fields.convolutions import smoothed
from zoo.interpret import linear_r2, mutual_information, randomization_check
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.progress import track

NETWORK = "cnn2d-cosmology"
NAMES = {"omega_m": r"$\Omega_m$", "sigma8": r"$\sigma_8$"}
COLORS = {"omega_m": BLUE, "sigma8": RED}
QUANTILES = (0.5, 0.9, 0.99)
CLASSES = ("emptiest half", "next 40%", "next 9%", "densest 1%")
"""Classes of the cells of a map by their density, after the network's own smoothing."""
SIDE = 100.0
"""Side of a map, Mpc/h."""
CHECKED = 6
"""Maps in the check of the gradients by random weights."""


def classes(seen: np.ndarray) -> np.ndarray:
    """The class of each cell (n, s, s), by its rank within its map."""
    flat = seen.reshape(len(seen), -1)
    rank = flat.argsort(axis=1).argsort(axis=1) / flat.shape[1]
    found: np.ndarray = np.searchsorted(QUANTILES, rank, side="right").reshape(seen.shape)
    return found


def share_of_gradient(model, maps: np.ndarray, of_class: np.ndarray, target: int) -> list[float]:
    """Mean absolute gradient of the answer on cells of each class, over that of all cells."""
    found = zoo.explain(model, {"overdensity": maps}, method="gradient", output="mean", target=target).values
    size = np.abs(found) / np.abs(found).mean(axis=(1, 2), keepdims=True)
    return [round(float(size[of_class == i].mean()), 2) for i in range(len(CLASSES))]


def flattened(maps: np.ndarray, of_class: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Maps whose cells of some classes all have the mean of these cells."""
    found = maps.copy()
    for one, inside in zip(found, np.isin(of_class, chosen), strict=True):
        if chosen:
            one[inside] = one[inside].mean()
    return found


def left(answers: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Variance of each parameter that a line through both answered means explains, on held-out maps."""
    return {name: round(float(value.mean()), 3) for name, value in linear_r2(answers, truth).items()}


def summaries(maps: np.ndarray) -> dict[str, np.ndarray]:
    """Summaries of smoothed maps by name, (n,) each."""
    power = features(maps, SIDE, ["power"])
    logarithm = np.log(maps + 1.01)
    centered = logarithm - logarithm.mean(axis=(1, 2), keepdims=True)
    variance = np.square(centered).mean(axis=(1, 2))
    peaks = features(maps, SIDE, ["peaks"])
    return {
        "power, 0.1 h/Mpc": power[:, 0],
        "power, 0.5 h/Mpc": power[:, 3],
        "power, 1 h/Mpc": power[:, 6],
        "variance of ln density": np.log(variance),
        "skewness of ln density": (centered**3).mean(axis=(1, 2)) / variance**1.5,
        "triangles, 0.5 h/Mpc": features(maps, SIDE, ["bispectrum"])[:, 1],
        f"peaks above {THRESHOLDS[5]:.1f}": peaks[:, 5],
        "share of cells below a fifth": np.mean(maps < -0.8, axis=(1, 2)),
    }


def information(answers: np.ndarray, truth: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> dict[str, dict]:
    """Mutual information in nat and its error: of each summary and of both answers with the parameters and with the answers."""
    about = {**truth, "both answers": answers}
    found = {"both answers": {name: shared(answers, values) for name, values in truth.items()}}
    continuous = [name for name, values in given.items() if len(np.unique(values)) > len(values) / 2]
    for name in track(continuous, "information"):
        found[name] = {other: shared(given[name], values) for other, values in about.items()}
    return found


def shared(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Mutual information in nat, and its error."""
    value, error, _ = mutual_information(first, second)
    return [round(value, 3), round(error, 3)]


@styled
def figure(found: dict[str, dict]) -> Figure:
    """The four views side by side."""
    drawn, ((first, second, third, fourth),) = panels(1, 4, (18.0, 3.8))
    places = np.arange(len(CLASSES))
    for i, name in enumerate(NAMES):
        first.bar(places + 0.4 * i - 0.2, found["gradient"][name], 0.38, color=COLORS[name], label=NAMES[name])
        kept = [ways[name] for ways in found["left"].values()]
        second.barh(np.arange(len(kept))[::-1] - 0.4 * i + 0.2, kept, 0.38, color=COLORS[name])
    first.axhline(1, color=GRAY, lw=1)
    first.set_xticks(places, [words.replace(" ", "\n", 1) for words in CLASSES])
    first.set(ylabel="|gradient| of a cell over the mean", title="Where the answer is steepest")
    first.legend()
    second.set_yticks(np.arange(len(found["left"]))[::-1], list(found["left"]))
    second.set(xlabel="variance explained", xlim=(0, 1), title="Cells made alike")
    known = found["known to the last layer"]
    third.barh(np.arange(len(known))[::-1], list(known.values()), 0.6, color=GRAY)
    third.set_yticks(np.arange(len(known))[::-1], list(known))
    third.set(xlabel="variance explained", xlim=(0, 1), title="Known to the last layer")
    told = found["information"]
    for i, name in enumerate(NAMES):
        value, error = np.array([told[way][name] for way in told]).T
        at = np.arange(len(told))[::-1] - 0.4 * i + 0.2
        fourth.barh(at, value, 0.38, xerr=error, color=COLORS[name])
    fourth.set_yticks(np.arange(len(told))[::-1], list(told))
    fourth.set(xlabel="mutual information [nat]", title="What each says of a parameter")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    number = parser.parse_args().simulations
    design = {"seed": 20213, "simulations": number}
    rows = get_dataset("field-maps", train=0, validation=0, test=number, design=design).rows("test")
    first = np.unique(rows.group, return_index=True)[1]
    maps, truth = rows.inputs["overdensity"][first], dict(zip(NAMES, rows.target[first].T.astype(float), strict=True))
    model = zoo.load(NETWORK)

    def asked(function: Callable) -> Callable[[np.ndarray], np.ndarray]:
        return lambda fields: np.asarray(in_batches(lambda some: keras.ops.convert_to_numpy(function(some)), fields))

    answer, hidden = asked(lambda some: model.moments(some)[0]), asked(lambda some: model.hidden(model.features(some)))
    seen = asked(lambda some: smoothed(some, model.seen.smoothing))(maps)
    of_class = classes(seen)
    every = list(range(len(CLASSES)))
    ways = {
        "nothing": [],
        "densest 1%": every[3:],
        "densest 10%": every[2:],
        "densest half": every[1:],
        "emptiest half": every[:1],
        "emptiest 90%": every[:2],
    }
    random = randomization_check(model, maps[:CHECKED], method="gradient", output="mean", target=0)
    agreement = random.correlation.mean(axis=(1, 2))
    found = {
        "gradient": {name: share_of_gradient(model, maps, of_class, i) for i, name in enumerate(NAMES)},
        "left": {way: left(answer(flattened(maps, of_class, cells)), truth) for way, cells in ways.items()},
        "known to the last layer": {
            name: round(float(value.mean()), 3) for name, value in linear_r2(hidden(maps), summaries(seen)).items()
        },
        "information": information(answer(maps), truth, summaries(seen)),
        "rank correlation of the gradient with that of random weights": {
            layer: round(float(value), 3) for layer, value in zip(random.layers, agreement, strict=True)
        },
    }
    figure(found).savefig(Path(__file__).parents[1] / "docs" / "figures" / "fields_inside.png", dpi=110, bbox_inches="tight")
    write("fields_inside.json", {"about": about("keras", "tensorflow"), "maps": len(maps), "simulations": number, **found})


if __name__ == "__main__":
    main()

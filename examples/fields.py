"""Maps of matter: cosmologies of simulated maps, where in a map they are written, and a network retrained for thinner slabs.

    python examples/fields.py [folder] [--short]

The network of the zoo learned maps of slabs 25 Mpc/h thick. Here are boxes that it never saw, in slabs half as thick, as a
simulation of your own may have them: it is judged on these as it is, which it says are unlike its own, fine-tuned, and beside
the same network from scratch. Then a wide, oblong map is answered by ONNX Runtime. 32 simulations are made, in a minute; the
training takes another; ``--short`` takes fewer simulations and epochs.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import zoo
from zoo.data.dataset import get_dataset
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.model.spec import Metric
from zoo.serving import Session

NETWORK = "cnn2d-cosmology"
NAMES = ("Omega_m", "sigma_8")
THIN = 8
"""Slabs along an axis of a box of 100 Mpc/h."""
WAYS = {"before": GRAY, "from scratch": RED, "fine-tuned": BLUE}


def errors(model) -> dict[str, Metric]:
    """Root mean square error of both parameters on the same held-out maps, from the card of the fine-tuned model."""
    metrics = {metric.name: metric for metric in model.spec.metrics}
    return {way: metrics["rmse" if way == "fine-tuned" else f"{way}/rmse"] for way in WAYS}


@styled
def figure(found: dict[str, Metric]) -> Figure:
    """Errors by how the network came about."""
    drawn, ((ax,),) = panels(1, 1, (4.6, 3.6))
    for place, (way, metric) in enumerate(found.items()):
        low, high = metric.interval
        ax.bar(place, metric.value, 0.6, yerr=[[metric.value - low], [high - metric.value]], color=WAYS[way], capsize=4)
    ax.set_xticks(range(len(WAYS)), WAYS)
    ax.set(ylabel=r"rms error of $\Omega_m$ and $\sigma_8$", title="held-out maps of slabs 12.5 Mpc/h thick", ylim=(0, None))
    return drawn


def main(folder: Path, short: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    network = zoo.load(NETWORK)

    # Maps that no training saw: another hypercube of cosmologies, in the network's own slabs.
    count = 8 if short else 32
    design = {"seed": 7, "simulations": count}
    own = get_dataset("field-maps", train=0, validation=0, test=count, design=design).rows("test")
    answers = Session(NETWORK).run({"overdensity": own.inputs["overdensity"]})
    rms = np.sqrt(np.mean((answers["mean"] - own.target) ** 2, axis=0))
    print(f"{len(own)} maps of {count} simulations: rms error {rms[0]:.3f} in Omega_m and {rms[1]:.3f} in sigma_8")
    print(f"unlike the training's by {np.median(answers['unlikeness']):.1f} in the middle, where 6 is usual")

    # Where a map says so.
    one = {"overdensity": own.inputs["overdensity"][:1]}
    zoo.explain(network, one, method="occlusion", output="mean", target=0, patch=8).plot().savefig(
        folder / "where.png", dpi=110
    )

    # Slabs half as thick are other fields: the network is retrained for them.
    train, validation, test = (5, 1, 2) if short else (6, 4, 22)
    thin = get_dataset("field-maps", train=train, validation=validation, test=test, slabs=THIN, design=design)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        mine = zoo.fine_tune(
            network,
            thin,
            folder=folder / "my-thin-slabs",
            unfreeze="all",
            learning_rate=5e-4,
            epochs=1 if short else 15,
            overwrite=True,
        )
    for warning in caught:
        print(f"warning: {warning.message}")
    found = errors(mine)
    print(f"\nrms errors on {found['before'].n} held-out maps of slabs half as thick")
    for way, metric in found.items():
        print("  {:14s}{:.3f} ({:.3f} to {:.3f})".format(way, metric.value, *metric.interval))
    figure(found).savefig(folder / "fields.png", dpi=110)

    # Any height and width, in any runtime: four maps side by side.
    wide = np.concatenate(list(own.inputs["overdensity"][:4]), axis=1)[None]
    mean = Session(NETWORK).run({"overdensity": wide})["mean"][0]
    said = ", ".join(f"{name} {one:.3f} ({true:.3f})" for name, one, true in zip(NAMES, mean, own.target[0], strict=True))
    print(f"\na map of {wide.shape[1]} x {wide.shape[2]} cells, and in brackets what is true: {said}")
    print(f"the model is in {folder / 'my-thin-slabs'}, figures are {folder / 'fields.png'} and {folder / 'where.png'}")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--short"]
    main(Path(arguments[0]) if arguments else Path("runs/fields"), short="--short" in sys.argv)

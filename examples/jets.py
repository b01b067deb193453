"""Jets of a ROOT file: tagged in five lines, looked into, and a tagger of the zoo retrained for a detector.

    python examples/jets.py [folder] [--short]

The 3,000 jets of quarks and gluons that ship are written to a ROOT file as an analysis has them: an entry for each jet, a
jagged branch for each number of its particles. The tagger learned at particle level. A detector sees less: here it smears
momenta, has thresholds, loses a twentieth of the charged particles, and tells six kinds of particles apart. The tagger is
judged on what the detector sees as it is, fine-tuned, and beside the same network from scratch. A few minutes on one core;
``--short`` takes fewer jets and epochs.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from matplotlib.figure import Figure

import zoo
from zoo.data.jets import from_columns, from_root
from zoo.data.jets.clouds import clouds
from zoo.data.jets.sample import load_sample
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.model.spec import Metric

TAGGER = "pfn-quark-gluon"
CHARGED = [211, 321, 2212, 11, 13]
SEEN = {"charged": (0.5, 0.02, 0.95), "photon": (0.5, 0.10, 1.0), "neutral": (2.0, 0.25, 1.0)}
"""Threshold [GeV], relative resolution and efficiency of this detector for charged particles, photons and neutral hadrons."""
WAYS = {"before": GRAY, "from scratch": RED, "fine-tuned": BLUE}


def particle_level() -> dict[str, ak.Array]:
    """The jets that ship, a jagged column for each number of their particles, and whether a jet is that of a quark."""
    jets, _ = load_sample("quark-gluon")
    order = np.random.default_rng(0).permutation(len(jets))
    cloud = {name: tensor[:] for name, tensor in clouds(jets, order).items()}
    padded = {name: cloud["particles"][..., column] for column, name in enumerate(("pt", "y", "phi"))}
    padded["identity"] = cloud["identity"]
    real = ak.from_regular(ak.Array(cloud["real"]))
    quark = jets.label[order] == jets.classes.index("quark")
    quark = ak.Array(quark.astype(np.int32))
    return {name: ak.from_regular(ak.Array(array))[real] for name, array in padded.items()} | {"quark": quark}


def write_root(path: Path) -> dict[str, ak.Array]:
    """A ROOT file of the jets that ship, as an analysis has one; what is in it."""
    columns = particle_level()
    with uproot.recreate(path) as file:
        file["Jets"] = columns
    return columns


def detector_level(columns: dict[str, ak.Array], seed: int = 1) -> dict[str, ak.Array]:
    """What the detector sees of jets: fewer particles, smeared, and of each its kind alone."""
    rng = np.random.default_rng(seed)
    counts = ak.num(columns["pt"])
    pt, code = (ak.to_numpy(ak.flatten(columns[name])) for name in ("pt", "identity"))
    charged, photon = np.isin(np.abs(code), CHARGED), code == 22
    kind = np.select([charged, photon], [0, 1], 2)
    threshold, width, efficiency = (np.array(values)[kind] for values in zip(*SEEN.values(), strict=True))
    pt = pt * rng.normal(1, width)
    kept = ak.unflatten((pt > threshold) & (rng.random(len(pt)) < efficiency), counts)
    lepton = np.isin(np.abs(code), [11, 13])
    seen_as = np.select([charged & ~lepton, charged | photon], [np.sign(code) * 211, code], 130)
    changed = {**columns, "pt": ak.unflatten(pt, counts), "identity": ak.unflatten(seen_as, counts)}
    return {name: changed[name][kept] for name in ("pt", "y", "phi", "identity")} | {"quark": columns["quark"]}


def areas(model) -> dict[str, Metric]:
    """Area under the ROC curve of each on the same held-out jets, from the card of the fine-tuned model."""
    metrics = {metric.name: metric for metric in model.spec.metrics}
    return {way: metrics["auc" if way == "fine-tuned" else f"{way}/auc"] for way in WAYS}


@styled
def figure(probability: np.ndarray, quark: np.ndarray, model) -> Figure:
    """Answers at particle level by truth, and the areas at detector level."""
    drawn, ((answers, bars),) = panels(1, 2, (9.0, 3.9))
    edges = np.linspace(0, 1, 31)
    for label, color in ((1, BLUE), (0, RED)):
        name = "quarks" if label else "gluons"
        answers.stairs(np.histogram(probability[quark == label], edges)[0], edges, color=color, label=name)
    answers.set(xlabel="probability of a quark", ylabel="jets", title="particle level, as trained")
    answers.legend()
    found = areas(model)
    for place, (way, metric) in enumerate(found.items()):
        low, high = metric.interval
        errors = [[metric.value - low], [high - metric.value]]
        bars.bar(place, metric.value, 0.6, yerr=errors, color=WAYS[way], capsize=4)
    bars.set(ylabel="area under the ROC curve", title="detector level, held-out jets, 95% intervals", ylim=(0.5, 1))
    bars.set_xticks(range(len(WAYS)), WAYS)
    return drawn


def main(folder: Path, short: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = write_root(folder / "jets.root")

    # Five lines from a file to answers.
    tagger = zoo.load(TAGGER)
    jets = from_root(folder / "jets.root", "Jets")
    probability = np.asarray(tagger.endpoint("predict")(jets)["probability"])[:, 0]
    print(f"{len(probability)} jets; the first are those of quarks with {', '.join(f'{one:.2f}' for one in probability[:5])}")

    # Which particles of a jet made the answer.
    one = {name: array[:1] for name, array in jets.items()}
    zoo.explain(tagger, one, method="occlusion").plot().savefig(folder / "particles.png", dpi=110)

    seen = detector_level(columns)
    mine = from_columns({name: array for name, array in seen.items() if name != "quark"})
    data = {**mine, "probability": ak.to_numpy(seen["quark"])}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", UserWarning)
        model = zoo.fine_tune(
            tagger,
            {name: array[:400] for name, array in data.items()} if short else data,
            folder=folder / "my-tagger",
            unfreeze="all",
            learning_rate=3e-4,
            epochs=2 if short else 60,
            patience=10,
            overwrite=True,
        )
    for warning in found:
        print(f"warning: {warning.message}")
    print(f"\narea under the ROC curve on {model.spec.metrics[0].n} held-out jets, as the detector sees them")
    for way, metric in areas(model).items():
        low, high = metric.interval
        print(f"  {way:14s} {metric.value:.3f}  ({low:.3f} to {high:.3f})")
    figure(probability, ak.to_numpy(columns["quark"]), model).savefig(folder / "jets.png", dpi=110)
    print(f"the model is in {folder / 'my-tagger'}, figures are {folder / 'jets.png'} and {folder / 'particles.png'}")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--short"]
    main(Path(arguments[0]) if arguments else Path("runs/jets"), short="--short" in sys.argv)

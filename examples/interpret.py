"""Looking inside two models: where a classifier of CMB spectra sees a feature, and which scales tell the mass of a halo.

    python examples/interpret.py FOLDER [--short]

Plants a feature at known multipoles of simulated spectra and asks whether attributions find it there, compares three methods
and checks each against random weights and by deletion, and draws the shells around a particle that tell the mass of its halo.
Figures and a table, as printed, go into FOLDER; --short takes fewer rows, for a test.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import zoo
from zoo import interpret
from zoo.data.cmb.binning import CHANNELS, SLICES, joint_multipoles
from zoo.data.cmb.feature import CMBFeature
from zoo.data.nbody.sample import load_sample
from zoo.interpret.attribution.patches import shells

CLASSIFIER, HALOS = "mlp-cmb-feature", "cnn3d-halo-mass"
METHODS = ("integrated_gradients", "occlusion", "gradient")
CHANNEL, LOW, HIGH = "TE", 600, 1000
"""Where the feature is planted: multipoles of one spectrum."""


def planted_spectra(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra (n, 215) without a feature, the same with one inside the window and nowhere else, and which bins it holds.

    The simulated spectra come in pairs that differ in the feature alone; the n strongest of the test split are taken, and
    both of a pair get the same noise.
    """
    clean, noisy = (CMBFeature(noise=noise).rows("test") for noise in (False, True))
    without, with_feature = clean.inputs["spectrum"][0::2], clean.inputs["spectrum"][1::2]
    noise = (noisy.inputs["spectrum"] - clean.inputs["spectrum"])[0::2]
    strongest = np.argsort(-clean.truth["log10_amplitude"][1::2])[:n]
    inside = np.zeros(without.shape[1], bool)
    multipoles = joint_multipoles()[SLICES[CHANNEL]]
    inside[SLICES[CHANNEL]] = (multipoles >= LOW) & (multipoles < HIGH)
    plain = (without + noise)[strongest]
    return plain, plain + np.where(inside, (with_feature - without)[strongest], 0), inside


def find_planted(model, n: int, folder: Path) -> None:
    """Attributions with the feature minus those without: they should differ most where the spectra do.

    The model whitens spectra, so that it compares bins, and what a bin elsewhere counts depends on those inside too. Occlusion
    sees most of that, as it gives a bin a value that no sky has beside its neighbors.
    """
    plain, planted, inside = planted_spectra(n)
    print(
        f"a feature planted in {CHANNEL} at {LOW} <= l < {HIGH} of {n} simulated spectra, {inside.sum()} of {len(inside)} bins"
    )
    for method in METHODS:
        before, after = (interpret.explain(model, x, method=method, allow_out_of_range=True) for x in (plain, planted))
        change = after.values - before.values
        mean = change.mean(axis=0)
        within, beyond = (np.abs(mean[bins]).mean() for bins in (inside, ~inside))
        if method == METHODS[0]:
            print(f"the mean logit goes from {before.answer.mean():.2f} to {after.answer.mean():.2f}")
            # A difference of two explanations has no baseline of its own.
            draw_planted(replace(after, values=change, baseline=None, baseline_answer=None), folder / "planted.png")
        unit = "per muK^2" if method == "gradient" else "of logit"
        print(f"  {method:21} a bin changes by {within:.4f} inside, {beyond:.4f} elsewhere, all by {mean.sum():+.4f} {unit}")


def draw_planted(difference: interpret.Explanation, path: Path) -> None:
    figure = difference.plot()
    panel = figure.axes[CHANNELS.index(CHANNEL)]
    panel.axvspan(LOW, HIGH, color="0.85", zorder=0, label="planted")
    panel.legend(loc="upper right", frameon=False)
    figure.suptitle(f"{CLASSIFIER}: integrated gradients with a planted feature minus those without")
    save(figure, path)


def compare(model, n: int, folder: Path) -> None:
    """Whether methods agree with each other, notice that weights are random, and name elements that the answer follows."""
    _, spectra, _ = planted_spectra(n)
    found = [interpret.explain(model, spectra, method=method, allow_out_of_range=True) for method in METHODS]
    agreement = interpret.agreement(found)
    save(agreement.plot(), folder / "agreement.png")
    print(f"\nmethods on {n} spectra")
    for explanation, row in zip(found, agreement.matrix, strict=True):
        deletion = interpret.deletion_insertion(model, explanation, steps=16, orders=2)
        random = interpret.randomization_check(model, spectra, method=explanation.method, draws=1, allow_out_of_range=True)
        if explanation is found[0]:
            save(deletion.plot(), folder / "deletion.png")
            save(random.plot(), folder / "randomization.png")
        ranks = ", ".join(f"{method} {value:.2f}" for method, value in zip(METHODS, row, strict=True))
        left = np.nanmean(random.correlation[-1])
        print(
            f"  {explanation.method:21} rank correlation with {ranks}; with itself after all weights are random {left:.2f};"
            f" deletion area {deletion.area.mean():+.2f}"
        )


def halo_shells(n: int, steps: int, folder: Path) -> None:
    """Which distances from a particle tell the mass of the halo that it ends in."""
    cubes = load_sample().inputs["density"]
    cubes = cubes[np.linspace(0, len(cubes) - 1, n).round().astype(int)]
    explanation = interpret.explain(zoo.load(HALOS), cubes, steps=steps, allow_out_of_range=True)
    save(explanation.plot(), folder / "halo-mass.png")
    distance = shells(cubes.shape[1:]).ravel()
    sums = np.stack([np.bincount(distance, row) for row in explanation.values.reshape(n, -1)])
    share = np.abs(sums).mean(axis=0)
    half = int(np.searchsorted(np.cumsum(share) / share.sum(), 0.5))
    print(
        f"\n{HALOS} on {n} cubes: largest contributions at {share.argmax()} cells, half of them within {half};"
        f" completeness error {np.max(explanation.completeness_error):.1g} dex"
    )


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=80)


def main(folder: Path, *, short: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = zoo.load(CLASSIFIER)
    find_planted(model, 16 if short else 200, folder)
    compare(model, 4 if short else 50, folder)
    halo_shells(2 if short else 32, 4 if short else 32, folder)
    print(f"\nfigures in {folder}: " + ", ".join(sorted(path.name for path in folder.glob("*.png"))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("interpret"))
    parser.add_argument("--short", action="store_true", help="fewer rows, for a test")
    arguments = parser.parse_args()
    main(arguments.folder, short=arguments.short)

"""Checks of simulated jets against physics, a figure each.

    python examples/jets_checks.py [folder]

Writes quark_gluon.png and groomed_mass.png, of the jets that ship, and color_charges.png and weights.png, for which Pythia
makes some: about five minutes of one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from zoo.data.jets.checks import CASIMIR_RATIO, falling_spectrum, multiplicity_ratio, quarks_and_gluons, spectrum
from zoo.data.jets.clouds import clouds
from zoo.data.jets.generate import generate
from zoo.data.jets.sample import load_sample
from zoo.data.jets.substructure import soft_drop
from zoo.interpret.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, panels, styled
from zoo.progress import track

COLORS = {"quark": BLUE, "gluon": RED, "W": GREEN, "Z": ORANGE, "top": "black"}
POLES = {"W": 80.4, "Z": 91.2, "top": 172.5}
"""Masses in GeV."""


@styled
def quark_gluon_figure() -> Figure:
    """Multiplicities and masses of the quark and gluon jets that ship."""
    jets, config = load_sample("quark-gluon")
    figure, axes = panels(1, 2, (10, 3.8))
    for ax, values, edges, label in (
        (axes[0, 0], jets.counts, np.arange(0, 121, 4), "particles"),
        (axes[0, 1], jets.momentum[:, 3], np.arange(0, 181, 6), "mass [GeV]"),
    ):
        for name in ("quark", "gluon"):
            chosen = values[jets.label == jets.classes.index(name)]
            text = f"{name}, mean {chosen.mean():.0f}"
            ax.hist(chosen, edges, histtype="step", linewidth=1.6, color=COLORS[name], density=True, label=text)
        ax.set(xlabel=f"{label} of a jet", ylabel="density")
        ax.legend()
    axes[0, 0].set_title(f"anti-kt $R$ = {config.radius:g}, {config.pt[0]:g} to {config.pt[1]:g} GeV, beside a Z")
    return figure


@styled
def groomed_mass_figure() -> Figure:
    """Masses of groomed jets of 1 TeV."""
    jets, config = load_sample("multi")
    figure, axes = panels(1, 1, (7, 4.2))
    ax = axes[0, 0]
    for number, name in enumerate(jets.classes):
        cloud = {key: array[:] for key, array in clouds(jets, np.flatnonzero(jets.label == number)).items()}
        mass = soft_drop(cloud["particles"], cloud["real"], cloud["identity"])[2]
        text = f"{name}, median {np.median(mass):.0f} GeV"
        ax.hist(mass, np.arange(0, 261, 5), histtype="step", linewidth=1.6, color=COLORS[name], label=text)
        if name in POLES:
            ax.axvline(POLES[name], color=COLORS[name], linestyle=":", linewidth=1)
            print(f"{name}: median {np.median(mass):.1f} GeV")
    title = f"anti-kt $R$ = {config.radius:g}, {config.pt[0]:g} to {config.pt[1]:g} GeV"
    ax.set(xlabel="mass left by the modified mass drop, $z$ > 0.1 [GeV]", ylabel="jets in 5 GeV", title=title)
    ax.legend()
    return figure


@styled
def color_charges_figure(jets: int) -> Figure:
    """Ratio of the multiplicities of gluon and quark jets."""
    pts = np.array([60, 125, 250, 500, 1000, 2000])
    made = [generate(quarks_and_gluons(float(pt), jets), 0) for pt in track(pts, "jets of each momentum")]
    ratios, errors = np.transpose([multiplicity_ratio(one) for one in made])
    print("gluon over quark:", *(f"{pt} GeV {r:.2f}+-{e:.2f}" for pt, r, e in zip(pts, ratios, errors, strict=True)))
    figure, axes = panels(1, 1, (6, 4))
    ax = axes[0, 0]
    ax.axhline(CASIMIR_RATIO, color=GRAY, linestyle="--", label="$C_A / C_F$")
    ax.errorbar(pts, ratios, errors, fmt="o", color=BLUE, capsize=2, label=f"Pythia, {jets} jets of each")
    ax.set(xscale="log", ylim=(1, 2.4), xlabel="transverse momentum [GeV]", ylabel="particles, gluon over quark jets")
    ax.set_xticks(pts, [str(pt) for pt in pts])
    ax.minorticks_off()
    ax.set_title("anti-kt $R$ = 0.4, no further interactions")
    ax.legend(loc="lower right")
    return figure


@styled
def weights_figure(jets: int) -> Figure:
    """Spectrum of events drawn by their weights beside that of events that have none."""
    edges = np.geomspace(500, 3000, 13)
    middle = np.sqrt(edges[1:] * edges[:-1])
    figure, axes = panels(1, 1, (6, 4))
    ax = axes[0, 0]
    for bias, color, marker, shift in ((0.0, BLUE, "o", 0.985), (4.0, RED, "s", 1.015)):
        made = generate(falling_spectrum(jets, bias), 0)
        share, error = spectrum(made, edges)
        density, filled = share / np.diff(edges), share > 0
        text = f"{jets} jets" + (f", drawn by $p_T^{{{bias:g}}}$ and weighted" if bias else " without weights")
        style = {"fmt": marker, "color": color, "capsize": 2, "label": text}
        ax.errorbar((middle * shift)[filled], density[filled], (error / np.diff(edges))[filled], **style)
    ax.set(xscale="log", yscale="log", xlabel="transverse momentum of the first jet [GeV]", ylabel="share a GeV")
    ax.set_xticks([500, 1000, 2000, 3000], ["500", "1000", "2000", "3000"])
    ax.minorticks_off()
    ax.legend()
    return figure


def _save(figure: Figure, path: Path) -> None:
    """PNG of 128 colors, which takes a third of the space."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(128).save(path, optimize=True)


def main(folder: Path, jets: int = 1000) -> None:
    """Write the four figures, with so many jets of Pythia's a point."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(quark_gluon_figure(), folder / "quark_gluon.png")
    _save(groomed_mass_figure(), folder / "groomed_mass.png")
    _save(weights_figure(jets), folder / "weights.png")
    _save(color_charges_figure(jets), folder / "color_charges.png")
    print("quark_gluon.png, groomed_mass.png, weights.png and color_charges.png are in", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/jets_checks"))

"""At which scales networks on fields know more than summaries: both on fields smoothed by 2, 4 and 8 Mpc/h.

    python benchmarks/fields_scales.py [--runs runs/fields_scales] [--networks cnn2d-cosmology cnn3d-cosmology]

The networks are the released ones, which smooth by 2 Mpc/h, and their recipes trained on wider smoothing; beside them stand the
recipes' dense layers on the power spectrum and on all summaries of the smoothed fields. One seed each; errors on the test
simulations, with intervals over these. A killed run goes on where it stopped. Writes benchmarks/results/fields_scales.json and
docs/figures/fields_scales.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from interleaved import about, write
from matplotlib.figure import Figure

import zoo
from zoo.families.batches import in_batches
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.training.evaluate import Run
from zoo.training.fit import trained
from zoo.training.metrics import Units, measured, rms
from zoo.training.recipe import Recipe, load_recipe

SCALES = (2.0, 4.0, 8.0)
"""Deviations of the smoothing, Mpc/h."""
NETWORKS = {"cnn2d-cosmology": 100 / 64, "cnn3d-cosmology": 100 / 32}
"""Released networks, and the cells of what they see in Mpc/h."""
DENSE = ("power", "summaries")
LABELS = {"omega_m": r"error of $\Omega_m$", "sigma8": r"error of $\sigma_8$"}
STYLES = {"network": (BLUE, "o-"), "summaries": (RED, "s--"), "power": (GRAY, "^:")}


def network(name: str, scale: float, folder: Path) -> Run:
    """The network on fields that are smoothed so."""
    recipe = load_recipe(name)
    smoothing = scale / NETWORKS[name]
    if smoothing == recipe.config["smoothing"]:
        return Run(recipe, 0, lambda: zoo.load(name), {})
    return trained(recipe.changed({"config.smoothing": smoothing}), folder, 0, title=f"{name}, {scale:g} Mpc/h")


def dense(recipe: Recipe, variant: str, scale: float, folder: Path) -> Run:
    """Dense layers on summaries of fields that are smoothed so."""
    changes = recipe.variants[variant].set
    data = {**changes["data.parameters"], "smoothing": scale}  # type: ignore[dict-item]
    return trained(recipe.changed({**changes, "data.parameters": data}), folder, 0, title=f"{recipe.name} {variant}, {scale:g}")


def errors(run: Run) -> dict[str, dict]:
    """Root mean square error of each parameter, with its interval."""
    rows = run.held_out()
    (given,) = rows.inputs.values()
    mean = in_batches(lambda some: run.load()(some), given)[:, : rows.target.shape[1]]
    found = {}
    for i, name in enumerate(LABELS):
        metric = measured(name, rms, [mean[:, i] - rows.target[:, i]], Units.of(rows), "")
        found[name] = {"error": round(metric.value, 4), "interval": [round(end, 4) for end in metric.interval or ()]}
    return found


@styled
def figure(found: dict[str, dict[str, dict]]) -> Figure:
    """Errors by smoothing, of maps above and of cubes below."""
    drawn, axes = panels(len(found), len(LABELS), (9.0, 3.4 * len(found)))
    for row, (name, scales) in zip(axes, found.items(), strict=True):
        for ax, (parameter, label) in zip(row, LABELS.items(), strict=True):
            for i, (way, (color, line)) in enumerate(STYLES.items()):
                some = [scales[f"{scale:g} Mpc/h"][way][parameter] for scale in SCALES]
                value, ends = np.array([one["error"] for one in some]), np.array([one["interval"] for one in some]).T
                ax.errorbar(
                    np.array(SCALES) * 1.03 ** (i - 1), value, np.abs(ends - value), fmt=line, color=color, capsize=3, label=way
                )
            ax.set(xscale="log", xlabel="smoothing [Mpc/h]", ylabel=label, title=name)
            ax.set_xticks(SCALES, [f"{scale:g}" for scale in SCALES])
            ax.set_ylim(bottom=0)
            ax.minorticks_off()
    axes[0][0].legend()
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/fields_scales"))
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    found: dict[str, dict[str, dict]] = {}
    for name in given.networks:
        recipe, found[name] = load_recipe(name), {}
        for scale in SCALES:
            folder = given.runs / name / f"{scale:g}"
            runs = {"network": network(name, scale, folder / "network")}
            runs |= {way: dense(recipe, way, scale, folder / way) for way in DENSE}
            found[name][f"{scale:g} Mpc/h"] = {way: errors(run) for way, run in runs.items()}
            print(name, scale, found[name][f"{scale:g} Mpc/h"], flush=True)
    figure(found).savefig(Path(__file__).parents[1] / "docs" / "figures" / "fields_scales.png", dpi=110, bbox_inches="tight")
    write("fields_scales.json", {"about": about("keras", "tensorflow"), "fields": found})


if __name__ == "__main__":
    main()
